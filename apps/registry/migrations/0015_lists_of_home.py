"""Indexes of what the home page and the search over everything look for."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("registry", "0014_lists_at_scale")]

    operations = [
        migrations.AddIndex(
            model_name="modelversion",
            index=models.Index(fields=["model", "created_at", "-number"], name="version_oldest"),
        ),
        migrations.AddIndex(
            model_name="modelversion",
            index=models.Index(
                fields=["semantic_version"],
                name="version_semantic_start",
                opclasses=["varchar_pattern_ops"],
            ),
        ),
        migrations.AddIndex(
            model_name="modelversion",
            index=models.Index(
                condition=models.Q(("status", "pending")), fields=["-id"], name="version_pending"
            ),
        ),
    ]
