"""The event log and its chain are insert-only: for the application, its owner and everybody."""

from django.db import migrations

TABLES = ("events_event", "event_chain")

FUNCTION = """
CREATE FUNCTION switchyard_refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% on % refused: the event log is insert-only', TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'restrict_violation';
END
$$
"""


def trigger(table: str) -> migrations.RunSQL:
    # A statement trigger: even a change that would hit no row is refused.
    return migrations.RunSQL(
        f"CREATE TRIGGER insert_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {table} "
        "FOR EACH STATEMENT EXECUTE FUNCTION switchyard_refuse_change()",
        f"DROP TRIGGER insert_only ON {table}",
    )


class Migration(migrations.Migration):
    dependencies = [("events", "0001_initial")]

    operations = [
        migrations.RunSQL(FUNCTION, "DROP FUNCTION switchyard_refuse_change()"),
        *(trigger(table) for table in TABLES),
    ]
