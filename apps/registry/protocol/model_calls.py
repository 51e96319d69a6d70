"""/registered-models: each call reads its message, makes one service call, and answers."""

from typing import ClassVar

from django.db.models import Q
from rest_framework.request import Request
from rest_framework.response import Response

from apps.accounts.access import Permission, Principal
from apps.accounts.api.base import Permissions
from apps.registry import services
from apps.registry.models import RegisteredModel
from apps.registry.protocol import answers, gates, messages, stages
from apps.registry.protocol.base import Call
from apps.registry.protocol.finding import aliased, find_model, find_version, model_row, row_of
from apps.registry.protocol.refusals import invalid
from apps.registry.protocol.rows import VersionRow
from apps.registry.protocol.search import PROMPT, search_models

TEAM_TAG = "switchyard.team"


class CreateModel(Call):
    """Registers a model."""

    permissions: ClassVar[Permissions] = {"POST": Permission.REGISTER}
    messages = {"POST": messages.NewModel}
    answers = "registered_model"

    def post(self, request: Request) -> Response:
        """Register a model; the tag `switchyard.team` says whose it is to be."""
        given = self.given(messages.NewModel)
        tags = {tag.key: tag.value for tag in given.tags}
        _refuse_prompts(tags)
        team = _team(self.principal, given.name, tags.pop(TEAM_TAG, ""))
        model = services.register_model(
            actor=self.principal,
            name=given.name,
            team_key=team,
            tags=tags,
            description=given.description,
        )
        return Response({"registered_model": answers.model(model_row(model.name))})


class GetModel(Call):
    """One model."""

    permissions: ClassVar[Permissions] = {"GET": Permission.VIEW}
    messages = {"GET": messages.ModelName}
    answers = "registered_model"

    def get(self, request: Request) -> Response:
        """A model with its latest version of each stage, its tags and aliases."""
        given = self.given(messages.ModelName)
        return Response({"registered_model": answers.model(model_row(given.name))})


class UpdateModel(Call):
    """A model's description."""

    permissions: ClassVar[Permissions] = {"PATCH": Permission.REGISTER}
    messages = {"PATCH": messages.ModelChange}
    answers = "registered_model"

    def patch(self, request: Request) -> Response:
        """Describe a model."""
        given = self.given(messages.ModelChange)
        model = find_model(given.name)
        services.update_model(actor=self.principal, model=model, description=given.description)
        return Response({"registered_model": answers.model(model_row(given.name))})


class RenameModel(Call):
    """A model's name."""

    permissions: ClassVar[Permissions] = {"POST": Permission.REGISTER}
    messages = {"POST": messages.NewName}
    answers = "registered_model"

    def post(self, request: Request) -> Response:
        """Rename a model, unless a version of it was ever approved."""
        given = self.given(messages.NewName)
        model = find_model(given.name)
        services.rename_model(actor=self.principal, model=model, new_name=given.new_name)
        return Response({"registered_model": answers.model(model_row(given.new_name))})


class DeleteModel(Call):
    """The end of a model."""

    permissions: ClassVar[Permissions] = {"DELETE": Permission.REGISTER}
    messages = {"DELETE": messages.ModelName}

    def delete(self, request: Request) -> Response:
        """Delete a model of which no version is approved; its history stays."""
        model = find_model(self.given(messages.ModelName).name)
        services.delete_model(actor=self.principal, model=model)
        return Response({})


class SearchModels(Call):
    """Models, filtered and sorted."""

    permissions: ClassVar[Permissions] = {"GET": Permission.VIEW}
    messages = {"GET": messages.ModelSearch}
    answers = "registered_models"

    def get(self, request: Request) -> Response:
        """A page of the models that fit a filter."""
        page = search_models(self.given(messages.ModelSearch))
        return Response(answers.models(page.rows, page.token))


class LatestVersions(Call):
    """The newest version of each stage."""

    permissions: ClassVar[Permissions] = {"GET": Permission.VIEW, "POST": Permission.VIEW}
    messages = {"GET": messages.Latest, "POST": messages.Latest}
    answers = "model_versions"

    def get(self, request: Request) -> Response:
        """The newest version of each of the stages asked for, or of all."""
        given = self.given(messages.Latest)
        wanted = {stages.canonical(stage) for stage in given.stages} or set(stages.ALL)
        found = [row for row in model_row(given.name).latest if _stage(row) in wanted]
        return Response(answers.versions(found))

    post = get


class SetModelTag(Call):
    """A tag of a model."""

    permissions: ClassVar[Permissions] = {"POST": Permission.REGISTER}
    messages = {"POST": messages.ModelTag}

    def post(self, request: Request) -> Response:
        """Set a tag of a model."""
        given = self.given(messages.ModelTag)
        _refuse_prompts({given.key: given.value})
        model = find_model(given.name)
        services.set_model_tag(actor=self.principal, model=model, key=given.key, value=given.value)
        return Response({})


class DeleteModelTag(Call):
    """A tag of a model."""

    permissions: ClassVar[Permissions] = {"DELETE": Permission.REGISTER}
    messages = {"DELETE": messages.ModelTagKey}

    def delete(self, request: Request) -> Response:
        """Take a tag of a model away."""
        given = self.given(messages.ModelTagKey)
        model = find_model(given.name)
        services.delete_model_tag(actor=self.principal, model=model, key=given.key)
        return Response({})


class Alias(Call):
    """An alias of a model."""

    permissions: ClassVar[Permissions] = {
        "GET": Permission.VIEW,
        "POST": Permission.REGISTER,
        "DELETE": Permission.REGISTER,
    }
    messages = {
        "GET": messages.AliasName,
        "POST": messages.NewAlias,
        "DELETE": messages.AliasName,
    }

    def get(self, request: Request) -> Response:
        """The version that an alias points at."""
        given = self.given(messages.AliasName)
        found = row_of(aliased(given.name, given.alias))
        return Response({"model_version": answers.version(found)})

    def post(self, request: Request) -> Response:
        """Point an alias at a version; a protected one asks for an approval instead."""
        given = self.given(messages.NewAlias)
        model = find_model(given.name)
        gates.point(self.principal, model, given.alias, find_version(given.name, given.version))
        return Response({})

    def delete(self, request: Request) -> Response:
        """Take an alias away."""
        given = self.given(messages.AliasName)
        model = find_model(given.name)
        services.delete_alias(actor=self.principal, model=model, alias=given.alias)
        return Response({})


def _stage(row: VersionRow) -> str:
    return stages.of(row.stage, row.allowance)


def _team(actor: Principal, name: str, chosen: str) -> str:
    """Whose a new model is: MLflow has no word for it, so it is said by a tag, or is the only one.

    A name that is taken needs no team: whoever registers versions asks for the model first.
    """
    teams = actor.teams_with(Permission.REGISTER)
    if chosen or len(teams) == 1:
        return chosen or teams[0]
    taken = Q(name=name, name_free=False)
    if teams and RegisteredModel.with_deleted.filter(taken).exists():
        return teams[0]
    raise invalid(
        f"You register for several teams: say whose model {name!r} is with the tag "
        f"{TEAM_TAG!r}, one of {', '.join(sorted(teams))}"
    )


def _refuse_prompts(tags: dict[str, str]) -> None:
    if tags.get(PROMPT, "").lower() == "true":
        raise invalid("Prompts are not kept in this registry; keep them with the tracking server")
