"""What follows from the difference between MLflow's registry and ours: pure, no clock, no I/O.

Three states meet: what MLflow has (theirs), what both sides last agreed on (the base), and what we
want written back. What only MLflow could have changed for good reasons (new models, new versions,
descriptions, tags, new unprotected aliases) is taken over; what was agreed and is otherwise now is
a difference, which changes nothing here until somebody accepts or reverts it.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from apps.registry.promotion import is_protected

OWN_TAGS = "switchyard."
Tags = Mapping[str, str]


@dataclass(frozen=True)
class TheirVersion:
    """A version as MLflow has it; `digest` is of its content, None when that was not read."""

    number: int
    source: str = ""
    run_id: str = ""
    description: str = ""
    tags: Tags = field(default_factory=dict)
    stage: str = "None"
    author: str = ""
    created_ms: int = 0
    digest: str | None = None


@dataclass(frozen=True)
class TheirModel:
    """A registered model as MLflow has it, with the versions that were looked at.

    `numbers` are those of all its versions, None when only some were looked at.
    """

    name: str
    description: str = ""
    tags: Tags = field(default_factory=dict)
    aliases: Mapping[str, str] = field(default_factory=dict)
    versions: Sequence[TheirVersion] = ()
    numbers: frozenset[int] | None = None


@dataclass(frozen=True)
class OurVersion:
    """The base of a version; `written` are the tags that we wrote there, `digest` what we took."""

    number: int
    source: str = ""
    run_id: str = ""
    description: str = ""
    tags: Tags = field(default_factory=dict)
    stage: str = "None"
    created_ms: int = 0
    written: Tags = field(default_factory=dict)
    digest: str = ""
    gone: bool = False


@dataclass(frozen=True)
class OurModel:
    """The base of a model. Aliases map to version numbers as text.

    `wanted` is what we would have there, `accepted` what was let stand ("" for none).
    """

    name: str
    description: str = ""
    tags: Tags = field(default_factory=dict)
    aliases: Mapping[str, str] = field(default_factory=dict)
    wanted: Mapping[str, str] = field(default_factory=dict)
    accepted: Mapping[str, str] = field(default_factory=dict)
    versions: Mapping[int, OurVersion] = field(default_factory=dict)


@dataclass(frozen=True)
class AddModel:
    """A model that is new there."""

    theirs: TheirModel


@dataclass(frozen=True)
class AddVersion:
    """A version that is new there, or that is there again (`returned`)."""

    theirs: TheirVersion
    returned: bool = False


@dataclass(frozen=True)
class Describe:
    """Text of a model, or of one version, was changed: take it over."""

    number: int | None
    description: str
    tags: Tags


@dataclass(frozen=True)
class Agree:
    """Both sides have the same: note it as agreed ("" when neither has the alias)."""

    alias: str
    number: str


@dataclass(frozen=True)
class TakeAlias:
    """An alias that is new there and that anybody may set."""

    alias: str
    number: str


@dataclass(frozen=True)
class Differ:
    """Something was changed behind our back."""

    kind: str
    subject: str
    was: Mapping[str, object]
    found: Mapping[str, object]
    number: int | None = None
    made_by: str = ""


Action = AddModel | AddVersion | Describe | Agree | TakeAlias | Differ


def reconcile(theirs: TheirModel | None, ours: OurModel | None) -> list[Action]:
    """What follows from how a model is there and how it was here; None is one that is not."""
    if theirs is None:
        return [_model_deleted(ours)] if ours is not None else []
    if ours is None:
        ours = OurModel(theirs.name, theirs.description, theirs.tags)
        return [AddModel(theirs), *_versions(theirs, ours), *_aliases(theirs, ours)]
    text = [*_renamed(theirs, ours), *_text(theirs, ours)]
    return [*text, *_versions(theirs, ours), *_aliases(theirs, ours)]


def renames(gone: Mapping[str, int], fresh: Mapping[str, int]) -> dict[str, str]:
    """Old name to new name, by the moment of creation (ms), which a renaming keeps.

    A moment that two models share tells nothing.
    """
    by_moment: dict[int, list[str]] = {}
    for name, moment in fresh.items():
        by_moment.setdefault(moment, []).append(name)
    moments = list(gone.values())
    return {
        old: by_moment[moment][0]
        for old, moment in gone.items()
        if moment and moments.count(moment) == 1 and len(by_moment.get(moment, ())) == 1
    }


def without_own(tags: Tags) -> dict[str, str]:
    """Tags that are not ours to write."""
    return {key: value for key, value in tags.items() if not key.startswith(OWN_TAGS)}


def merged(ours: Tags, base: Tags, theirs: Tags) -> dict[str, str]:
    """Our tags with what changed between base and theirs; what we added ourselves stays."""
    kept = {key: value for key, value in ours.items() if key in theirs or key not in base}
    changed = {key: value for key, value in theirs.items() if base.get(key) != value}
    return {**kept, **changed}


def _model_deleted(ours: OurModel) -> Differ:
    there = sorted(number for number, one in ours.versions.items() if not one.gone)
    was = {"name": ours.name, "versions": there, "aliases": dict(ours.aliases)}
    return Differ("model_deleted", "", was, {})


def _renamed(theirs: TheirModel, ours: OurModel) -> Iterator[Action]:
    if theirs.name != ours.name:
        yield Differ("renamed", "", {"name": ours.name}, {"name": theirs.name})


def _text(theirs: TheirModel, ours: OurModel) -> Iterator[Action]:
    if theirs.description != ours.description or dict(theirs.tags) != dict(ours.tags):
        yield Describe(None, theirs.description, theirs.tags)


def _versions(theirs: TheirModel, ours: OurModel) -> Iterator[Action]:
    for there in sorted(theirs.versions, key=lambda one: one.number):
        here = ours.versions.get(there.number)
        if here is None or here.gone:
            yield AddVersion(there, returned=here is not None)
        else:
            yield from _version(there, here)
    if theirs.numbers is not None:
        for number, here in sorted(ours.versions.items()):
            if number not in theirs.numbers and not here.gone:
                yield _version_deleted(here, ours)


def _version(there: TheirVersion, here: OurVersion) -> Iterator[Action]:
    subject = str(there.number)
    tags = without_own(there.tags)
    if there.description != here.description or tags != dict(here.tags):
        yield Describe(there.number, there.description, tags)
    if there.stage != here.stage:
        was, found = {"stage": here.stage}, {"stage": there.stage}
        yield Differ("stage_moved", subject, was, found, there.number)
    own = {key: there.tags.get(key, "") for key in here.written}
    if own != dict(here.written):
        changed = [key for key in own if own[key] != here.written[key]]
        was = {key: here.written[key] for key in changed}
        found = {key: own[key] for key in changed}
        yield Differ("tags_changed", subject, was, found, there.number)
    differ = content(there, here)
    if differ is not None:
        yield differ


def content(there: TheirVersion, here: OurVersion) -> Differ | None:
    """Whether a version holds another artifact; another source is one, whatever its bytes are."""
    was: dict[str, object] = {}
    found: dict[str, object] = {}
    if (there.source, there.run_id) != (here.source, here.run_id):
        was = {"source": here.source, "run_id": here.run_id}
        found = {"source": there.source, "run_id": there.run_id}
    if there.digest is not None and here.digest and there.digest != here.digest:
        was, found = {**was, "digest": here.digest}, {**found, "digest": there.digest}
    if not found:
        return None
    # MLflow knows who registered what is there now; who overwrote a file it does not.
    by = there.author if "source" in found else ""
    return Differ("artifact_changed", str(there.number), was, found, there.number, by)


def _version_deleted(here: OurVersion, ours: OurModel) -> Differ:
    named = sorted(alias for alias, number in ours.aliases.items() if number == str(here.number))
    was = {"source": here.source, "run_id": here.run_id, "aliases": named}
    return Differ("version_deleted", str(here.number), was, {}, here.number)


def _aliases(theirs: TheirModel, ours: OurModel) -> Iterator[Action]:
    gone = _gone(theirs, ours)
    for alias in sorted({*theirs.aliases, *ours.aliases, *ours.wanted}):
        there = theirs.aliases.get(alias, "")
        agreed = ours.aliases.get(alias, "")
        wanted = ours.wanted.get(alias, "")
        if there == wanted:
            if agreed != there:
                yield Agree(alias, there)
        elif there in (agreed, ours.accepted.get(alias)) or (not there and agreed in gone):
            continue  # not written back yet, let stand, or gone with its version
        elif not (agreed or wanted or is_protected(alias)):
            yield TakeAlias(alias, there)
        else:
            yield Differ("alias_moved", alias, {"version": agreed or wanted}, {"version": there})


def _gone(theirs: TheirModel, ours: OurModel) -> set[str]:
    if theirs.numbers is None:
        return {str(number) for number, one in ours.versions.items() if one.gone}
    return {str(number) for number in ours.versions if number not in theirs.numbers}
