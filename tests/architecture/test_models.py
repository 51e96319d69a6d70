"""Every table has a test that knows of it."""

from pathlib import Path

import pytest
from django.apps import apps
from django.db.models import CharField, Model

TESTS = Path(__file__).resolve().parents[1]
OURS = [
    model
    for config in apps.get_app_configs()
    if config.name.startswith("apps.")
    for model in config.get_models()
]


# Positions of a process, seen only through what it publishes.
BOOKKEEPING = {"ClientsPosition"}
STATES = {"state", "stage", "role", "verdict"}


def texts_of(label: str) -> str:
    return "\n".join(path.read_text() for path in (TESTS / label).rglob("*.py"))


@pytest.mark.parametrize("model", OURS, ids=lambda model: model.__name__)
def test_model__each__is_named_by_a_test_of_its_app(model: type[Model]) -> None:
    assert model.__name__ in BOOKKEEPING or model.__name__ in texts_of(model._meta.app_label)


@pytest.mark.parametrize("model", OURS, ids=lambda model: model.__name__)
def test_model__each_moment__is_called_so(model: type[Model]) -> None:
    moments = [
        field.name
        for field in model._meta.local_fields
        if field.get_internal_type() in ("DateTimeField", "DateField")
    ]
    inherited = {"last_login", "date_joined"}
    odd = [name for name in moments if not name.endswith(("_at", "_date")) and name != "at"]
    assert set(odd) <= inherited


@pytest.mark.parametrize("model", OURS, ids=lambda model: model.__name__)
def test_model__each_state__is_bound_by_the_database(model: type[Model]) -> None:
    """A state has a check constraint that names it: code is not the only guard."""
    constrained = " ".join(str(one.deconstruct()) for one in model._meta.constraints)
    free = [
        field.name
        for field in model._meta.local_fields
        if isinstance(field, CharField) and field.choices
        if field.name in STATES and field.name not in constrained
    ]
    assert free == []
