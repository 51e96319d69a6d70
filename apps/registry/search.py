"""What people narrow lists of models and versions by; a page's address is the whole search."""

import re
from dataclasses import dataclass
from typing import Any, Self

from django.db.models import Exists, F, OuterRef, Q, QuerySet
from django.db.models.fields.json import KeyTransform
from django.http import QueryDict

from apps.events.errors import Invalid
from apps.registry.models import ModelVersion, RegisteredModel

_METRIC = re.compile(r"(?P<name>[^<>=]+?)\s*(?P<sign><=|>=|<|>|=)\s*(?P<value>[-+0-9.eE]+)")
_LOOKUPS = {"<": "lt", "<=": "lte", ">": "gt", ">=": "gte", "=": "exact"}
LONGEST = 200


def _said(query: QueryDict, name: str) -> str:
    text = query.get(name, "").strip()
    if len(text) > LONGEST:
        raise Invalid(f"takes at most {LONGEST} characters", field=name)
    return text


@dataclass(frozen=True)
class ModelSearch:
    """Filters of the list of models; an empty one lets everything through."""

    name: str = ""
    team: str = ""
    owner: str = ""
    tier: str = ""
    stage: str = ""
    tag: str = ""
    metric: str = ""

    @classmethod
    def read(cls, query: QueryDict) -> Self:
        """The filters of an address. Raises Invalid naming the field."""
        return cls(**{name: _said(query, name) for name in cls.__dataclass_fields__})

    def among(self, models: QuerySet[RegisteredModel]) -> QuerySet[RegisteredModel]:
        """Those that fit. `metric` is of the version at the top stage, or of the newest one.

        Raises Invalid when `metric` is no comparison.
        """
        exact = {"team__key": self.team, "owner__username": self.owner, "tier": self.tier}
        found = models.filter(**{name: text for name, text in exact.items() if text})
        if self.name:
            found = found.filter(name__icontains=self.name)
        if self.tag:
            found = found.filter(tagged(self.tag))
        if self.stage:
            found = found.filter(Exists(_versions().filter(stage=self.stage)))
        if self.metric:
            fits = measured(_versions(), self.metric)
            newest = fits.filter(number=OuterRef("last_number"))
            found = found.filter(Exists(fits.at_the_top()) | Exists(newest))
        return found


@dataclass(frozen=True)
class VersionSearch:
    """Filters of the list of a model's versions."""

    stage: str = ""
    tag: str = ""
    metric: str = ""
    author: str = ""

    @classmethod
    def read(cls, query: QueryDict) -> Self:
        """The filters of an address. Raises Invalid naming the field."""
        return cls(**{name: _said(query, name) for name in cls.__dataclass_fields__})

    def among(self, versions: QuerySet[ModelVersion]) -> QuerySet[ModelVersion]:
        """Those that fit. Raises Invalid when `metric` is no comparison."""
        found = versions.filter(stage=self.stage) if self.stage else versions
        if self.author:
            found = found.filter(author=f"user:{self.author.removeprefix('user:')}")
        if self.tag:
            found = found.filter(tagged(self.tag))
        return _among_many(found, self.metric) if self.metric else found


def _versions() -> Any:
    """Versions of the model of the outer query."""
    return ModelVersion.objects.filter(model=OuterRef("pk"))


def tagged(text: str) -> Q:
    """Rows with a tag: "key", "key:value" or "key=value"."""
    key, sign, value = text.partition("=" if "=" in text.partition(":")[0] else ":")
    return Q(tags__contains={key: value}) if sign else Q(tags__has_key=key)


def measured(versions: Any, text: str) -> Any:
    """Versions whose metric compares as told: "auc >= 0.8"; reads the metrics of each.

    Raises Invalid naming `metric`.
    """
    name, lookup, value = _comparison(text)
    figure = KeyTransform(name, F("metrics"))
    return versions.alias(figure=figure).filter(**{f"figure__{lookup}": value})


def _among_many(versions: QuerySet[ModelVersion], text: str) -> QuerySet[ModelVersion]:
    """The same of one model's versions, which may be many: by an index."""
    name, lookup, value = _comparison(text)
    return versions.filter(
        metric_rows__model=F("model"),
        metric_rows__name=name,
        **{f"metric_rows__value__{lookup}": value},
    )


def _comparison(text: str) -> tuple[str, str, float]:
    """Metric, lookup and figure of a comparison. Raises Invalid naming `metric`."""
    found = _METRIC.fullmatch(text)
    try:
        value = float(found["value"]) if found else None
    except ValueError:
        value = None
    if found is None or value is None:
        raise Invalid(f"{text[:60]!r} is no comparison: say e.g. auc >= 0.8", field="metric")
    return found["name"], _LOOKUPS[found["sign"]], value
