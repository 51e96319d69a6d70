"""What a batch says of those before it: the lowest number that is still on the gateway's disk."""

from pathlib import Path
from typing import Any

import redis

from contracts.records import ACKED_KEY, OLDEST_FIELD, STREAM_PREFIX
from dataplane.recorder.ship import Shipper
from dataplane.spool import Rejection, SpoolWriter, rejection_frame

REJECTION = Rejection(100.0, "rig", "unauthenticated", "")


def test_entry__after_older_ones_were_acknowledged__names_the_oldest_left(
    tmp_path: Path, valkey: "redis.Redis"
) -> None:
    out = SpoolWriter(tmp_path, gateway="gateway-1", boot="boot-1")
    shipper = Shipper(tmp_path, "gateway-1", valkey)
    for acknowledged in (0, 0, 2):
        valkey.hset(ACKED_KEY, "gateway-1:boot-1", acknowledged)
        out.append(lambda _: [rejection_frame(REJECTION)], rows=1)
        out.seal()
        shipper.turn()
    out.close()
    entries: Any = valkey.xrange(STREAM_PREFIX + "gateway-1")
    assert [fields[OLDEST_FIELD.encode()] for _, fields in entries] == [b"1", b"1", b"3"]
