"""Which ensembles an allocation may hold: pure."""

import math
from collections.abc import Mapping, Sequence

from apps.routing.errors import InvalidWeights
from apps.routing.plain import MEMBER, SHADOW, VariantFacts
from contracts.policy import Ensemble
from contracts.schema import ModelSchema
from serving.ensemble import EnsembleError, check

WEIGHTED = frozenset({"weighted", "stack"})
SUM_TOLERANCE = 1e-6
# What a combination can be made of: there is no majority of numbers, no logit of many classes.
KINDS = {
    "mean": {"binary", "multiclass", "regression"},
    "weighted": {"binary", "multiclass", "regression"},
    "vote": {"binary", "multiclass"},
    "stack": {"binary", "regression"},
}


def check_ensembles(variants: Sequence[VariantFacts]) -> None:
    """Refuse what cannot be combined, and members that serve none. Raises InvalidWeights."""
    by_key = {variant.key: variant for variant in variants}
    used: set[str] = set()
    for number, variant in enumerate(variants):
        if variant.ensemble is not None:
            path = f"weights[{number}].ensemble"
            _check_members(variant, variant.ensemble, by_key, path)
            _check_weights(variant.ensemble, path)
            _check_kind(variant, variant.ensemble, path)
            _check_as_gateways_do(variant, variant.ensemble, by_key, path)
            used.update(variant.ensemble.members)
    for number, variant in enumerate(variants):
        if variant.role == MEMBER and variant.key not in used:
            raise InvalidWeights(
                f"{variant.key} is a member of no ensemble", field=f"weights[{number}].role"
            )


def _check_members(
    owner: VariantFacts, ensemble: Ensemble, by_key: Mapping[str, VariantFacts], path: str
) -> None:
    members = ensemble.members
    if len(members) < 2 or len(set(members)) != len(members):
        raise InvalidWeights("an ensemble has two or more different members", field=path)
    if owner.key not in members:
        raise InvalidWeights(
            f"{owner.key} is to be one of its own members", field=f"{path}.members"
        )
    for number, key in enumerate(members):
        _check_member(owner, by_key.get(key), key, f"{path}.members[{number}]")


def _check_member(owner: VariantFacts, member: VariantFacts | None, key: str, path: str) -> None:
    if member is None:
        raise InvalidWeights(f"there is no variant {key!r}", field=path)
    if member.role == SHADOW and owner.role != SHADOW:
        raise InvalidWeights(f"{key} is a shadow: nobody may see its answers", field=path)
    if member is not owner and member.ensemble is not None:
        raise InvalidWeights(f"{key} is an ensemble itself", field=path)
    reason = _difference(owner.version.schema, member.version.schema)
    if reason:
        raise InvalidWeights(f"{key} does not go with {owner.key}: {reason}", field=path)
    if member.version.labelling.labels != owner.version.labelling.labels:
        raise InvalidWeights(f"{key} answers with other labels than {owner.key}", field=path)


def _difference(one: ModelSchema, other: ModelSchema) -> str:
    """Why two schemas cannot answer the same row alike; "" when they can."""
    if _inputs(one) != _inputs(other):
        names = sorted({name for name, _ in _inputs(one).items() ^ _inputs(other).items()})
        return f"they differ in {', '.join(names)}"
    if one.output.kind != other.output.kind:
        return f"one gives {one.output.kind}, the other {other.output.kind}"
    if one.output.kind == "multiclass" and one.output.width != other.output.width:
        return f"one knows {one.output.width} classes, the other {other.output.width}"
    return ""


def _inputs(schema: ModelSchema) -> dict[str, tuple[object, ...]]:
    return {
        item.name: (item.kind, item.required, item.nullable, item.categories)
        for item in schema.features
    }


def _check_weights(ensemble: Ensemble, path: str) -> None:
    combine, weights = ensemble.combine, ensemble.weights
    if combine not in WEIGHTED and weights:
        raise InvalidWeights(f"{combine} takes no weights", field=f"{path}.weights")
    if combine in WEIGHTED and len(weights) != len(ensemble.members):
        raise InvalidWeights(
            f"{len(weights)} weights for {len(ensemble.members)} members", field=f"{path}.weights"
        )
    if not all(math.isfinite(number) for number in (*weights, ensemble.intercept)):
        raise InvalidWeights("weights and intercept are finite", field=f"{path}.weights")
    if combine == "weighted":
        _check_shares(weights, path)
    if combine != "stack" and ensemble.intercept:
        raise InvalidWeights(f"{combine} takes no intercept", field=f"{path}.intercept")


def _check_shares(weights: Sequence[float], path: str) -> None:
    if min(weights) < 0 or abs(sum(weights) - 1) > SUM_TOLERANCE:
        raise InvalidWeights(
            f"weights are 0 or more and sum to 1, not {sum(weights):g}", field=f"{path}.weights"
        )


def _check_kind(owner: VariantFacts, ensemble: Ensemble, path: str) -> None:
    kind = owner.version.schema.output.kind
    if kind not in KINDS[ensemble.combine]:
        raise InvalidWeights(
            f"{ensemble.combine} does not combine {kind} answers", field=f"{path}.combine"
        )


def _check_as_gateways_do(
    owner: VariantFacts, ensemble: Ensemble, by_key: Mapping[str, VariantFacts], path: str
) -> None:
    """The last word: what a gateway could not combine is not published."""
    versions = [by_key[key].version for key in ensemble.members]
    members = [(version.schema.output, version.labelling) for version in versions]
    try:
        check(ensemble, owner.version.schema.output, owner.version.labelling, members)
    except EnsembleError as error:
        raise InvalidWeights(str(error), field=path) from error
