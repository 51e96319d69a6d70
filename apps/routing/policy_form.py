"""The form by which people edit limits and policy: fields by path, read into settings. Pure.

A field is named like the fault that it may have ("policy.cache.ttl_s"), so what the service
refuses stands beside it. A switch turns a whole part on; what is off is not read.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from apps.routing.errors import Fault
from apps.routing.policy import EndpointSettings, complete
from contracts.policy import Breaker, Cache, Lookup

Kind = Literal["number", "integer", "switch", "text", "choice", "json"]
RULES = """[{"name": "long-haul",
  "when": [{"subject": "feature", "name": "distance", "comparison": "gt", "value": 2500}],
  "endpoint": "flights-strong"}]"""
MIRRORS = '[{"variant": "shadow", "share": 0.5, "segments": ["carrier"]}]'
FEATURES = '[{"name": "trips_30d", "default": 0}, {"name": "home_airport"}]'
DEFAULT = "policy.fallback.default"


@dataclass(frozen=True)
class Field:
    """One input; `path` is below "settings"."""

    path: str
    label: str
    kind: Kind = "number"
    hint: str = ""
    example: str = ""


@dataclass(frozen=True)
class Part:
    """A group of inputs; with a `switch` (a path) the part may be off altogether."""

    slug: str
    title: str
    about: str
    fields: tuple[Field, ...]
    switch: str = ""


@dataclass(frozen=True)
class Shown:
    """A field as the page draws it."""

    field: Field
    value: object
    errors: tuple[str, ...] = ()
    choices: tuple[tuple[str, str], ...] = ()

    @property
    def id(self) -> str:
        """The input's element id."""
        return self.field.path.replace(".", "-")

    @property
    def options(self) -> tuple[tuple[str, str], ...]:
        """The choices, and first what is chosen though nobody would offer it any more."""
        known = {value for value, _ in self.choices}
        chosen = str(self.value or "")
        return self.choices if chosen in known else ((chosen, chosen), *self.choices)


@dataclass(frozen=True)
class ShownPart:
    """A part as the page draws it; `on` is None where there is no switch."""

    part: Part
    on: bool | None
    fields: tuple[Shown, ...]
    errors: tuple[str, ...] = field(default=())


def _fields(start: str, *rows: tuple[str, str, Kind, str]) -> tuple[Field, ...]:
    return tuple(Field(f"{start}.{name}", label, kind, hint) for name, label, kind, hint in rows)


PARTS = (
    Part(
        "cache",
        "Cache",
        "Equal features of one version are answered once for a while.",
        _fields(
            "policy.cache",
            ("ttl_s", "Answers are fresh for", "number", "seconds"),
            ("stale_s", "Kept for fallback for", "number", "seconds more"),
            ("entries", "Entries in a gateway's memory", "integer", ""),
            ("beta", "Early expiry", "number", "0 = none, 1 = usual"),
            ("shared", "Shared between gateways, in Redis", "switch", ""),
        ),
        switch="policy.cache",
    ),
    Part(
        "breaker",
        "Circuit breaker",
        "A variant that fails too often is not asked for a moment.",
        _fields(
            "policy.breaker",
            ("error_share", "Opens at a share of failed rows of", "number", "0 to 1"),
            ("minimum", "Of at least", "integer", "rows"),
            ("window_s", "Within", "number", "seconds"),
            ("slow_ms", "A row is slow, thus failed, above", "number", "ms; 0 = never"),
            ("open_s", "Stays open for", "number", "seconds"),
            ("probes", "Closes after good probes", "integer", "in a row"),
        ),
        switch="policy.breaker",
    ),
    Part(
        "fallback",
        "Fallback",
        "What answers when the model does not, in this order; after the last comes 503.",
        (
            Field("policy.fallback.stale", "A stale answer from the cache", "switch"),
            Field("policy.fallback.variant", "Another variant", "choice"),
        ),
    ),
    Part(
        "default",
        "Default prediction",
        "The last resort before 503.",
        (
            Field(f"{DEFAULT}.prediction", "Prediction", "number", "a probability, or a value"),
            Field(f"{DEFAULT}.label", "Label", "choice"),
        ),
        switch=DEFAULT,
    ),
    Part(
        "lookup",
        "Feature lookup",
        "Features of the unit that clients need not send.",
        (
            Field("policy.lookup.features", "Features", "json", "a JSON list", FEATURES),
            Field("policy.lookup.prefix", "Key prefix", "text", "the unit follows"),
            Field("policy.lookup.budget_ms", "Time budget", "number", "ms"),
        ),
        switch="policy.lookup",
    ),
    Part(
        "mirrors",
        "Shadows",
        "A share of the units is asked of a shadow too; nobody sees its answers.",
        (Field("policy.mirrors", "Mirrors", "json", "a JSON list", MIRRORS),),
    ),
    Part(
        "rules",
        "Rules",
        "The first rule whose conditions are all met sends the request to another endpoint.",
        (Field("policy.rules", "Rules", "json", "a JSON list", RULES),),
    ),
    Part(
        "limits",
        "Limits",
        "",
        _fields(
            "limits",
            ("deadline_ms", "Deadline", "integer", "ms"),
            ("max_batch", "Rows in a batch", "integer", "at most"),
            ("max_delay_ms", "A row waits for its batch", "integer", "ms at most"),
            ("max_queue", "Rows queued", "integer", "at most"),
            ("explain_deadline_ms", "Deadline of an explanation", "integer", "ms"),
            ("explain_queue", "Explanations waiting", "integer", "at most"),
        ),
    ),
)
EMPTY = {
    "policy.cache": Cache(),
    "policy.breaker": Breaker(),
    DEFAULT: None,
    "policy.lookup": Lookup(features=()),
}


def shown(
    settings: EndpointSettings,
    choices: Mapping[str, Sequence[tuple[str, str]]],
    *,
    given: Mapping[str, str] | None = None,
    faults: Sequence[Fault] = (),
) -> list[ShownPart]:
    """The form with what is stored, or with what was `given` and the faults that it has."""
    tree = {"limits": complete(settings.limits), "policy": complete(settings.policy)}
    told = _by_field(faults)
    return [_shown_part(part, tree, choices, given, told) for part in PARTS]


def _shown_part(
    part: Part,
    tree: Mapping[str, Any],
    choices: Mapping[str, Sequence[tuple[str, str]]],
    given: Mapping[str, str] | None,
    told: Mapping[str, tuple[str, ...]],
) -> ShownPart:
    on = None
    if part.switch:
        stored = _at(tree, part.switch) is not None
        on = stored if given is None else f"on:{part.switch}" in given
    fields = tuple(
        Shown(
            item,
            _stored(item, tree) if given is None else _given(item, given),
            told.get(item.path, ()),
            tuple(choices.get(item.path, ())),
        )
        for item in part.fields
    )
    own = () if any(item.path == part.switch for item in part.fields) else told.get(part.switch, ())
    return ShownPart(part, on, fields, own)


def _by_field(faults: Sequence[Fault]) -> dict[str, tuple[str, ...]]:
    """Words of the faults by the field or switch that they stand beside, the innermost one."""
    places = sorted(_places(), key=len, reverse=True)
    told: dict[str, tuple[str, ...]] = {}
    for fault in faults:
        path = fault.path.removeprefix("settings.")
        place = next((p for p in places if path == p or path.startswith((f"{p}.", f"{p}["))), "")
        rest = path.removeprefix(place).lstrip(".")
        words = f"{rest}: {fault.detail}" if rest else fault.detail
        told[place] = (*told.get(place, ()), words)
    return told


def _places() -> Iterator[str]:
    for part in PARTS:
        yield from (item.path for item in part.fields)
        if part.switch:
            yield part.switch


def _stored(item: Field, tree: Mapping[str, Any]) -> object:
    value = _at(tree, item.path)
    if value is None and item.kind != "choice":
        value = _empty(item.path)
    if item.kind == "json":
        return _listed(value)
    return f"{value:.10g}" if isinstance(value, float) else value


def _listed(items: Any) -> str:
    """A JSON list with a line for each item."""
    lines = ",\n ".join(json.dumps(item, ensure_ascii=False) for item in items or ())
    return f"[{lines}]" if lines else ""


def _empty(path: str) -> object:
    """What a field begins with when its part was off."""
    start, _, name = path.rpartition(".")
    return complete(getattr(EMPTY.get(start), name, None))


def _given(item: Field, given: Mapping[str, str]) -> object:
    return item.path in given if item.kind == "switch" else given.get(item.path, "")


def _at(tree: Mapping[str, Any], path: str) -> Any:
    found: Any = tree
    for name in path.split("."):
        found = found.get(name) if isinstance(found, Mapping) else None
    return found


def read_form(given: Mapping[str, str]) -> tuple[dict[str, Any], list[Fault]]:
    """Settings as the form has them, defaults left out, and what could not even be read."""
    tree: dict[str, Any] = {"limits": {}, "policy": {}}
    faults: list[Fault] = []
    for part in PARTS:
        if part.switch and f"on:{part.switch}" not in given:
            _put(tree, part.switch, None)
            continue
        for item in part.fields:
            try:
                value = _value(item, given)
            except ValueError as error:
                faults.append(Fault(f"settings.{item.path}", str(error)))
            else:
                _put(tree, item.path, value)
    return tree, faults


def _put(tree: dict[str, Any], path: str, value: object) -> None:
    *parents, name = path.split(".")
    for parent in parents:
        tree = tree.setdefault(parent, {})
    tree[name] = value


def _value(item: Field, given: Mapping[str, str]) -> object:
    """The text of a field as JSON. Raises ValueError in words for whoever filled it in."""
    text = given.get(item.path, "").strip()
    if item.kind == "switch":
        return item.path in given
    if item.kind in ("text", "choice"):
        return text
    if item.kind == "json":
        return _json(text)
    try:
        return int(text) if item.kind == "integer" else float(text)
    except ValueError:
        raise ValueError("a number, please" if text else "is missing") from None


def _json(text: str) -> object:
    if not text:
        return []
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise ValueError(f"line {error.lineno}, column {error.colno}: {error.msg}") from None
