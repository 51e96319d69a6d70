"""The registry at scale: search beside MLflow's own server, and how long every list takes.

A private Postgres holds 1,000 models, one of them with 200,000 versions, and a year of promotion
requests, 100 a day. MLflow's server reads the same models, versions, tags and aliases from a
database of its own in the same Postgres, with the tables and indexes that it makes itself. Both are
asked in turn, by the same client, with the same requests of MLflow's REST protocol; ours checks a
token at each, MLflow's has nobody to check. Lists are measured one address at a time, and the worst
one is what is printed.

    python -m benchmarks.registry [--tenth] [--each]
"""

import argparse
import base64
import importlib
import json
import os
import statistics
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from http.client import HTTPConnection
from time import perf_counter
from typing import Any
from urllib.parse import urlencode

import django
import psycopg

from embedded.private import PrivateServices
from embedded.probes import http_probe
from embedded.processes import Process, start
from embedded.services.postgres import MLFLOW

ROOT = "/api/2.0/mlflow"
PAIRS, LONGEST_S = 7, 5.0
IDLE_S, PAGE = 3.0, 100
QUERIES, PAGES = 6, 6
COPIES: Mapping[str, str] = {
    "registered_models (name, creation_time, last_updated_time, description)": """
        SELECT name, {created}, {updated}, description FROM registry_registeredmodel AS row""",
    "registered_model_tags (name, key, value)": """
        SELECT name, key, value FROM registry_registeredmodel, jsonb_each_text(tags)""",
    "model_versions (name, version, creation_time, last_updated_time, user_id, current_stage,"
    " source, run_id, status)": """
        SELECT model.name, number, {created}, {updated}, author, CASE stage
            WHEN 'dev' THEN 'None' WHEN 'production' THEN 'Production' ELSE 'Archived' END,
            source, run_id, 'READY'
        FROM registry_modelversion AS row JOIN registry_registeredmodel AS model
            ON model.id = row.model_id""",
    "model_version_tags (name, version, key, value)": """
        SELECT model.name, number, key, value
        FROM registry_modelversion AS row JOIN registry_registeredmodel AS model
            ON model.id = row.model_id, jsonb_each_text(row.tags)""",
    "registered_model_aliases (name, alias, version)": """
        SELECT model.name, alias.name, number
        FROM registry_modelalias AS alias
        JOIN registry_registeredmodel AS model ON model.id = alias.model_id
        JOIN registry_modelversion AS row ON row.id = alias.version_id""",
}
MOMENTS = {
    "created": "(1000 * extract(epoch FROM row.created_at))::bigint",
    "updated": "(1000 * extract(epoch FROM row.updated_at))::bigint",
}


@dataclass(frozen=True)
class Ask:
    """One request of MLflow's protocol; `parameters` may differ by server: page tokens do."""

    name: str
    path: str
    ours: Mapping[str, Any]
    theirs: Mapping[str, Any]


class Server:
    """One of the two, asked over one connection that is kept."""

    def __init__(self, port: int, token: str = "") -> None:
        self._connection = HTTPConnection("127.0.0.1", port, timeout=120)
        self._used_at = 0.0
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}

    def ask(self, path: str, parameters: Mapping[str, Any]) -> tuple[float, dict[str, Any]]:
        """Seconds until the last byte, and the answer."""
        address = f"{ROOT}/{path}?{urlencode(parameters)}"
        if perf_counter() - self._used_at > IDLE_S:  # servers let go of idle connections
            self._connection.close()
            self._connection.connect()
        began = perf_counter()
        self._connection.request("GET", address, headers=self._headers)
        answer = self._connection.getresponse()
        body = answer.read()
        self._used_at = perf_counter()
        spent = self._used_at - began
        assert answer.status == 200, (address, answer.status, body[:500])
        return spent, json.loads(body)


def main() -> None:
    """Start everything, measure, print, stop."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tenth", action="store_true", help="a tenth of the data")
    parser.add_argument("--each", action="store_true", help="print every list")
    options = parser.parse_args()
    print(f"load_average={os.getloadavg()[0]:.1f}", flush=True)
    services = PrivateServices()
    try:
        _run(services, tenth=options.tenth, each=options.each)
    finally:
        services.stop()


def _run(services: PrivateServices, *, tenth: bool, each: bool) -> None:
    services.start_postgres()
    services.start_valkey()
    services.start_s3()
    environment = services.environment()
    os.environ.update(environment, DJANGO_SETTINGS_MODULE="controlplane.settings")
    # Django reads its settings when it is imported: they are known only now.
    django.setup()
    importlib.import_module("django.core.management").call_command("migrate", verbosity=0)
    catalogue = importlib.import_module("benchmarks._catalogue")
    size = catalogue.Size(models=100, big=20_000) if tenth else catalogue.Size()
    filled = catalogue.fill(size)
    for name, count in filled.counts.items():
        print(f"rows_{name}={count}", flush=True)
    services.start_mlflow()
    theirs = Server(services.ports["MLFLOW"])
    theirs.ask("registered-models/search", {})  # makes its tables
    _copy(services)
    port = _start_web(services, environment)
    ours = Server(port, _token(filled.viewer))
    _lists(port, filled.viewer, each=each)
    _compare(ours, theirs, big=catalogue.BIG, depth=size.big // 2)


def _copy(services: PrivateServices) -> None:
    """The same rows into MLflow's tables, and statistics of them."""
    password = services.secrets["POSTGRES_MLFLOW_PASSWORD"]
    target = services.postgres().url(user=MLFLOW, password=password, database="mlflow")
    with (
        psycopg.connect(services.owner_url("switchyard")) as source,
        psycopg.connect(target, autocommit=True) as mlflow,
    ):
        for table, query in COPIES.items():
            out = f"COPY ({query.format(**MOMENTS)}) TO STDOUT".encode()
            with (
                source.cursor().copy(out) as rows,
                mlflow.cursor().copy(f"COPY {table} FROM STDIN".encode()) as taken,
            ):
                for chunk in rows:
                    taken.write(chunk)
        mlflow.execute("VACUUM ANALYZE")


def _start_web(services: PrivateServices, environment: Mapping[str, str]) -> int:
    """The control plane as the platform starts it, in the role that owns nothing."""
    port = services.ports["WEB"]
    where = ("--host", "127.0.0.1", "--port", str(port))
    quiet = ("--no-access-log", "--lifespan", "off", "--log-level", "warning")
    process = Process(
        name="web",
        command=(sys.executable, "-m", "uvicorn", "controlplane.asgi:application", *where, *quiet),
        cwd=importlib.import_module("embedded.places").CHECKOUT,
        env={
            **os.environ,
            **environment,
            "DATABASE_URL": environment["DATABASE_APP_URL"],
            "DJANGO_SETTINGS_MODULE": "controlplane.settings",
        },
        probe=http_probe(port=port, path="/healthz"),
    )
    running = start(process, log=services.home / "logs" / "web.log")
    services.running.append(running)
    running.wait_ready()
    return port


def _token(viewer: Any) -> str:
    accounts = importlib.import_module("apps.accounts.models")
    principals = importlib.import_module("apps.accounts.principals")
    timezone = importlib.import_module("django.utils.timezone")
    text = "swy_benchmark-of-the-registry"
    accounts.Token.objects.create(
        user=viewer,
        name="bench",
        prefix="swy_",
        digest=principals.token_digest(text),
        expires_at=timezone.now() + timedelta(days=1),
    )
    return text


def _compare(ours: Server, theirs: Server, *, big: str, depth: int) -> None:
    """Ratios of the medians, each pair one after the other; the median over the searches."""
    ratios = []
    for ask in _searches(ours, big=big, depth=depth):
        ratios.append(_pair(ask, ours, theirs))
    print(f"registry_vs_mlflow_search={statistics.median(ratios):.2f}", flush=True)
    print(f"registry_vs_mlflow_search_worst={min(ratios):.2f}", flush=True)
    for ask in _lookups(big):
        _pair(ask, ours, theirs)


def _pair(ask: Ask, ours: Server, theirs: Server) -> float:
    _, answer = ours.ask(ask.path, ask.ours)
    _, other = theirs.ask(ask.path, ask.theirs)
    assert _names(answer) == _names(other), (ask.name, _names(answer)[:3], _names(other)[:3])
    times: list[tuple[float, float]] = []
    until = perf_counter() + LONGEST_S
    while len(times) < PAIRS and (perf_counter() < until or len(times) < 3):
        times.append((ours.ask(ask.path, ask.ours)[0], theirs.ask(ask.path, ask.theirs)[0]))
    mine, other_ms = (1_000 * statistics.median(column) for column in zip(*times, strict=True))
    ratio = float(other_ms / mine)
    print(f"{ask.name}_vs_mlflow={ratio:.2f}  # {mine:.1f} ms and {other_ms:.1f} ms", flush=True)
    return ratio


def _names(answer: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What an answer lists, in its order."""
    found = next(iter(answer.values()))
    listed = found if isinstance(found, list) else [found]
    return [(one["name"], one.get("version", "")) for one in listed]


def _searches(ours: Server, *, big: str, depth: int) -> Iterator[Ask]:
    models, versions = "registered-models/search", "model-versions/search"
    named = f"name = '{big}'"
    yield _same("search_models_newest_page", models, max_results=PAGE)
    yield _same("search_models_prefix", models, filter="name LIKE 'cargo-%'", max_results=PAGE)
    yield _same("search_models_part", models, filter="name ILIKE '%FRAUD%'", max_results=PAGE)
    yield _same("search_models_tag", models, filter="tags.domain = 'crew'", max_results=PAGE)
    newest = {"filter": named, "max_results": PAGE}
    yield _same("search_versions_newest_page", versions, **newest)
    _, page = ours.ask(versions, {**newest, "max_results": depth})
    offset = base64.b64encode(json.dumps({"offset": depth}).encode()).decode()
    yield Ask(
        "search_versions_deep_page",
        versions,
        {**newest, "page_token": page["next_page_token"]},
        {**newest, "page_token": offset},
    )
    run = page["model_versions"][depth // 2]["run_id"]
    yield _same("search_versions_run", versions, filter=f"run_id = '{run}'", max_results=PAGE)
    tagged = f"{named} AND tags.reviewed = 'yes'"
    yield _same("search_versions_tag", versions, filter=tagged, max_results=PAGE)
    yield _same("search_versions_10000", versions, filter=named, max_results=10_000)


def _lookups(big: str) -> Iterator[Ask]:
    yield _same("get_version", "model-versions/get", name=big, version="1000")
    yield _same("get_by_alias", "registered-models/alias", name=big, alias="champion")
    yield _same("get_model", "registered-models/get", name=big)


def _same(name: str, path: str, /, **parameters: Any) -> Ask:
    return Ask(name, path, parameters, parameters)


def _lists(port: int, viewer: Any, *, each: bool) -> None:
    """The p95 of every list, in the database and as a page; the worst of each is the figure."""
    lists = importlib.import_module("benchmarks._lists")
    client = lists.signed_in(viewer)
    cookie = "; ".join(f"{name}={one.value}" for name, one in client.cookies.items())
    queried, paged = {}, {}
    for address in lists.addresses():
        queried[address] = lists.p95(lists.query_times(client, address, times=QUERIES))
        paged[address] = lists.p95(lists.page_times(port, cookie, address, times=PAGES))
        if each:
            print(f"{queried[address]:.1f} ms, {paged[address]:.1f} ms: {address}", flush=True)
    _report("list_query", queried, aim=50)
    _report("list_page", paged, aim=200)


def _report(name: str, found: Mapping[str, float], *, aim: float) -> None:
    ordered: Sequence[tuple[str, float]] = sorted(found.items(), key=lambda one: -one[1])
    worst, most = ordered[0]
    print(f"{name}_p95_ms={most:.1f}  # {worst}")
    print(f"{name}_median_of_p95_ms={statistics.median(found.values()):.1f}")
    print(f"{name}_above_{aim:.0f}_ms={sum(one > aim for one in found.values())} of {len(found)}")


if __name__ == "__main__":
    main()
