"""How many queries a page or list may make: the numbers are kept in `query_counts.json`.

    with query_baseline("audit page"):
        client.get("/audit/")

A page that makes more than its number fails; one that makes fewer fails too, until the number is
lowered. `UPDATE_QUERY_COUNTS=1` writes what was counted.
"""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from django.db import connection
from django.test.utils import CaptureQueriesContext

BASELINES = Path(__file__).with_name("query_counts.json")
UPDATE = "UPDATE_QUERY_COUNTS"


@contextmanager
def query_baseline(name: str) -> Iterator[None]:
    """Compare the queries of the block with the number kept under `name`."""
    with CaptureQueriesContext(connection) as captured:
        yield
    known = json.loads(BASELINES.read_text())
    if os.environ.get(UPDATE):
        known[name] = len(captured)
        BASELINES.write_text(json.dumps(known, indent=2, sort_keys=True) + "\n")
    texts = "\n".join(query["sql"][:200] for query in captured)
    hint = f"{name}: {len(captured)} queries, not {known.get(name)}; {UPDATE}=1 keeps the number"
    assert len(captured) == known.get(name), f"{hint}\n{texts}"
