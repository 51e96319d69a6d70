"""Minutes and hours are counted together with their seconds, in a table of their own."""

from django.db import migrations, models

COUNTS = """
    requests, failed, cache_hits, fallbacks, pinned, latency_sum_ms, prediction_sum, positives,
    batches, batch_rows, errors, latency, predictions
"""
SUMS = """
    sum(requests), sum(failed), sum(cache_hits), sum(fallbacks), sum(pinned), sum(latency_sum_ms),
    sum(prediction_sum), sum(positives), sum(batches), sum(batch_rows),
    monitoring_sum_counts(errors), monitoring_sum_counts(latency),
    monitoring_sum_counts(predictions)
"""
KEYS = """
CREATE OR REPLACE FUNCTION monitoring_partition_key(parent text) RETURNS text
LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    IF parent = 'monitoring_trafficwindow' THEN RETURN 'started_at'; END IF;
    IF parent = 'monitoring_trafficrollup' THEN RETURN 'started_at'; END IF;
    IF parent = 'monitoring_predictionrow' THEN RETURN 'occurred_at'; END IF;
    RAISE EXCEPTION '% is not a partitioned table of facts', parent;
END $$;
"""
FORWARD = f"""
CREATE TABLE monitoring_trafficrollup (LIKE monitoring_trafficwindow)
    PARTITION BY RANGE (started_at);
ALTER TABLE monitoring_trafficrollup ADD CONSTRAINT trafficrollup_key
    PRIMARY KEY (endpoint, width_s, started_at, version_key, variant, phase);
CREATE TABLE monitoring_trafficrollup_other PARTITION OF monitoring_trafficrollup DEFAULT;
INSERT INTO monitoring_trafficrollup
    (endpoint, width_s, started_at, version_key, variant, phase, {COUNTS})
SELECT endpoint, width.s, to_timestamp(floor(extract(epoch FROM started_at) / width.s) * width.s),
    version_key, variant, phase, {SUMS}
FROM monitoring_trafficwindow, (VALUES (60), (3600)) AS width (s) GROUP BY 1, 2, 3, 4, 5, 6;
DELETE FROM monitoring_trafficwindow WHERE width_s <> 1;
ALTER TABLE monitoring_trafficwindow DROP CONSTRAINT trafficwindow_key, DROP COLUMN width_s;
ALTER TABLE monitoring_trafficwindow ADD CONSTRAINT trafficwindow_key
    PRIMARY KEY (endpoint, started_at, version_key, variant, phase);
"""
BACKWARD = """
ALTER TABLE monitoring_trafficwindow DROP CONSTRAINT trafficwindow_key;
ALTER TABLE monitoring_trafficwindow ADD COLUMN width_s smallint NOT NULL DEFAULT 1;
ALTER TABLE monitoring_trafficwindow ALTER COLUMN width_s DROP DEFAULT;
ALTER TABLE monitoring_trafficwindow ADD CONSTRAINT trafficwindow_key
    PRIMARY KEY (endpoint, started_at, version_key, variant, phase, width_s);
DROP TABLE monitoring_trafficrollup;
"""


class Migration(migrations.Migration):

    dependencies = [
        ('monitoring', '0003_envelopes_as_they_are'),
    ]

    operations = [
        migrations.RunSQL(KEYS, migrations.RunSQL.noop),
        migrations.SeparateDatabaseAndState(
            database_operations=[migrations.RunSQL(FORWARD, BACKWARD)],
            state_operations=[
                migrations.CreateModel(
                    name='TrafficRollup',
                    fields=[
                        ('endpoint', models.TextField()),
                        ('started_at', models.DateTimeField()),
                        ('version_key', models.TextField()),
                        ('variant', models.TextField()),
                        ('phase', models.IntegerField()),
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
                        ('pk', models.CompositePrimaryKey('endpoint', 'width_s', 'started_at', 'version_key', 'variant', 'phase', blank=True, editable=False, primary_key=True, serialize=False)),
                        ('width_s', models.PositiveSmallIntegerField()),
                    ],
                    options={
                        'abstract': False,
                    },
                ),
                migrations.RemoveField(
                    model_name='trafficwindow',
                    name='width_s',
                ),
                migrations.AlterField(
                    model_name='trafficwindow',
                    name='pk',
                    field=models.CompositePrimaryKey('endpoint', 'started_at', 'version_key', 'variant', 'phase', blank=True, editable=False, primary_key=True, serialize=False),
                ),
            ],
        ),
    ]
