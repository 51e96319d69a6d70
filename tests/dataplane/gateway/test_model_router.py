"""The model router: rules choose the endpoint, and every decision can be read afterwards."""

from typing import Any

import pytest

from benchmarks import rig
from contracts.policy import Condition, Policy, Rule
from contracts.routing import EndpointSpec
from tests.dataplane.gateway.site import Site, eventually


@pytest.fixture
def site(served: Site) -> Site:
    """One gateway for all: every test publishes what it needs. The clients are the usual again."""
    served.publisher.publish_clients()
    return served


def rule(
    subject: Any,
    comparison: Any,
    value: Any,
    feature: str = "",
    *,
    name: str = "to strong",
    to: str = "strong",
) -> Rule:
    condition = Condition(subject=subject, comparison=comparison, value=value, name=feature)
    return Rule(name=name, when=(condition,), endpoint=to)


def routed(site: Site, *rules: Rule) -> EndpointSpec:
    """The endpoint that clients ask, answered by version 1."""
    return rig.endpoint([rig.variant(1, site.triton)], sample_rate=1.0, policy=Policy(rules=rules))


def strong(site: Site, **changes: Any) -> EndpointSpec:
    """Where rules send to: version 2."""
    variants = [rig.variant(2, site.triton)]
    return rig.endpoint(variants, **{"name": "strong", "sample_rate": 1.0, **changes})


FAR = rule("feature", "gt", 5.0, "x7")


def test_rules__feature_meets_the_condition__another_endpoint_answers(site: Site) -> None:
    site.publish(routed(site, FAR), strong(site))
    far, near = site.predict(x7=6.0).json(), site.predict(x7=4.0).json()
    assert far["model_version"] == "2.0.0"
    assert far["route"] == {"rule": "to strong", "asked": "rig", "model": "strong"}
    assert near["model_version"] == "1.0.0"
    assert "route" not in near


def test_rules__decision__is_in_the_record_the_counters_and_the_metrics(site: Site) -> None:
    quoted = rule("feature", "gt", 5.0, "x7", name='to "strong"')
    site.publish(routed(site, quoted), strong(site, phase=50))
    site.predict(x7=6.0)

    def found(stream: str) -> list[Any]:
        return [
            each for batch in site.batches() for each in getattr(batch, stream) if each.phase == 50
        ]

    eventually(lambda: found("records"))
    (record,), (counter,) = found("records"), found("counters")
    assert (record.endpoint, record.route, record.asked) == ("strong", 'to "strong"', "rig")
    assert (counter.endpoint, counter.requests) == ("strong", 1)
    text = site.get("/metrics").body.decode()
    labels = r'endpoint="rig",rule="to \"strong\"",result="routed"'
    assert f"switchyard_gateway_routed_requests_total{{{labels}}} 1" in text


def test_rules__several_match__the_first_wins_and_there_are_no_chains(site: Site) -> None:
    onwards = Policy(rules=(rule("payload_bytes", "gt", 0, to="rig"),))
    late = rule("payload_bytes", "gt", 0, name="any", to="elsewhere")
    site.publish(routed(site, FAR, late), strong(site, policy=onwards))
    assert site.predict(x7=6.0).json()["route"]["rule"] == "to strong"


@pytest.mark.parametrize(
    ("subject", "comparison", "value", "version"),
    [
        ("tier", "eq", "gold", "2.0.0"),
        ("tier", "ne", "gold", "1.0.0"),
        ("budget", "lt", 0.01, "2.0.0"),
        ("payload_bytes", "gt", 100, "2.0.0"),
        ("payload_bytes", "gt", 10_000, "1.0.0"),
    ],
)
def test_rules__on_client_and_size__decide(
    site: Site, subject: str, comparison: str, value: Any, version: str
) -> None:
    site.publisher.publish_clients(rig.client(tier="gold", budget=0.005))
    site.publish(routed(site, rule(subject, comparison, value)), strong(site))
    assert site.predict().json()["model_version"] == version


@pytest.mark.parametrize(
    ("team", "endpoints", "result"),
    [("team", ("rig",), "forbidden"), ("other", (), "missing")],
)
def test_rules__target_is_not_for_this_client__own_variants_answer_and_it_is_counted(
    site: Site, team: str, endpoints: tuple[str, ...], result: str
) -> None:
    site.publisher.publish_clients(rig.client(endpoints=endpoints))
    far = rule("feature", "gt", 5.0, "x7", name=f"for {result}")
    site.publish(routed(site, far), strong(site, team=team))
    answer = site.predict(x7=6.0).json()
    assert answer["model_version"] == "1.0.0"
    assert "route" not in answer
    text = site.get("/metrics").body.decode()
    assert f'endpoint="rig",rule="for {result}",result="{result}"}} 1' in text


def test_rules__several_rows__go_where_the_first_one_goes(site: Site) -> None:
    site.publish(routed(site, FAR), strong(site))
    rows = [rig.example(x7=number) for number in (6.0, 4.0)]
    reply = site.post("/v1/predict", {"model": "rig", "instances": rows}).json()
    assert [each["model_version"] for each in reply["predictions"]] == ["2.0.0"] * 2


def test_rules__pinned_version__is_answered_where_it_was_asked(site: Site) -> None:
    site.publish(routed(site, FAR), strong(site))
    assert site.predict(x7=6.0, version=1).json()["model_version"] == "1.0.0"


def test_rules__feature_is_missing_or_nonsense__own_schema_says_what_is_wrong(site: Site) -> None:
    site.publish(routed(site, FAR), strong(site))
    assert site.predict(x7="far").paths() == ["$.features.x7"]
    reply = site.post("/v1/predict", {"model": "rig", "features": [1]})
    assert (reply.status, reply.paths()) == (422, ["$.features"])


def test_rules__faults_of_a_routed_request__are_named_as_usual(site: Site) -> None:
    site.publish(routed(site, FAR), strong(site))
    reply = site.predict(x7=6.0, carrier="XX")
    assert (reply.status, reply.paths()) == (422, ["$.features.carrier"])


def test_rules__condition_that_says_nothing__keeps_the_last_good_form(site: Site) -> None:
    site.publish(site.endpoint())
    site.publisher.publish(routed(site, rule("tier", "lt", "gold")))
    eventually(lambda: (report := site.report()) and "eq, ne or in" in report.rejected_index)
    assert site.predict().status == 200
