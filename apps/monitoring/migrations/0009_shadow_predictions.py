"""What shadows said of sampled requests, kept until the labels of those requests arrive."""

from django.db import migrations, models

TABLE = """
CREATE TABLE monitoring_shadowprediction (
    prediction_id text NOT NULL,
    version_key text NOT NULL,
    occurred_at timestamptz NOT NULL,
    endpoint text NOT NULL,
    label text NOT NULL,
    CONSTRAINT shadowprediction_key PRIMARY KEY (prediction_id, version_key, occurred_at)
) PARTITION BY RANGE (occurred_at);
CREATE INDEX shadow_truth
    ON monitoring_shadowprediction (version_key, occurred_at);
CREATE TABLE monitoring_shadowprediction_other PARTITION OF monitoring_shadowprediction DEFAULT;
"""
KEYS = """
CREATE OR REPLACE FUNCTION monitoring_partition_key(parent text) RETURNS text
LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    IF parent = 'monitoring_trafficwindow' THEN RETURN 'started_at'; END IF;
    IF parent = 'monitoring_trafficrollup' THEN RETURN 'started_at'; END IF;
    IF parent = 'monitoring_shadowwindow' THEN RETURN 'started_at'; END IF;
    IF parent = 'monitoring_predictionrow' THEN RETURN 'occurred_at'; END IF;
    IF parent = 'monitoring_shadowprediction' THEN RETURN 'occurred_at'; END IF;
    RAISE EXCEPTION '% is not a partitioned table of facts', parent;
END $$;
"""


class Migration(migrations.Migration):
    dependencies = [("monitoring", "0008_fallbacks_by_kind")]

    operations = [
        migrations.RunSQL(KEYS, migrations.RunSQL.noop),
        migrations.SeparateDatabaseAndState(
            database_operations=[
                migrations.RunSQL(TABLE, "DROP TABLE monitoring_shadowprediction;"),
            ],
            state_operations=[
                migrations.CreateModel(
                    name="ShadowPrediction",
                    fields=[
                        (
                            "pk",
                            models.CompositePrimaryKey(
                                "prediction_id",
                                "version_key",
                                "occurred_at",
                                blank=True,
                                editable=False,
                                primary_key=True,
                                serialize=False,
                            ),
                        ),
                        ("prediction_id", models.TextField()),
                        ("version_key", models.TextField()),
                        ("occurred_at", models.DateTimeField()),
                        ("endpoint", models.TextField()),
                        ("label", models.TextField()),
                    ],
                    options={
                        "indexes": [
                            models.Index(
                                fields=["version_key", "occurred_at"],
                                name="shadow_truth",
                            )
                        ],
                    },
                ),
            ],
        ),
    ]
