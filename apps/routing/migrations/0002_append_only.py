"""What was routed stays known: generations and specifications are only ever inserted."""

from django.db import migrations

TABLES = ("generation", "spec")

FUNCTION = """
CREATE FUNCTION routing_refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only: % refused', TG_TABLE_NAME, TG_OP
        USING ERRCODE = 'restrict_violation';
END
$$;
"""
TRIGGERS = """
CREATE TRIGGER {0}_append_only BEFORE UPDATE OR DELETE ON routing_{0}
    FOR EACH ROW EXECUTE FUNCTION routing_refuse_change();
CREATE TRIGGER {0}_no_truncate BEFORE TRUNCATE ON routing_{0}
    FOR EACH STATEMENT EXECUTE FUNCTION routing_refuse_change();
"""
DROP = """
DROP TRIGGER {0}_no_truncate ON routing_{0};
DROP TRIGGER {0}_append_only ON routing_{0};
"""

FORWARD = FUNCTION + "".join(TRIGGERS.format(table) for table in TABLES)
BACKWARD = (
    "".join(DROP.format(table) for table in TABLES) + "DROP FUNCTION routing_refuse_change();"
)


class Migration(migrations.Migration):
    dependencies = [("routing", "0001_initial")]
    operations = [migrations.RunSQL(FORWARD, BACKWARD)]
