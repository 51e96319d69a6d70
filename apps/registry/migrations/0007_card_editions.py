"""What people write on a model's card; its history is append-only."""

import django.db.models.deletion
import django.db.models.functions.datetime
from django.db import migrations, models

FORWARD = """
CREATE TRIGGER card_edition_append_only
    BEFORE UPDATE ON registry_cardedition
    FOR EACH ROW EXECUTE FUNCTION registry_refuse_change();
"""
BACKWARD = "DROP TRIGGER card_edition_append_only ON registry_cardedition;"


class Migration(migrations.Migration):

    dependencies = [
        ('registry', '0006_takeovers'),
    ]

    operations = [
        migrations.CreateModel(
            name='CardEdition',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('number', models.PositiveIntegerField()),
                ('text', models.TextField(blank=True)),
                ('reason', models.TextField()),
                ('written_by', models.CharField(max_length=200)),
                ('written_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('model', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='card_editions', to='registry.registeredmodel')),
            ],
            options={
                'ordering': ('-number',),
                'constraints': [models.UniqueConstraint(fields=('model', 'number'), name='card_edition_once')],
            },
        ),
        migrations.RunSQL(FORWARD, BACKWARD),
    ]
