"""Where a version that MLflow's client registers comes from, and whether we can take it over."""

import re
from dataclasses import dataclass
from urllib.parse import unquote

from apps.registry.models import ModelVersion
from apps.registry.protocol.finding import aliased, find_version
from apps.registry.protocol.messages import NewVersion
from apps.registry.protocol.refusals import Refusal, invalid

OURS = re.compile(r"models:/(?P<name>[^/@]+)(?:/(?P<version>[^/@]+)|@(?P<alias>[^/@]+))")
TAKEN = "runs:/<run id>/<path>, models:/<model id>, models:/<name>/<version> or mlflow-artifacts:/…"


@dataclass(frozen=True)
class Origin:
    """An address to register, and the version of ours that it names, if it names one."""

    source: str
    run_id: str
    version: ModelVersion | None = None


def origin_of(given: NewVersion) -> Origin:
    """Read the source of a new version. Raises a Refusal for what cannot be taken over."""
    source = given.source
    _require_plain(source)
    scheme = source.partition(":")[0]
    if scheme == "runs":
        return _of_run(given)
    if named := OURS.fullmatch(source):
        return _of_ours(given, named)
    if scheme in ("models", "mlflow-artifacts") and ":/" in source:
        return Origin(source, given.run_id)
    raise _refused(
        source, f"Artifacts are taken over from MLflow's server, so it has to be one of {TAKEN}."
    )


def _of_run(given: NewVersion) -> Origin:
    found = re.fullmatch(r"runs:/([^/]+)/(.+)", given.source)
    if found is None:
        raise _refused(given.source, "It has to look like runs:/<run id>/<path>.")
    if given.run_id and given.run_id != found[1]:
        raise _refused(given.source, "The run_id request parameter has to be that of the source.")
    return Origin(given.source, found[1])


def _of_ours(given: NewVersion, named: "re.Match[str]") -> Origin:
    name, version, alias = unquote(named["name"]), named["version"], named["alias"]
    origin = aliased(name, alias) if alias else find_version(name, version)
    if given.run_id and given.run_id != origin.run_id:
        raise _refused(given.source, "The run_id request parameter has to be that version's.")
    return Origin(f"models:/{name}/{origin.number}", origin.run_id, origin)


def _require_plain(source: str) -> None:
    """No way out of the folder, however often it is encoded."""
    plain = source
    while (decoded := unquote(plain)) != plain:
        plain = decoded
    if ".." in re.split(r"[/\\]", plain) or not plain.isprintable():
        raise _refused(source, "Relative path references are no part of a source.")


def _refused(source: str, why: str) -> Refusal:
    return invalid(f"Invalid model version source: '{source}'. {why}")
