"""The two big tables, partitioned by day, and the functions that make and drop partitions.

The runtime role owns no table: it makes and drops partitions through functions that run as the
owner and touch these two tables only.
"""

import django.contrib.postgres.indexes
import django.db.models.functions.datetime
from django.db import migrations, models

TABLES = """
CREATE TABLE monitoring_trafficwindow (
    endpoint text NOT NULL,
    started_at timestamptz NOT NULL,
    version_key text NOT NULL,
    variant text NOT NULL,
    phase integer NOT NULL,
    width_s smallint NOT NULL CHECK (width_s >= 0),
    requests bigint NOT NULL,
    failed bigint NOT NULL,
    errors jsonb NOT NULL,
    cache_hits bigint NOT NULL,
    fallbacks bigint NOT NULL,
    pinned bigint NOT NULL,
    latency jsonb NOT NULL,
    latency_sum_ms double precision NOT NULL,
    predictions jsonb NOT NULL,
    prediction_sum double precision NOT NULL,
    positives bigint NOT NULL,
    batches bigint NOT NULL,
    batch_rows bigint NOT NULL,
    CONSTRAINT trafficwindow_key
        PRIMARY KEY (endpoint, started_at, version_key, variant, phase, width_s)
) PARTITION BY RANGE (started_at);
CREATE TABLE monitoring_trafficwindow_other PARTITION OF monitoring_trafficwindow DEFAULT;
CREATE TABLE monitoring_predictionrow (
    prediction_id text NOT NULL,
    occurred_at timestamptz NOT NULL,
    ingested_at timestamptz NOT NULL DEFAULT statement_timestamp(),
    endpoint text NOT NULL,
    version_key text NOT NULL,
    variant text NOT NULL,
    phase integer NOT NULL,
    generation bigint NOT NULL,
    unit text NOT NULL,
    client text NOT NULL,
    prediction double precision NULL,
    label text NOT NULL,
    status text NOT NULL,
    cache_hit boolean NOT NULL,
    fallback text NOT NULL,
    sample_rate double precision NOT NULL,
    truth text NULL,
    truth_at timestamptz NULL,
    CONSTRAINT predictionrow_key PRIMARY KEY (prediction_id, occurred_at)
) PARTITION BY RANGE (occurred_at);
CREATE INDEX prediction_version
    ON monitoring_predictionrow (endpoint, version_key, occurred_at);
CREATE INDEX prediction_ingested
    ON monitoring_predictionrow USING brin (ingested_at) WITH (autosummarize = on);
CREATE TABLE monitoring_predictionrow_other PARTITION OF monitoring_predictionrow DEFAULT;
"""
DROP_TABLES = "DROP TABLE monitoring_trafficwindow; DROP TABLE monitoring_predictionrow;"

FUNCTIONS = """
CREATE FUNCTION monitoring_partition_key(parent text) RETURNS text
LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    IF parent = 'monitoring_trafficwindow' THEN RETURN 'started_at'; END IF;
    IF parent = 'monitoring_predictionrow' THEN RETURN 'occurred_at'; END IF;
    RAISE EXCEPTION '% is not a partitioned table of facts', parent;
END $$;

-- Makes the partition of one UTC day; false when it is there. Rows of that day that wait in the
-- default partition move into it.
CREATE FUNCTION monitoring_ensure_partition(parent text, day date) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    key text := monitoring_partition_key(parent);
    child text := parent || to_char(day, '_YYYYMMDD');
    first timestamptz := day::timestamp AT TIME ZONE 'UTC';
    after timestamptz := (day + 1)::timestamp AT TIME ZONE 'UTC';
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended(parent, 0));
    IF to_regclass(child) IS NOT NULL THEN RETURN false; END IF;
    EXECUTE format('CREATE TABLE %I (LIKE %I INCLUDING ALL)', child, parent);
    EXECUTE format('LOCK TABLE %I IN ACCESS EXCLUSIVE MODE', parent || '_other');
    EXECUTE format(
        'WITH moved AS (DELETE FROM %1$I WHERE %2$I >= $1 AND %2$I < $2 RETURNING *)'
        ' INSERT INTO %3$I SELECT * FROM moved', parent || '_other', key, child
    ) USING first, after;
    EXECUTE format(
        'ALTER TABLE %I ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)',
        parent, child, first, after
    );
    RETURN true;
END $$;

-- Drops partitions of days before `day`, and such rows of the default partition; refuses to touch
-- the last two days. Returns how many partitions went.
CREATE FUNCTION monitoring_drop_partitions(parent text, day date) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    key text := monitoring_partition_key(parent);
    child text;
    dropped integer := 0;
BEGIN
    IF day > (now() AT TIME ZONE 'UTC')::date - 1 THEN
        RAISE EXCEPTION 'retention of less than two days';
    END IF;
    PERFORM pg_advisory_xact_lock(hashtextextended(parent, 0));
    FOR child IN
        SELECT relation.relname FROM pg_inherits
        JOIN pg_class relation ON relation.oid = pg_inherits.inhrelid
        WHERE inhparent = parent::regclass AND relation.relname ~ '_[0-9]{8}$'
          AND to_date(right(relation.relname, 8), 'YYYYMMDD') < day
    LOOP
        EXECUTE format('DROP TABLE %I', child);
        dropped := dropped + 1;
    END LOOP;
    EXECUTE format('DELETE FROM %I WHERE %I < $1', parent || '_other', key)
        USING day::timestamp AT TIME ZONE 'UTC';
    RETURN dropped;
END $$;

-- Adds two objects of counts: {"3": 1} + {"3": 2, "4": 1} = {"3": 3, "4": 1}.
CREATE FUNCTION monitoring_add_counts(a jsonb, b jsonb) RETURNS jsonb
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    SELECT CASE WHEN a = '{}' THEN b WHEN b = '{}' THEN a ELSE (
        SELECT jsonb_object_agg(key, total) FROM (
            SELECT key, sum(value::bigint) AS total
            FROM (SELECT * FROM jsonb_each_text(a) UNION ALL SELECT * FROM jsonb_each_text(b)) AS
                both_of_them (key, value)
            GROUP BY key
        ) AS added
    ) END
$$;
CREATE AGGREGATE monitoring_sum_counts(jsonb) (
    SFUNC = monitoring_add_counts, STYPE = jsonb, INITCOND = '{}',
    COMBINEFUNC = monitoring_add_counts, PARALLEL = SAFE
);
"""
DROP_FUNCTIONS = """
DROP AGGREGATE monitoring_sum_counts(jsonb);
DROP FUNCTION monitoring_add_counts(jsonb, jsonb);
DROP FUNCTION monitoring_drop_partitions(text, date);
DROP FUNCTION monitoring_ensure_partition(text, date);
DROP FUNCTION monitoring_partition_key(text);
"""


class Migration(migrations.Migration):

    dependencies = [
        ('monitoring', '0001_initial'),
    ]

    operations = [
        migrations.SeparateDatabaseAndState(
            database_operations=[migrations.RunSQL(TABLES, DROP_TABLES)],
            state_operations=[
                migrations.CreateModel(
                    name='PredictionRow',
                    fields=[
                        ('pk', models.CompositePrimaryKey('prediction_id', 'occurred_at', blank=True, editable=False, primary_key=True, serialize=False)),
                        ('prediction_id', models.TextField()),
                        ('occurred_at', models.DateTimeField()),
                        ('ingested_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                        ('endpoint', models.TextField()),
                        ('version_key', models.TextField()),
                        ('variant', models.TextField()),
                        ('phase', models.IntegerField()),
                        ('generation', models.BigIntegerField()),
                        ('unit', models.TextField(blank=True)),
                        ('client', models.TextField(blank=True)),
                        ('prediction', models.FloatField(null=True)),
                        ('label', models.TextField(blank=True)),
                        ('status', models.TextField()),
                        ('cache_hit', models.BooleanField(default=False)),
                        ('fallback', models.TextField(blank=True)),
                        ('sample_rate', models.FloatField(default=1.0)),
                        ('truth', models.TextField(null=True)),
                        ('truth_at', models.DateTimeField(null=True)),
                    ],
                ),
                migrations.CreateModel(
                    name='TrafficWindow',
                    fields=[
                        ('pk', models.CompositePrimaryKey('endpoint', 'started_at', 'version_key', 'variant', 'phase', 'width_s', blank=True, editable=False, primary_key=True, serialize=False)),
                        ('endpoint', models.TextField()),
                        ('started_at', models.DateTimeField()),
                        ('version_key', models.TextField()),
                        ('variant', models.TextField()),
                        ('phase', models.IntegerField()),
                        ('width_s', models.PositiveSmallIntegerField(default=1)),
                        ('requests', models.BigIntegerField(default=0)),
                        ('failed', models.BigIntegerField(default=0)),
                        ('errors', models.JSONField(default=dict)),
                        ('cache_hits', models.BigIntegerField(default=0)),
                        ('fallbacks', models.BigIntegerField(default=0)),
                        ('pinned', models.BigIntegerField(default=0)),
                        ('latency', models.JSONField(default=dict)),
                        ('latency_sum_ms', models.FloatField(default=0)),
                        ('predictions', models.JSONField(default=dict)),
                        ('prediction_sum', models.FloatField(default=0)),
                        ('positives', models.BigIntegerField(default=0)),
                        ('batches', models.BigIntegerField(default=0)),
                        ('batch_rows', models.BigIntegerField(default=0)),
                    ],
                ),
                migrations.AddIndex(
                    model_name='predictionrow',
                    index=models.Index(fields=['endpoint', 'version_key', 'occurred_at'], name='prediction_version'),
                ),
                migrations.AddIndex(
                    model_name='predictionrow',
                    index=django.contrib.postgres.indexes.BrinIndex(autosummarize=True, fields=['ingested_at'], name='prediction_ingested'),
                ),
            ],
        ),
        migrations.RunSQL(FUNCTIONS, DROP_FUNCTIONS),
    ]
