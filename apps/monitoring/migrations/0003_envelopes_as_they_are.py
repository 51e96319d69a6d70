"""Envelopes lie in their row for seconds: trying to compress them costs more than it saves."""

from django.db import migrations


class Migration(migrations.Migration):

    dependencies = [
        ('monitoring', '0002_partitioned_facts'),
    ]

    operations = [
        migrations.RunSQL(
            "ALTER TABLE monitoring_pendingrecords ALTER COLUMN envelope SET STORAGE EXTERNAL",
            "ALTER TABLE monitoring_pendingrecords ALTER COLUMN envelope SET STORAGE EXTENDED",
        ),
    ]
