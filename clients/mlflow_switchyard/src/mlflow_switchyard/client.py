"""What MLflow asks of a deployment target, said in Switchyard's REST API."""

import os
import time
from typing import Any

from mlflow.deployments import BaseDeploymentClient, PredictionsResponse

from mlflow_switchyard.naming import Name, Options, Source, endpoint_body
from mlflow_switchyard.rest import Refused, Rest

POLL_S = 0.5
FLAVOR = "switchyard"
OPEN = frozenset({"pending", "loading", "testing"})
THERE = frozenset({*OPEN, "healthy"})
REASON = "mlflow deployments"
Json = dict[str, Any]


class SwitchyardClient(BaseDeploymentClient):
    """Deployments are versions on the model servers; endpoints are what clients ask for.

    Every refusal is a `Refused` (an MlflowException) with the platform's own sentence.
    """

    def __init__(self, target_uri: str) -> None:
        super().__init__(target_uri)  # type: ignore[no-untyped-call]  # mlflow's base has no types

    def create_deployment(
        self,
        name: str,
        model_uri: str,
        flavor: str | None = None,
        config: dict[str, str] | None = None,
        endpoint: str | None = None,
    ) -> Json:
        """Deploy a version and wait until it answers, or `wait_s` has passed.

        Raises Refused when it is deployed already, or fails.
        """
        wanted = self._named(name, model_uri, endpoint)
        if any(one["state"] in THERE for one in self._deployments(wanted)):
            raise Refused(f"{wanted} is deployed already: update it")
        return self._deploy(wanted, Options.parse(config))

    def update_deployment(
        self,
        name: str,
        model_uri: str | None = None,
        flavor: str | None = None,
        config: dict[str, str] | None = None,
        endpoint: str | None = None,
    ) -> Json:
        """Deploy the same version with other options; what is not given stays."""
        wanted = self._named(name, model_uri, endpoint) if model_uri else Name.parse(name)
        known = self._newest(wanted)
        given = Options.parse(config)
        merged = Options(
            replicas=given.replicas or known["replicas"],
            instance_type=given.instance_type or known["instance_type"],
            traffic_percentage=_first(given.traffic_percentage, known["traffic_percentage"]),
            reason=given.reason,
            wait_s=given.wait_s,
        )
        return self._deploy(wanted, merged)

    def delete_deployment(
        self, name: str, config: dict[str, str] | None = None, endpoint: str | None = None
    ) -> None:
        """Unload a version that has no traffic; nothing happens when it is not there.

        Raises Refused while the routing table, or a way back, needs it.
        """
        wanted, options = Name.parse(name), Options.parse(config)
        for one in self._deployments(wanted):
            if one["state"] in THERE:
                reason = {"reason": options.reason or REASON}
                self._api.post(f"/deployments/{one['id']}/remove", reason)
                self._follow(one["id"], {"removing"}, options.wait_s)

    def list_deployments(self, endpoint: str | None = None) -> list[Json]:
        """Everything that is on the model servers, or on its way there."""
        query = {"model": self._endpoint_model(endpoint)} if endpoint else {}
        rows = self._api.listing("/deployments", **query)
        return [_shown(one) for one in rows if one["state"] in THERE]

    def get_deployment(self, name: str, endpoint: str | None = None) -> Json:
        """The newest deployment of a version. Raises Refused when there is none."""
        return _shown(self._newest(Name.parse(name)))

    def predict(
        self, deployment_name: str | None = None, inputs: Any = None, endpoint: str | None = None
    ) -> PredictionsResponse:
        """Ask the gateway about each row: by name that very version, by endpoint its split.

        A column `user_id` says for whom; without it every row is a user of its own.
        """
        answers = [
            self._ask("/v1/predict", row, deployment_name, endpoint) for row in _rows(inputs)
        ]
        return PredictionsResponse({"predictions": answers})

    def explain(
        self, deployment_name: str | None = None, df: Any = None, endpoint: str | None = None
    ) -> list[Json]:
        """Which features made each row's prediction what it is."""
        return [self._ask("/v1/explain", row, deployment_name, endpoint) for row in _rows(df)]

    def create_endpoint(self, name: str, config: dict[str, str] | None = None) -> Json:
        """Add an endpoint; `-C model` defaults to the model of the same name."""
        known = frozenset({"model", "unit_kind", "sample_rate"})
        body = {"model": name, **endpoint_body(config, known), "name": name}
        return dict(self._api.post("/endpoints", body))

    def update_endpoint(self, endpoint: str, config: dict[str, str] | None = None) -> None:
        """Change how an endpoint serves; nobody moves."""
        known = frozenset({"sample_rate", "reason"})
        body = {"reason": REASON, **endpoint_body(config, known)}
        self._api.patch(f"/endpoints/{endpoint}", body)

    def delete_endpoint(self, endpoint: str) -> None:
        """Refused: which version served whom is kept for ever, and so are endpoints."""
        raise Refused("an endpoint is kept with its history: take its traffic away instead")

    def list_endpoints(self) -> list[Json]:
        """Every endpoint."""
        return self._api.listing("/endpoints")

    def get_endpoint(self, endpoint: str) -> Json:
        """An endpoint and its split."""
        return dict(self._api.get(f"/endpoints/{endpoint}"))

    @property
    def _api(self) -> Rest:
        return self._rest("/api/v1")

    def _rest(self, root: str) -> Rest:
        url = self.target_uri.partition(":")[2] or os.environ.get("SWITCHYARD_URL", "")
        token = os.environ.get("MLFLOW_TRACKING_TOKEN", "")
        if not url or not token:
            raise Refused("set SWITCHYARD_URL and MLFLOW_TRACKING_TOKEN")
        return Rest(f"{url.rstrip('/')}{root}", token)

    def _deploy(self, wanted: Name, options: Options) -> Json:
        body = {"version": str(wanted.number), **options.body()}
        body.setdefault("reason", REASON)
        begun = self._api.post(f"/models/{wanted.model}/deploy", body)
        seen = self._follow(begun["deployment_id"], OPEN, options.wait_s)
        if seen["state"] == "failed":
            raise Refused(f"{wanted} failed: {seen['error'] or 'see its page'}")
        return _shown(seen)

    def _follow(
        self, deployment: str, under_way: "frozenset[str] | set[str]", wait_s: float
    ) -> Json:
        """The deployment when it has ended, or when the time is up."""
        deadline = time.monotonic() + wait_s
        while True:
            seen = self._api.get(f"/deployments/{deployment}")
            if seen["state"] not in under_way or time.monotonic() >= deadline:
                return dict(seen)
            time.sleep(POLL_S)

    def _deployments(self, wanted: Name) -> list[Json]:
        query = {"model": wanted.model, "version": wanted.number}
        return self._api.listing("/deployments", **query)

    def _newest(self, wanted: Name) -> Json:
        found = [one for one in self._deployments(wanted) if one["state"] != "superseded"]
        if not found or found[0]["state"] == "removed":
            raise Refused(f"{wanted} is not deployed")
        return found[0]

    def _named(self, name: str, model_uri: str, endpoint: str | None) -> Name:
        """The deployment that name and model URI agree on. Raises Refused."""
        source = Source.parse(model_uri)
        if source.run and not source.model:
            meant = self._of_run(Name.parse(name).model, source.run)
        else:
            meant = Name(source.model, self._number(source))
        if name not in (str(meant), meant.model):
            raise Refused(f"the deployment of {model_uri} is called {meant}, not {name}")
        if endpoint is not None and self._endpoint_model(endpoint) != meant.model:
            raise Refused(f"endpoint {endpoint} serves another model than {meant.model}")
        return meant

    def _number(self, source: Source) -> int:
        if source.alias:
            query = {"name": source.model, "alias": source.alias}
            found = self._rest("/api/2.0/mlflow").get("/registered-models/alias", **query)
            return int(found["model_version"]["version"])
        return int(self._api.get(f"/models/{source.model}/versions/{source.version}")["number"])

    def _of_run(self, model: str, run: str) -> Name:
        rows = self._api.listing(f"/models/{model}/versions", run_id=run)
        if len(rows) != 1:
            raise Refused(f"{len(rows)} versions of {model} are of run {run}: name one, models:/…")
        return Name(model, int(rows[0]["number"]))

    def _endpoint_model(self, endpoint: str) -> str:
        return str(self._api.get(f"/endpoints/{endpoint}")["model"])

    def _ask(self, path: str, row: Json, name: str | None, endpoint: str | None) -> Json:
        url = os.environ.get("SWITCHYARD_GATEWAY_URL", "")
        token = os.environ.get("SWITCHYARD_CLIENT_TOKEN", "")
        if not url or not token:
            raise Refused("set SWITCHYARD_GATEWAY_URL and SWITCHYARD_CLIENT_TOKEN")
        user = row.pop("user_id", None)
        question: Json = {"model": endpoint, "features": row}
        if endpoint is None:
            pinned = Name.parse(name)
            question |= {"model": pinned.model, "version": str(pinned.number)}
        if user is not None:
            question["user_id"] = str(user)
        return dict(Rest(url, token).post(path, question))


def _shown(deployment: Json) -> Json:
    """A deployment as MLflow wants it: with a name and a flavor."""
    name = f"{deployment['model']}-v{deployment['version']}"
    return {"name": name, "flavor": FLAVOR, **deployment}


def _first(given: int | None, kept: int) -> int:
    return kept if given is None else given


def _rows(inputs: Any) -> list[Json]:
    """Rows of a data frame, or dicts as they are; missing values are left out."""
    if hasattr(inputs, "to_dict"):
        rows = inputs.astype(object).where(inputs.notna(), None).to_dict(orient="records")
    else:
        rows = [inputs] if isinstance(inputs, dict) else list(inputs)
    return [
        {name: _plain(value) for name, value in row.items() if value is not None} for row in rows
    ]


def _plain(value: Any) -> Any:
    """A numpy scalar as Python's own."""
    return value.item() if hasattr(value, "item") else value
