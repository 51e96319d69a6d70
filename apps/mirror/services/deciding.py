"""What becomes of a difference: let it stand, or put back in MLflow what was there.

Both ask why. Reverting writes to MLflow first, then notes it: a worker that dies in between leaves
a difference that the next sweep finds gone. Neither changes what is approved or what serves.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from tempfile import TemporaryFile

from django.db import transaction
from django.utils import timezone

from apps.accounts.access import Permission, Principal, authorise
from apps.events.errors import Invalid
from apps.mirror.base import wanted_aliases
from apps.mirror.calls import RegistryClient, connect
from apps.mirror.content import digest_there, taken_files
from apps.mirror.errors import CannotRevert, DifferenceEnded
from apps.mirror.models import (
    Difference,
    DifferenceKind,
    DifferenceState,
    MirroredModel,
    MirroredVersion,
)
from apps.mirror.reconcile import TheirVersion
from apps.mirror.services.applying import agree, register, remember
from apps.mirror.services.finding import MIRROR, end
from apps.registry import services as registry
from apps.registry.artifacts import ArtifactStore
from apps.registry.errors import Conflict
from apps.registry.models import ModelVersion
from apps.registry.promotion import is_protected

Note = Callable[[MirroredModel], None]


def accept(*, actor: Principal, difference: Difference, reason: str) -> Difference:
    """Let it stand. A moved alias moves here, too, if nobody has to approve it; changed content
    comes in as a new version. Raises PermissionDenied, DifferenceEnded, Invalid.
    """
    _require(actor, difference, reason)
    with connect(difference.mirrored.mirror) as client:
        note = ACCEPT[DifferenceKind(difference.kind)](client, difference)
    return _end(actor, difference, DifferenceState.ACCEPTED, reason, note)


def revert(*, actor: Principal, difference: Difference, reason: str) -> Difference:
    """Put back in MLflow what was there.

    Raises PermissionDenied, DifferenceEnded, CannotRevert, MlflowUnavailable.
    """
    _require(actor, difference, reason)
    with connect(difference.mirrored.mirror) as client:
        note = REVERT[DifferenceKind(difference.kind)](client, difference)
    return _end(actor, difference, DifferenceState.REVERTED, reason, note)


def _require(actor: Principal, difference: Difference, reason: str) -> None:
    authorise(actor, Permission.DEPLOY, team_key=difference.mirrored.mirror.team.key)
    if not reason.strip():
        raise Invalid("say why", field="reason")
    difference.refresh_from_db(fields=["state"])
    if difference.state != DifferenceState.OPEN:
        raise DifferenceEnded(f"it is {difference.state} already")


@transaction.atomic
def _end(
    actor: Principal, difference: Difference, state: DifferenceState, reason: str, note: Note
) -> Difference:
    rows = MirroredModel.objects.select_for_update(of=("self",))
    mirrored = rows.select_related("mirror__team", "model__team").get(pk=difference.mirrored_id)
    if not end(difference, state, actor, reason=reason, now=timezone.now()):
        raise DifferenceEnded("somebody was faster")
    note(mirrored)
    difference.refresh_from_db(fields=["state", "ended_at", "ended_by_key", "reason"])
    return difference


def _row(difference: Difference) -> MirroredVersion:
    if difference.mirrored_version is None:
        raise Conflict("its version is not known any more")
    return difference.mirrored_version


def _nothing(_mirrored: MirroredModel) -> None:
    """There is nothing more to note."""


# --- letting it stand


def _accept_alias(client: RegistryClient, difference: Difference) -> Note:
    alias, number = difference.subject, str(difference.found["version"])

    def note(mirrored: MirroredModel) -> None:
        row = mirrored.versions.filter(number=number or 0).select_related("version").first()
        version = row.version if row is not None else None
        if is_protected(alias) or mirrored.model is None or (number and version is None):
            mirrored.accepted_aliases = {**mirrored.accepted_aliases, alias: number}
            mirrored.save(update_fields=["accepted_aliases"])
            return
        if version is None:
            registry.delete_alias(actor=MIRROR, model=mirrored.model, alias=alias)
        else:
            registry.set_alias(actor=MIRROR, model=mirrored.model, alias=alias, version=version)
        agree(mirrored, alias, number)

    return note


def _accept_content(client: RegistryClient, difference: Difference) -> Note:
    """What lies there now comes in beside what was taken over, which stays as it was approved."""
    row, found = _row(difference), difference.found
    now_there = next(
        (
            one
            for one in client.versions(difference.mirrored.name)
            if int(one.version) == row.number
        ),
        None,
    )
    if now_there is None:
        raise Conflict(f"version {row.number} is not in MLflow any more")
    theirs: TheirVersion = now_there.theirs()

    def note(mirrored: MirroredModel) -> None:
        locked = MirroredVersion.objects.select_for_update().get(pk=row.pk)
        locked.version = register(mirrored, theirs, f"models:/{mirrored.name}/{row.number}")
        remember(locked, theirs)
        locked.digest, locked.verified_at = str(found.get("digest", "")), None
        locked.written, locked.unwritten_at = {}, None
        locked.save()

    return note


def _accept_gone(client: RegistryClient, difference: Difference) -> Note:
    def note(mirrored: MirroredModel) -> None:
        now = timezone.now()
        rows = mirrored.versions.all()
        if difference.kind == DifferenceKind.MODEL_DELETED:
            MirroredModel.objects.filter(pk=mirrored.pk).update(gone_at=now, unwritten_at=None)
        else:
            rows = rows.filter(pk=_row(difference).pk)
        rows.update(gone_at=now, unwritten_at=None)
        for alias in difference.was.get("aliases", ()):
            mirrored.accepted_aliases = {**mirrored.accepted_aliases, alias: ""}
        mirrored.save(update_fields=["accepted_aliases"])

    return note


def _accept_stage(client: RegistryClient, difference: Difference) -> Note:
    return lambda _: _update(difference, stage=str(difference.found["stage"]))


def _accept_tags(client: RegistryClient, difference: Difference) -> Note:
    written = {**_row(difference).written, **difference.found}
    return lambda _: _update(difference, written=written)


def _accept_name(client: RegistryClient, difference: Difference) -> Note:
    return _nothing  # MLflow is spoken to under its new name already


# --- putting back


def _revert_alias(client: RegistryClient, difference: Difference) -> Note:
    mirrored, alias = difference.mirrored, difference.subject
    target = str(difference.was["version"])
    if mirrored.mirror.writes_back:
        target = wanted_aliases(mirrored).get(alias, target)
    _point(client, mirrored.name, alias, target)
    return lambda locked: agree(locked, alias, target)


def _revert_content(client: RegistryClient, difference: Difference) -> Note:
    row = _row(difference)
    if "source" in difference.found:
        raise CannotRevert(
            f"MLflow cannot give version {row.number} its source back: accept what is there, "
            "or delete it there and restore the version"
        )
    if row.version is None or "source" in row.version.conversion:
        raise CannotRevert("the file is not here: what was made of it is")
    source = client.place(difference.mirrored.name, row.number)
    store = ArtifactStore.configured()
    for path in taken_files(client, source, row.version):
        with TemporaryFile() as file:
            store.download(store.key(_address(row.version, path)), file)
            file.seek(0)
            client.put(source, path, file)
    taken, there = digest_there(client, row)
    if taken != there:
        raise CannotRevert("MLflow took the file and has another one")
    return lambda _: _update(difference, digest=taken, verified_at=timezone.now())


def _revert_version(client: RegistryClient, difference: Difference) -> Note:
    row = _row(difference)
    numbers = {row.number: _restored(client, difference.mirrored.name, row)}
    aliases = dict.fromkeys(difference.was.get("aliases", ()), str(row.number))
    return _put_back(client, difference.mirrored.name, numbers, aliases)


def _revert_model(client: RegistryClient, difference: Difference) -> Note:
    mirrored = difference.mirrored
    made = client.create_model(mirrored.name, mirrored.description, mirrored.tags)
    rows = mirrored.versions.filter(gone_at__isnull=True).order_by("number")
    numbers = {row.number: _restored(client, mirrored.name, row) for row in rows}
    note = _put_back(client, mirrored.name, numbers, mirrored.aliases)

    def both(locked: MirroredModel) -> None:
        note(locked)
        MirroredModel.objects.filter(pk=locked.pk).update(created_ms=made.creation_timestamp)

    return both


def _restored(client: RegistryClient, name: str, row: MirroredVersion) -> TheirVersion:
    """Register a version again; MLflow gives it the next number, and its tag says the old one."""
    tags = {**row.tags, **row.written, "switchyard.restored_from": str(row.number)}
    made = client.create_version(name, row.source, row.run_id, row.description, tags)
    return made.theirs()


def _put_back(
    client: RegistryClient,
    name: str,
    numbers: Mapping[int, TheirVersion],
    aliases: Mapping[str, str],
) -> Note:
    """Point aliases at the versions that came back, and note their numbers."""
    moved = {
        alias: str(numbers[int(number)].number)
        for alias, number in aliases.items()
        if int(number) in numbers
    }
    for alias, number in moved.items():
        client.set_alias(name, alias, number)

    def note(mirrored: MirroredModel) -> None:
        rows = {row.number: row for row in mirrored.versions.filter(number__in=list(numbers))}
        # Numbers may overlap, old with new: the highest goes first.
        for old in sorted(rows, reverse=True):
            row = rows[old]
            remember(row, numbers[old])
            row.number, row.gone_at = numbers[old].number, None
            row.save()
        for alias, number in moved.items():
            agree(mirrored, alias, number)

    return note


def _revert_stage(client: RegistryClient, difference: Difference) -> Note:
    row = _row(difference)
    client.move(difference.mirrored.name, row.number, str(difference.was["stage"]))
    return _nothing


def _revert_tags(client: RegistryClient, difference: Difference) -> Note:
    row = _row(difference)
    for key, value in difference.was.items():
        client.set_tag(difference.mirrored.name, row.number, key, str(value))
    return _nothing


def _revert_name(client: RegistryClient, difference: Difference) -> Note:
    name = str(difference.was["name"])
    client.rename(difference.mirrored.name, name)

    def note(mirrored: MirroredModel) -> None:
        mirrored.name = name
        mirrored.save(update_fields=["name"])

    return note


def _point(client: RegistryClient, name: str, alias: str, number: str) -> None:
    if number:
        client.set_alias(name, alias, number)
    else:
        client.delete_alias(name, alias)


def _update(difference: Difference, **changed: str | datetime | dict[str, str]) -> None:
    MirroredVersion.objects.filter(pk=_row(difference).pk).update(**changed)


def _address(version: ModelVersion, path: str) -> str:
    return f"{version.artifact_uri}/{path}" if version.files else version.artifact_uri


Way = Callable[[RegistryClient, Difference], Note]
ACCEPT: Mapping[DifferenceKind, Way] = {
    DifferenceKind.ALIAS_MOVED: _accept_alias,
    DifferenceKind.ARTIFACT_CHANGED: _accept_content,
    DifferenceKind.MODEL_DELETED: _accept_gone,
    DifferenceKind.RENAMED: _accept_name,
    DifferenceKind.STAGE_MOVED: _accept_stage,
    DifferenceKind.TAGS_CHANGED: _accept_tags,
    DifferenceKind.VERSION_DELETED: _accept_gone,
}
REVERT: Mapping[DifferenceKind, Way] = {
    DifferenceKind.ALIAS_MOVED: _revert_alias,
    DifferenceKind.ARTIFACT_CHANGED: _revert_content,
    DifferenceKind.MODEL_DELETED: _revert_model,
    DifferenceKind.RENAMED: _revert_name,
    DifferenceKind.STAGE_MOVED: _revert_stage,
    DifferenceKind.TAGS_CHANGED: _revert_tags,
    DifferenceKind.VERSION_DELETED: _revert_version,
}
