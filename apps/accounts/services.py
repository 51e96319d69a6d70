"""Every write of this app: people and teams, programs and tokens, one-time codes."""

from apps.accounts.credentials import (
    ClientLimits,
    create_service_account,
    disable_service_account,
    enable_service_account,
    hand_over_service_account,
    issue_token,
    limit_service_account,
    revoke_token,
    rotate_token,
)
from apps.accounts.people import (
    activate_user,
    add_member,
    create_team,
    create_user,
    deactivate_user,
    end_sessions,
    record_sign_in,
    remove_member,
    set_password,
)
from apps.accounts.second_factor import disable_codes, enable_codes, renew_recovery_codes

__all__ = [
    "ClientLimits",
    "activate_user",
    "add_member",
    "create_service_account",
    "create_team",
    "create_user",
    "deactivate_user",
    "disable_codes",
    "disable_service_account",
    "enable_codes",
    "enable_service_account",
    "end_sessions",
    "hand_over_service_account",
    "issue_token",
    "limit_service_account",
    "record_sign_in",
    "remove_member",
    "renew_recovery_codes",
    "revoke_token",
    "rotate_token",
    "set_password",
]
