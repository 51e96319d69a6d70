"""Every write of this app."""

from apps.notices.services.deliveries import (
    expire_deliveries,
    note_attempt,
    publish,
    replay,
    replay_dead,
    send_test,
)
from apps.notices.services.mails import (
    expire_mails,
    next_digest,
    note_failure,
    note_sent,
    notify,
    preferences,
    set_preferences,
)
from apps.notices.services.webhooks import (
    change_webhook,
    create_webhook,
    delete_webhook,
    disable_webhook,
    enable_webhook,
    rotate_secret,
)

__all__ = [
    "change_webhook",
    "create_webhook",
    "delete_webhook",
    "disable_webhook",
    "enable_webhook",
    "expire_deliveries",
    "expire_mails",
    "next_digest",
    "note_attempt",
    "note_failure",
    "note_sent",
    "notify",
    "preferences",
    "publish",
    "replay",
    "replay_dead",
    "rotate_secret",
    "send_test",
    "set_preferences",
]
