"""Shapes of the REST resources of monitoring."""

from typing import Any

from drf_spectacular.utils import extend_schema_serializer
from rest_framework import serializers


def _kinds(**options: Any) -> serializers.DictField:
    return serializers.DictField(child=serializers.IntegerField(), **options)


class PeriodSerializer(serializers.Serializer[Any]):
    """Query of a time series; the last 15 minutes in about 120 steps unless it says otherwise."""

    since = serializers.DateTimeField(required=False)
    until = serializers.DateTimeField(required=False)
    step_s = serializers.IntegerField(min_value=1, max_value=86_400, required=False)


class SinceSerializer(serializers.Serializer[Any]):
    """Query of what happened since some time; everything that is kept unless it says."""

    since = serializers.DateTimeField(required=False)


class ShadowQuery(serializers.Serializer[Any]):
    """Query of what shadows said; the last week, every shadow and every segment unless it says."""

    version = serializers.CharField(required=False)
    since = serializers.DateTimeField(required=False)
    until = serializers.DateTimeField(required=False)
    segment = serializers.CharField(required=False)


class SeriesSerializer(serializers.Serializer[Any]):
    """A point a step; rates and quantiles are null where there was no traffic."""

    at = serializers.ListField(child=serializers.DateTimeField())
    requests = serializers.ListField(child=serializers.IntegerField())
    failed = serializers.ListField(child=serializers.IntegerField())
    error_rate = serializers.ListField(child=serializers.FloatField(allow_null=True))
    p50_ms = serializers.ListField(child=serializers.FloatField(allow_null=True))
    p95_ms = serializers.ListField(child=serializers.FloatField(allow_null=True))
    p99_ms = serializers.ListField(child=serializers.FloatField(allow_null=True))


@extend_schema_serializer(component_name="VariantTraffic")
class VariantSerializer(serializers.Serializer[Any]):
    """Exact counts of one version in one role; latencies in ms, of successful answers, within
    1 %."""

    variant = serializers.CharField()
    version = serializers.CharField()
    requests = serializers.IntegerField()
    failed = serializers.IntegerField()
    errors_by_kind = serializers.DictField(child=serializers.IntegerField())
    error_rate = serializers.FloatField(allow_null=True)
    cache_hits = serializers.IntegerField()
    fallbacks = serializers.IntegerField()
    fallbacks_by_kind = _kinds(source="fallback_kinds")
    lookup_misses = serializers.IntegerField()
    lookup_unread = serializers.IntegerField()
    p50_ms = serializers.FloatField(allow_null=True)
    p95_ms = serializers.FloatField(allow_null=True)
    p99_ms = serializers.FloatField(allow_null=True)
    mean_batch_rows = serializers.FloatField(allow_null=True)
    series = SeriesSerializer()


class TotalsSerializer(serializers.Serializer[Any]):
    """All variants together; `rejected` (by reason) reached none of them.

    Of `fallbacks_by_kind` "stale", "variant" and "default" make up `fallbacks`; "503" are errors
    for which nothing stood in. `feature_faults` are by feature and kind of fault; "" is a feature
    that the schema does not have.
    """

    requests = serializers.IntegerField()
    failed = serializers.IntegerField()
    cache_hits = serializers.IntegerField()
    fallbacks = serializers.IntegerField()
    fallbacks_by_kind = _kinds(source="fallback_kinds")
    availability = serializers.FloatField(allow_null=True)
    rejected = serializers.DictField(child=serializers.IntegerField())
    feature_faults = serializers.DictField(child=_kinds())


class TrafficSerializer(serializers.Serializer[Any]):
    """An endpoint's traffic in [since, until)."""

    endpoint = serializers.CharField()
    since = serializers.DateTimeField()
    until = serializers.DateTimeField()
    step_s = serializers.IntegerField()
    totals = TotalsSerializer()
    variants = VariantSerializer(many=True)


class IntervalSerializer(serializers.Serializer[Any]):
    """A 95 % interval; Wilson's where it is of a share."""

    low = serializers.FloatField()
    high = serializers.FloatField()


class AccuracySerializer(serializers.Serializer[Any]):
    """`sampled` predictions, `total` of them with a label, `correct` of those right."""

    correct = serializers.IntegerField()
    total = serializers.IntegerField()
    sampled = serializers.IntegerField()
    share = serializers.FloatField(allow_null=True)
    interval = IntervalSerializer(allow_null=True)
    matured_share = serializers.FloatField(allow_null=True)


class PhaseAccuracySerializer(serializers.Serializer[Any]):
    """Where the version served: one variant and phase of an endpoint."""

    endpoint = serializers.CharField()
    variant = serializers.CharField()
    phase = serializers.IntegerField()
    accuracy = AccuracySerializer()


class PerformanceSerializer(serializers.Serializer[Any]):
    """How good a version's predictions were, by the labels that have arrived."""

    version = serializers.CharField()
    since = serializers.DateTimeField(allow_null=True)
    accuracy = AccuracySerializer()
    phases = PhaseAccuracySerializer(many=True)


class ShadowTrafficSerializer(serializers.Serializer[Any]):
    """Differences are shadow minus baseline; times are of the model calls, in ms.

    `enough` says whether there are rows enough to judge by; intervals are null where not.
    `dropped` rows found no room and were not mirrored.
    """

    rows = serializers.IntegerField()
    enough = serializers.BooleanField()
    labelled = serializers.IntegerField()
    agreements = serializers.IntegerField()
    agreement = serializers.FloatField(allow_null=True)
    agreement_interval = IntervalSerializer(allow_null=True)
    mean_shift = serializers.FloatField(allow_null=True)
    shift_interval = IntervalSerializer(allow_null=True)
    shift_p95 = serializers.FloatField(allow_null=True)
    timed = serializers.IntegerField()
    mean_delay_ms = serializers.FloatField(allow_null=True)
    delay_interval = IntervalSerializer(allow_null=True)
    baseline_p50_ms = serializers.FloatField(allow_null=True)
    baseline_p99_ms = serializers.FloatField(allow_null=True)
    shadow_p50_ms = serializers.FloatField(allow_null=True)
    shadow_p99_ms = serializers.FloatField(allow_null=True)
    errors_by_kind = serializers.DictField(child=serializers.IntegerField(), source="errors")
    error_share = serializers.FloatField(allow_null=True)
    dropped = serializers.IntegerField()


class ShadowSegmentSerializer(serializers.Serializer[Any]):
    """The rows with one value of one feature, as "feature=value"."""

    name = serializers.CharField()
    traffic = ShadowTrafficSerializer()


class PairedAccuracySerializer(serializers.Serializer[Any]):
    """Both versions on the same sampled rows: `total` of them have a label by now.

    `shadow_only` rows only the shadow labelled rightly, `baseline_only` only the other;
    `difference` is the shadow's share right minus the baseline's, with its 95 % interval.
    """

    sampled = serializers.IntegerField()
    total = serializers.IntegerField()
    both = serializers.IntegerField()
    shadow_only = serializers.IntegerField()
    baseline_only = serializers.IntegerField()
    neither = serializers.IntegerField()
    shadow = AccuracySerializer()
    baseline = AccuracySerializer()
    difference = serializers.FloatField(allow_null=True)
    difference_interval = IntervalSerializer(allow_null=True)
    sentence = serializers.CharField(allow_blank=True)


class ShadowComparisonSerializer(serializers.Serializer[Any]):
    """A shadow version beside the version that answered; the lowest agreement first."""

    version = serializers.CharField()
    baseline = serializers.CharField()
    sentence = serializers.CharField()
    traffic = ShadowTrafficSerializer()
    segments = ShadowSegmentSerializer(many=True)
    truth = PairedAccuracySerializer()


class ShadowSerializer(serializers.Serializer[Any]):
    """What an endpoint's shadows said in [since, until), in whole minutes."""

    endpoint = serializers.CharField()
    since = serializers.DateTimeField()
    until = serializers.DateTimeField()
    comparisons = ShadowComparisonSerializer(many=True)
