"""All settings of cellqc. Every value that differs between machines comes from the environment.

README.md lists the variables; `manage.py check` says what is wrong with them.
"""

import os
from pathlib import Path

import dj_database_url
from csp.constants import NONE, SELF

from cellqc import environment
from cellqc.embedded_postgres import connection_settings

BASE_DIR = Path(__file__).resolve().parent.parent
VAR_DIR = Path(environment.text("CELLQC_VAR", str(BASE_DIR / "var"))).resolve()
VERSION = "0.1.0"

DEBUG = environment.flag("CELLQC_DEBUG")
SECRET_KEY = environment.secret("CELLQC_SECRET_KEY", kept_in=VAR_DIR / "secret_key")
ALLOWED_HOSTS = environment.words("CELLQC_HOSTS", "127.0.0.1,localhost")
CSRF_TRUSTED_ORIGINS = environment.words("CELLQC_ORIGINS", "")

INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.postgres",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "django_htmx",
    "rest_framework",
    "rest_framework.authtoken",
    "drf_spectacular",
    "csp",
    "pgtrigger",
    "pghistory",
    "procrastinate.contrib.django",
    "labeling",
    "training",
    "cellqc",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "csp.middleware.CSPMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    # Everything asks for a log-in unless a view says otherwise.
    "django.contrib.auth.middleware.LoginRequiredMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "pghistory.middleware.HistoryMiddleware",
    "labeling.middleware.AuditOriginMiddleware",
    "labeling.middleware.ProblemMiddleware",
]

ROOT_URLCONF = "cellqc.urls"
WSGI_APPLICATION = "cellqc.wsgi.application"
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
                "labeling.context_processors.shell",
            ],
        },
    }
]

# --- database: one engine everywhere, PostgreSQL ---------------------------------------------------
if "DATABASE_URL" in os.environ:
    DATABASES = {"default": dj_database_url.config(conn_max_age=60, conn_health_checks=True)}
else:
    DATABASES = {
        "default": {
            "ENGINE": "cellqc.embedded_backend",
            **connection_settings(VAR_DIR / "postgres"),
            "CONN_MAX_AGE": 60,
            "CONN_HEALTH_CHECKS": True,
        }
    }
PGHISTORY_APPEND_ONLY = True  # what triggers wrote of changed rows cannot be changed itself
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# --- people ----------------------------------------------------------------------------------------
AUTH_USER_MODEL = "labeling.User"
LOGIN_URL = "login"
LOGIN_REDIRECT_URL = "experiments"
LOGOUT_REDIRECT_URL = "login"
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]
SESSION_COOKIE_AGE = 12 * 3600  # a working day

# --- language, time --------------------------------------------------------------------------------
LANGUAGE_CODE = "en"
TIME_ZONE = "UTC"  # records carry UTC and say so
USE_TZ = True
USE_I18N = False

# --- files -----------------------------------------------------------------------------------------
STATIC_URL = "static/"
STATIC_ROOT = VAR_DIR / "static"
STATICFILES_DIRS = [BASE_DIR / "templates" / "static"]
MEDIA_ROOT = VAR_DIR / "media"  # thumbnails; never served without a log-in
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {
        "BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"
        if DEBUG
        else "whitenoise.storage.CompressedManifestStaticFilesStorage"
    },
}

# --- safety in the browser -------------------------------------------------------------------------
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [SELF],
        "img-src": [SELF, "data:"],
        "object-src": [NONE],
        "base-uri": [SELF],
        "form-action": [SELF],
        "frame-ancestors": [NONE],
    }
}
HTTPS = environment.flag("CELLQC_HTTPS")
SECURE_SSL_REDIRECT = SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = HTTPS
SECURE_HSTS_SECONDS = 31_536_000 if HTTPS else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = HTTPS
if HTTPS:
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")

# --- REST ------------------------------------------------------------------------------------------
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "rest_framework.authentication.TokenAuthentication",
        "rest_framework.authentication.SessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["labeling.api.permissions.HasRole"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["rest_framework.parsers.JSONParser", "rest_framework.parsers.FormParser"],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "DEFAULT_PAGINATION_CLASS": "labeling.api.pagination.ById",
    "EXCEPTION_HANDLER": "labeling.api.problems.as_problem",
    "URL_FORMAT_OVERRIDE": None,  # ?format= names a file type of ours, not a renderer
}
SPECTACULAR_SETTINGS = {
    "TITLE": "cellqc",
    "DESCRIPTION": "Image quality control for high-content screening.",
    "VERSION": VERSION,
    "SERVE_INCLUDE_SCHEMA": False,
    "SERVE_PERMISSIONS": ["labeling.api.permissions.HasRole"],
}

# --- computing -------------------------------------------------------------------------------------
WORKERS = environment.whole_number("CELLQC_WORKERS", os.cpu_count() or 1)
# The scheduler of a Dask cluster that does the heavy work, such as tcp://host:8786; this computer does it when empty.
DASK_SCHEDULER = environment.text("CELLQC_DASK_SCHEDULER", "")
# So many new labels in an experiment start a training; 0 leaves it to the button.
RETRAIN_AFTER = environment.whole_number("CELLQC_RETRAIN_AFTER", 10, minimum=0)
# What learns from the labels; the others are for comparison: see training/learners/classifiers.
CLASSIFIER = environment.text("CELLQC_CLASSIFIER", "committee")
# Whether a training also learns from the labels of earlier experiments with the same channels, when nobody says.
EARLIER_LABELS = environment.flag("CELLQC_EARLIER_LABELS", default=True)
# Folders and URI prefixes that images may be taken from; all when none is named.
SOURCES = environment.words("CELLQC_SOURCES", "")

# What a frozen image network sees is kept beside the metrics; 0 works on metrics alone.
EMBEDDINGS = environment.flag("CELLQC_EMBEDDINGS", default=True)
# An ONNX file of another network than the one that comes with cellqc; docs/embeddings.md says what it must do.
NETWORK = environment.text("CELLQC_NETWORK", "")

# --- log ------------------------------------------------------------------------------------------
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "{asctime} {levelname} {name}: {message}", "style": "{"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["console"], "level": environment.text("CELLQC_LOG_LEVEL", "WARNING")},
}
