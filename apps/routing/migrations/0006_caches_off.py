"""What a gateway says of caches that did not pay."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("routing", "0005_explainer")]

    operations = [
        migrations.AddField(
            model_name="gatewayreport",
            name="caches_off",
            field=models.JSONField(blank=True, db_default={}, default=dict),
        ),
    ]
