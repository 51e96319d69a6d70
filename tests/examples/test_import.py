"""The registry takes all four versions, and none fails its validation: that is their trap."""

import pytest

from apps.registry import services
from examples.flights.models import LABEL_MAP, TrainedModel
from examples.flights.register import MODEL_NAME, register
from tests.registry.factories import make_model, scientist

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.filterwarnings("ignore:::mlflow"),
]


def test_versions__imported_and_validated__all_pass(
    models: dict[str, TrainedModel], mlflow_server: str
) -> None:
    owner = make_model(MODEL_NAME)
    for model in models.values():
        done = register(model, tracking_uri=mlflow_server, commit="abc123")
        version = services.import_version(
            actor=scientist(),
            model=owner,
            mlflow_name=MODEL_NAME,
            mlflow_version=done.mlflow_version,
        )
        assert version.label_map == LABEL_MAP
        assert version.decision_threshold == model.threshold
        assert version.data_lineage["digest"] == model.data_digest
        assert version.code_lineage["commit"] == "abc123"
        started = services.start_validation(actor=scientist(), version=version)
        services.run_validation(validation_id=started.pk)
        started.refresh_from_db()
        assert started.state == "passed", started.checks
