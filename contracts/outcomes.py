"""What happened after a prediction: labels and business metrics, sent by applications."""

import msgspec


class Outcome(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One observed value. `outcome_id` makes it idempotent.

    Bound to the `client` that asked for the prediction (the gateway fills it in). Either
    `prediction_id` or `unit` (keyed hash once past the gateway) is set. `metric` "label" is the
    true label of the prediction, as text.
    """

    outcome_id: str
    metric: str
    value: float | str
    at: float
    received_at: float = 0.0
    prediction_id: str = ""
    unit: str = ""
    client: str = ""
