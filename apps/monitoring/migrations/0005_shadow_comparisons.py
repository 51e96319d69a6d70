"""What shadows said beside what was served: minutes and hours, partitioned by day."""

from django.db import migrations, models

TABLE = """
CREATE TABLE monitoring_shadowwindow (
    endpoint text NOT NULL,
    width_s smallint NOT NULL CHECK (width_s >= 0),
    started_at timestamptz NOT NULL,
    version_key text NOT NULL,
    baseline_key text NOT NULL,
    segment text NOT NULL,
    rows bigint NOT NULL,
    labelled bigint NOT NULL,
    agreements bigint NOT NULL,
    timed bigint NOT NULL,
    dropped bigint NOT NULL,
    shift_sum double precision NOT NULL,
    shift_squares double precision NOT NULL,
    delay_sum_ms double precision NOT NULL,
    delay_squares double precision NOT NULL,
    shifts jsonb NOT NULL,
    baseline_latency jsonb NOT NULL,
    shadow_latency jsonb NOT NULL,
    errors jsonb NOT NULL,
    CONSTRAINT shadowwindow_key
        PRIMARY KEY (endpoint, width_s, started_at, version_key, baseline_key, segment)
) PARTITION BY RANGE (started_at);
CREATE INDEX shadow_version ON monitoring_shadowwindow (version_key, started_at);
CREATE TABLE monitoring_shadowwindow_other PARTITION OF monitoring_shadowwindow DEFAULT;
"""
KEYS = """
CREATE OR REPLACE FUNCTION monitoring_partition_key(parent text) RETURNS text
LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    IF parent = 'monitoring_trafficwindow' THEN RETURN 'started_at'; END IF;
    IF parent = 'monitoring_trafficrollup' THEN RETURN 'started_at'; END IF;
    IF parent = 'monitoring_shadowwindow' THEN RETURN 'started_at'; END IF;
    IF parent = 'monitoring_predictionrow' THEN RETURN 'occurred_at'; END IF;
    RAISE EXCEPTION '% is not a partitioned table of facts', parent;
END $$;
"""


class Migration(migrations.Migration):

    dependencies = [
        ('monitoring', '0004_rollups'),
    ]

    operations = [
        migrations.RunSQL(KEYS, migrations.RunSQL.noop),
        migrations.SeparateDatabaseAndState(
            database_operations=[
                migrations.RunSQL(TABLE, "DROP TABLE monitoring_shadowwindow;"),
            ],
            state_operations=[
                migrations.CreateModel(
                    name='ShadowWindow',
                    fields=[
                        ('pk', models.CompositePrimaryKey('endpoint', 'width_s', 'started_at', 'version_key', 'baseline_key', 'segment', blank=True, editable=False, primary_key=True, serialize=False)),
                        ('endpoint', models.TextField()),
                        ('width_s', models.PositiveSmallIntegerField()),
                        ('started_at', models.DateTimeField()),
                        ('version_key', models.TextField()),
                        ('baseline_key', models.TextField()),
                        ('segment', models.TextField(blank=True)),
                        ('rows', models.BigIntegerField(default=0)),
                        ('labelled', models.BigIntegerField(default=0)),
                        ('agreements', models.BigIntegerField(default=0)),
                        ('timed', models.BigIntegerField(default=0)),
                        ('dropped', models.BigIntegerField(default=0)),
                        ('shift_sum', models.FloatField(default=0)),
                        ('shift_squares', models.FloatField(default=0)),
                        ('delay_sum_ms', models.FloatField(default=0)),
                        ('delay_squares', models.FloatField(default=0)),
                        ('shifts', models.JSONField(default=dict)),
                        ('baseline_latency', models.JSONField(default=dict)),
                        ('shadow_latency', models.JSONField(default=dict)),
                        ('errors', models.JSONField(default=dict)),
                    ],
                    options={
                        'indexes': [models.Index(fields=['version_key', 'started_at'], name='shadow_version')],
                    },
                ),
            ],
        ),
    ]
