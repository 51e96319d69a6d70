"""How an endpoint answers when it must do more than ask one model: part of its EndpointSpec.

Everything here is data that a gateway compiles once per digest. Times in seconds unless the name
says otherwise; shares lie in 0..1.
"""

from typing import Literal

import msgspec

Combination = Literal["mean", "weighted", "vote", "stack"]
ConditionSubject = Literal["feature", "payload_bytes", "tier", "budget"]
Comparison = Literal["lt", "le", "gt", "ge", "eq", "ne", "in"]


class Cache(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Equal features of one version are answered once per `ttl_s`.

    After that an entry stays for `stale_s` more, for the fallback chain alone. `entries` bounds
    what one gateway holds in memory; `shared` adds Redis. `beta` is XFetch's: 0 = no early expiry.
    """

    ttl_s: float = 3_600.0
    stale_s: float = 86_400.0
    entries: int = 100_000
    shared: bool = True
    beta: float = 1.0


class Breaker(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """When a variant is asked no more: at `error_share` of at least `minimum` rows in `window_s`.

    A row slower than `slow_ms` counts as an error (0 = latency does not count). After `open_s`
    one row at a time is let through; `probes` good ones in a row close the breaker.
    """

    window_s: float = 10.0
    minimum: int = 20
    error_share: float = 0.5
    slow_ms: float = 0.0
    open_s: float = 2.0
    probes: int = 3


class DefaultPrediction(msgspec.Struct, frozen=True, kw_only=True):
    """What is answered when no model can."""

    prediction: float
    label: str


class Fallback(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The chain behind a variant that fails: stale cache, `variant`, `default`, then 503."""

    stale: bool = True
    variant: str = ""
    default: DefaultPrediction | None = None


class LookupFeature(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A feature read from the store; `default` stands in for a miss or a time-out."""

    name: str
    default: float | int | bool | str | None = None


class Lookup(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Features of the unit that the client need not send, from the hash `prefix` + unit.

    What the client does send wins. One pipelined read per micro-batch, within `budget_ms`.
    """

    features: tuple[LookupFeature, ...]
    prefix: str = "user:"
    budget_ms: float = 10.0


class Mirror(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A `share` of the units is asked of the shadow `variant` too; nobody sees its answers.

    `segments` are features by whose values the comparison is split. At most `max_in_flight` rows
    wait for the shadow; what comes above that is not mirrored, and counted.
    """

    variant: str
    share: float = 1.0
    segments: tuple[str, ...] = ()
    max_in_flight: int = 256


class Ensemble(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How the answers of `members` (variant keys of the same endpoint) become one.

    mean of probabilities or values; weighted by `weights`; vote by label, ties to the higher mean;
    stack: logistic (binary) or linear (regression) in the members' scores with `weights` and
    `intercept`.
    """

    combine: Combination
    members: tuple[str, ...]
    weights: tuple[float, ...] = ()
    intercept: float = 0.0


class Condition(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One comparison: of the feature `name`, the body's size, or the client's tier or budget."""

    subject: ConditionSubject
    comparison: Comparison
    value: float | str | bool | tuple[str, ...]
    name: str = ""


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """Requests that meet every condition are answered by another endpoint of the same team."""

    name: str
    when: tuple[Condition, ...]
    endpoint: str


class Policy(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What an endpoint does besides asking the variant assigned; all of it may be left out."""

    cache: Cache | None = None
    breaker: Breaker | None = Breaker()
    fallback: Fallback = Fallback()
    lookup: Lookup | None = None
    mirrors: tuple[Mirror, ...] = ()
    rules: tuple[Rule, ...] = ()
