"""Every write of this app."""

from apps.routing.publication import publish_clients, publish_latest
from apps.routing.services.allocation import (
    finish_ramp,
    preview,
    reallocate,
    restore_phase,
)
from apps.routing.services.endpoints import (
    create_endpoint,
    register_backend,
    remove_backend,
    update_endpoint,
)
from apps.routing.services.fleet import (
    acknowledge_override,
    collect_gateway_reports,
    report_unapproved_traffic,
)
from apps.routing.services.generations import advance_epoch
from apps.routing.services.leases import acquire_lease, release_lease, transfer_lease
from apps.routing.services.variants import VariantWeight
from apps.routing.signing import sign_document

__all__ = [
    "VariantWeight",
    "acknowledge_override",
    "acquire_lease",
    "advance_epoch",
    "collect_gateway_reports",
    "create_endpoint",
    "finish_ramp",
    "preview",
    "publish_clients",
    "publish_latest",
    "reallocate",
    "register_backend",
    "release_lease",
    "remove_backend",
    "report_unapproved_traffic",
    "restore_phase",
    "sign_document",
    "transfer_lease",
    "update_endpoint",
]
