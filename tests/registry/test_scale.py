"""Lists over a tenth of a busy company's registry: no large table is read from end to end."""

import re

import pytest
from django.db import connection
from django.test import Client

from benchmarks import _catalogue as catalogue
from benchmarks import _lists as lists

LARGE = re.compile(r"Seq Scan on (registry_modelversion|registry_versionmetric|events_event)\b")
# A pattern over the text of any tag has no index; MLflow's own server reads all tags for it, too.
KNOWN = ("tags.%60commit%60+LIKE",)


def scans(address: str, client: Client) -> list[str]:
    """The queries of an address that read a large table from end to end."""
    with lists.queries() as seen:
        answer = client.get(address)
    assert answer.status_code == 200, (address, answer.content[:300])
    with connection.cursor() as cursor:
        found = []
        for sql, params in seen.made:
            if sql.startswith("SELECT"):
                cursor.execute(f"EXPLAIN {sql}", params)
                plan = "\n".join(row[0] for row in cursor.fetchall())
                if LARGE.search(plan):
                    found.append(f"{address}\n{sql[:300]}\n{plan}")
    return found


@pytest.mark.proof
@pytest.mark.django_db(transaction=True)
def test_lists__over_a_tenth_of_a_busy_registry__read_no_large_table_whole() -> None:
    filled = catalogue.fill(catalogue.Size(models=100, big=20_000))
    client = lists.signed_in(filled.viewer)
    addresses = [one for one in lists.addresses() if not any(text in one for text in KNOWN)]
    found = [scan for address in addresses for scan in scans(address, client)]
    assert not found, "\n\n".join(found)
