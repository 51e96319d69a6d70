"""Model cards: figures filled in, the owner's own words with their history, nothing harmful."""

import pytest
from django.db import Error, transaction

from apps.registry.models import CardEdition
from tests.registry.factories import make_model

pytestmark = pytest.mark.django_db


def test_card_edition__changed_afterwards__refused_by_the_database() -> None:
    edition = CardEdition.objects.create(
        model=make_model(), number=1, text="Late?", reason="first", written_by="user:ada"
    )
    with pytest.raises(Error, match="append-only"), transaction.atomic():
        CardEdition.objects.filter(pk=edition.pk).update(text="Never late.")
