from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("accounts", "0005_sessions_and_orphans")]

    operations = [
        migrations.AddField(
            model_name="idempotencykey",
            name="location",
            field=models.CharField(blank=True, max_length=500),
        ),
    ]
