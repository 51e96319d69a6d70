"""What may go wrong while the platform starts, each with a sentence a person can act on."""


class EmbeddedError(Exception):
    """The platform cannot start or go on; the message says why and what to change."""


class NotReady(Exception):
    """A probe's answer: not yet, and why."""


class PortTaken(EmbeddedError):
    """A port we want is held by another process."""


class StartFailed(EmbeddedError):
    """A process ended, or did not become ready in time."""


class PartMissing(EmbeddedError):
    """A binary or an environment that should have been installed is not there."""
