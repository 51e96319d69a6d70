"""The form reads back what it shows, and its faults stand beside their fields."""

from typing import Any

import pytest

from apps.routing.errors import Fault
from apps.routing.facts import settings_of
from apps.routing.policy import compact
from apps.routing.policy_form import PARTS, ShownPart, read_form, shown
from apps.routing.policy_picture import picture
from contracts.policy import Policy
from contracts.routing import Limits

FULL: dict[str, Any] = {
    "limits": {"deadline_ms": 200},
    "policy": {
        "cache": {"ttl_s": 600.0, "shared": False},
        "breaker": {"error_share": 0.3, "slow_ms": 250.0},
        "fallback": {"variant": "backup", "default": {"prediction": 0.2, "label": "on time"}},
        "lookup": {"features": [{"name": "trips", "default": 0}]},
        "mirrors": [{"variant": "shadow", "share": 0.5}],
        "rules": [
            {
                "name": "gold",
                "endpoint": "strong",
                "when": [{"subject": "tier", "comparison": "in", "value": ["gold"]}],
            }
        ],
    },
}


def posted(parts: list[ShownPart]) -> dict[str, str]:
    """What a browser sends of the form as it is shown."""
    sent = {}
    for part in parts:
        if part.on:
            sent[f"on:{part.part.switch}"] = "on"
        for item in part.fields:
            if item.field.kind != "switch":
                sent[item.field.path] = str("" if item.value is None else item.value)
            elif item.value:
                sent[item.field.path] = "on"
    return sent


@pytest.mark.parametrize("stored", [FULL, {}, {"policy": {"breaker": None}}])
def test_form__shown_and_sent__gives_the_same_settings(stored: dict[str, Any]) -> None:
    settings = settings_of(stored)
    tree, faults = read_form(posted(shown(settings, {})))
    assert faults == []
    assert settings_of(tree) == settings
    assert settings_of(compact(settings)) == settings


def test_form__part_switched_off__is_gone() -> None:
    sent = posted(shown(settings_of(FULL), {}))
    del sent["on:policy.cache"], sent["on:policy.fallback.default"]
    tree, _ = read_form(sent)
    policy = settings_of(tree).policy
    assert (policy.cache, policy.fallback.default) == (None, None)


@pytest.mark.parametrize(
    ("path", "text", "words"),
    [
        ("policy.cache.ttl_s", "soon", "a number, please"),
        ("policy.cache.entries", "", "is missing"),
        ("policy.rules", "[{", "line 1, column 3"),
    ],
)
def test_form__what_cannot_be_read__said_beside_the_field(path: str, text: str, words: str) -> None:
    sent = {**posted(shown(settings_of(FULL), {})), path: text}
    _, faults = read_form(sent)
    assert [fault.path for fault in faults] == [f"settings.{path}"]
    fields = [
        item
        for part in shown(settings_of({}), {}, given=sent, faults=faults)
        for item in part.fields
    ]
    (wrong,) = [item for item in fields if item.errors]
    assert (wrong.field.path, wrong.value) == (path, text)
    assert words in wrong.errors[0]


@pytest.mark.parametrize(
    ("path", "place"),
    [
        ("settings.policy.rules[0].when[0].name", "policy.rules"),
        ("settings.policy.fallback.default.label", "policy.fallback.default.label"),
        ("settings.policy.lookup.features[1].default", "policy.lookup.features"),
        ("settings.limits.max_batch", "limits.max_batch"),
    ],
)
def test_form__fault_of_the_service__beside_the_innermost_field(path: str, place: str) -> None:
    parts = shown(settings_of({}), {}, given={}, faults=[Fault(path, "no")])
    (wrong,) = [item for part in parts for item in part.fields if item.errors]
    assert wrong.field.path == place


def test_form__every_field_of_the_contracts__has_a_place() -> None:
    paths = {item.path for part in PARTS for item in part.fields}
    for start, names in (
        ("limits", Limits.__struct_fields__),
        ("policy", Policy.__struct_fields__),
    ):
        for name in names:
            assert any(f"{path}.".startswith(f"{start}.{name}.") for path in paths), name


def test_picture__full_policy__chain_in_order() -> None:
    settings = settings_of(FULL)
    drawn = picture(settings.policy, settings.limits, {"backup": 2})
    assert [step.title for step in drawn.steps] == [
        "Cache",
        "Model",
        "Stale answer",
        "Other version",
        "Default",
        "503",
    ]
    assert drawn.steps[0].words == "equal features for 10 min, in memory"
    assert drawn.steps[3].words == "v2 as backup"
    assert drawn.rules[0].when == "tier in gold"
