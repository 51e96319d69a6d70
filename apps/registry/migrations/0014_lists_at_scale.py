"""Indexes of lists, and metrics as rows that triggers keep beside the JSON they come from."""

import django.db.models.deletion
from django.db import migrations, models

# However a version is written, the rows are the same; what is no number has none.
FORWARD = """
CREATE FUNCTION registry_metrics_written() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO registry_versionmetric (version_id, model_id, name, value)
    SELECT written.id, written.model_id, metric.key, (metric.value #>> '{}')::float8
    FROM written, LATERAL jsonb_each(written.metrics) AS metric
    WHERE jsonb_typeof(written.metrics) = 'object' AND jsonb_typeof(metric.value) = 'number';
    RETURN NULL;
END
$$;
CREATE FUNCTION registry_metrics_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM registry_versionmetric WHERE version_id = NEW.id;
    INSERT INTO registry_versionmetric (version_id, model_id, name, value)
    SELECT NEW.id, NEW.model_id, metric.key, (metric.value #>> '{}')::float8
    FROM jsonb_each(NEW.metrics) AS metric
    WHERE jsonb_typeof(metric.value) = 'number';
    RETURN NULL;
END
$$;
CREATE TRIGGER version_metrics_written
    AFTER INSERT ON registry_modelversion REFERENCING NEW TABLE AS written
    FOR EACH STATEMENT EXECUTE FUNCTION registry_metrics_written();
CREATE TRIGGER version_metrics_changed
    AFTER UPDATE OF metrics ON registry_modelversion
    FOR EACH ROW WHEN (OLD.metrics IS DISTINCT FROM NEW.metrics)
    EXECUTE FUNCTION registry_metrics_changed();
INSERT INTO registry_versionmetric (version_id, model_id, name, value)
SELECT version.id, version.model_id, metric.key, (metric.value #>> '{}')::float8
FROM registry_modelversion AS version, LATERAL jsonb_each(version.metrics) AS metric
WHERE jsonb_typeof(metric.value) = 'number';
"""
BACKWARD = """
DROP TRIGGER version_metrics_changed ON registry_modelversion;
DROP TRIGGER version_metrics_written ON registry_modelversion;
DROP FUNCTION registry_metrics_changed();
DROP FUNCTION registry_metrics_written();
"""


def _key(to: str, related_name: str) -> "models.ForeignKey":
    return models.ForeignKey(
        db_index=False,
        on_delete=django.db.models.deletion.CASCADE,
        related_name=related_name,
        to=to,
    )


class Migration(migrations.Migration):
    dependencies = [("registry", "0013_reference_profiles")]

    operations = [
        migrations.CreateModel(
            name="VersionMetric",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("name", models.TextField()),
                ("value", models.FloatField()),
                ("model", _key("registry.registeredmodel", "+")),
                ("version", _key("registry.modelversion", "metric_rows")),
            ],
            options={"ordering": ("name",)},
        ),
        migrations.AddIndex(
            model_name="versionmetric",
            index=models.Index(
                fields=["model", "name", "value", "version"], name="metric_by_value"
            ),
        ),
        migrations.AddIndex(
            model_name="versionmetric",
            index=models.Index(
                fields=["model", "name", "-version"], include=("value",), name="metric_newest"
            ),
        ),
        migrations.AddConstraint(
            model_name="versionmetric",
            constraint=models.UniqueConstraint(fields=("version", "name"), name="metric_once"),
        ),
        migrations.AddIndex(
            model_name="modelversion",
            index=models.Index(
                condition=models.Q(
                    ("allowance", "all"), models.Q(("stage", "deprecated"), _negated=True)
                ),
                fields=["model", "-approved_at"],
                name="version_top",
            ),
        ),
        migrations.AddIndex(
            model_name="modelversion",
            index=models.Index(fields=["model", "author", "-id"], name="version_of_author"),
        ),
        migrations.AddIndex(
            model_name="modelversion",
            index=models.Index(
                condition=models.Q(("approved_at__isnull", False)),
                fields=["model", "-approved_at"],
                name="version_last_approved",
            ),
        ),
        migrations.AddIndex(
            model_name="stagetransition",
            index=models.Index(
                condition=models.Q(
                    ("to_allowance", "all"), models.Q(("to_stage", "deprecated"), _negated=True)
                ),
                fields=["-occurred_at", "-id"],
                name="transition_to_the_top",
            ),
        ),
        migrations.AddIndex(
            model_name="promotionrequest",
            index=models.Index(fields=["requester", "-id"], name="promotion_asked"),
        ),
        migrations.AddIndex(
            model_name="promotionrequest",
            index=models.Index(fields=["-id", "created_at"], name="promotion_age"),
        ),
        migrations.RunSQL(FORWARD, BACKWARD),
    ]
