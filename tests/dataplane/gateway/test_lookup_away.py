"""No feature store at all: the gateway serves with defaults."""

import pytest

from tests.dataplane.gateway.looking import Looking, prediction
from tests.dataplane.gateway.site import Site


def test_lookup__store_away__defaults_at_once_and_no_unit_in_the_log(site: Site) -> None:
    closed = site.services.ports["S3"]  # nothing listens there
    site.serve(GATEWAY_STORE_URL=f"redis://127.0.0.1:{closed}/0")
    looking = Looking(site, "rig-away")
    looking.serve()
    default = prediction(site.predict(x7=0.0, code=1, carrier="AA"))
    assert prediction(looking.ask("somebody-in-particular")) == pytest.approx(default)
    assert looking.counted() == {"away": 1}
    site.stop()
    assert "somebody-in-particular" not in site.log()
