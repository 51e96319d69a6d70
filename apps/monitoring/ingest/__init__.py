"""From the gateways' batches to counts in Postgres and records in the lake.

`worker` reads streams and calls, in order: `batches.commit` (the facts and their keys, in one
transaction), `settlement.settle` (joins, and how far each gateway is ingested), and the
acknowledgement. `lake` follows with the sampled records, at its own pace.
"""
