"""MLflow's filters, orders and pages: through its client, and the grammar on its own."""

import msgspec
import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from mlflow import MlflowClient

from apps.registry.models import ModelVersion
from apps.registry.protocol.grammar import (
    MODELS,
    VERSIONS,
    BadFilter,
    BadOrder,
    Condition,
    parse_filter,
    parse_orders,
)
from apps.registry.protocol.messages import ModelSearch, VersionSearch
from apps.registry.protocol.search import search_models, search_versions
from tests.registry.factories import make_model, make_version
from tests.registry.protocol.steps import refused


@pytest.mark.parametrize(
    ("text", "condition"),
    [
        ("name = 'a'", ("attribute", "name", "=", "a")),
        ('attribute.name ilike "%A%"', ("attribute", "name", "ILIKE", "%A%")),
        ("tags.`my key`!='it''s'", ("tag", "my key", "!=", "it's")),
        ("tag.a.b LIKE 'x_'", ("tag", "a.b", "LIKE", "x_")),
        ("version_number >= 3", ("attribute", "version_number", ">=", 3)),
        ("version_number = '3'", ("attribute", "version_number", "=", 3)),
        ("run_id NOT IN ('a', 'b')", ("attribute", "run_id", "NOT IN", ("a", "b"))),
    ],
)
def test_filter__each_form__one_condition(text: str, condition: tuple[object, ...]) -> None:
    found = parse_filter(text, VERSIONS)
    assert [(one.kind, one.key, one.operator, one.value) for one in found] == [condition]
    assert len(parse_filter(f"{text} AND {text}  and {text}", VERSIONS)) == 3


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("name ~ 'x'", "Invalid comparator"),
        ("nme = 'x'", "Invalid attribute key 'nme' specified: valid keys are 'name'"),
        ("run.x = 'x'", "Invalid entity type 'run'"),
        ("name = x", "Expected a quoted string value"),
        ("name = 'a' OR name = 'b'", "conditions are joined by AND"),
        ("name = 'a' name = 'b'", "conditions are joined by AND"),
        ("name = 'a' AND", "expected an attribute or a tag"),
        ("name = 'a", "Invalid clause"),
        ("name =", "Expected a quoted string value"),
        ("name LIKE 'a\\'", "nothing follows the last backslash"),
        ("version_number = 1.5", "Invalid value for numeric attribute"),
        ("version_number LIKE '1'", "Invalid comparator"),
        ("source_path IN ('a')", "Invalid comparator"),
        ("tags.a IN ('a')", "Invalid comparator"),
        ("name IN ()", "Expected a quoted string value"),
        ("name IN 'a'", "Expected a list of quoted string values"),
        ("name = 'a\x00'", "NUL"),
        (" AND ".join(["name = 'a'"] * 21), "at most 20"),
    ],
)
def test_filter__no_sense__says_where_and_what_would_be(text: str, why: str) -> None:
    with pytest.raises(BadFilter, match=why):
        parse_filter(text, VERSIONS)


def test_orders__keys_and_directions__read_or_refused() -> None:
    found = parse_orders(["name desc", "timestamp"], MODELS)
    assert [(one.key, one.ascending) for one in found] == [
        ("name", False),
        ("last_updated_timestamp", True),
    ]
    for texts in (["stage"], ["name up"], [""], ["name", "name DESC"]):
        with pytest.raises(BadOrder):
            parse_orders(texts, MODELS)
    assert parse_filter("", MODELS) == ()
    assert isinstance(parse_filter("name = 'a'", MODELS)[0], Condition)


@pytest.fixture
def flights(db: None) -> None:
    """Five models; "rm0" has four versions, the others one each."""
    for index in range(5):
        model = make_model(f"rm{index}")
        type(model).objects.filter(pk=model.pk).update(tags={"n": str(index), "7": "x"})
        make_version(model=model, source=f"runs:/r{index}/m", run_id=f"r{index}")
    for number in (2, 3, 4):
        tags = {"a.b": f"Value {number}", "7": "x"}
        make_version(model=make_model("rm0"), run_id="r0", tags=tags, number=number)
    # One transaction, one time: told apart as separate requests would be.
    for index, version in enumerate(ModelVersion.objects.order_by("id")):
        at = version.updated_at.replace(microsecond=index * 1000)
        ModelVersion.objects.filter(pk=version.pk).update(updated_at=at, created_at=at)


MODEL_FILTERS = {
    "": "01234",
    "name = 'rm3'": "3",
    "name != 'rm3'": "0124",
    "name LIKE 'rm%'": "01234",
    "name LIKE 'RM%'": "",
    "name ILIKE '%M4'": "4",
    "name IN ('rm1', 'rm2', 'x')": "12",
    "name NOT IN ('rm1', 'rm2')": "034",
    "tags.n = '2'": "2",
    "tags.n != '2'": "0134",
    "tags.n LIKE '_' AND tags.`7` = 'x' AND name != 'rm0'": "1234",
    "tags.`7` ILIKE 'X'": "01234",
    "tags.none != 'x'": "",
    "tags.`mlflow.prompt.is_prompt` != 'true'": "01234",
    "tags.`mlflow.prompt.is_prompt` = 'true'": "",
}
VERSION_FILTERS = {
    "name = 'rm0'": [4, 3, 2, 1],
    "name = 'rm0' AND version_number > 1 AND version_number <= 3": [3, 2],
    "name LIKE 'rm%' AND run_id = 'r1'": [1],
    "run_id IN ('r1', 'r2')": [1, 1],
    "source_path = 'runs:/r3/m'": [1],
    "source_path LIKE 'runs:/r_/m' AND name != 'rm0'": [1, 1, 1, 1],
    "source_path ILIKE '%R2/M'": [1],
    "tags.`a.b` = 'Value 3'": [3],
    "tags.`a.b` != 'Value 3'": [4, 2],
    "tags.`a.b` ILIKE 'value _' AND version_number != 4": [3, 2],
    "tags.7 = 'x'": [4, 3, 2],
    "name = 'none'": [],
    "tags.`mlflow.prompt.is_prompt` = 'true'": [],
}


def test_search__each_filter__the_rows_that_fit(flights: None) -> None:
    for text, expected in MODEL_FILTERS.items():
        models = search_models(ModelSearch(filter=text)).rows
        assert "".join(row.name[-1] for row in models) == expected, text
    for text, numbers in VERSION_FILTERS.items():
        versions = search_versions(VersionSearch(filter=text)).rows
        assert [row.number for row in versions] == numbers, text


@pytest.mark.parametrize("size", [1, 2, 3, 9])
def test_search__in_pages_of_any_size__each_row_once_in_order(flights: None, size: int) -> None:
    for text in ("", "name != 'rm3'", "tags.`7` = 'x'"):
        assert _pages(ModelSearch(text, size)) == _pages(ModelSearch(text))
    for text in ("", "name = 'rm0'", "name LIKE 'rm%' AND version_number < 4"):
        assert _pages(VersionSearch(text, size)) == _pages(VersionSearch(text))


def _pages(asked: ModelSearch | VersionSearch) -> list[int]:
    """Keys of the rows of every page."""
    found, token = [], None
    while token != "":
        asked = msgspec.structs.replace(asked, page_token=token or "")
        page = search_models(asked) if isinstance(asked, ModelSearch) else search_versions(asked)
        assert len(page.rows) <= asked.max_results
        found += [row.pk for row in page.rows]
        token = page.token
    return found


def _all_versions(client: MlflowClient, text: str, size: int, order: list[str]) -> list[int]:
    found, token = [], None
    while token != "":
        page = client.search_model_versions(text, size, order_by=order, page_token=token)
        found += [int(one.version) for one in page]
        token = page.token
    return found


def test_search__ordered__ties_by_name_and_newest_number(
    client: MlflowClient, flights: None
) -> None:
    names = [one.name for one in client.search_registered_models(order_by=["name DESC"])]
    assert names == ["rm4", "rm3", "rm2", "rm1", "rm0"]
    assert _all_versions(client, "name = 'rm0'", 3, ["version_number ASC"]) == [1, 2, 3, 4]
    assert _all_versions(client, "", 3, ["name"]) == [4, 3, 2, 1, 1, 1, 1, 1]
    assert _all_versions(client, "", 2, ["creation_timestamp"]) == [1, 1, 1, 1, 1, 2, 3, 4]
    by_number = client.search_model_versions("", order_by=["version_number DESC", "name DESC"])
    assert [one.name for one in by_number[3:]] == ["rm4", "rm3", "rm2", "rm1", "rm0"]


def test_search__bad_input__refused_in_mlflows_words(client: MlflowClient, flights: None) -> None:
    page = client.search_registered_models("name LIKE 'rm%'", max_results=2)
    bad = "INVALID_PARAMETER_VALUE"
    with refused(bad, "belongs to a search with another filter"):
        client.search_registered_models(page_token=page.token)
    with refused(bad, "Invalid page token"):
        client.search_registered_models("name LIKE 'rm%'", page_token=page.token[:-3])
    with refused(bad, "Expected `int` <= 1000"):
        client.search_registered_models(max_results=1001)
    with refused(bad, "Expected `int` >= 1"):
        client.search_model_versions(max_results=0)
    with refused(bad, "Invalid attribute key 'stage'"):
        client.search_model_versions("stage = 'x'")
    with refused(bad, "Invalid order_by key"):
        client.search_model_versions(order_by=["stage"])


def test_search__more_rows__same_number_of_queries(client: MlflowClient, flights: None) -> None:
    def count(call: str, *given: object) -> int:
        with CaptureQueriesContext(connection) as queries:
            getattr(client, call)(*given)
        return len(queries)

    calls = [
        ("search_registered_models", ""),
        ("search_model_versions", ""),
        ("search_model_versions", "name = 'rm0'"),
        ("get_registered_model", "rm0"),
        ("get_model_version", "rm0", "1"),
    ]
    count(*calls[0])  # notes the token's first use
    before = [count(*call) for call in calls]
    for index in range(20):
        make_version(model=make_model(f"more{index}"))
        make_version(model=make_model("rm0"))
    assert [count(*call) for call in calls] == before
    assert max(before) <= 8
