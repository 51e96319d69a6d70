"""Every fault of a refused request is counted, beside the request itself."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("monitoring", "0005_shadow_comparisons")]

    operations = [
        migrations.AddField(
            model_name="rejectedwindow",
            name="faults",
            field=models.BigIntegerField(db_default=0, default=0),
        ),
    ]
