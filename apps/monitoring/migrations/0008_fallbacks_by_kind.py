"""Which fallback answered is counted exactly, beside how many there were."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("monitoring", "0007_lookups_that_found_nothing")]

    operations = [
        migrations.AddField(
            model_name=name,
            name="fallback_kinds",
            field=models.JSONField(db_default={}, default=dict),
        )
        for name in ("trafficrollup", "trafficwindow")
    ]
