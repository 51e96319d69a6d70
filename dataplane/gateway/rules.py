"""The model router: which endpoint answers, before anything else is decided.

The rules of the endpoint asked for are looked at, once; those of the one they choose are not.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import msgspec

from contracts.policy import Rule
from dataplane.gateway.clients import Key
from serving.rules import Asked, Rules

if TYPE_CHECKING:
    from dataplane.gateway.table import Endpoint, Table

Outcome = Literal["routed", "missing", "forbidden"]
Count = Callable[[str, str, Outcome], None]
Look = Callable[[Sequence[str]], Mapping[str, object]]


class Route:
    """A decision: `rule` sent a request for the endpoint `asked` to `endpoint`."""

    __slots__ = ("asked", "endpoint", "json", "rule")

    def __init__(self, rule: Rule, asked: str) -> None:
        self.rule = rule.name
        self.asked = asked
        self.endpoint = rule.endpoint
        said = {"rule": rule.name, "asked": asked, "model": rule.endpoint}
        self.json = b',"route":' + msgspec.json.encode(said)


class RuleSet:
    """The rules of one endpoint, and a decoder of just the features that they name."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        self.rules = Rules(rules)
        self.names = self.rules.features
        fields = [(f"f{n}", Any, msgspec.UNSET) for n in range(len(self.names))]
        renamed = {f"f{n}": name for n, name in enumerate(self.names)}
        looked = msgspec.defstruct("Looked", fields, rename=renamed, gc=False)
        self._decode = msgspec.json.Decoder(looked).decode
        self._routes: dict[tuple[str, str, str], Route] = {}

    def read(self, features: msgspec.Raw) -> Mapping[str, object]:
        """The named features of a JSON object; none of what is no object at all."""
        try:
            values = msgspec.structs.astuple(self._decode(features))
        except (msgspec.DecodeError, RecursionError):
            return {}
        named = zip(self.names, values, strict=True)
        if msgspec.UNSET in values:
            return {name: value for name, value in named if value is not msgspec.UNSET}
        return dict(named)

    def route(self, rule: Rule, asked: str) -> Route:
        """The decision for `rule`, which is always the same."""
        key = (rule.name, rule.endpoint, asked)
        known = self._routes.get(key)
        if known is None:
            known = self._routes[key] = Route(rule, asked)
        return known


def compile_rules(rules: Sequence[Rule]) -> RuleSet | None:
    """None where there are no rules. Raises RuleError (a ValueError)."""
    return RuleSet(rules) if rules else None


class Request(NamedTuple):
    """What rules look at of one request; `look` gives features by name."""

    payload_bytes: int
    look: Look


class Router:
    """Decides by the first rule that matches, and counts what came of it."""

    def __init__(self, count: Count) -> None:
        self._count = count

    def decide(
        self, rules: RuleSet, table: "Table", endpoint: "Endpoint", key: Key, request: Request
    ) -> "tuple[Endpoint, Route | None]":
        """The endpoint that answers; the one asked for where no rule matches.

        Also where the rule's endpoint does not exist in the same team, or is not for this client.
        """
        asked = Asked(
            payload_bytes=request.payload_bytes,
            tier=key.client.tier,
            budget=key.client.budget,
            features=request.look(rules.names) if rules.names else {},
        )
        rule = rules.rules.first(asked)
        if rule is None:
            return endpoint, None
        target = table.endpoints.get(rule.endpoint)
        outcome = _outcome(target, endpoint, key)
        self._count(endpoint.spec.name, rule.name, outcome)
        if target is None or outcome != "routed":
            return endpoint, None
        return target, rules.route(rule, endpoint.spec.name)


def _outcome(target: "Endpoint | None", endpoint: "Endpoint", key: Key) -> Outcome:
    if target is None or target.spec.team != endpoint.spec.team:
        return "missing"
    if key.endpoints and target.spec.name not in key.endpoints:
        return "forbidden"
    return "routed"
