"""Who hears of which events. Apps register in `subscribers.register()` at start-up."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase

from apps.events.models import Event

Handler = Callable[[Event], None]


@dataclass(frozen=True)
class Subscription:
    """A subscriber's name, the verbs it hears (fnmatch patterns) and what it does."""

    name: str
    verbs: tuple[str, ...]
    handler: Handler

    def hears(self, verb: str) -> bool:
        """Whether an event of this verb is for this subscriber."""
        return any(fnmatchcase(verb, pattern) for pattern in self.verbs)


_subscriptions: dict[str, Subscription] = {}


def subscribe(name: str, verbs: Iterable[str], handler: Handler) -> None:
    """Register `handler`, delivered at least once and in order; names are unique."""
    _subscriptions[name] = Subscription(name, tuple(verbs), handler)


def all_subscriptions() -> list[Subscription]:
    """Every registered subscription, by name."""
    return [_subscriptions[name] for name in sorted(_subscriptions)]
