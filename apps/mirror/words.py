"""Differences in words."""

from apps.mirror.models import Difference, DifferenceKind

SENTENCES = {
    DifferenceKind.ALIAS_MOVED: "Alias {subject} was moved in MLflow",
    DifferenceKind.ARTIFACT_CHANGED: "The artifact of version {subject} was changed in MLflow",
    DifferenceKind.MODEL_DELETED: "The model was deleted in MLflow",
    DifferenceKind.RENAMED: "The model was renamed in MLflow",
    DifferenceKind.STAGE_MOVED: "Version {subject} was moved to another stage in MLflow",
    DifferenceKind.TAGS_CHANGED: "Our tags of version {subject} were changed in MLflow",
    DifferenceKind.VERSION_DELETED: "Version {subject} was deleted in MLflow",
}
ACCEPTING = {
    DifferenceKind.ALIAS_MOVED: (
        "The alias moves here, too; one that follows approvals stays where it is here."
    ),
    DifferenceKind.ARTIFACT_CHANGED: (
        "What lies there now comes in as a new version; what was approved stays what serves."
    ),
    DifferenceKind.MODEL_DELETED: "The model stays here; it is not looked for in MLflow any more.",
    DifferenceKind.RENAMED: "It keeps its name here.",
    DifferenceKind.STAGE_MOVED: "MLflow's stage stays as it is; the stage here is another matter.",
    DifferenceKind.TAGS_CHANGED: "The tags stay so until something is decided here.",
    DifferenceKind.VERSION_DELETED: "The version stays here; it is not looked for there any more.",
}
REVERTING = {
    DifferenceKind.ALIAS_MOVED: "MLflow's alias points again where it did.",
    DifferenceKind.ARTIFACT_CHANGED: "The file that was taken over is put back into MLflow.",
    DifferenceKind.MODEL_DELETED: (
        "The model and its versions are registered again; MLflow numbers them anew."
    ),
    DifferenceKind.RENAMED: "MLflow's model gets its old name again.",
    DifferenceKind.STAGE_MOVED: "The version goes back to its stage in MLflow.",
    DifferenceKind.TAGS_CHANGED: "The tags are written again.",
    DifferenceKind.VERSION_DELETED: (
        "The version is registered again with its aliases; MLflow gives it the next number."
    ),
}


def sentence(difference: Difference) -> str:
    """What happened, in one line."""
    return SENTENCES[DifferenceKind(difference.kind)].format(subject=difference.subject)


def changes(difference: Difference) -> list[tuple[str, str, str]]:
    """Rows of a diff: word, what it was, what it is; a word that one side lacks is a dash."""
    words = sorted({*difference.was, *difference.found})
    return [
        (word.replace("_", " "), _said(difference.was, word), _said(difference.found, word))
        for word in words
    ]


def _said(side: dict[str, object], word: str) -> str:
    value = side.get(word, "")
    if isinstance(value, list):
        value = ", ".join(map(str, value))
    elif isinstance(value, dict):
        value = ", ".join(f"{key} {one}" for key, one in value.items())
    return str(value) or "–"
