"""Routes of this app's pages."""

from django.urls import path, re_path

from apps.registry.views import (
    approvals,
    artifacts,
    callbacks,
    cards,
    catalogue,
    comparing,
    history,
    policies,
    versions,
)

MODEL = "models/<str:name>"
VERSION = f"{MODEL}/versions/<str:ref>"
REQUEST = "approvals/<uuid:promotion_id>"

urlpatterns = [
    path("models/", catalogue.model_list, name="model-list"),
    path(f"{MODEL}/", catalogue.model, name="model"),
    path(f"{MODEL}/edit", catalogue.edit, name="model-edit"),
    path(f"{MODEL}/card", cards.card, name="model-card"),
    path(f"{MODEL}/card/edit", cards.edit, name="model-card-edit"),
    path(f"{MODEL}/compare", comparing.compare, name="model-compare"),
    path(f"{MODEL}/history", history.history, name="model-history"),
    path(f"{MODEL}/history.csv", history.history_file, name="model-history-file"),
    path(f"{VERSION}/", versions.version, name="version"),
    path(f"{VERSION}/validate", versions.validate, name="version-validate"),
    path(f"{VERSION}/derive", artifacts.derive, name="version-derive"),
    path(f"{VERSION}/cancel", artifacts.cancel, name="version-cancel"),
    path(f"{VERSION}/promotion-requests", versions.request_promotion, name="version-request"),
    path(f"{VERSION}/card.md", cards.file, name="version-card-file"),
    path(f"{VERSION}/<slug:tab>/", versions.version, name="version-tab"),
    path("approvals/", approvals.approval_list, name="approval-list"),
    path(f"{REQUEST}/", approvals.approval, name="approval"),
    path(f"{REQUEST}/pulse", approvals.pulse, name="approval-pulse"),
    path(f"{REQUEST}/checks", approvals.rerun, name="approval-rerun"),
    path(f"{REQUEST}/checks/<str:check>/waive", approvals.waive, name="approval-waive"),
    path(f"{REQUEST}/comments", approvals.comment, name="approval-comment"),
    path(
        f"{REQUEST}/comments/<uuid:comment_id>",
        approvals.comment_edit,
        name="approval-comment-edit",
    ),
    re_path(
        r"^approvals/(?P<promotion_id>[0-9a-f-]{36})/(?P<decision>approve|reject|withdraw|break-glass)$",
        approvals.decide,
        name="approval-decide",
    ),
    path("callbacks/checks/<str:token>", callbacks.check_callback, name="check-callback"),
    path("policies/", policies.policies, name="policy-list"),
    path("policies/set", policies.set_rules, name="policy-set"),
    path("freezes/add", policies.freeze_add, name="freeze-add"),
    path("freezes/<int:freeze_id>/cancel", policies.freeze_cancel, name="freeze-cancel"),
]
