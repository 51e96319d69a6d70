"""/model-versions: each call reads its message, makes one service call, and answers."""

import re
from typing import ClassVar

from rest_framework.request import Request
from rest_framework.response import Response

from apps.accounts.access import Permission
from apps.accounts.api.base import Permissions
from apps.registry import services
from apps.registry.protocol import answers, gates, messages
from apps.registry.protocol.base import Call
from apps.registry.protocol.finding import find_model, find_version, row_of, version_row
from apps.registry.protocol.refusals import Refusal
from apps.registry.protocol.search import search_versions
from apps.registry.protocol.sources import origin_of

# What MLflow's clients find with the tracking server; "models:/name/version" would lead back here.
READABLE = re.compile(r"runs:/|mlflow-artifacts:|models:/[^/]+$")


class CreateVersion(Call):
    """Registers a version."""

    permissions: ClassVar[Permissions] = {"POST": Permission.REGISTER}
    messages = {"POST": messages.NewVersion}
    answers = "model_version"

    def post(self, request: Request) -> Response:
        """Register a version; it is pending until its artifact is taken over."""
        given = self.given(messages.NewVersion)
        model = find_model(given.name)
        origin = origin_of(given)
        version = services.register_source(
            actor=self.principal,
            model=model,
            source=origin.source,
            origin=origin.version,
            run_id=origin.run_id,
            run_link=given.run_link,
            tags={tag.key: tag.value for tag in given.tags},
            description=given.description,
        )
        return Response({"model_version": answers.version(row_of(version))})


class GetVersion(Call):
    """One version."""

    permissions: ClassVar[Permissions] = {"GET": Permission.VIEW}
    messages = {"GET": messages.VersionName}
    answers = "model_version"

    def get(self, request: Request) -> Response:
        """A version with its stage, status, tags and aliases."""
        given = self.given(messages.VersionName)
        found = version_row(given.name, given.version)
        return Response({"model_version": answers.version(found)})


class UpdateVersion(Call):
    """A version's description."""

    permissions: ClassVar[Permissions] = {"PATCH": Permission.REGISTER}
    messages = {"PATCH": messages.VersionChange}
    answers = "model_version"

    def patch(self, request: Request) -> Response:
        """Describe a version."""
        given = self.given(messages.VersionChange)
        version = find_version(given.name, given.version)
        if given.description is not None:
            services.update_version(
                actor=self.principal, version=version, description=given.description
            )
        return Response({"model_version": answers.version(row_of(version))})


class DeleteVersion(Call):
    """The end of a version."""

    permissions: ClassVar[Permissions] = {"DELETE": Permission.REGISTER}
    messages = {"DELETE": messages.VersionName}

    def delete(self, request: Request) -> Response:
        """Delete a version that is not approved; its history stays, its number is not reused."""
        given = self.given(messages.VersionName)
        version = find_version(given.name, given.version)
        services.delete_version(actor=self.principal, version=version)
        return Response({})


class SearchVersions(Call):
    """Versions, filtered and sorted."""

    permissions: ClassVar[Permissions] = {"GET": Permission.VIEW}
    messages = {"GET": messages.VersionSearch}
    answers = "model_versions"

    def get(self, request: Request) -> Response:
        """A page of the versions that fit a filter."""
        page = search_versions(self.given(messages.VersionSearch))
        return Response(answers.versions(page.rows, page.token))


class DownloadUri(Call):
    """Where a version's artifact is read."""

    permissions: ClassVar[Permissions] = {"GET": Permission.VIEW}
    messages = {"GET": messages.VersionName}
    answers = "artifact_uri"

    def get(self, request: Request) -> Response:
        """The address at which MLflow's clients read a version's artifact."""
        given = self.given(messages.VersionName)
        version = find_version(given.name, given.version)
        place = version.download_uri or version.source
        if not READABLE.match(place):
            said = f"{version} was not taken over from MLflow's server: it has no place there"
            raise Refusal("RESOURCE_DOES_NOT_EXIST", said)
        return Response({"artifact_uri": place})


class SetVersionTag(Call):
    """A tag of a version."""

    permissions: ClassVar[Permissions] = {"POST": Permission.REGISTER}
    messages = {"POST": messages.VersionTag}

    def post(self, request: Request) -> Response:
        """Set a tag of a version."""
        given = self.given(messages.VersionTag)
        version = find_version(given.name, given.version)
        services.set_version_tag(
            actor=self.principal, version=version, key=given.key, value=given.value
        )
        return Response({})


class DeleteVersionTag(Call):
    """A tag of a version."""

    permissions: ClassVar[Permissions] = {"DELETE": Permission.REGISTER}
    messages = {"DELETE": messages.VersionTagKey}

    def delete(self, request: Request) -> Response:
        """Take a tag of a version away."""
        given = self.given(messages.VersionTagKey)
        version = find_version(given.name, given.version)
        services.delete_version_tag(actor=self.principal, version=version, key=given.key)
        return Response({})


class TransitionStage(Call):
    """A version's stage."""

    permissions: ClassVar[Permissions] = {"POST": Permission.VIEW}
    messages = {"POST": messages.StageChange}
    answers = "model_version"

    def post(self, request: Request) -> Response:
        """Move a version, or ask for the approval that this needs.

        The route asks for VIEW only: which right it takes depends on the stage, and the services
        ask for it.
        """
        given = self.given(messages.StageChange)
        version = find_version(given.name, given.version)
        gates.transition(
            self.principal,
            version,
            given.stage,
            archive_others=given.archive_existing_versions,
        )
        return Response({"model_version": answers.version(row_of(version))})
