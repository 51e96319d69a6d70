"""REST routes that govern promotions, under /api/v1/."""

from django.urls import URLPattern, path

from apps.registry.api import governing, promotion

REQUEST = "promotion-requests/<uuid:promotion_id>"

urlpatterns: list[URLPattern] = [
    path("stage-ladders", governing.Ladders.as_view(), name="api-ladders"),
    path("promotion-policies", governing.Policies.as_view(), name="api-policies"),
    path("freeze-windows", governing.Freezes.as_view(), name="api-freezes"),
    path(
        "freeze-windows/<int:freeze_id>/cancel",
        governing.CancelFreeze.as_view(),
        name="api-cancel-freeze",
    ),
    path("check-hooks", governing.Hooks.as_view(), name="api-check-hooks"),
    path(
        "check-hooks/<str:name>/disable",
        governing.DisableHook.as_view(),
        name="api-disable-check-hook",
    ),
    path("checks", governing.KnownChecks.as_view(), name="api-known-checks"),
    path("promotion-inbox", promotion.Inbox.as_view(), name="api-inbox"),
    path(f"{REQUEST}/dossier", promotion.Dossier.as_view(), name="api-dossier"),
    path(f"{REQUEST}/checks", promotion.Checks.as_view(), name="api-checks"),
    path(f"{REQUEST}/checks/rerun", promotion.RerunChecks.as_view(), name="api-rerun-checks"),
    path(
        f"{REQUEST}/checks/<str:check>/waive",
        promotion.WaiveCheck.as_view(),
        name="api-waive-check",
    ),
    path(f"{REQUEST}/break-glass", promotion.BreakGlass.as_view(), name="api-break-glass"),
    path(f"{REQUEST}/comments", promotion.Comments.as_view(), name="api-comments"),
    path(
        f"{REQUEST}/comments/<uuid:comment_id>",
        promotion.OneComment.as_view(),
        name="api-comment",
    ),
    path(
        "models/<str:model>/promotion-terms",
        governing.ModelTerms.as_view(),
        name="api-promotion-terms",
    ),
    path("models/<str:model>/history", promotion.History.as_view(), name="api-history"),
    path(
        "models/<str:model>/history.csv",
        promotion.HistoryTable.as_view(),
        name="api-history-table",
    ),
]
