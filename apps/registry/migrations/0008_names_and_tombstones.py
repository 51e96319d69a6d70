import django.contrib.postgres.fields
import django.contrib.postgres.indexes
from django.db import migrations, models

NAME_PATTERN = r"^[A-Za-z0-9]([A-Za-z0-9._ -]{0,98}[A-Za-z0-9_-])?$"


class Migration(migrations.Migration):
    dependencies = [
        ("registry", "0007_card_editions"),
    ]

    operations = [
        migrations.RemoveConstraint(model_name="registeredmodel", name="model_name"),
        migrations.AlterField(
            model_name="registeredmodel",
            name="name",
            field=models.CharField(max_length=100),
        ),
        migrations.AddField(
            model_name="registeredmodel",
            name="former_names",
            field=django.contrib.postgres.fields.ArrayField(
                base_field=models.CharField(max_length=100),
                blank=True,
                db_default=[],
                default=list,
                size=None,
            ),
        ),
        migrations.AddField(
            model_name="registeredmodel",
            name="deleted_at",
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name="registeredmodel",
            name="name_free",
            field=models.BooleanField(db_default=False, default=False),
        ),
        migrations.AddField(
            model_name="modelversion",
            name="deleted_at",
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name="modelversion",
            name="download_uri",
            field=models.CharField(blank=True, db_default="", max_length=500),
        ),
        migrations.AddField(
            model_name="modelversion",
            name="run_link",
            field=models.CharField(blank=True, db_default="", max_length=500),
        ),
        migrations.AddConstraint(
            model_name="registeredmodel",
            constraint=models.CheckConstraint(
                condition=models.Q(("name__regex", NAME_PATTERN)), name="model_name"
            ),
        ),
        migrations.AddConstraint(
            model_name="registeredmodel",
            constraint=models.UniqueConstraint(
                condition=models.Q(("name_free", False)), fields=("name",), name="model_name_once"
            ),
        ),
        migrations.AddConstraint(
            model_name="registeredmodel",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("name_free", False), ("deleted_at__isnull", False), _connector="OR"
                ),
                name="model_name_freed_by_deletion",
            ),
        ),
        migrations.AddConstraint(
            model_name="modelalias",
            constraint=models.CheckConstraint(
                condition=models.Q(("name__regex", "^[A-Za-z0-9_-]{1,100}$")), name="alias_name"
            ),
        ),
        migrations.AddIndex(
            model_name="registeredmodel",
            index=django.contrib.postgres.indexes.GinIndex(
                fields=["name"], name="model_name_parts", opclasses=["gin_trgm_ops"]
            ),
        ),
        migrations.AddIndex(
            model_name="registeredmodel",
            index=models.Index(fields=["-updated_at", "name"], name="model_newest_change"),
        ),
        migrations.AddIndex(
            model_name="modelversion",
            index=models.Index(fields=["model", "stage", "-number"], name="version_latest"),
        ),
        migrations.AddIndex(
            model_name="modelversion",
            index=models.Index(
                condition=models.Q(("stage__in", ["archived", "dev"]), _negated=True),
                fields=["model", "-number"],
                name="version_approved",
            ),
        ),
        migrations.AddIndex(
            model_name="modelversion",
            index=models.Index(fields=["model", "-updated_at", "-number"], name="version_changes"),
        ),
        migrations.AddIndex(
            model_name="modelversion",
            index=models.Index(fields=["-updated_at"], name="version_newest_change"),
        ),
        migrations.AddIndex(
            model_name="modelversion",
            index=models.Index(
                fields=["source"], name="version_source", opclasses=["varchar_pattern_ops"]
            ),
        ),
        migrations.AddIndex(
            model_name="modelversion",
            index=django.contrib.postgres.indexes.GinIndex(
                fields=["source"], name="version_source_parts", opclasses=["gin_trgm_ops"]
            ),
        ),
    ]
