"""The owner's part of a model's card."""

from django.db import transaction

from apps.accounts.access import Permission, Principal, authorise
from apps.events import services as events
from apps.registry.errors import Conflict, Invalid
from apps.registry.models import CardEdition, RegisteredModel

MOST_LETTERS = 100_000


@transaction.atomic
def write_card(
    *, actor: Principal, model: RegisteredModel, text: str, reason: str, after: int | None = None
) -> CardEdition:
    """Keep a new edition of the card's text (Markdown); editions before it stay readable.

    `after` is the edition that the writer had before them, 0 for none. Raises PermissionDenied,
    Invalid naming the field, or Conflict when somebody else has written since.
    """
    authorise(actor, Permission.REGISTER, team_key=model.team.key)
    if len(text) > MOST_LETTERS:
        raise Invalid(f"takes at most {MOST_LETTERS:,} characters", field="text")
    if not reason.strip():
        raise Invalid("say why: a colleague will read this later", field="reason")
    RegisteredModel.objects.select_for_update(no_key=True).get(pk=model.pk)
    newest = model.card_editions.first()
    number = newest.number if newest else 0
    if after is not None and after != number:
        raise Conflict(f"edition {number} was written meanwhile: look at it first", field="after")
    edition = CardEdition.objects.create(
        model=model, number=number + 1, text=text, reason=reason, written_by=actor.key
    )
    events.record(
        actor=actor,
        verb="model.card_written",
        object_key=model.key,
        team_key=model.team.key,
        before={"edition": number},
        after={"edition": edition.number, "letters": len(text)},
        reason=reason,
    )
    return edition
