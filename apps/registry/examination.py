"""The checks of a validation: each looks at one thing and says what it found, with figures."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean, quantiles
from typing import Any, Literal

from apps.registry.declaration import (
    Difference,
    Undeclarable,
    differing_column,
    differing_output,
)
from apps.registry.model_schema import Mismatch, build_schema
from apps.registry.models import ModelVersion, Tier
from apps.registry.onnx_graph import Graph, NotOnnx, read_graph
from apps.registry.probe import Job, Probed, probe
from contracts.declaration import Golden
from serving.labels import InvalidOutput, Labeller
from serving.validation import InvalidFeatures, SchemaError, compile_schema

Verdict = Literal["pass", "fail", "error"]
Figures = Mapping[str, float | int | str | None]

LATENCY_LIMITS_MS: Mapping[str, float] = {Tier.CRITICAL.value: 100.0, Tier.STANDARD.value: 500.0}
NUMPY_TYPES = {"FP32": "float32", "FP64": "float64"}


@dataclass(frozen=True)
class Check:
    """One finding. "error" means that it could not be examined, which is no pass either."""

    name: str
    verdict: Verdict
    detail: str
    figures: Figures = field(default_factory=dict)


@dataclass(frozen=True)
class Subject:
    """A version with what was found out about its artifact; `path` is the downloaded file."""

    version: ModelVersion
    path: Path
    found_digest: str
    graph: Graph
    probed: Probed


class NotPredicted(ValueError):
    """There is no answer to compare with."""


Examine = Callable[[Subject], Check]


def examine(version: ModelVersion, path: Path, *, found_digest: str) -> list[Check]:
    """All checks of `version`, whose artifact was downloaded to `path`.

    An artifact that is not the registered one is not opened.
    """
    artifact = check_artifact(version, path, found_digest)
    if artifact.verdict != "pass":
        return [artifact, *_unexamined("the artifact is not the registered one")]
    try:
        with path.open("rb") as file:
            graph = read_graph(file, size=path.stat().st_size)
    except NotOnnx as error:
        return [artifact, Check("loads", "fail", str(error)), *_unexamined("not an ONNX model", 1)]
    subject = Subject(version, path, found_digest, graph, _probe(version, path))
    proved = [check_golden(subject)] if version.declared else []
    return [artifact, *(check(subject) for check in CHECKS), *proved]


def missing_artifact(detail: str) -> list[Check]:
    """The checks of a version whose artifact is not in the store."""
    return [Check("artifact", "fail", detail), *_unexamined("there is no artifact")]


def check_artifact(version: ModelVersion, path: Path, found_digest: str) -> Check:
    """The bytes in the store are those that were registered."""
    size = path.stat().st_size
    figures: Figures = {"size_bytes": size, "sha256": found_digest}
    if found_digest != version.artifact_digest:
        said = f"SHA-256 is {found_digest[:12]}…, registered was {version.artifact_digest[:12]}…"
        return Check("artifact", "fail", said, figures)
    return Check("artifact", "pass", f"{size:,} bytes with the registered SHA-256", figures)


def check_loads(subject: Subject) -> Check:
    """onnxruntime opens the model."""
    probed = subject.probed
    if probed.stage == "start":
        return Check("loads", "error", probed.error)
    if not probed.loaded:
        return Check("loads", "fail", f"onnxruntime refuses it: {probed.error}")
    figures: Figures = {"load_ms": round(probed.load_ms, 2)}
    return Check("loads", "pass", f"opens in onnxruntime in {probed.load_ms:.0f} ms", figures)


def check_signature(subject: Subject) -> Check:
    """The logged signature and the graph still give the schema that is served by."""
    version = subject.version
    try:
        built = build_schema(
            version.signature,
            subject.graph,
            labels=version.label_map,
            declaration=version.declaration(),
        )
    except Mismatch as error:
        return Check("signature", "fail", str(error))
    if built != version.schema():
        return Check("signature", "fail", "the stored schema is not that of signature and graph")
    count, tensors = len(built.features), len(built.tensors)
    said = f"{count} columns of the signature fill the {tensors} inputs of the model"
    return Check("signature", "pass", said, {"columns": count, "inputs": tensors})


def check_example(subject: Subject) -> Check:
    """The logged example rows are predicted, and the answers make sense."""
    version, probed = subject.version, subject.probed
    if not version.example:
        return Check("example", "fail", "no input example was logged with the model")
    faults = _faults(version)
    if faults:
        return Check("example", "fail", f"the example does not fit the signature: {faults}")
    if not probed.loaded:
        return Check("example", "error", "not examined: the model does not load")
    if probed.error:
        return Check("example", "fail", f"the model fails on its own example: {probed.error}")
    return _judge_answers(version, probed)


def check_latency(subject: Subject) -> Check:
    """One row is answered within the tier's limit, in this process, on one thread."""
    times = subject.probed.latencies_ms
    if len(times) < 2:
        return Check("latency", "error", "not examined: there is no prediction to time")
    cuts = quantiles(times, n=100, method="inclusive")
    p50, p95, limit = cuts[49], cuts[94], LATENCY_LIMITS_MS[subject.version.model.tier]
    figures: Figures = {
        "p50_ms": round(p50, 4),
        "p95_ms": round(p95, 4),
        "runs": len(times),
        "limit_ms": limit,
    }
    said = f"p95 of one row is {p95:.2f} ms over {len(times)} runs, the limit is {limit:.0f} ms"
    return Check("latency", "pass" if p95 <= limit else "fail", said, figures)


def check_metrics(subject: Subject) -> Check:
    """Offline metrics were logged, and all of them are numbers."""
    metrics = subject.version.metrics
    bad = [name for name, value in metrics.items() if not _finite(value)]
    if bad:
        return Check("metrics", "fail", f"{', '.join(sorted(bad))} is not a finite number")
    if not metrics:
        return Check("metrics", "fail", "the run logged no metrics")
    return Check("metrics", "pass", f"{len(metrics)} metrics were logged", dict(metrics))


def check_golden(subject: Subject) -> Check:
    """Serving makes of the golden rows what training made of them."""
    version = subject.version
    golden = version.declaration().golden
    if golden is None:
        said = (
            "no golden rows were logged: nothing shows that serving prepares rows as training did"
        )
        return Check("golden", "fail", said)
    try:
        differing = differing_column(version.schema(), version.declaration())
        if differing is None and golden.outputs:
            differing = _differing_output(subject, golden)
    except (InvalidFeatures, Undeclarable, NotPredicted) as error:
        return Check("golden", "fail", str(error)[:500])
    figures: Figures = {"rows": len(golden.rows), "tolerance": golden.tolerance}
    if differing is not None:
        return Check("golden", "fail", str(differing), figures)
    what = " and ".join(name for name in ("columns", "outputs") if getattr(golden, name))
    said = f"{what} of {len(golden.rows)} golden rows are what they were in training"
    return Check("golden", "pass", said, figures)


def _differing_output(subject: Subject, golden: Golden) -> Difference | None:
    version = subject.version
    schema = version.schema()
    probed = probe(Job(subject.path, schema, golden.rows, runs=0))
    if probed.error:
        raise NotPredicted(f"the model fails on its golden rows: {probed.error}")
    wanted = [len(golden.rows), schema.output.width]
    if probed.answer_shape != wanted:
        raise NotPredicted(f"the answer to the golden rows is {probed.answer_shape}, not {wanted}")
    return differing_output(golden, schema.output, probed.answer)


CHECKS: tuple[Examine, ...] = (
    check_loads,
    check_signature,
    check_example,
    check_latency,
    check_metrics,
)
NAMES = ("loads", "signature", "example", "latency", "metrics")


def _unexamined(why: str, skip: int = 0) -> list[Check]:
    return [Check(name, "error", f"not examined: {why}") for name in NAMES[skip:]]


def _probe(version: ModelVersion, path: Path) -> Probed:
    schema = version.schema()
    rows = [] if _faults(version) else version.example
    return probe(Job(path, schema, rows))


def _faults(version: ModelVersion) -> str:
    """What is wrong with the logged example, in words; empty when nothing is."""
    try:
        compiled = compile_schema(version.schema())
        for row in version.example:
            compiled.read(row)
    except (InvalidFeatures, SchemaError) as error:
        return str(error)[:500]
    return ""


def _judge_answers(version: ModelVersion, probed: Probed) -> Check:
    output, rows = version.schema().output, len(version.example)
    wanted = [rows, output.width]
    if probed.answer_shape != wanted or probed.answer_type != NUMPY_TYPES[output.datatype]:
        said = f"the answer is {probed.answer_type} {probed.answer_shape}, not {wanted}"
        return Check("example", "fail", said)
    try:
        answers = Labeller(output, version.labelling()).read(probed.answer, rows)
    except InvalidOutput as error:
        return Check("example", "fail", str(error))
    scores = [answer.score for answer in answers if answer is not None]
    if len(scores) < rows:
        said = f"{rows - len(scores)} of {rows} answers are no valid {output.kind} output"
        return Check("example", "fail", said)
    figures = _score_figures(scores)
    said = f"{rows} example rows predicted, scores {min(scores):.3f} to {max(scores):.3f}"
    return Check("example", "pass", said, figures)


def _score_figures(scores: list[float]) -> dict[str, Any]:
    return {
        "rows": len(scores),
        "minimum": round(min(scores), 6),
        "mean": round(fmean(scores), 6),
        "maximum": round(max(scores), 6),
    }


def _finite(value: object) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)
