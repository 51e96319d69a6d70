"""docker-compose.yml describes the same platform as `embedded/`."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic_settings import BaseSettings

from controlplane.config import Config
from dataplane.settings import GatewaySettings, RecorderSettings
from dataplane.triton.settings import PullerSettings
from embedded import credentials, ports, probe
from embedded.platform import NAMES, QUEUES
from embedded.services.triton import CONTROL_HEADER, RESTRICTED

ROOT = Path(__file__).parents[2]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
PROMETHEUS: dict[str, Any] = yaml.safe_load(
    (ROOT / "deploy" / "prometheus" / "prometheus.yml").read_text()
)
ONE_SHOT = {"migrate", "triton-directory", "gateway-directory"}
WATCHING = {"prometheus", "grafana"}
# Who reads which settings.
CONTROL: dict[str, tuple[type[BaseSettings], ...]] = dict.fromkeys(
    ("web", "worker", "beat", "relay", "ingest", "migrate"), (Config,)
)
OURS: dict[str, tuple[type[BaseSettings], ...]] = {
    **CONTROL,
    "gateway": (GatewaySettings, RecorderSettings),
    "recorder": (RecorderSettings,),
    "puller": (PullerSettings,),
}
PORTS = {
    "web": {"WEB"},
    "gateway": {"GATEWAY_HTTP", "GATEWAY_GRPC"},
    "mlflow": {"MLFLOW"},
    "ingest": {"INGEST_METRICS"},
    "triton": {"TRITON_HTTP", "TRITON_GRPC", "TRITON_METRICS"},
    "puller": {"PULLER"},
    "s3": {"S3"},
    "postgres": {"POSTGRES"},
    "valkey": {"VALKEY"},
}


def command(service: str) -> str:
    return " ".join(SERVICES[service]["command"])


def test_compose__services__are_the_processes_of_the_platform() -> None:
    assert set(SERVICES) == {*NAMES, *WATCHING, *ONE_SHOT}


@pytest.mark.parametrize("service", sorted(set(SERVICES) - ONE_SHOT))
def test_compose__service__has_a_health_check(service: str) -> None:
    assert SERVICES[service]["healthcheck"]["test"]


@pytest.mark.parametrize("service", sorted(set(OURS) - ONE_SHOT))
def test_compose__our_process__is_checked_by_its_own_probe(
    service: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment = SERVICES[service]["environment"]
    for name, value in environment.items():
        monkeypatch.setenv(name, re.sub(r"\$\{[^}]*\}", "1", str(value)))
    *_, name = SERVICES[service]["healthcheck"]["test"]
    assert name == service
    assert callable(probe.find(name))


@pytest.mark.parametrize("service", sorted(OURS))
def test_compose__environment__is_known_and_complete(service: str) -> None:
    fields = {
        name.upper(): field for model in OURS[service] for name, field in model.model_fields.items()
    }
    given = set(SERVICES[service]["environment"])
    assert given - {"SWITCHYARD_HOME"} <= fields.keys()
    own = OURS[service][0].model_fields
    assert {name.upper() for name, field in own.items() if field.is_required()} <= given


@pytest.mark.parametrize("service", sorted(PORTS))
def test_compose__published_ports__are_the_defaults_on_loopback(service: str) -> None:
    published = {port.rsplit(":", 1)[0] for port in SERVICES[service]["ports"]}
    assert published == {f"127.0.0.1:{ports.DEFAULTS[name]}" for name in PORTS[service]}


@pytest.mark.parametrize(
    ("service", "part"),
    [
        ("web", "uvicorn controlplane.asgi:application"),
        ("worker", f"--queues={QUEUES}"),
        ("beat", "controlplane.celery:app beat"),
        ("relay", "manage.py relay"),
        ("ingest", "manage.py ingest"),
        ("gateway", "-m dataplane.gateway"),
        ("recorder", "-m dataplane.recorder"),
        ("puller", "-m dataplane.triton.puller"),
        ("triton", "--model-control-mode=explicit"),
        ("triton", f"--http-restricted-api={RESTRICTED}:{CONTROL_HEADER}="),
        ("triton", f"--grpc-restricted-protocol={RESTRICTED}:{CONTROL_HEADER}="),
        ("valkey", "--appendonly yes"),
        ("s3", "-master.telemetry=false"),
    ],
)
def test_compose__command__is_that_of_the_supervisor(service: str, part: str) -> None:
    assert part in command(service)


@pytest.mark.parametrize("service", sorted(SERVICES))
def test_compose__dependencies__are_waited_for(service: str) -> None:
    for other, how in SERVICES[service].get("depends_on", {}).items():
        wanted = "service_completed_successfully" if other in ONE_SHOT else "service_healthy"
        assert how["condition"] == wanted


def test_compose__variables__are_generated_secrets_or_have_defaults() -> None:
    text = (ROOT / "docker-compose.yml").read_text()
    required = set(re.findall(r"(?<!\$)\$\{(\w+):\?\}", text))
    assert required <= credentials.fresh().keys()


def test_compose__addresses_between_services__name_a_service_and_its_port() -> None:
    for service in OURS:
        for value in SERVICES[service]["environment"].values():
            for host, port in re.findall(r"(?:@|//|^)([a-z0-9]+):(\d+)", str(value)):
                assert host in SERVICES
                assert port in _inner_ports(host)


def test_prometheus__targets__are_services_and_their_ports() -> None:
    for job in PROMETHEUS["scrape_configs"]:
        for target in job["static_configs"][0]["targets"]:
            host, port = target.split(":")
            assert port in _inner_ports(host)


def test_dockerfile__ports__are_those_that_our_processes_bind() -> None:
    text = (ROOT / "deploy" / "Dockerfile").read_text()
    exposed = set(re.findall(r"\b17\d{3}\b", text))
    assert exposed == {port for service in OURS for port in _inner_ports(service)}


def _inner_ports(service: str) -> set[str]:
    return {port.rsplit(":", 1)[1] for port in SERVICES[service].get("ports", [])}
