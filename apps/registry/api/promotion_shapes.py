"""Shapes of the resources that govern promotions."""

from typing import Any

from rest_framework import serializers

from apps.accounts.api.base import REASON_LENGTH, StrictSerializer
from apps.events.columns import choices
from apps.registry.models import (
    CheckHook,
    CheckRun,
    Comment,
    CommentEdition,
    FreezeWindow,
    PromotionPolicy,
    StageLadder,
    Tier,
)
from apps.registry.promotion import Allowance

TIERS = [("", "any"), *choices(Tier)]


class StageSerializer(StrictSerializer):
    """One stage of a ladder."""

    key = serializers.CharField(max_length=20)
    title = serializers.CharField(max_length=60)
    allowance = serializers.ChoiceField(choices=choices(Allowance))


class LadderSerializer(serializers.ModelSerializer[StageLadder]):
    """An edition of a ladder; `team` null is for all that have none of their own."""

    team = serializers.CharField(source="team.key", read_only=True, default=None)
    stages = StageSerializer(many=True, read_only=True)

    class Meta:
        model = StageLadder
        fields = ("id", "team", "number", "stages", "reason", "created_by", "created_at")
        read_only_fields = fields


class NewLadderSerializer(StrictSerializer):
    """Sets the stages of a team, or of the organisation; none takes them away."""

    team = serializers.CharField(max_length=60, required=False, allow_null=True, default=None)
    stages = StageSerializer(many=True)
    reason = serializers.CharField(max_length=REASON_LENGTH)


class PolicySerializer(serializers.ModelSerializer[PromotionPolicy]):
    """An edition of a policy; `rules` null: the next wider policy holds again."""

    team = serializers.CharField(source="team.key", read_only=True, default=None)
    rules = serializers.DictField(read_only=True, allow_null=True)

    class Meta:
        model = PromotionPolicy
        fields = (
            "id",
            "team",
            "stage",
            "tier",
            "number",
            "rules",
            "reason",
            "created_by",
            "created_at",
        )
        read_only_fields = fields


class NewPolicySerializer(StrictSerializer):
    """Says what promotion into a stage needs; `rules` null takes it back."""

    team = serializers.CharField(max_length=60, required=False, allow_null=True, default=None)
    stage = serializers.CharField(max_length=20)
    tier = serializers.ChoiceField(choices=TIERS, default="")
    rules = serializers.DictField(allow_null=True)
    reason = serializers.CharField(max_length=REASON_LENGTH)


class FreezeSerializer(serializers.ModelSerializer[FreezeWindow]):
    """A freeze window."""

    team = serializers.CharField(source="team.key", read_only=True, default=None)
    window = serializers.DictField(read_only=True)

    class Meta:
        model = FreezeWindow
        fields = (
            "id",
            "team",
            "stage",
            "tier",
            "title",
            "window",
            "zone",
            "reason",
            "created_by",
            "created_at",
            "cancelled_by",
            "cancelled_at",
            "cancel_reason",
        )
        read_only_fields = fields


class NewFreezeSerializer(StrictSerializer):
    """Freezes promotions every week or once."""

    team = serializers.CharField(max_length=60, required=False, allow_null=True, default=None)
    stage = serializers.CharField(max_length=20, default="", allow_blank=True)
    tier = serializers.ChoiceField(choices=TIERS, default="")
    title = serializers.CharField(max_length=200)
    window = serializers.DictField()
    zone = serializers.CharField(max_length=60)
    reason = serializers.CharField(max_length=REASON_LENGTH)


class HookSerializer(serializers.ModelSerializer[CheckHook]):
    """A service that makes a check."""

    team = serializers.CharField(source="team.key", read_only=True, default=None)
    check_name = serializers.CharField(read_only=True)

    class Meta:
        model = CheckHook
        fields: tuple[str, ...] = (
            "name",
            "check_name",
            "team",
            "title",
            "url",
            "timeout_s",
            "attempts",
            "callback_h",
            "created_by",
            "created_at",
            "disabled_at",
        )
        read_only_fields = fields


class NewHookSerializer(StrictSerializer):
    """Lets a service check versions."""

    team = serializers.CharField(max_length=60, required=False, allow_null=True, default=None)
    name = serializers.CharField(max_length=60)
    title = serializers.CharField(max_length=120, default="", allow_blank=True)
    url = serializers.CharField(max_length=2_000)
    timeout_s = serializers.FloatField(default=10.0, min_value=0.1, max_value=60)
    attempts = serializers.IntegerField(default=3, min_value=1, max_value=10)
    callback_h = serializers.FloatField(default=24.0, min_value=0.01, max_value=168)


class HookSecretSerializer(HookSerializer):
    """The hook with its signing secret, which is shown this once."""

    secret = serializers.CharField(read_only=True)

    class Meta(HookSerializer.Meta):
        fields: tuple[str, ...] = (*HookSerializer.Meta.fields, "secret")
        read_only_fields = fields


class KnownCheckSerializer(serializers.Serializer[Any]):
    """A check that policies may name."""

    name = serializers.CharField()
    title = serializers.CharField()
    says = serializers.CharField()


class CheckRunSerializer(serializers.ModelSerializer[CheckRun]):
    """A check of a request."""

    figures = serializers.DictField(read_only=True)

    class Meta:
        model = CheckRun
        fields = (
            "name",
            "title",
            "required",
            "state",
            "verdict",
            "detail",
            "figures",
            "link",
            "attempts",
            "started_at",
            "finished_at",
            "waived_by",
            "waiver_reason",
            "waived_at",
        )
        read_only_fields = fields


class ChecksSerializer(serializers.Serializer[Any]):
    """The checks of a request; it is complete when `frozen_at` says since when."""

    frozen_at = serializers.DateTimeField(allow_null=True)
    done = serializers.IntegerField()
    total = serializers.IntegerField()
    checks = CheckRunSerializer(many=True)


class RerunSerializer(StrictSerializer):
    """Names of the checks to make again; all of them unless given."""

    checks = serializers.ListField(child=serializers.CharField(max_length=80), required=False)


class EditionSerializer(serializers.ModelSerializer[CommentEdition]):
    """What a comment said before."""

    class Meta:
        model = CommentEdition
        fields = ("body", "written_at", "replaced_at")
        read_only_fields = fields


class CommentSerializer(serializers.ModelSerializer[Comment]):
    """A contribution to the talk about a request."""

    editions = EditionSerializer(many=True, read_only=True)

    class Meta:
        model = Comment
        fields = ("id", "author_key", "author", "body", "created_at", "edited_at", "editions")
        read_only_fields = fields


class BodySerializer(StrictSerializer):
    """What is said."""

    body = serializers.CharField(max_length=10_000)


class TermsSerializer(serializers.Serializer[Any]):
    """What promotion into one stage needs now."""

    stage = serializers.CharField()
    allowance = serializers.CharField()
    source = serializers.CharField()  # type: ignore[assignment]  # DRF takes it off the class
    rules = serializers.DictField()


class ModelTermsSerializer(serializers.Serializer[Any]):
    """A model's stages, and what each of them needs."""

    stages = StageSerializer(many=True)
    terms = TermsSerializer(many=True)


class TouchedSerializer(serializers.Serializer[Any]):
    """An endpoint that a promotion would touch."""

    endpoint = serializers.CharField()
    team = serializers.CharField()
    versions = serializers.ListField(child=serializers.CharField())
    share = serializers.FloatField()
    requests_per_s = serializers.FloatField(allow_null=True)
    clients = serializers.IntegerField()


class RadiusSerializer(serializers.Serializer[Any]):
    """What a promotion would touch."""

    endpoints = TouchedSerializer(many=True)
    teams = serializers.ListField(child=serializers.CharField())
    requests_per_s = serializers.FloatField()


class WayBackSerializer(serializers.Serializer[Any]):
    """What an endpoint would return to."""

    endpoint = serializers.CharField()
    version = serializers.CharField()
    loaded = serializers.BooleanField()
    seconds = serializers.FloatField(allow_null=True)
    sentence = serializers.CharField()


class DossierSerializer(serializers.Serializer[Any]):
    """What stands between a request and its approval, and what it would touch."""

    missing = serializers.ListField(child=serializers.CharField())
    refusal = serializers.CharField()
    changed = serializers.CharField()
    can_sign = serializers.BooleanField()
    freeze = serializers.CharField()
    frozen_until = serializers.CharField(allow_null=True)
    blast_radius = RadiusSerializer()
    rollback = WayBackSerializer(many=True)


class HistorySerializer(serializers.Serializer[Any]):
    """One change of stage with the request, the approvals and the evidence behind it."""

    model = serializers.CharField()
    version = serializers.IntegerField()
    semantic_version = serializers.CharField()
    from_stage = serializers.CharField()
    to_stage = serializers.CharField()
    traffic = serializers.CharField()
    at = serializers.DateTimeField()
    by = serializers.CharField()
    responsible = serializers.CharField()
    requested_by = serializers.CharField()
    approved_by = serializers.ListField(child=serializers.CharField())
    reason = serializers.CharField()
    broke_glass = serializers.BooleanField()
    glass_broken_by = serializers.CharField()
    glass_reason = serializers.CharField()
    request = serializers.UUIDField(allow_null=True)
    policy = serializers.CharField()
    content_digest = serializers.CharField()
    evidence_digest = serializers.CharField()
    terms_digest = serializers.CharField()
    signed_digest = serializers.CharField()
    intact = serializers.BooleanField(allow_null=True)


class MomentSerializer(StrictSerializer):
    """A moment, by default now, and a stage, by default each."""

    at = serializers.DateTimeField(required=False)
    stage = serializers.CharField(max_length=20, required=False)


class OneStageSerializer(StrictSerializer):
    """A stage, by default each that can be asked for."""

    stage = serializers.CharField(max_length=20, required=False)


class InboxSerializer(StrictSerializer):
    """A part of the inbox: mine (for me to decide), waiting, asked (by me), decided or all."""

    box = serializers.CharField(required=False)
    team = serializers.CharField(required=False)
    tier = serializers.CharField(required=False)
    stage = serializers.CharField(required=False)
    model = serializers.CharField(required=False)
    state = serializers.CharField(required=False)
    older_than_h = serializers.CharField(required=False)
