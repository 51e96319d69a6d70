"""Steps declared with a version: registered, signed, and proved on golden rows."""

import copy
import math
from typing import Any

import pytest
from django.test import Client

from apps.events.errors import DomainError
from apps.registry import services
from apps.registry.errors import Invalid, TakeoverFailed
from apps.registry.models import ModelVersion, Validation
from tests.registry.factories import make_user, make_version, scientist
from tests.registry.mlflow_runs import log_run
from tests.registry.onnx_models import linear_model
from tests.registry.takeovers import imported

pytestmark = [
    pytest.mark.django_db,
    # mlflow 3.17 warns about itself when it is imported and when it meets pandas 3.
    pytest.mark.filterwarnings("ignore:::mlflow"),
]

WEIGHTS = (1.0, -1.0, 0.5)
COLUMNS = {"carrier": "string", "wind": "double"}
EXAMPLE = [{"carrier": "AA", "wind": 12.0}, {"carrier": "UA", "wind": 8.0}]


def sigmoid(odds: float) -> float:
    return 1 / (1 + math.exp(-odds))


DECLARED: dict[str, Any] = {
    "preprocessing": [
        {"step": "standardise", "inputs": ["wind"], "mean": [10.0], "scale": [2.0]},
        {"step": "onehot", "inputs": ["carrier"], "categories": [["AA", "UA"]]},
    ],
    "columns": ["wind", "carrier=AA", "carrier=UA"],
    "golden": {
        "rows": EXAMPLE,
        "columns": [[1.0, 1.0, 0.0], [-1.0, 0.0, 1.0]],
        "outputs": [[1 - sigmoid(0.0), sigmoid(0.0)], [1 - sigmoid(-0.5), sigmoid(-0.5)]],
    },
}


@pytest.fixture(scope="session")
def run_id(mlflow_server: str) -> str:
    """A run whose model was logged with its steps."""
    return log_run(
        mlflow_server,
        artifact=linear_model(WEIGHTS),
        columns=COLUMNS,
        example=EXAMPLE,
        metadata={"switchyard": DECLARED},
    )


def validated(version: ModelVersion) -> Validation:
    started = services.start_validation(actor=scientist(), version=version)
    services.run_validation(validation_id=started.pk)
    return Validation.objects.get(pk=started.pk)


def golden_check(validation: Validation) -> tuple[str, str]:
    check = next(check for check in validation.checks if check["name"] == "golden")
    return check["verdict"], check["detail"]


def declared(**golden: Any) -> dict[str, Any]:
    """What was declared, with other golden rows."""
    changed = copy.deepcopy(DECLARED)
    changed["golden"] |= golden
    return changed


def test_import__steps_in_the_models_metadata__are_part_of_the_schema(run_id: str) -> None:
    version = imported(run_id=run_id)
    schema = version.schema()
    assert [feature.name for feature in schema.features] == ["carrier", "wind"]
    assert schema.tensors[0].features == ("wind", "carrier=AA", "carrier=UA")
    assert [type(step).__name__ for step in schema.preprocessing] == ["Standardise", "Onehot"]


def test_validation__golden_rows_that_agree__passes(run_id: str) -> None:
    found = validated(imported(run_id=run_id))
    assert found.state == "passed", found.checks
    assert golden_check(found) == (
        "pass",
        "columns and outputs of 2 golden rows are what they were in training",
    )


@pytest.mark.parametrize(
    ("golden", "words"),
    [
        (
            {"columns": [[1.0, 1.0, 0.0], [-1.5, 0.0, 1.0]]},
            "row 1, column 'wind': -1.5 when trained, -1.0 served",
        ),
        ({"outputs": [[0.5, 0.5], [0.5, 0.5]]}, "row 1, output 0: 0.5 when trained, 0.62"),
        ({"columns": [[1.0], [1.0]]}, "widths [1], the model takes 3"),
        ({"rows": [{"carrier": "AA"}, EXAMPLE[1]]}, "$.rows[0].wind: is required"),
    ],
)
def test_validation__golden_rows_that_differ__fails_with_the_first_cell(
    run_id: str, golden: dict[str, Any], words: str
) -> None:
    verdict, detail = golden_check(
        validated(imported(run_id=run_id, golden=declared(**golden)["golden"]))
    )
    assert verdict == "fail"
    assert words in detail


def test_validation__steps_without_golden_rows__fails(s3: str) -> None:
    version = make_version(store=True, declared={"preprocessing": []})
    assert golden_check(validated(version))[0] == "fail"


def test_import__steps_of_the_request__win_over_the_logged(run_id: str) -> None:
    steps = [*DECLARED["preprocessing"], {"step": "clip", "inputs": ["wind"], "high": 0.5}]
    version = imported(run_id=run_id, preprocessing=steps)
    assert len(version.schema().preprocessing) == 3
    assert version.schema().tensors[0].features[0] == "wind"


def test_content_digest__other_steps_or_golden_rows__another(run_id: str) -> None:
    steps = [*DECLARED["preprocessing"], {"step": "clip", "inputs": ["wind"], "high": 0.5}]
    digests = {
        imported(run_id=run_id).content_digest(),
        imported(run_id=run_id, preprocessing=steps).content_digest(),
        imported(run_id=run_id, golden=declared(tolerance=1e-3)["golden"]).content_digest(),
    }
    assert len(digests) == 3


@pytest.mark.parametrize(
    ("given", "field", "error", "words"),
    [
        ({"preprocessing": [{"step": "melt"}]}, "preprocessing", Invalid, "melt"),
        (
            {"preprocessing": [{"step": "clip", "inputs": ["speed"], "low": 0}]},
            "preprocessing",
            TakeoverFailed,
            "'speed'",
        ),
        ({"columns": ["wind"]}, "preprocessing", TakeoverFailed, "3 columns.* leaves 1"),
        ({"golden": {"rows": []}}, "golden", Invalid, "1 to 1000 rows"),
        ({"golden": {"rows": EXAMPLE}}, "golden", Invalid, "columns or outputs"),
        ({"golden": {"rows": EXAMPLE, "outputs": [[1.0]]}}, "golden", Invalid, "has 1 rows"),
    ],
)
def test_import__declaration_that_makes_no_sense__names_the_field(
    run_id: str, given: dict[str, Any], field: str, error: type[DomainError], words: str
) -> None:
    with pytest.raises(error, match=words) as refused:
        imported(run_id=run_id, **given)
    assert refused.value.field == field
    assert not ModelVersion.objects.filter(status="ready").exists()


def test_columns__left_out__each_steps_outputs_take_its_inputs_place(run_id: str) -> None:
    version = imported(run_id=run_id, columns=[])
    assert version.schema().tensors[0].features == ("carrier=AA", "carrier=UA", "wind")


def test_version_page__shows_the_steps_in_order(client: Client, run_id: str) -> None:
    imported(run_id=run_id)
    client.force_login(make_user("ada"))
    page = client.get("/models/flights/versions/1/schema/").content.decode()
    assert "Preprocessing" in page
    assert page.index("mean (10), scale (2)") < page.index("categories ((AA, UA))")
