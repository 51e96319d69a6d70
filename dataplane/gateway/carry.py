"""A row of one version's features as another version takes it."""

from dataplane.gateway.table import Variant
from serving.validation import Row as Values


def carried(values: Values, source: Variant, target: Variant) -> Values:
    """The row in the target's order; what the target does not know is left behind.

    A value that is missing stays so where the target allows it. Raises InvalidFeatures where the
    target needs what is not there, or takes other values.
    """
    if source.spec.schema.features == target.spec.schema.features:
        return values
    given = source.schema.as_dict(values)
    wanted = {each.name: each for each in target.spec.schema.features}
    return target.schema.read(
        {
            name: value
            for name, value in given.items()
            if name in wanted and (value is not None or wanted[name].nullable)
        }
    )
