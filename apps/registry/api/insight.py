"""REST resources that put together what is known: lineage, comparison, card."""

from typing import Any, ClassVar

from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from apps.accounts.access import Permission
from apps.accounts.api.base import (
    Action,
    ApiView,
    ListView,
    Permissions,
    ReasonInput,
    StrictSerializer,
    validated,
)
from apps.registry.beside import beside
from apps.registry.card.reading import card_of
from apps.registry.lineage import sources
from apps.registry.lineage.graph import Kind
from apps.registry.models import CardEdition
from apps.registry.selectors import get_model, get_version
from apps.registry.services.cards import write_card


class NodeSerializer(serializers.Serializer[Any]):
    """One thing in a lineage; `href` is its page, empty where it has none."""

    key = serializers.CharField()
    kind = serializers.ChoiceField(choices=[kind.value for kind in Kind])
    title = serializers.CharField()
    words = serializers.CharField()
    state = serializers.CharField()
    href = serializers.CharField()


class EdgeSerializer(serializers.Serializer[Any]):
    """`target` came of `source`; both are keys of nodes."""

    target = serializers.CharField()

    def get_fields(self) -> dict[str, Any]:
        """`source` is a word of serializers themselves, so it is added here."""
        return {"source": serializers.CharField(), **super().get_fields()}


class GraphSerializer(serializers.Serializer[Any]):
    """A version's lineage."""

    nodes = NodeSerializer(many=True)
    edges = EdgeSerializer(many=True)


LINEAGE = OpenApiExample(
    "Trained, deployed, served",
    value={
        "nodes": [
            {
                "key": "code:4f1c9e2ab7d0",
                "kind": "code",
                "title": "4f1c9e2ab7d0",
                "words": "train.py",
                "state": "",
                "href": "",
            },
            {
                "key": "version:flights/2",
                "kind": "version",
                "title": "flights v2",
                "words": "2.0.0 production",
                "state": "production",
                "href": "/models/flights/versions/2/",
            },
        ],
        "edges": [{"source": "code:4f1c9e2ab7d0", "target": "version:flights/2"}],
    },
    response_only=True,
)


class Lineage(ApiView):
    """Where a version came from and what became of it."""

    permissions: ClassVar[Permissions] = {"GET": Permission.VIEW}

    @extend_schema(responses=GraphSerializer, examples=[LINEAGE])
    def get(self, request: Request, model: str, version: str) -> Response:
        """Data sets, code, run, deployments, endpoints, experiments, predictions of a week."""
        graph = sources.of_version(get_version(model, version))
        return Response(GraphSerializer(graph).data)


class RowSerializer(serializers.Serializer[Any]):
    """One line of a comparison; `better` is null where nobody knows which direction is good."""

    left = serializers.CharField()
    right = serializers.CharField()
    delta = serializers.CharField()
    better = serializers.BooleanField(allow_null=True)
    changed = serializers.BooleanField()

    def get_fields(self) -> dict[str, Any]:
        """`label` is a word of serializers themselves, so it is added here."""
        return {"label": serializers.CharField(), **super().get_fields()}


class SectionSerializer(serializers.Serializer[Any]):
    """Lines that belong together; `same` more did not change and are left out."""

    slug = serializers.CharField()
    title = serializers.CharField()
    rows = RowSerializer(many=True)
    same = serializers.IntegerField()


class PairSerializer(serializers.Serializer[Any]):
    """A feature of both reference profiles; `apart` is the total variation distance, 0 to 1."""

    name = serializers.CharField()
    kind = serializers.CharField()
    left = serializers.CharField()
    right = serializers.CharField()
    apart = serializers.FloatField(allow_null=True)


class BesideSerializer(serializers.Serializer[Any]):
    """Two versions side by side. `lacking` are versions that have no schema yet."""

    left = serializers.CharField(source="left.version_key")
    right = serializers.CharField(source="right.version_key")
    changed = serializers.IntegerField()
    sections = SectionSerializer(many=True)
    lacking = serializers.SerializerMethodField()
    profiles = PairSerializer(many=True)

    def get_lacking(self, found: Any) -> list[str]:
        """Their keys."""
        return [version.version_key for version in found.lacking]


class ComparisonQuery(StrictSerializer):
    """Two versions, by number or semantic version."""

    left = serializers.CharField(max_length=60)
    right = serializers.CharField(max_length=60)


class Comparison(ApiView):
    """Two versions of a model side by side."""

    permissions: ClassVar[Permissions] = {"GET": Permission.VIEW}

    @extend_schema(parameters=[ComparisonQuery], responses=BesideSerializer)
    def get(self, request: Request, model: str) -> Response:
        """Metrics, parameters, schema, data, code, what is served, conversion."""
        given = validated(ComparisonQuery(data=request.query_params.dict()))
        left, right = (get_version(model, given[name]) for name in ("left", "right"))
        return Response(BesideSerializer(beside(left, right)).data)


class CardSerializer(serializers.Serializer[Any]):
    """A version's card; `unknown` are names in the owner's text that mean nothing for it."""

    markdown = serializers.CharField()
    unknown = serializers.ListField(child=serializers.CharField())


class VersionCard(ApiView):
    """A version's card."""

    permissions: ClassVar[Permissions] = {"GET": Permission.VIEW}

    @extend_schema(responses=CardSerializer)
    def get(self, request: Request, model: str, version: str) -> Response:
        """The owner's words with this version's figures, and everything else that is known."""
        return Response(CardSerializer(card_of(get_version(model, version))).data)


class CardEditionSerializer(serializers.ModelSerializer[CardEdition]):
    """One state of the owner's part of a card."""

    class Meta:
        model = CardEdition
        fields = ("number", "text", "reason", "written_by", "written_at")
        read_only_fields = fields


class NewEditionSerializer(ReasonInput):
    """Text in Markdown; `after` is the edition that the writer had before them, 0 for none."""

    text = serializers.CharField(allow_blank=True, max_length=100_000)
    after = serializers.IntegerField(required=False, min_value=0)


NEW_EDITION = OpenApiExample(
    "With a figure",
    value={
        "text": "Warns gate agents. Right in {{ metrics.accuracy }} of the test rows.",
        "reason": "first words",
        "after": 0,
    },
    request_only=True,
)


class CardEditions(Action, ListView):
    """What owners wrote on a model's card."""

    permissions: ClassVar[Permissions] = {"GET": Permission.VIEW, "POST": Permission.REGISTER}
    serializer_class = shows = CardEditionSerializer
    queryset = CardEdition.objects.all()
    filterset_class = None
    takes = NewEditionSerializer
    status = 201
    examples = (NEW_EDITION,)

    def get_queryset(self) -> Any:
        """Editions of the model in the path, newest first."""
        rows = CardEdition.objects.all()
        if self.is_described:
            return rows
        return rows.filter(model=get_model(self.kwargs["model"]))

    def act(self, given: dict[str, Any], **path: Any) -> CardEdition:
        """Keep a new edition; those before it stay readable."""
        return write_card(actor=self.principal, model=get_model(path["model"]), **given)
