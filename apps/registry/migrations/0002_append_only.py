"""The history of stages is append-only for everybody, the table's owner included."""

from django.db import migrations

FORWARD = """
CREATE FUNCTION registry_refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only: % refused', TG_TABLE_NAME, TG_OP
        USING ERRCODE = 'restrict_violation';
END
$$;
CREATE TRIGGER stage_transition_append_only
    BEFORE UPDATE OR DELETE ON registry_stagetransition
    FOR EACH ROW EXECUTE FUNCTION registry_refuse_change();
CREATE TRIGGER stage_transition_no_truncate
    BEFORE TRUNCATE ON registry_stagetransition
    FOR EACH STATEMENT EXECUTE FUNCTION registry_refuse_change();
"""
BACKWARD = """
DROP TRIGGER stage_transition_no_truncate ON registry_stagetransition;
DROP TRIGGER stage_transition_append_only ON registry_stagetransition;
DROP FUNCTION registry_refuse_change();
"""


class Migration(migrations.Migration):
    dependencies = [("registry", "0001_initial")]
    operations = [migrations.RunSQL(FORWARD, BACKWARD)]
