"""Model cards: figures filled in, the owner's own words with their history, nothing harmful."""

import re
from html import unescape

import pytest
from django.db import Error, transaction

from apps.accounts.access import Role
from apps.registry.card.filling import filled, unknown
from apps.registry.card.markdown import table, to_html
from apps.registry.models import CardEdition
from tests.pages import Window
from tests.registry.factories import make_model, make_user, make_validation, make_version

pytestmark = pytest.mark.django_db


def test_card_edition__changed_afterwards__refused_by_the_database() -> None:
    edition = CardEdition.objects.create(
        model=make_model(), number=1, text="Late?", reason="first", written_by="user:ada"
    )
    with pytest.raises(Error, match="append-only"), transaction.atomic():
        CardEdition.objects.filter(pk=edition.pk).update(text="Never late.")


HOSTILE = """<script>alert(1)</script> [x](javascript:alert(1)) ![i](https://evil.example/p.png)

<img src=x onerror=alert(1)> **bold**

| a | b |
| --- | --- |
| 1 | <b>2</b> |
"""


def test_markdown__hostile_text__shown_without_its_harm() -> None:
    html = to_html(HOSTILE)
    assert "<strong>bold</strong>" in html
    assert "<td>1</td>" in html
    assert not [harm for harm in ("<script", "<img", "<b>", 'href="javascript') if harm in html]


@pytest.mark.parametrize("value", ["a|b", "*a*", "<b>", "[x](y)", "`c`", "# h", "a\nb", "~~s~~"])
def test_literal__text_that_means_something__shows_exactly_itself(value: str) -> None:
    html = to_html("\n".join(table(["Value"], [[value]])))
    (cell,) = re.findall(r"<td>(.*?)</td>", html)
    assert unescape(cell) == value.replace("\n", " ")


def test_filled__figures_known_and_unknown__each_is_said() -> None:
    text = "{{ metrics.auc }} of {{version}}, {{ metrics.f1 }}"
    figures: dict[str, object] = {"metrics.auc": 0.91234, "version": "2.0.1"}
    assert filled(text, figures) == "0.9123 of 2.0.1, *unknown: metrics.f1*"
    assert unknown(text, figures) == ["metrics.f1"]


def test_card__owners_words__kept_with_history_and_filled_in() -> None:
    ada = Window(make_user("ada", Role.SCIENTIST))
    version = make_version(
        metrics={"accuracy": 0.8125, "test_rows": 400.0}, data_lineage={"digest": "ab12"}
    )
    make_validation(version)
    ada.send(
        "/models/flights/card/edit",
        text="Right in {{ metrics.accuracy }}.",
        reason="first words",
        after="0",
    )
    page = ada.read("/models/flights/card")
    assert "Right in 0.8125." in page
    assert "Edition 1" in page
    assert "ab12" in page
    status, text = ada.refused(
        "/models/flights/card/edit", text="Mine.", reason="did not look", after="0"
    )
    assert (status, "edition 1 was written meanwhile" in text) == (409, True)
    assert "Right in {{ metrics.accuracy }}." in ada.html("/models/flights/card/edit?edition=1")
    file = ada.client.get("/models/flights/versions/1/card.md")
    assert file["Content-Type"].startswith("text/markdown")
    assert "| accuracy | 0.8125 | 0.7" in file.content.decode().replace("\\", "")


def test_card__by_somebody_who_may_not__403_and_nothing_kept() -> None:
    make_version()
    grace = Window(make_user("grace", Role.APPROVER))
    fields = {"text": "Trust it.", "reason": "r", "after": "0"}
    assert grace.refused("/models/flights/card/edit", **fields)[0] == 403
    assert not CardEdition.objects.exists()
