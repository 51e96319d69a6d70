"""Django's settings, derived from `controlplane.config` and nothing else."""

import os
import sys
from pathlib import Path

import plotly
from celery.schedules import schedule

from controlplane.config import database, load
from controlplane.mail import mail_server

CONFIG = load()
BASE_DIR = Path(__file__).resolve().parent.parent

SECRET_KEY = CONFIG.django_secret_key.get_secret_value()
DEBUG = CONFIG.debug
ALLOWED_HOSTS = CONFIG.allowed_hosts.split(",")
CSRF_TRUSTED_ORIGINS = [CONFIG.web_url]
ENVIRONMENT_NAME = CONFIG.switchyard_env

INSTALLED_APPS = [
    "unfold",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.postgres",
    "django.contrib.humanize",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "django_filters",
    "django_htmx",
    "axes",
    "allauth",
    "allauth.account",
    "allauth.mfa",
    "allauth.socialaccount",
    "allauth.socialaccount.providers.openid_connect",
    "channels",
    "controlplane",
    "apps.events",
    "apps.accounts",
    "apps.notices",
    "apps.registry",
    "apps.mirror",
    "apps.routing",
    "apps.monitoring",
    "apps.experiments",
    "apps.deployments",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "controlplane.correlation.correlation",
    "controlplane.metrics.measure",
    "controlplane.middleware.content_security_policy",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "controlplane.faults.PageErrors",
    "axes.middleware.AxesMiddleware",
]

ROOT_URLCONF = "controlplane.urls"
ASGI_APPLICATION = "controlplane.asgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "controlplane.shell.context",
            ],
            "builtins": ["controlplane.templatetags.switchyard"],
        },
    }
]

# `migrate` and the tests need the owner of the schema; everything else runs without it.
_NEEDS_OWNER = {"migrate", "makemigrations", "test", "sqlmigrate"} & set(sys.argv[1:2])
_OWNER = CONFIG.database_owner_url
DATABASES = {
    "default": database(
        (_OWNER if _OWNER and _NEEDS_OWNER else CONFIG.database_url).get_secret_value(),
        pool=CONFIG.database_pool,
    )
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
AUTH_USER_MODEL = "accounts.User"
AUTHENTICATION_BACKENDS = [
    "axes.backends.AxesStandaloneBackend",
    "django.contrib.auth.backends.ModelBackend",
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
    )
]
LOGIN_URL = "/sign-in/"
LOGIN_REDIRECT_URL = "/"
LOGOUT_REDIRECT_URL = "/sign-in/"
AXES_FAILURE_LIMIT = 10
AXES_COOLOFF_TIME = 0.25
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
AXES_LOCKOUT_CALLABLE = "apps.accounts.views.sign_in.locked_out"
AXES_VERBOSE = False
AXES_ENABLE_ADMIN = False
# Throttling is axes' alone, whose counts are in the database and so shared by every process.
ACCOUNT_RATE_LIMITS = False
ACCOUNT_ADAPTER = "apps.accounts.adapters.AccountAdapter"
ACCOUNT_LOGIN_METHODS = {"username"}
ACCOUNT_SIGNUP_FIELDS = ["username*", "password1*"]
ACCOUNT_EMAIL_VERIFICATION = "none"
SOCIALACCOUNT_ADAPTER = "apps.accounts.adapters.IdentityAdapter"
SOCIALACCOUNT_EMAIL_REQUIRED = False
SOCIALACCOUNT_REQUESTS_TIMEOUT = 5
MFA_ADAPTER = "apps.accounts.adapters.CodeAdapter"
MFA_SUPPORTED_TYPES = ["totp", "recovery_codes"]
MFA_TOTP_ISSUER = "Switchyard"
MFA_TOTP_TOLERANCE = 1
CSRF_FAILURE_VIEW = "controlplane.faults.csrf_failure"

REDIS_URL = CONFIG.redis_url.get_secret_value()
CHANNEL_LAYERS = {
    "default": {
        "BACKEND": "channels_redis.core.RedisChannelLayer",
        "CONFIG": {"hosts": [REDIS_URL], "prefix": "switchyard:channels"},
    }
}

CELERY_BROKER_URL = (CONFIG.celery_broker_url or CONFIG.redis_url).get_secret_value()
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_TASK_DEFAULT_QUEUE = "default"
CELERY_TASK_TIME_LIMIT = 600
CELERY_BROKER_TRANSPORT_OPTIONS = {"visibility_timeout": 900, "global_keyprefix": "celery:"}
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_BEAT_SCHEDULE_FILENAME = str(CONFIG.switchyard_home / "celerybeat-schedule")
# A tick that nobody took within its period is stale: the next one does the same work.
CELERY_BEAT_SCHEDULE = {
    name: {
        "task": task,
        "schedule": schedule(seconds),
        "options": {"queue": queue, "expires": max(seconds, 2.0)},
    }
    for name, task, seconds, queue in (
        ("tick-rollouts", "apps.deployments.tasks.tick_rollouts", 1.0, "deployments"),
        ("tick-deployments", "apps.deployments.tasks.tick_deployments", 1.0, "deployments"),
        ("reconcile", "apps.deployments.tasks.reconcile_deployments", 15.0, "deployments"),
        ("publish-routing", "apps.routing.tasks.publish_latest", 5.0, "default"),
        ("collect-gateways", "apps.routing.tasks.collect_gateway_reports", 1.0, "default"),
        ("expire-promotions", "apps.registry.tasks.expire_requests", 60.0, "default"),
        ("resume-validations", "apps.registry.tasks.resume_validations", 30.0, "default"),
        ("resume-checks", "apps.registry.tasks.resume_checks", 5.0, "default"),
        ("resume-takeovers", "apps.registry.tasks.resume_takeovers", 15.0, "default"),
        ("sweep-mirrors", "apps.mirror.tasks.begin_sweeps", 2.0, "default"),
        ("write-mirrors", "apps.mirror.tasks.begin_writing", 2.0, "default"),
        ("send-webhooks", "apps.notices.tasks.send_due", 1.0, "default"),
        ("send-mails", "apps.notices.tasks.send_mails", 10.0, "default"),
        ("expire-deliveries", "apps.notices.tasks.expire_deliveries", 3600.0, "default"),
        ("expire-seconds", "apps.monitoring.tasks.expire_seconds", 300.0, "monitoring"),
        ("delete-sessions", "apps.accounts.tasks.delete_ended_sessions", 3600.0, "default"),
        ("maintain-partitions", "apps.monitoring.tasks.maintain_partitions", 3600.0, "monitoring"),
    )
}

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "apps.accounts.api.authentication.BearerAuthentication",
        "apps.accounts.api.authentication.SessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["apps.accounts.api.permissions.RoutePermission"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["rest_framework.parsers.JSONParser"],
    "DEFAULT_PAGINATION_CLASS": "apps.accounts.api.pagination.KeysetPagination",
    "DEFAULT_FILTER_BACKENDS": ["django_filters.rest_framework.DjangoFilterBackend"],
    "DEFAULT_SCHEMA_CLASS": "apps.accounts.api.openapi.ProblemSchema",
    "EXCEPTION_HANDLER": "controlplane.problems.handle",
    "PAGE_SIZE": 50,
    "UNAUTHENTICATED_USER": None,
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Switchyard",
    "DESCRIPTION": "The control plane for model traffic.",
    "VERSION": "1",
    "SCHEMA_PATH_PREFIX": r"/api/(v1|[0-9.]+)",
    "SERVE_INCLUDE_SCHEMA": False,
    "SERVE_PERMISSIONS": ["apps.accounts.api.permissions.RoutePermission"],
    "PREPROCESSING_HOOKS": ["apps.accounts.api.openapi.leave_out_short_addresses"],
    "POSTPROCESSING_HOOKS": [
        "drf_spectacular.hooks.postprocess_schema_enums",
        "apps.accounts.api.openapi.add_problem_schema",
    ],
    "ENUM_NAME_OVERRIDES": {
        "AllowanceEnum": ["none", "shadow", "all"],
        "CheckVerdictEnum": ["pass", "fail", "inconclusive", "error"],
        "RoleEnum": "apps.accounts.models.ROLE_CHOICES",
        "DifferenceStateEnum": "apps.mirror.models.DIFFERENCE_STATES",
        "DeliveryStateEnum": "apps.notices.models.DELIVERY_STATES",
        "NoticeModeEnum": "apps.notices.models.NOTICE_MODES",
        "ExperimentStateEnum": "apps.experiments.models.STATES",
    },
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "REDOC_DIST": "SIDECAR",
}

MAIL_SERVER = mail_server(CONFIG.email_url, home=CONFIG.switchyard_home)
EMAIL_BACKEND = MAIL_SERVER.backend
EMAIL_FILE_PATH = MAIL_SERVER.folder
EMAIL_HOST, EMAIL_PORT = MAIL_SERVER.host, MAIL_SERVER.port
EMAIL_HOST_USER, EMAIL_HOST_PASSWORD = MAIL_SERVER.user, MAIL_SERVER.password
EMAIL_USE_TLS, EMAIL_USE_SSL = MAIL_SERVER.use_tls, MAIL_SERVER.use_ssl
EMAIL_TIMEOUT = 10
DEFAULT_FROM_EMAIL = CONFIG.email_from

LANGUAGE_CODE = "en-gb"
TIME_ZONE = "UTC"
USE_TZ = True
USE_I18N = False

STATIC_URL = "/static/"
# Images run collectstatic into STATIC_ROOT; elsewhere files are served from where they lie.
STATIC_ROOT = CONFIG.static_root
STATICFILES_DIRS: list[object] = [
    BASE_DIR / "static",
    # plotly.min.js as the wheel ships it
    ("plotly", Path(plotly.__path__[0]) / "package_data"),
]
WHITENOISE_USE_FINDERS = STATIC_ROOT is None
WHITENOISE_AUTOREFRESH = DEBUG

SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
SECURE_HSTS_SECONDS = 31_536_000 if CONFIG.secure_cookies else 0
SECURE_CROSS_ORIGIN_OPENER_POLICY = "same-origin"
SESSION_ENGINE = "apps.accounts.sessions"
SESSION_COOKIE_AGE = CONFIG.session_age_s
SESSION_IDLE_S = CONFIG.session_idle_s
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
CSRF_COOKIE_SAMESITE = "Lax"
CSRF_COOKIE_HTTPONLY = True
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = CONFIG.secure_cookies
if CONFIG.secure_cookies:  # no neighbouring host name can set these
    SESSION_COOKIE_NAME, CSRF_COOKIE_NAME = "__Host-session", "__Host-csrf"
DATA_UPLOAD_MAX_MEMORY_SIZE = 2 * 1024 * 1024

LOGGING_CONFIG = "controlplane.logs.configure"
LOGGING = {"level": os.environ.get("LOG_LEVEL", CONFIG.log_level)}

UNFOLD = {"SITE_TITLE": "Switchyard", "SITE_HEADER": "Switchyard"}
