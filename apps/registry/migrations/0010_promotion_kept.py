"""What was signed, policies and editions of comments are kept as they were, whoever writes."""

import django.db.models
from django.db import migrations, models

# A request's content, version and stage never change; evidence and terms not once it is closed.
FORWARD = """
CREATE FUNCTION registry_keep_signed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (NEW.version_id, NEW.target_stage, NEW.digest, NEW.terms_digest, NEW.requester)
        IS DISTINCT FROM
        (OLD.version_id, OLD.target_stage, OLD.digest, OLD.terms_digest, OLD.requester)
       OR OLD.state <> 'requested' AND (NEW.evidence, NEW.evidence_digest, NEW.terms)
        IS DISTINCT FROM (OLD.evidence, OLD.evidence_digest, OLD.terms)
    THEN
        RAISE EXCEPTION 'what was signed of a promotion cannot be changed'
            USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER promotion_keep_signed
    BEFORE UPDATE ON registry_promotionrequest
    FOR EACH ROW EXECUTE FUNCTION registry_keep_signed();
CREATE FUNCTION registry_keep_approval() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE'
       OR (NEW.request_id, NEW.human, NEW.digest, NEW.groups, NEW.created_at)
        IS DISTINCT FROM (OLD.request_id, OLD.human, OLD.digest, OLD.groups, OLD.created_at)
       OR OLD.voided_at IS NOT NULL
    THEN
        RAISE EXCEPTION 'approvals are kept as they were signed'
            USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER approval_kept
    BEFORE UPDATE OR DELETE ON registry_approval
    FOR EACH ROW EXECUTE FUNCTION registry_keep_approval();
CREATE TRIGGER policy_append_only
    BEFORE UPDATE OR DELETE ON registry_promotionpolicy
    FOR EACH ROW EXECUTE FUNCTION registry_refuse_change();
CREATE TRIGGER ladder_append_only
    BEFORE UPDATE OR DELETE ON registry_stageladder
    FOR EACH ROW EXECUTE FUNCTION registry_refuse_change();
CREATE TRIGGER comment_edition_append_only
    BEFORE UPDATE OR DELETE ON registry_commentedition
    FOR EACH ROW EXECUTE FUNCTION registry_refuse_change();
CREATE TRIGGER comment_not_deleted
    BEFORE DELETE ON registry_comment
    FOR EACH ROW EXECUTE FUNCTION registry_refuse_change();
"""
BACKWARD = """
DROP TRIGGER comment_not_deleted ON registry_comment;
DROP TRIGGER comment_edition_append_only ON registry_commentedition;
DROP TRIGGER ladder_append_only ON registry_stageladder;
DROP TRIGGER policy_append_only ON registry_promotionpolicy;
DROP TRIGGER approval_kept ON registry_approval;
DROP FUNCTION registry_keep_approval();
DROP TRIGGER promotion_keep_signed ON registry_promotionrequest;
DROP FUNCTION registry_keep_signed();
"""


class Migration(migrations.Migration):
    dependencies = [("registry", "0009_promotion_rules")]

    operations = [
        migrations.AddConstraint(
            model_name='modelversion',
            constraint=models.CheckConstraint(condition=models.Q(('stage__regex', '^[a-z][a-z0-9-]{0,19}$')), name='version_stage'),
        ),
        migrations.AddConstraint(
            model_name='modelversion',
            constraint=models.CheckConstraint(condition=models.Q(('allowance__in', ['none', 'shadow', 'all'])), name='version_allowance'),
        ),
        migrations.AddConstraint(
            model_name='modelversion',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(models.Q(('stage__in', ['archived', 'dev']), _negated=True), ('allowance', 'none'), _connector='OR'), models.Q(models.Q(('stage', 'deprecated'), _negated=True), ('allowance', 'all'), _connector='OR')), name='version_allowance_of_stage'),
        ),
        migrations.AddConstraint(
            model_name='modelversion',
            constraint=models.CheckConstraint(condition=models.Q(('approved_evidence', ''), ('approved_evidence__regex', '^[0-9a-f]{64}$'), _connector='OR'), name='version_approved_evidence'),
        ),
        migrations.AddConstraint(
            model_name='modelversion',
            constraint=models.CheckConstraint(condition=models.Q(('approved_terms', ''), ('approved_terms__regex', '^[0-9a-f]{64}$'), _connector='OR'), name='version_approved_terms'),
        ),
        migrations.AddConstraint(
            model_name='modelversion',
            constraint=models.CheckConstraint(condition=models.Q(('stage__in', ['archived', 'dev']), models.Q(('approved_digest', ''), ('approved_by', ''), ('approved_at__isnull', True), _connector='OR', _negated=True), _connector='OR'), name='version_stage_is_approved'),
        ),
        migrations.AddConstraint(
            model_name='promotionrequest',
            constraint=models.CheckConstraint(condition=models.Q(('target_stage__regex', '^[a-z][a-z0-9-]{0,19}$')), name='promotion_stage'),
        ),
        migrations.AddConstraint(
            model_name='promotionrequest',
            constraint=models.CheckConstraint(condition=models.Q(('target_stage__in', ['archived', 'deprecated', 'dev']), _negated=True), name='promotion_target'),
        ),
        migrations.AddConstraint(
            model_name='promotionrequest',
            constraint=models.CheckConstraint(condition=models.Q(('terms_digest', ''), ('terms_digest__regex', '^[0-9a-f]{64}$'), _connector='OR'), name='promotion_terms_digest'),
        ),
        migrations.AddConstraint(
            model_name='promotionrequest',
            constraint=models.CheckConstraint(condition=models.Q(('glass_broken_at__isnull', True), models.Q(('glass_broken_by', ''), ('glass_reason', ''), _connector='OR', _negated=True), _connector='OR'), name='promotion_glass'),
        ),
        migrations.AddConstraint(
            model_name='stagetransition',
            constraint=models.CheckConstraint(condition=models.Q(('from_stage__regex', '^[a-z][a-z0-9-]{0,19}$'), ('to_stage__regex', '^[a-z][a-z0-9-]{0,19}$')), name='transition_stages'),
        ),
        migrations.AddConstraint(
            model_name='stagetransition',
            constraint=models.CheckConstraint(condition=models.Q(('to_allowance__in', ['none', 'shadow', 'all'])), name='transition_allowance'),
        ),
        migrations.RunSQL(FORWARD, BACKWARD),
    ]
