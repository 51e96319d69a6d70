"""Metrics as rows: kept beside the JSON by the database, however a version is written."""

import pytest
from django.http import QueryDict

from apps.registry.models import ModelVersion, VersionMetric
from apps.registry.search import VersionSearch
from tests.registry.factories import make_model, make_version

pytestmark = pytest.mark.django_db


def rows(version: ModelVersion) -> dict[str, float]:
    return dict(VersionMetric.objects.filter(version=version).values_list("name", "value"))


def found(metric: str) -> list[int]:
    search = VersionSearch.read(QueryDict(f"metric={metric}"))
    return [one.number for one in search.among(make_model().versions.order_by("number"))]


def test_metrics__written_and_changed__are_rows_that_searches_find() -> None:
    version = make_version(metrics={"auc": 0.91, "note": "good", "loss": None, "rows": 10})
    make_version(metrics={"auc": 0.7})
    assert rows(version) == {"auc": 0.91, "rows": 10.0}
    assert found("auc >= 0.9") == [1]
    assert found("auc < 0.91") == [2]
    assert found("note = 1") == []
    ModelVersion.objects.filter(pk=version.pk).update(metrics={"auc": 0.6})
    assert rows(version) == {"auc": 0.6}
    assert found("auc <= 0.7") == [1, 2]
    ModelVersion.objects.filter(pk=version.pk).update(description="the same figures")
    assert rows(version) == {"auc": 0.6}
