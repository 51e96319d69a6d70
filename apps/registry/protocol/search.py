"""Searching models and versions: conditions to SQL that indexes answer, in pages by position.

A page costs what its rows cost, however many came before it: the token says after which values of
the sort columns it begins. Versions of one model are read straight from that model's indexes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db.models import Q, QuerySet

from apps.registry.models import ModelVersion, RegisteredModel
from apps.registry.protocol import rows
from apps.registry.protocol.grammar import (
    MODELS,
    VERSIONS,
    BadFilter,
    BadOrder,
    Condition,
    Order,
    Vocabulary,
    parse_filter,
    parse_orders,
)
from apps.registry.protocol.lookups import ILike, Like, tag_text
from apps.registry.protocol.messages import ModelSearch, VersionSearch
from apps.registry.protocol.refusals import invalid
from apps.registry.protocol.rows import ModelRow, VersionRow
from apps.registry.protocol.tokens import position_in, search_digest, token_of

# MLflow's tag of prompts, which are not kept here: nothing has it, everything is not one.
PROMPT = "mlflow.prompt.is_prompt"
LOOKUPS = {
    "=": "exact",
    ">": "gt",
    ">=": "gte",
    "<": "lt",
    "<=": "lte",
    "LIKE": "like",
    "ILIKE": "ilike",
    "IN": "in",
}
NEGATIONS = {"!=": "=", "NOT IN": "IN"}
VERSION_COLUMNS = {
    "name": "model__name",
    "run_id": "run_id",
    "source_path": "source",
    "version_number": "number",
    "creation_timestamp": "created_at",
    "last_updated_timestamp": "updated_at",
}
MODEL_COLUMNS = {**VERSION_COLUMNS, "name": "name"}
# What the rows call the columns that can be sorted by.
FIELDS = {
    "name": "name",
    "version_number": "number",
    "creation_timestamp": "created_at",
    "last_updated_timestamp": "updated_at",
}
MOMENTS = frozenset({"creation_timestamp", "last_updated_timestamp"})
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
BY_NAME = (Order("name"),)
TIES = (Order("name"), Order("version_number", ascending=False))
NEWEST_CHANGE = (Order("last_updated_timestamp", ascending=False), *TIES)


@dataclass(frozen=True)
class ModelsPage:
    """Models, and the token of the next page ("" for none)."""

    rows: list[ModelRow]
    token: str = ""


@dataclass(frozen=True)
class VersionsPage:
    """Versions, and the token of the next page ("" for none)."""

    rows: list[VersionRow]
    token: str = ""


@dataclass(frozen=True)
class _Plan:
    """What is sorted by which columns, and where to go on."""

    orders: tuple[Order, ...]
    columns: Mapping[str, str]
    search: str
    after: Mapping[str, Any] | None

    def without(self, key: str) -> "_Plan":
        """The same plan where this column is the same in every row."""
        kept = tuple(one for one in self.orders if one.key != key)
        return replace(self, orders=kept)

    def page(self, found: QuerySet[Any], size: int) -> QuerySet[Any]:
        """One row more than the page holds: it says whether there is another page."""
        sorting = (self._sorted_by(one) for one in self.orders)
        return found.filter(self._rest()).order_by(*sorting)[: size + 1]

    def token(self, listed: Sequence[ModelRow | VersionRow], size: int) -> str:
        """The token of the page after the first `size` rows, if there are more."""
        if len(listed) <= size:
            return ""
        last = listed[size - 1]
        return token_of([getattr(last, FIELDS[key]) for key in self.keys], search=self.search)

    @property
    def keys(self) -> list[str]:
        return [one.key for one in self.orders]

    def _sorted_by(self, order: Order) -> str:
        return f"{'' if order.ascending else '-'}{self.columns[order.key]}"

    def _rest(self) -> Q:
        """Rows behind the position: further in the first column that differs.

        The first column's bound stands outside, where an index takes it up.
        """
        if self.after is None:
            return Q()
        behind, equal = Q(pk__in=[]), Q()
        for order in self.orders:
            column, value = self.columns[order.key], self.after[order.key]
            behind |= equal & Q(**{f"{column}__{'gt' if order.ascending else 'lt'}": value})
            equal &= Q(**{column: value})
        first = self.orders[0]
        bound = f"{self.columns[first.key]}__{'gte' if first.ascending else 'lte'}"
        return Q(**{bound: self.after[first.key]}) & behind


def search_models(asked: ModelSearch) -> ModelsPage:
    """Models that fit, by name unless told otherwise. Raises a Refusal."""
    conditions, orders = _read(asked, MODELS)
    plan = _plan(asked, _completed(orders, BY_NAME), MODEL_COLUMNS)
    if _asks_for_prompts(conditions):
        return ModelsPage([])
    found = RegisteredModel.objects.filter(*_clauses(conditions, MODEL_COLUMNS))
    listed = rows.models(plan.page(found, asked.max_results))
    return ModelsPage(listed[: asked.max_results], plan.token(listed, asked.max_results))


def search_versions(asked: VersionSearch) -> VersionsPage:
    """Versions that fit, by their last change unless told otherwise. Raises a Refusal.

    Conditions on names are answered by the models first. Where they leave one model, names are
    the same in every row, and an index of that model gives rows in their order.
    """
    conditions, orders = _read(asked, VERSIONS)
    plan = _plan(asked, _completed(orders, TIES if orders else NEWEST_CHANGE), VERSION_COLUMNS)
    if _asks_for_prompts(conditions):
        return VersionsPage([])
    named = [one for one in conditions if (one.kind, one.key) == ("attribute", "name")]
    others = [one for one in conditions if one not in named]
    found = ModelVersion.objects.filter(*_clauses(others, VERSION_COLUMNS))
    names = _models_named(named) if named else None
    if names is not None:
        found = found.filter(model__in=list(names))
    reading = plan.without("name") if names is not None and len(names) == 1 else plan
    listed = rows.versions(reading.page(found, asked.max_results), names)
    return VersionsPage(listed[: asked.max_results], plan.token(listed, asked.max_results))


def _models_named(conditions: Sequence[Condition]) -> dict[int, str]:
    found = RegisteredModel.objects.filter(*_clauses(conditions, MODEL_COLUMNS))
    return dict(found.values_list("pk", "name"))


def _read(
    asked: ModelSearch | VersionSearch, vocabulary: Vocabulary
) -> tuple[tuple[Condition, ...], tuple[Order, ...]]:
    try:
        return parse_filter(asked.filter, vocabulary), parse_orders(asked.order_by, vocabulary)
    except (BadFilter, BadOrder) as error:
        raise invalid(str(error)) from error


def _completed(orders: Sequence[Order], ties: Sequence[Order]) -> tuple[Order, ...]:
    keys = {one.key for one in orders}
    return (*orders, *(one for one in ties if one.key not in keys))


def _plan(
    asked: ModelSearch | VersionSearch, orders: tuple[Order, ...], columns: Mapping[str, str]
) -> _Plan:
    search = search_digest(asked.filter, [(one.key, one.ascending) for one in orders])
    plan = _Plan(orders, columns, search, None)
    if not asked.page_token:
        return plan
    kinds = [str if key == "name" else int for key in plan.keys]
    position = position_in(asked.page_token, search=search, kinds=kinds)
    after: dict[str, Any] = dict(zip(plan.keys, position, strict=True))
    for key in MOMENTS & set(after):
        after[key] = EPOCH + timedelta(microseconds=after[key])
    return replace(plan, after=after)


def _asks_for_prompts(conditions: Sequence[Condition]) -> bool:
    asked = {("=", True), ("!=", False)}
    return any(
        (one.operator, str(one.value).lower() == "true") in asked
        for one in conditions
        if (one.kind, one.key) == ("tag", PROMPT)
    )


def _clauses(conditions: Sequence[Condition], columns: Mapping[str, str]) -> list[Any]:
    return [
        clause
        for one in conditions
        if (one.kind, one.key) != ("tag", PROMPT)
        for clause in (_tag(one) if one.kind == "tag" else [_attribute(one, columns)])
    ]


def _attribute(one: Condition, columns: Mapping[str, str]) -> Q:
    positive = NEGATIONS.get(one.operator, one.operator)
    clause = Q(**{f"{columns[one.key]}__{LOOKUPS[positive]}": one.value})
    return ~clause if one.operator in NEGATIONS else clause


def _tag(one: Condition) -> list[Any]:
    """A version without the tag fits no condition on it, not even that it be another."""
    if one.operator == "=":
        return [Q(tags__contains={one.key: one.value})]
    has_key = Q(tags__has_key=one.key)
    if one.operator == "!=":
        return [has_key, ~Q(tags__contains={one.key: one.value})]
    comparison = ILike if one.operator == "ILIKE" else Like
    return [has_key, comparison(tag_text(one.key), one.value)]
