"""A registry as large as a busy company's, written by the database: for benchmarks and tests.

Import it once Django is set up. One model has most of the versions; every third version of the
others and every 36th of its own was put forward for staging and then for production.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.core.serializers.json import DjangoJSONEncoder
from django.db import connection
from django.db.models import Func, Model, Value
from django.db.models.expressions import DatabaseDefault
from django.utils import timezone

from apps.accounts.access import Role
from apps.accounts.models import Membership, Team, User
from apps.events.models import ChainedEvent, Event
from apps.registry.models import (
    Approval,
    CheckRun,
    ModelAlias,
    ModelVersion,
    PromotionRequest,
    RegisteredModel,
    StageTransition,
    Validation,
)
from apps.registry.terms import terms_for

TEAMS, PEOPLE, DAYS = 20, 200, 365
BIG = "demand-forecast"
DOMAINS = (
    *("airline", "airport", "baggage", "booking", "cargo", "catering", "crew", "delay"),
    *("fares", "fleet", "fuel", "gates", "ground", "hotels", "lounge", "loyalty"),
    *("refunds", "seats", "security", "weather"),
)
TASKS = ("forecast", "fraud", "ranking", "scoring", "sentiment")
DIGEST = "encode(sha256(convert_to({}::text, 'UTF8')), 'hex')"
CHECKS = ("examination", "golden", "latency", "metric_floor")
OPEN_DAYS = 2
PROMOTED = "version.number %% CASE WHEN model.name = %(big)s THEN 36 ELSE 3 END = 0"
AGES = "interval '1 day' * ({} - {}::float * {})"
FEATURES = [f"feature_{number}" for number in range(20)]
SCHEMA = {
    "features": [{"name": name, "kind": "float"} for name in FEATURES],
    "tensors": [
        {
            "name": "numeric",
            "datatype": "FP32",
            "features": FEATURES,
        }
    ],
}


@dataclass(frozen=True)
class Size:
    """How many models, versions of the big one, and versions of each other one."""

    models: int = 1_000
    big: int = 200_000
    others: int = 40


@dataclass(frozen=True)
class Catalogue:
    """What was filled; `viewer` administers one team and approves for three."""

    size: Size
    viewer: User
    counts: Mapping[str, int]


def fill(size: Size) -> Catalogue:
    """Fill empty tables, and gather statistics. Needs the rights of their owner."""
    viewer = _people()
    _models(size)
    with _indexes_later(ModelVersion):
        _versions(size)
    _aliases()
    _requests()
    _checks()
    _transitions()
    _events()
    with connection.cursor() as cursor:
        # Index-only scans need the visibility map, plans need statistics.
        cursor.execute("VACUUM ANALYZE")
    kinds = (RegisteredModel, ModelVersion, PromotionRequest, StageTransition, Event)
    counts = {kind._meta.model_name or "": kind._default_manager.count() for kind in kinds}
    return Catalogue(size, viewer, counts)


def _people() -> User:
    teams = Team.objects.bulk_create(
        Team(key=f"team-{number:02}", name=f"Team {number}") for number in range(TEAMS)
    )
    people = User.objects.bulk_create(
        User(username=f"person-{number:03}") for number in range(PEOPLE)
    )
    viewer = User.objects.create(username="viewer")
    held = [(teams[0], Role.ADMIN), *((team, Role.APPROVER) for team in teams[:3])]
    Membership.objects.bulk_create(
        [
            *(Membership(user=viewer, team=team, role=role.value) for team, role in held),
            *(
                Membership(user=person, team=teams[number % TEAMS], role=Role.SCIENTIST.value)
                for number, person in enumerate(people)
            ),
        ]
    )
    return viewer


def _models(size: Size) -> None:
    teams = list(Team.objects.order_by("key"))
    owners = list(User.objects.filter(username__startswith="person-").order_by("username"))
    now = timezone.now()
    RegisteredModel.objects.bulk_create(
        RegisteredModel(
            name=name,
            team=teams[number % TEAMS],
            owner=owners[number % PEOPLE],
            tier="critical" if number % 10 == 0 else "standard",
            description="Reviewed each quarter; see the card for what it was trained on.",
            tags={
                "domain": name.partition("-")[0],
                "cost_centre": f"cc-{number % 50:02}",
                **({"personal_data": "yes"} if number % 100 == 3 else {}),
            },
            last_number=size.big if name == BIG else size.others,
            created_at=now - timedelta(days=DAYS + 30, minutes=-number),
            updated_at=now - timedelta(hours=number),
        )
        for number, name in enumerate(_names(size.models))
    )


def _names(count: int) -> Iterator[str]:
    yield BIG
    for number in range(count - 1):
        domain, task = DOMAINS[number % 20], TASKS[number // 20 % 5]
        yield f"{domain}-{task}-{number // 100:03}"


def _versions(size: Size) -> None:
    """In the order of time, the big model's among those of the others."""
    template = ModelVersion(
        framework="onnx",
        semantic_version="",
        input_schema=SCHEMA,
        output_schema={"tensor": "probabilities"},
        signature={"inputs": [{"name": name, "type": "double"} for name in FEATURES]},
        example=[dict.fromkeys(FEATURES, 0.5)],
        label_map={"0": "no", "1": "yes"},
        parameters={"depth": 6, "rounds": 400, "learning_rate": 0.05},
        data_lineage={"datasets": [{"name": "bookings", "digest": "5f2c"}]},
    )
    source = f"""
        SELECT version.*, model.id AS model_id, model.name, {PROMOTED} AS promoted,
            version.number + CASE WHEN model.name = %(big)s THEN 36 ELSE 3 END
                > model.last_number AS newest
        FROM registry_registeredmodel AS model, LATERAL (
            SELECT number, now() - {AGES.format(DAYS, DAYS, "number / (model.last_number + 1)")}
                + interval '1 second' * (model.id %% 1000) AS at
            FROM generate_series(1, model.last_number) AS number
        ) AS version
        ORDER BY at"""
    promoted = "CASE WHEN promoted THEN {} ELSE {} END"
    ahead = "(promoted AND (newest OR number % 10 = 0))"
    _insert(
        template,
        source,
        {
            "id": _next(ModelVersion),
            "model_id": "model_id",
            "number": "number",
            "run_id": "md5(name || number)",
            "source": "'mlflow-artifacts:/' || model_id || '/' || md5(name || number) || '/model'",
            "artifact_uri": "'s3://switchyard/artifacts/' || name || '/' || number",
            "artifact_digest": DIGEST.format("name || number"),
            "size_bytes": "1000000 + number",
            "metrics": "jsonb_build_object('auc', round((0.5 + 0.4999 * sqrt(abs(sin(number))))"
            "::numeric, 6), 'accuracy', round((0.6 + 0.001 * (number % 300))::numeric, 4),"
            "'log_loss', 0.4)",
            "tags": "jsonb_build_object('commit', md5('c' || name || number / 3), 'trigger',"
            "CASE WHEN number % 4 = 0 THEN 'manual' ELSE 'nightly' END, 'dataset', 'set-' ||"
            'number % 50) || CASE WHEN number % 500 = 7 THEN \'{"reviewed": "yes"}\'::jsonb'
            " ELSE '{}'::jsonb END",
            "stage": "CASE WHEN promoted AND newest THEN 'production' WHEN NOT promoted THEN 'dev'"
            " WHEN number % 10 = 0 THEN 'deprecated' ELSE 'archived' END",
            "allowance": f"CASE WHEN {ahead} THEN 'all' ELSE 'none' END",
            "approved_digest": promoted.format(DIGEST.format("number"), "''"),
            "approved_by": promoted.format("'user:person-001'", "''"),
            "approved_at": promoted.format("at + interval '1 day'", "NULL"),
            "author": "'user:person-' || lpad((model_id * 7 % 200)::text, 3, '0')",
            "created_by": "'user:person-' || lpad((model_id * 7 % 200)::text, 3, '0')",
            "created_at": "at",
            "updated_at": "at",
            "trained_at": "at - interval '1 hour'",
        },
    )


def _aliases() -> None:
    _insert(
        ModelAlias(name="champion", set_by="user:person-001"),
        "SELECT id, model_id, approved_at FROM registry_modelversion WHERE stage = 'production'",
        {
            "id": _next(ModelAlias),
            "model_id": "model_id",
            "version_id": "given.id",
            "set_at": "approved_at",
        },
    )


def _requests() -> None:
    """Two of each version that was put forward, 100 a day; those of the last days are open."""
    any_version = ModelVersion.objects.select_related("model__team").order_by("id")[0]
    terms = terms_for(any_version, "staging").as_json
    template = PromotionRequest(
        evidence={"checks": [_check(name) for name in CHECKS], "metrics": {"auc": 0.91}},
        terms=terms,
        terms_digest=any_version.artifact_digest,
        reason="Better on the last quarter, and no slice is worse; figures in the card.",
    )
    source = f"""
        SELECT *, CASE
            WHEN at > now() - interval '{OPEN_DAYS} days' THEN 'requested'
            WHEN pick < 16 THEN 'approved' WHEN pick < 18 THEN 'rejected'
            WHEN pick < 19 THEN 'withdrawn' ELSE 'expired' END AS state
        FROM (
            SELECT version.id, target, row_number() OVER (ORDER BY version.id) %% 20 AS pick,
                version.created_at + CASE target WHEN 'staging' THEN interval '1 hour'
                    ELSE interval '6 hours' END AS at
            FROM registry_modelversion AS version
            JOIN registry_registeredmodel AS model ON model.id = version.model_id,
                (VALUES ('staging'), ('production')) AS stages (target)
            WHERE {PROMOTED} AND version.created_at < now() - interval '7 hours'
        ) AS put_forward
        ORDER BY at"""
    decided = "CASE WHEN state IN ('approved', 'rejected') THEN {} ELSE {} END"
    _insert(
        template,
        source,
        {
            "id": "uuidv7(at - clock_timestamp())",
            "version_id": "given.id",
            "target_stage": "target",
            "state": "state",
            "digest": DIGEST.format("given.id"),
            "evidence_digest": DIGEST.format("given.id"),
            "requested_by_key": "'user:person-' || lpad((given.id * 7 % 200)::text, 3, '0')",
            "requester": "'user:person-' || lpad((given.id * 7 % 200)::text, 3, '0')",
            "created_at": "at",
            "frozen_at": "at",
            "expires_at": "at + interval '3 days'",
            "decided_by_key": decided.format("'user:approver'", "''"),
            "decider": decided.format("'user:approver'", "''"),
            "decided_at": decided.format("at + interval '3 hours'", "NULL"),
        },
    )


def _check(name: str) -> dict[str, Any]:
    return {
        "name": name,
        "title": name.replace("_", " ").capitalize(),
        "required": True,
        "verdict": "pass",
        "detail": "as good as the champion, within the interval that was asked for",
        "figures": {"value": 0.91, "low": 0.9, "high": 0.92, "champion": 0.9, "rows": 10_000},
        "link": "",
    }


def _checks() -> None:
    """Examination of each version that was put forward, checks and signatures of each request."""
    digest, moment = "0" * 64, "created_at"
    requests = "SELECT * FROM registry_promotionrequest"
    _insert(
        Validation(state="passed", requested_by="user:person-001", checks=[_check("signature")]),
        f"{requests} WHERE target_stage = 'staging'",
        {
            "id": f"uuidv7({moment} - clock_timestamp())",
            "version_id": "version_id",
            "digest": f"'{digest}'",
            "lease_expires_at": moment,
            "created_at": moment,
            "finished_at": moment,
        },
    )
    for name in CHECKS:
        _insert(
            CheckRun(**_check(name), state="done", due_at=timezone.now()),
            requests,
            {"id": f"uuidv7({moment} - clock_timestamp())", "request_id": "given.id"},
        )
    _insert(
        Approval(human="user:approver", digest=digest, reason="figures are right"),
        f"{requests} WHERE state = 'approved'",
        {
            "id": f"uuidv7({moment} - clock_timestamp())",
            "request_id": "given.id",
            "created_at": "decided_at",
        },
    )


def _transitions() -> None:
    """Up by approval; what another one replaced is deprecated a day and archived a week later."""
    _insert(
        StageTransition(actor_key="user:approver", reason="asked for"),
        """
        SELECT id, version_id, target_stage AS stage, decided_at AS at, 'all' AS allowance,
            CASE target_stage WHEN 'staging' THEN 'dev' ELSE 'staging' END AS before
        FROM registry_promotionrequest WHERE state = 'approved'
        UNION ALL
        SELECT NULL, version_id, stage, decided_at + later, allowance, before
        FROM registry_promotionrequest, (VALUES
            ('production', 'deprecated', 'shadow', interval '1 day'),
            ('deprecated', 'archived', 'none', interval '7 days')
        ) AS moves (before, stage, allowance, later)
        WHERE state = 'approved' AND target_stage = 'production'
            AND decided_at + later < now()
        ORDER BY at""",
        {
            "id": _next(StageTransition),
            "version_id": "version_id",
            "request_id": "given.id",
            "from_stage": "before",
            "to_stage": "stage",
            "to_allowance": "CASE stage WHEN 'staging' THEN 'shadow' ELSE allowance END",
            "digest": DIGEST.format("version_id"),
            "occurred_at": "at",
        },
    )


def _events() -> None:
    """What the services would have recorded, chained."""
    named = """registry_modelversion AS version
        JOIN registry_registeredmodel AS model ON model.id = version.model_id
        JOIN accounts_team AS team ON team.id = model.team_id"""
    _insert(
        Event(actor_key="user:person-001", after={"stage": "dev"}, reason="as the run says"),
        f"""
        SELECT 'version.registered' AS verb, version.created_at AS at, team.key AS team,
            'version:' || model.name || '/' || version.number AS object
        FROM {named}
        UNION ALL
        SELECT 'promotion.requested', asked.created_at, team.key, 'promotion:' || asked.id
        FROM {named} JOIN registry_promotionrequest AS asked ON asked.version_id = version.id
        UNION ALL
        SELECT 'promotion.' || asked.state, asked.decided_at, team.key, 'promotion:' || asked.id
        FROM {named} JOIN registry_promotionrequest AS asked ON asked.version_id = version.id
        WHERE asked.decided_at IS NOT NULL
        ORDER BY at""",
        {
            "id": "uuidv7(at - clock_timestamp())",
            "occurred_at": "at",
            "verb": "verb",
            "object_key": "object",
            "team_key": "team",
        },
    )
    _run(
        f"""INSERT INTO {ChainedEvent._meta.db_table} (seq, event_id, digest)
        SELECT row_number() OVER (ORDER BY id), id, sha256(id::text::bytea) FROM events_event"""
    )


def _next(kind: type[Model]) -> str:
    return f"nextval(pg_get_serial_sequence('{kind._meta.db_table}', 'id'))"


@contextmanager
def _indexes_later(kind: type[Model]) -> Iterator[None]:
    """Built over all rows at once, they take a part of the time."""
    with connection.cursor() as cursor:
        cursor.execute(
            """SELECT indexrelid::regclass::text, pg_get_indexdef(indexrelid) FROM pg_index
            WHERE indrelid = %s::regclass
                AND NOT EXISTS (SELECT FROM pg_constraint WHERE conindid = indexrelid)""",
            [kind._meta.db_table],
        )
        known = cursor.fetchall()
        for name, _ in known:
            cursor.execute(f"DROP INDEX {name}")
        yield
        cursor.execute("SET maintenance_work_mem = '256MB'")
        for _, definition in known:
            cursor.execute(definition)


def _insert(template: Model, source: str, columns: Mapping[str, str]) -> None:
    """A row like `template` for each of `source` ("given"), with columns by expressions."""
    table = template._meta.db_table
    given = ", ".join(f"'{name}', {expression}" for name, expression in columns.items())
    _run(
        f"""INSERT INTO {table} SELECT made.* FROM ({source}) AS given,
        LATERAL jsonb_populate_record(NULL::{table}, %(template)s::jsonb ||
            jsonb_build_object({given.replace("%", "%%")})) AS made""",
        template=json.dumps(_values(template), cls=DjangoJSONEncoder),
    )


def _values(template: Model) -> dict[str, Any]:
    """Its columns, with the database's defaults where they are plain values."""
    values: dict[str, Any] = {}
    for field in template._meta.concrete_fields:
        value = getattr(template, field.attname)
        if isinstance(value, DatabaseDefault):
            default = getattr(field, "db_default", None)
            plain = None if isinstance(default, Func) else default
            value = default.value if isinstance(default, Value) else plain
        values[str(field.column)] = value
    return values


def _run(statement: str, **parameters: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement, {"big": BIG, **parameters})
