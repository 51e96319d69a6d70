"""Small functions, small files, services by keyword, templates without inline code."""

import ast
import importlib
import inspect
import re
import statistics
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = (
    "apps",
    "controlplane",
    "contracts",
    "serving",
    "dataplane",
    "embedded",
    "examples",
    "training",
)
Function = ast.FunctionDef | ast.AsyncFunctionDef

MEDIAN_LINES = 10
MOST_LINES = 45
LONGEST_FUNCTION = 70
MOST_FILE_LINES = 400
INLINE = re.compile(r"<style|\sstyle=|\son[a-z]+=\"|<script(?![^>]*\ssrc=)", re.IGNORECASE)


def files() -> list[Path]:
    return [
        path
        for folder in FOLDERS
        for path in sorted((ROOT / folder).rglob("*.py"))
        if "migrations" not in path.parts
    ]


def functions(path: Path) -> Iterator[Function]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def length(function: Function) -> int:
    """Lines of the body, without the docstring."""
    body = function.body[1:] if ast.get_docstring(function) else function.body
    return (body[-1].end_lineno or 0) - body[0].lineno + 1 if body else 0


def test_functions__of_the_product__are_short() -> None:
    lengths = sorted(length(one) for path in files() for one in functions(path))
    assert statistics.median(lengths) <= MEDIAN_LINES
    assert statistics.quantiles(lengths, n=20)[-1] <= MOST_LINES


def test_functions__each__fits_a_screen() -> None:
    long = [
        f"{path.relative_to(ROOT)}:{one.lineno} {one.name}"
        for path in files()
        for one in functions(path)
        if length(one) > LONGEST_FUNCTION
    ]
    assert long == []


def test_files__each__stays_small() -> None:
    sizes = {path: len(path.read_text().splitlines()) for path in files()}
    assert [str(path) for path, size in sizes.items() if size > MOST_FILE_LINES] == []


@pytest.mark.parametrize("app", sorted(path.name for path in (ROOT / "apps").glob("[a-z]*/")))
def test_services__each_write__is_called_by_keyword(app: str) -> None:
    services = importlib.import_module(f"apps.{app}.services")
    positional = [
        name
        for name, function in inspect.getmembers(services, inspect.isfunction)
        if not name.startswith("_") and function.__module__.startswith(services.__name__)
        for parameter in inspect.signature(function).parameters.values()
        if parameter.name == "actor" and parameter.kind is not inspect.Parameter.KEYWORD_ONLY
    ]
    assert positional == []


@pytest.mark.parametrize(
    "path", sorted((ROOT / "templates").rglob("*.html")), ids=lambda path: "-".join(path.parts[-2:])
)
def test_template__each__has_no_inline_style_or_script(path: Path) -> None:
    assert INLINE.findall(path.read_text()) == []
