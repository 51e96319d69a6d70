"""Names, model URIs and `-C` options: text in, checked values out. Nothing here calls anybody."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from mlflow_switchyard.rest import Refused

HELP = """\
Switchyard deploys versions that its registry knows.

  Target      switchyard, or switchyard:https://switchyard.example.com
  Name        MODEL-vNUMBER, as flights-v3: one deployment is one version
  Model URI   models:/MODEL/VERSION, models:/MODEL@ALIAS or runs:/RUN_ID/PATH

Environment
  SWITCHYARD_URL            the control plane, unless the target names it
  MLFLOW_TRACKING_TOKEN     a token that may deploy
  SWITCHYARD_GATEWAY_URL    the gateway; only predict and explain need it
  SWITCHYARD_CLIENT_TOKEN   a client's token for it

Options of create and update
  -C replicas=3             how many model servers load it
  -C instance_type=cpu      what kind of machine
  -C traffic_percentage=0   share of the endpoint named like the model, once healthy
  -C wait_s=600             seconds to wait for the end; 0 returns at once
  -C reason=TEXT            why, for the audit trail

Options of endpoints (create_endpoint and update_endpoint)
  model, unit_kind=user|request and sample_rate when it is made; sample_rate and reason later

delete unloads the version from the model servers and keeps it in the registry. It is refused
while the routing table needs the version, shadow traffic included: take the traffic away first.
Deleting what is not deployed does nothing.
"""

_NAME = re.compile(r"(?P<model>[a-z0-9][a-z0-9-]*)-v(?P<number>[1-9][0-9]*)")
_MODEL = re.compile(r"models:/+(?P<model>[^/@]+)(?:/(?P<version>[^/@]+)|@(?P<alias>[^/@]+))")
_RUN = re.compile(r"runs:/+(?P<run>[^/]+)(?:/.*)?")


@dataclass(frozen=True)
class Name:
    """A deployment: one version of one model."""

    model: str
    number: int

    def __str__(self) -> str:
        return f"{self.model}-v{self.number}"

    @classmethod
    def parse(cls, text: str | None) -> "Name":
        """Read "flights-v3". Raises Refused."""
        found = _NAME.fullmatch(text or "")
        if found is None:
            raise Refused(f"{text!r} is no deployment: names are MODEL-vNUMBER, as flights-v3")
        return cls(found["model"], int(found["number"]))


@dataclass(frozen=True)
class Source:
    """What a model URI says; exactly one of version, alias and run is set."""

    model: str = ""
    version: str = ""
    alias: str = ""
    run: str = ""

    @classmethod
    def parse(cls, uri: str) -> "Source":
        """Read a `models:/` or `runs:/` URI. Raises Refused."""
        if found := _MODEL.fullmatch(uri):
            return cls(found["model"], found["version"] or "", found["alias"] or "")
        if found := _RUN.fullmatch(uri):
            return cls(run=found["run"])
        raise Refused(
            f"{uri!r} is not of the registry: give models:/MODEL/VERSION, models:/MODEL@ALIAS "
            "or runs:/RUN_ID/PATH of a version that is registered"
        )


@dataclass(frozen=True)
class Options:
    """What `-C` said of a deployment; None where it said nothing. `wait_s` in seconds."""

    replicas: int | None = None
    instance_type: str | None = None
    traffic_percentage: int | None = None
    reason: str | None = None
    wait_s: float = 600.0

    @classmethod
    def parse(cls, config: Mapping[str, object] | None) -> "Options":
        """Check names and kinds. Raises Refused, naming the option."""
        given = {name: str(value) for name, value in (config or {}).items()}
        known = set(cls.__dataclass_fields__)
        if unknown := sorted(set(given) - known):
            raise Refused(f"unknown option {unknown[0]}: known are {', '.join(sorted(known))}")
        return cls(
            replicas=_number("replicas", given),
            instance_type=given.get("instance_type"),
            traffic_percentage=_number("traffic_percentage", given),
            reason=given.get("reason"),
            wait_s=_seconds(given.get("wait_s", "600")),
        )

    def body(self) -> dict[str, object]:
        """The fields of a deploy request that were given."""
        fields = {name: value for name, value in vars(self).items() if name != "wait_s"}
        return {name: value for name, value in fields.items() if value is not None}


def endpoint_body(config: Mapping[str, object] | None, known: frozenset[str]) -> dict[str, object]:
    """The fields of an endpoint that `-C` gave. Raises Refused."""
    given = dict(config or {})
    if unknown := sorted(set(given) - known):
        raise Refused(f"unknown option {unknown[0]}: known are {', '.join(sorted(known))}")
    if "sample_rate" in given:
        given["sample_rate"] = _seconds(str(given["sample_rate"]), name="sample_rate")
    return given


def _number(name: str, given: Mapping[str, str]) -> int | None:
    text = given.get(name)
    if text is None:
        return None
    if not re.fullmatch(r"[0-9]{1,9}", text):
        raise Refused(f"{name} is a whole number, not {text!r}")
    return int(text)


def _seconds(text: str, *, name: str = "wait_s") -> float:
    if not re.fullmatch(r"[0-9]{1,9}(\.[0-9]+)?", text):
        raise Refused(f"{name} is a number, not {text!r}")
    return float(text)
