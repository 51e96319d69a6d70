"""The model or version that a request names; what is not there is told in MLflow's words."""

from apps.registry.models import ModelVersion, RegisteredModel
from apps.registry.protocol import rows
from apps.registry.protocol.messages import number_of
from apps.registry.protocol.refusals import Refusal, invalid
from apps.registry.protocol.rows import ModelRow, VersionRow

MISSING = "RESOURCE_DOES_NOT_EXIST"


def find_model(name: str) -> RegisteredModel:
    """The model of that name with its team and owner. Raises a Refusal."""
    found = RegisteredModel.objects.select_related("team", "owner").filter(name=name).first()
    if found is None:
        raise _no_model(name)
    return found


def find_version(name: str, version: str) -> ModelVersion:
    """A version by its number, with model and team. Raises a Refusal."""
    number = number_of(version)
    found = (
        ModelVersion.objects.select_related("model__team", "model__owner")
        .filter(model__name=name, number=number)
        .first()
    )
    if found is None:
        raise _no_version(name, version)
    return found


def aliased(name: str, alias: str) -> ModelVersion:
    """The version that an alias points at. Raises a Refusal."""
    model = find_model(name)
    found = model.aliases.select_related("version__model__team").filter(name=alias).first()
    if found is None:
        raise invalid(f"Registered model alias {alias} not found.")
    return found.version


def model_row(name: str) -> ModelRow:
    """What is told of a model. Raises a Refusal."""
    found = rows.models(RegisteredModel.objects.filter(name=name))
    if not found:
        raise _no_model(name)
    return found[0]


def version_row(name: str, version: str) -> VersionRow:
    """What is told of a version. Raises a Refusal."""
    number = number_of(version)
    found = rows.versions(ModelVersion.objects.filter(model__name=name, number=number))
    if not found:
        raise _no_version(name, version)
    return found[0]


def row_of(version: ModelVersion) -> VersionRow:
    """What is told of a version that was just written."""
    return rows.versions(ModelVersion.objects.filter(pk=version.pk))[0]


def _no_model(name: str) -> Refusal:
    return Refusal(MISSING, f"Registered Model with name={name} not found")


def _no_version(name: str, version: str) -> Refusal:
    return Refusal(MISSING, f"Model Version (name={name}, version={version}) not found")
