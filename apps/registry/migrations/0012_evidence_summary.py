"""What was counted in an evidence file is kept beside it."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("registry", "0011_triton_backend")]
    operations = [
        migrations.AddField(
            model_name="evidencefile",
            name="summary",
            field=models.JSONField(blank=True, default=dict),
        ),
    ]
