"""REST routes of this app, under /api/v1/."""

from django.urls import URLPattern, path

from apps.registry.api import artifacts, insight, naming, promotion_urls, views

VERSION = "models/<str:model>/versions/<str:version>"
REQUEST = "promotion-requests/<uuid:promotion_id>"

urlpatterns: list[URLPattern] = [
    path("models", views.Models.as_view(), name="api-models"),
    path("models/<str:model>", views.Model.as_view(), name="api-model"),
    path("models/<str:model>/rename", naming.Rename.as_view(), name="api-rename"),
    path("models/<str:model>/aliases", naming.Aliases.as_view(), name="api-aliases"),
    path("models/<str:model>/aliases/<str:alias>", naming.Alias.as_view(), name="api-alias"),
    path("models/<str:model>/production", views.Production.as_view(), name="api-production"),
    path("models/<str:model>/versions", views.Versions.as_view(), name="api-versions"),
    path("models/<str:model>/compare", insight.Comparison.as_view(), name="api-compare"),
    path("models/<str:model>/card", insight.CardEditions.as_view(), name="api-card-editions"),
    path(f"{VERSION}/card", insight.VersionCard.as_view(), name="api-card"),
    path(f"{VERSION}/lineage", insight.Lineage.as_view(), name="api-lineage"),
    path("models/<str:model>/versions/upload", artifacts.Uploaded.as_view(), name="api-uploaded"),
    path(VERSION, views.Version.as_view(), name="api-version"),
    path("models/<str:model>/uploads/<str:sha256>", artifacts.Upload.as_view(), name="api-upload"),
    path(f"{VERSION}/derive", artifacts.Derive.as_view(), name="api-derive"),
    path(f"{VERSION}/cancel", artifacts.CancelTakeover.as_view(), name="api-cancel-takeover"),
    path(f"{VERSION}/reference", artifacts.VersionReference.as_view(), name="api-reference"),
    path(f"{VERSION}/validate", views.Validate.as_view(), name="api-validate"),
    path(f"{VERSION}/validations", views.Validations.as_view(), name="api-validations"),
    path(f"{VERSION}/transitions", views.Transitions.as_view(), name="api-transitions"),
    path(f"{VERSION}/deprecate", views.Deprecate.as_view(), name="api-deprecate"),
    path(f"{VERSION}/archive", views.Archive.as_view(), name="api-archive"),
    path(f"{VERSION}/reinstate", views.Reinstate.as_view(), name="api-reinstate"),
    path(f"{VERSION}/promotion-requests", views.AskPromotion.as_view(), name="api-ask-promotion"),
    path("validations/<uuid:validation_id>", views.OneValidation.as_view(), name="api-validation"),
    path("promotion-requests", views.Promotions.as_view(), name="api-promotions"),
    path(REQUEST, views.Promotion.as_view(), name="api-promotion"),
    path(f"{REQUEST}/approve", views.Approve.as_view(), name="api-approve"),
    path(f"{REQUEST}/reject", views.Reject.as_view(), name="api-reject"),
    path(f"{REQUEST}/withdraw", views.Withdraw.as_view(), name="api-withdraw"),
    *promotion_urls.urlpatterns,
]
