"""Figures in the owner's text: `{{ metrics.auc }}` is what the version's auc is. Pure."""

import re
from collections.abc import Mapping

from apps.registry.card.markdown import literal
from apps.registry.comparison import in_words

_PLACE = re.compile(r"\{\{\s*([A-Za-z0-9_.\- ]{1,120}?)\s*\}\}")


def filled(text: str, figures: Mapping[str, object]) -> str:
    """`text` with every `{{ name }}` that `figures` know replaced, the others marked as unknown.

    Names are flat: "version", "metrics.auc", "parameters.max_depth", "threshold".
    """

    def figure(place: re.Match[str]) -> str:
        name = place[1]
        known = figures.get(name)
        return f"*unknown: {literal(name)}*" if known is None else literal(in_words(known))

    return _PLACE.sub(figure, text)


def unknown(text: str, figures: Mapping[str, object]) -> list[str]:
    """Names in `text` that `figures` do not know, in their order."""
    names = dict.fromkeys(place[1] for place in _PLACE.finditer(text))
    return [name for name in names if figures.get(name) is None]
