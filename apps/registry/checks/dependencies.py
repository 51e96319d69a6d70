"""What a model was trained with: listed, beside the champion's, and what was left open."""

import re
from collections.abc import Mapping
from typing import Any, ClassVar

from apps.registry.checks.interface import CheckContext, CheckResult
from apps.registry.models import ModelVersion
from apps.registry.policy import Verdict

FILE = "requirements.txt"
MOST_BYTES = 256 * 1024
_LINE = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]*)\s*(?:\[[^\]]*\])?\s*([^;#]*)")


def read_requirements(text: str) -> dict[str, str]:
    """Package to version specifier ("" where none is given), of a requirements file.

    Names are as PyPI compares them (PEP 503). Options, comments and blank lines are left out; a
    package named by address ("name @ https://…") keeps the address as its specifier.
    """
    found = {}
    for line in text.splitlines():
        match = _LINE.match(line.strip())
        if match:
            name = re.sub(r"[-_.]+", "-", match[1]).lower()
            found[name] = match[2].strip()
    return found


def requirements_of(version: ModelVersion) -> dict[str, str] | None:
    """What was logged with a version; None where nothing was."""
    row = version.evidence_files.filter(name=FILE).first()
    return dict(row.summary.get("requirements", {})) if row else None


def is_pinned(specifier: str) -> bool:
    """Whether a specifier names one version or one address."""
    return specifier.startswith(("==", "===", "@")) and "*" not in specifier


class Dependencies:
    """The packages of the model's environment: which are new, gone, or of another version.

    `forbidden` packages fail it; `pinned`: so does a version that was left open.
    """

    name: ClassVar = "dependencies"
    title: ClassVar = "Dependencies"

    def applies_to(self, context: CheckContext) -> bool:
        return bool(context.settings) or requirements_of(context.version) is not None

    def run(self, context: CheckContext) -> CheckResult:
        ours = requirements_of(context.version)
        if ours is None:
            said = f"no {FILE} was logged with the model"
            return CheckResult(Verdict.INCONCLUSIVE, said)
        theirs = requirements_of(context.incumbent) if context.incumbent else None
        opened = sorted(name for name, wanted in ours.items() if not is_pinned(wanted))
        forbidden = sorted(set(ours) & set(context.settings.get("forbidden", ())))
        changes = _changes(ours, theirs or ours)
        bad = bool(forbidden) or (bool(opened) and bool(context.settings.get("pinned")))
        words = [f"{len(ours)} packages"]
        words += [f"forbidden: {', '.join(forbidden)}"] if forbidden else []
        words += [f"not pinned: {', '.join(opened)}"] if opened else []
        words += [f"{len(changes)} differ from the champion's"] if changes else []
        figures = {"packages": ours, "unpinned": opened, "changes": changes}
        return CheckResult(Verdict.FAIL if bad else Verdict.PASS, "; ".join(words), figures)


def _changes(ours: Mapping[str, str], theirs: Mapping[str, str]) -> list[dict[str, Any]]:
    return [
        {"package": name, "before": theirs.get(name), "after": ours.get(name)}
        for name in sorted({*ours, *theirs})
        if ours.get(name) != theirs.get(name)
    ]
