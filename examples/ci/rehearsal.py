"""The pipeline on a running platform, twice: the first version of all, then one that is ramped.

`make pipeline` runs it on a platform of its own. A person's part, the approvals, is played with
the demo's approver; live traffic is replayed flights. Then MLflow's own command line drives the
plugin. Prints the time of each stage and `commit_to_production_s=…`.
"""

import argparse
import os
import subprocess
import sys
import threading
import tomllib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from examples.flights.client import Account, Refused
from examples.flights.scene import Pace, Places, account
from examples.flights.story import replay

ROOT = Path(__file__).resolve().parents[2]
PLUGIN = ROOT / "clients" / "mlflow_switchyard"
MLFLOW = ROOT / ".venvs" / "mlflow" / "bin" / "mlflow"
STAGES = ("train", "register", "check", "promote", "deploy", "ramp")
SHORT_RAMP = "5:5:50,20:5:50,50:5:50,100:5:50"
PIPELINE_S = 900
COMMAND_S = 180
# What is asked of the plugin, whether it is done, and a word of what it says.
ASKED = (
    (("list",), True, "flights-v2"),
    (("get", "--name", "flights-v2"), True, "state: healthy"),
    (("create", "--name", "flights-v2", "-m", "models:/flights/2"), False, "deployed already"),
    (("create", "--name", "flights-v9", "-m", "models:/flights/9"), False, "has no version '9'"),
    (("update", "--name", "flights-v2", "-C", "replicas=2"), True, "is updated"),
    (("delete", "--name", "flights-v2"), False, "still needed by the routing table"),
    (("delete", "--name", "flights-v1"), True, "is deleted"),
    (("delete", "--name", "flights-v1"), True, "is deleted"),
    (
        ("create", "--name", "flights-v1", "-m", "models:/flights/1", "-C", "replicas=3"),
        True,
        "is created",
    ),
    (("predict", "--endpoint", "flights", "-I", "{rows}"), True, '"model_version": "2"'),
    (("explain", "--endpoint", "flights", "-I", "{rows}"), True, '"contributions"'),
    (("get-endpoint", "--endpoint", "flights"), True, "model: flights"),
)


def main() -> int:
    """0 when everything went as it should."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--endpoints", type=Path, default=Path(".switchyard/endpoints.json"))
    places = Places.read(parser.parse_args().endpoints)
    with TemporaryDirectory() as folder, approving(places):
        here = Path(folder)
        if not pipeline(places, here, "v1"):
            return 1
        live = replay(places, Pace(rate=60.0))
        live.start()
        try:
            delivered = pipeline(places, here, "v2")
        finally:
            live.stop()
        return 0 if delivered and drive_the_plugin(places, here) else 1


def pipeline(places: Places, here: Path, recipe: str) -> bool:
    """All stages for one commit; whether they went well."""
    train = f"env -u MLFLOW_TRACKING_TOKEN {sys.executable} -m examples.ci.train {recipe}"
    command = [sys.executable, str(ROOT / "examples" / "ci" / "pipeline.py"), *STAGES]
    done = subprocess.run(  # noqa: S603  # our own script
        [*command, "--steps", SHORT_RAMP, "--approval-timeout", "120", "--ramp-timeout", "300"],
        cwd=here,
        env={**environment(places), "TRAIN_COMMAND": train, "PYTHONPATH": str(ROOT)},
        timeout=PIPELINE_S,
        check=False,
    )
    return done.returncode == 0


@contextmanager
def approving(places: Places) -> Iterator[None]:
    """A person who signs whatever waits, within a second."""
    done = threading.Event()
    with ExitStack() as stack:
        approver = account(places, "approver", stack)
        thread = threading.Thread(target=_approve_until, args=(approver, done))
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()


def _approve_until(approver: Account, done: threading.Event) -> None:
    while not done.wait(1.0):
        for request in approver.listing("/promotion-requests", state="requested"):
            try:
                approver.post(f"/promotion-requests/{request['id']}/approve", {"reason": "read"})
            except Refused as refused:
                print(f"    the approver is refused: {refused}", flush=True)


def drive_the_plugin(places: Places, here: Path) -> bool:
    """MLflow's own `mlflow deployments -t switchyard`; whether each command did as it should."""
    if not MLFLOW.exists():
        print(f"{MLFLOW} is not installed: the plugin is not driven")
        return False
    rows = here / "rows.json"
    rows.write_text(_example_rows())
    ran = {
        **environment(places),
        "PYTHONPATH": str(installed(here / "site")),
        "SWITCHYARD_GATEWAY_URL": places.gateway,
        "SWITCHYARD_CLIENT_TOKEN": places.tokens["client"],
    }
    told = [_as_told(asked, rows, ran) for asked in ASKED]  # every one, whatever the first said
    return all(told)


def installed(site: Path) -> Path:
    """The plugin as an installed package, for PYTHONPATH: no index and no build is needed."""
    project = tomllib.loads((PLUGIN / "pyproject.toml").read_text())["project"]
    info = site / f"mlflow_switchyard-{project['version']}.dist-info"
    info.mkdir(parents=True)
    (site / "mlflow_switchyard").symlink_to(PLUGIN / "src" / "mlflow_switchyard")
    name = f"Name: {project['name']}\nVersion: {project['version']}\n"
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\n{name}")
    groups = project["entry-points"].items()
    lines = [
        f"[{group}]\n" + "".join(f"{k} = {v}\n" for k, v in one.items()) for group, one in groups
    ]
    (info / "entry_points.txt").write_text("\n".join(lines))
    return site


def environment(places: Places) -> dict[str, str]:
    """What the pipeline and the plugin read."""
    return {
        **os.environ,
        "SWITCHYARD_URL": places.web,
        "MLFLOW_TRACKING_URI": places.mlflow,
        "MLFLOW_TRACKING_TOKEN": places.tokens["ci"],
    }


def _as_told(asked: tuple[tuple[str, ...], bool, str], rows: Path, ran: dict[str, str]) -> bool:
    words, succeeds, said = asked
    arguments = [word.format(rows=rows) for word in words]
    command = [str(MLFLOW), "deployments", arguments[0], "-t", "switchyard", *arguments[1:]]
    done = subprocess.run(  # noqa: S603  # our own words
        command, env=ran, capture_output=True, text=True, timeout=COMMAND_S, check=False
    )
    output = done.stdout + done.stderr
    as_told = (done.returncode == 0) is succeeds and said in output
    print(f"mlflow deployments {words[0]}: {'as told' if as_told else output}", flush=True)
    return as_told


def _example_rows() -> str:
    from examples.flights.data import FEATURES, load_flights

    frame = load_flights((3,))
    known = frame[frame["tailnum"].notna()].head(2)
    rows = known[list(FEATURES)].assign(user_id=known["tailnum"])
    return str(rows.to_json(orient="records"))


if __name__ == "__main__":
    sys.exit(main())
