"""Django settings. Every value that an installation may want to change comes from the environment (see env.py)."""

from __future__ import annotations

import contextlib
import importlib.util
import ipaddress
import re
import secrets
from pathlib import Path
from typing import Any

import environ
from csp.constants import NONE, SELF
from django.core.exceptions import ImproperlyConfigured

from common.files import keep_private, write_whole
from common.version import PRODUCT
from common.web.browser import LANGUAGE
from mvtec_site.env import Environment

BASE_DIR = Path(__file__).resolve().parent.parent
env = Environment()
ENV = env  # settings in capitals are reachable through django.conf

# ---------------------------------------------------------------- where everything is kept
VAR_DIR = env.path("VAR_DIR", BASE_DIR / "var", "folder of all state: database, images, artifacts, broker, logs")
MODEL_PATH = env.path("MODEL_PATH", VAR_DIR / "artifacts", "folder of the trained artifacts")
keep_private(VAR_DIR, MODEL_PATH)


def _installation_secret_key() -> str:
    """The installation's own key, made at the first start and readable by its owner only."""
    path = VAR_DIR / "secret_key"
    try:
        if not path.exists():
            VAR_DIR.mkdir(parents=True, exist_ok=True)
            # Whichever process is first: all of them read one and the same key.
            with contextlib.suppress(FileExistsError), write_whole(path, mode=0o600, replace=False) as out:
                out.write(secrets.token_urlsafe(64).encode())
        return path.read_text().strip()
    except OSError as error:
        raise ImproperlyConfigured(
            f"VAR_DIR must be a folder that can be written; {VAR_DIR} cannot ({error.strerror or error}). Nothing "
            "was changed. Set VAR_DIR to another folder or correct its permissions."
        ) from None


# ---------------------------------------------------------------- Django itself
DEBUG = env.flag("DEBUG", False, "detailed error pages; never on a line")
SECRET_KEY = env.text("SECRET_KEY", "", "signing key; made and kept in VAR_DIR when unset", secret=True)
SECRET_KEY = SECRET_KEY or _installation_secret_key()
HTTPS = env.flag("HTTPS", False, "served behind TLS: redirects, HSTS and secure cookies")
ALLOWED_HOSTS = list(env.words("ALLOWED_HOSTS", ("localhost", "127.0.0.1", "[::1]"), "host names we answer to"))
CSRF_TRUSTED_ORIGINS = list(env.words("CSRF_TRUSTED_ORIGINS", (), "origins (scheme and host) that may post forms"))
TIME_ZONE = env.text("TIME_ZONE", "UTC", "time zone of the pages; records are kept in UTC")
LOG_LEVEL = env.choice("LOG_LEVEL", "INFO", ("DEBUG", "INFO", "WARNING", "ERROR"), "how much is logged")
LOG_FORMAT = env.choice("LOG_FORMAT", "line", ("line", "json"), "log lines for people, or one JSON object each")

ROOT_URLCONF = "mvtec_site.urls"
WSGI_APPLICATION = "mvtec_site.wsgi.application"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
LANGUAGE_CODE = "en"
USE_TZ = True
USE_I18N = True
LANGUAGES = [("en", "English"), ("de", "Deutsch")]
LANGUAGE_COOKIE_NAME = LANGUAGE
LOCALE_PATHS = [BASE_DIR / "locale"]
FORMAT_MODULE_PATH = ["common.formats"]

INSTALLED_APPS = [
    "accounts.config.AdministrationConfig",  # django.contrib.admin, entered through our own door
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "django.contrib.humanize",
    "csp",
    "django_htmx",
    "template_partials",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "mvtec_site",
    "common",
    "accounts",
    "records",
    "modelzoo",
    "training",
    "inspection",
    "tuning",
    "retention",
    "rollout",
    "quality",
    "monitoring",
    "edge",
    "reports",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "common.context.RequestContextMiddleware",
    "mvtec_site.webserver.middleware.RequestBodyMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "common.web.language.LanguageMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "accounts.middleware.SignInMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "csp.middleware.CSPMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "common.api.requests.ReadableRequestMiddleware",
]

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
                "mvtec_site.navigation.frame",
                "common.web.decorators.rights",
            ],
        },
    }
]

# ---------------------------------------------------------------- database
DATABASE_URL = env.text("DATABASE_URL", "", "PostgreSQL as postgresql://user:password@host/name", secret=True)
DATABASE_PASSWORD = env.text(
    "DATABASE_PASSWORD", "", "its password, where DATABASE_URL names none; any characters", secret=True
)


def _database() -> dict[str, Any]:
    if not DATABASE_URL:
        return {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": VAR_DIR / "db.sqlite3",
            "OPTIONS": {
                # A transaction that will write takes the write lock at once: two writers queue instead of failing.
                "transaction_mode": "IMMEDIATE",
                "timeout": 30,
                # synchronous=FULL: a record that was answered for survives a power cut.
                "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA foreign_keys=ON;",
            },
            "CONN_MAX_AGE": 60,
        }
    try:
        config: dict[str, Any] = environ.Env.db_url_config(DATABASE_URL)
    except Exception as error:  # noqa: BLE001 - whatever the parser stumbles over, the variable is to blame
        raise ImproperlyConfigured(f"DATABASE_URL cannot be read ({error}).") from None
    if config.get("ENGINE") != "django.db.backends.postgresql" or not config.get("NAME"):
        raise ImproperlyConfigured("DATABASE_URL must look like postgresql://user:password@host:5432/name.")
    if DATABASE_PASSWORD:
        if config.get("PASSWORD"):
            raise ImproperlyConfigured("DATABASE_URL has a password and DATABASE_PASSWORD is set; give one of the two.")
        config["PASSWORD"] = DATABASE_PASSWORD
    # As for disks without moving heads, and without compiling queries, which takes longer than they do: see
    # docs/history.md. A lock is waited for as long as on SQLite. `options=` in the address says otherwise.
    session = {"options": "-c random_page_cost=1.1 -c jit=off -c lock_timeout=30s"}
    return config | {
        "CONN_MAX_AGE": 60,
        "CONN_HEALTH_CHECKS": True,
        "OPTIONS": session | config.get("OPTIONS", {}),
    }


DATABASES = {"default": _database()}

# ---------------------------------------------------------------- files
S3_BUCKET = env.text("S3_BUCKET", "", "bucket for images, maps and artifacts; unset: folders of this machine")
S3_ENDPOINT = env.text("S3_ENDPOINT", "", "address of an S3-compatible store, such as http://minio:9000; unset: AWS")
S3_REGION = env.text("S3_REGION", "", "its region")
S3_ACCESS_KEY = env.text("S3_ACCESS_KEY", "", "access key; unset: as boto3 finds one, such as the machine's role")
S3_SECRET_KEY = env.text("S3_SECRET_KEY", "", "secret key to it", secret=True)
S3_PREFIX = env.text("S3_PREFIX", "", "what the names of all files begin with, where the bucket is shared").strip("/")
S3_TIMEOUT = env.real("S3_TIMEOUT", 5.0, "seconds that one request to the store may take", low=0.1, high=300)
S3_ATTEMPTS = env.integer("S3_ATTEMPTS", 3, "how often a request to the store is sent, at most", low=1, high=10)
if bool(S3_ACCESS_KEY) != bool(S3_SECRET_KEY):
    raise ImproperlyConfigured("S3_ACCESS_KEY and S3_SECRET_KEY belong together: set both, or none.")
if S3_ENDPOINT and not S3_ENDPOINT.startswith(("http://", "https://")):
    raise ImproperlyConfigured("S3_ENDPOINT must begin with http:// or https://.")


def _storage(name: str, folder: Path) -> dict[str, Any]:
    """Files that rows point at: below a folder of this machine, or below a name in the bucket."""
    if not S3_BUCKET:
        return {"BACKEND": "records.storage.local.DurableFileSystemStorage", "OPTIONS": {"location": folder}}
    options = {
        "location": "/".join(filter(None, (S3_PREFIX, name))),
        "bucket": S3_BUCKET,
        "endpoint": S3_ENDPOINT,
        "region": S3_REGION,
        "access_key": S3_ACCESS_KEY,
        "secret_key": S3_SECRET_KEY,
        "timeout": S3_TIMEOUT,
        "attempts": S3_ATTEMPTS,
    }
    return {"BACKEND": "records.storage.s3.ObjectStorage", "OPTIONS": options}


STORAGES = {
    "default": _storage("media", VAR_DIR / "media"),
    "artifacts": _storage("artifacts", MODEL_PATH),
    "staticfiles": {"BACKEND": "common.web.static_files.PublicStaticFilesStorage"},
}
FILE_UPLOAD_PERMISSIONS = 0o600
STATIC_URL = "/static/"
STATIC_ROOT = env.path("STATIC_ROOT", VAR_DIR / "static", "folder that collectstatic fills")
STATICFILES_DIRS = [BASE_DIR / "static"]
# Served from the app folders as they are: a fresh clone needs no collectstatic, and compose runs it for the gzip files.
WHITENOISE_USE_FINDERS = True

# ---------------------------------------------------------------- what may be uploaded
MAX_FILE_SIZE = env.integer("MAX_FILE_SIZE", 16 * 1024**2, "largest image, bytes", low=1024, high=1024**3)
ALLOWED_EXTENSIONS = tuple(
    word.lower().lstrip(".")
    for word in env.words("ALLOWED_EXTENSIONS", ("png", "jpg", "jpeg"), "formats of images, told by their content")
)
if not set(ALLOWED_EXTENSIONS) <= {"png", "jpg", "jpeg", "bmp", "tif", "tiff", "webp"}:
    raise ImproperlyConfigured(
        "ALLOWED_EXTENSIONS may name png, jpg, jpeg, bmp, tif, tiff and webp only: other formats are not read."
    )
MAX_IMAGE_PIXELS = env.integer(
    "MAX_IMAGE_PIXELS", 64_000_000, "most pixels an image may have", low=4096, high=1_000_000_000
)
MAX_PIXELS_AT_ONCE = env.integer(
    "MAX_PIXELS_AT_ONCE",
    160_000_000,
    "most pixels that a web server process judges or shows at once, of all callers",
    low=4096,
    high=10**11,
)
MAX_PIXELS_AT_ONCE_PER_CALLER = env.integer(
    "MAX_PIXELS_AT_ONCE_PER_CALLER",
    64_000_000,
    "the same of one caller; a single image passes whatever its size",
    low=4096,
    high=10**11,
)
SIXTEEN_BIT = env.choice(
    "SIXTEEN_BIT",
    "refuse",
    ("refuse", "full", "12bit"),
    "16-bit images before a model without a window of its own: refuse, or the fixed window 0..65535 or 0..4095",
)
MULTI_PAGE = env.choice(
    "MULTI_PAGE", "refuse", ("refuse", "first"), "TIFF files with several pages: refuse, or take the first page"
)
BATCH_MAX_FILES = env.integer("BATCH_MAX_FILES", 200, "most files in one batch request", low=1, high=5000)
BATCH_MAX_ZIP_FILES = env.integer("BATCH_MAX_ZIP_FILES", 5000, "most images in one zip", low=1, high=100_000)
BATCH_MAX_BYTES = env.integer(
    "BATCH_MAX_BYTES", 2 * 1024**3, "most bytes of one batch, unpacked", low=1024**2, high=1024**4
)
BATCH_ROOTS = tuple(
    Path(word).expanduser() for word in env.words("BATCH_ROOTS", (), "server folders that batches may read, by commas")
)
if not all(root.is_absolute() for root in BATCH_ROOTS):
    raise ImproperlyConfigured("BATCH_ROOTS must name folders by their absolute paths, separated by commas.")
# Django counts files while it parses, before any view runs.
DATASET_MAX_FILES = env.integer(
    "DATASET_MAX_FILES", 2000, "most images that a page imports at once as a data set", low=2, high=20_000
)
DATA_UPLOAD_MAX_NUMBER_FILES = max(BATCH_MAX_FILES, DATASET_MAX_FILES)
DATA_UPLOAD_MAX_MEMORY_SIZE = 1024**2  # fields of a form; files are not counted here
FILE_UPLOAD_MAX_MEMORY_SIZE = 4 * 1024**2

# ---------------------------------------------------------------- web server: see docs/operations.md, Web server
WEB_PROCESSES = env.integer(
    "WEB_PROCESSES", 1, "web server processes; the other WEB_ limits are each one's", low=1, high=64
)
WEB_THREADS = env.integer("WEB_THREADS", 16, "requests at once that wait for an inference worker", low=1, high=256)
WEB_PAGE_THREADS = env.integer("WEB_PAGE_THREADS", 8, "requests at once of all other kinds", low=1, high=256)
WEB_TRANSFER_THREADS = env.integer(
    "WEB_TRANSFER_THREADS", 3, "uploads of batches and data sets, exports and downloads at once", low=1, high=64
)
WEB_QUEUE_TIMEOUT = env.real(
    "WEB_QUEUE_TIMEOUT",
    30.0,
    "seconds a request waits for a thread before it is refused, not begun",
    low=0.1,
    high=3600,
)
WEB_CONNECTIONS = env.integer("WEB_CONNECTIONS", 1000, "most open connections", low=10, high=100_000)
WEB_CONNECTIONS_PER_ADDRESS = env.integer(
    "WEB_CONNECTIONS_PER_ADDRESS", 100, "most connections (with PROXIES: requests) of one address", low=1, high=100_000
)
WEB_HEADER_TIMEOUT = env.real(
    "WEB_HEADER_TIMEOUT", 15.0, "seconds for a request's header to arrive", low=0.1, high=3600
)
WEB_KEEPALIVE_TIMEOUT = env.real(
    "WEB_KEEPALIVE_TIMEOUT", 75.0, "seconds an idle connection is kept for a next request", low=0.1, high=3600
)
WEB_BODY_TIMEOUT = env.real("WEB_BODY_TIMEOUT", 30.0, "seconds without a byte of a body", low=0.1, high=3600)
WEB_WRITE_TIMEOUT = env.real("WEB_WRITE_TIMEOUT", 30.0, "seconds without anybody reading an answer", low=0.1, high=3600)
WEB_MIN_RATE = env.integer(
    "WEB_MIN_RATE",
    16 * 1024,
    "bytes a second that bodies and answers must make beyond twice those seconds",
    low=1,
    high=10**9,
)
WEB_MAX_HEADER = env.integer("WEB_MAX_HEADER", 32 * 1024, "largest header of a request, bytes", low=4096, high=1024**2)
WEB_MAX_BODY = env.integer(
    "WEB_MAX_BODY",
    1024**2,
    "largest body where no file belongs, and room for fields beside files, bytes",
    low=4096,
    high=1024**3,
)
WEB_MAX_BODY_ANONYMOUS = env.integer(
    "WEB_MAX_BODY_ANONYMOUS", 64 * 1024, "largest body of somebody who is not signed in, bytes", low=4096, high=1024**2
)
WEB_SPOOL_BYTES = env.integer(
    "WEB_SPOOL_BYTES", 2 * BATCH_MAX_BYTES, "most bytes of bodies that are received at once", low=1024**2, high=1024**4
)
# Temporary files of the web server: bodies and files that are being received; what a kill left is swept at a start.
UPLOAD_DIR = VAR_DIR / "uploads"

# ---------------------------------------------------------------- detection: the original system's names and defaults
IMAGE_SIZE = env.integer("IMAGE_SIZE", 256, "side of the square a model sees, pixels", low=32, high=2048)
BATCH_SIZE = env.integer("BATCH_SIZE", 16, "images per step in training and in batches", low=1, high=1024)
LEARNING_RATE = env.real("LEARNING_RATE", 1e-4, "Adam's learning rate (autoencoder)", low=1e-8, high=1.0)
EPOCHS = env.integer("EPOCHS", 50, "passes over the training images (autoencoder)", low=1, high=10_000)
LATENT_DIM = env.integer("LATENT_DIM", 512, "bottleneck of the autoencoder", low=1, high=8192)
THRESHOLD_PERCENTILE = env.real(
    "THRESHOLD_PERCENTILE", 90.0, "percentile of held-out good scores for the first threshold", low=1.0, high=100.0
)
REQUIRE_APPROVAL = env.flag(
    "REQUIRE_APPROVAL",
    False,
    "a model version goes into production only when somebody approved it who did not train it",
)
DEVICE = env.choice("DEVICE", "auto", ("auto", "cpu", "cuda"), "where models run")
RUNTIME = env.choice(
    "RUNTIME",
    "auto",
    ("auto", "torch", "compile", "onnxruntime", "openvino"),
    "what runs them; auto measures what is installed when a model is loaded",
)
WARM_MODELS_MIB = env.integer(
    "WARM_MODELS_MIB",
    0,
    "memory for the models that a worker holds, MiB; 0: a quarter of the machine's or the container's",
    low=0,
    high=1024**2,
)
PRECISION = env.choice("PRECISION", "auto", ("auto", "fp32", "bf16", "int8"), "of the network; auto measures, too")

# ---------------------------------------------------------------- broker and workers
REDIS_URL = env.text("REDIS_URL", "", "broker as redis://host:6379/0; unset: an own Valkey in VAR_DIR", secret=True)
if REDIS_URL and not REDIS_URL.startswith(("redis://", "rediss://", "unix://")):
    raise ImproperlyConfigured("REDIS_URL must begin with redis://, rediss:// or unix://.")
INFERENCE_BATCH_SIZE = env.integer(
    "INFERENCE_BATCH_SIZE", 8, "single images that wait for the same model are judged together, up to", low=1, high=256
)
INFERENCE_BATCH_WAIT_MS = env.real(
    "INFERENCE_BATCH_WAIT_MS", 0.0, "milliseconds a worker waits for more of them; worth it on a GPU", low=0, high=1000
)
ANSWER_TIMEOUT = env.real("ANSWER_TIMEOUT", 30.0, "seconds an API call waits for a worker", low=0.1, high=600.0)
LOAD_TIMEOUT = env.real("LOAD_TIMEOUT", 120.0, "seconds load_model waits for the worker", low=0.1, high=3600.0)
LEASE_SECONDS = env.real(
    "LEASE_SECONDS", 30.0, "a job without a sign of life for this long is redone", low=2, high=3600
)
HUNG_SECONDS = env.real(
    "HUNG_SECONDS",
    60.0,
    "a worker whose step (one image) takes longer than this is killed and replaced",
    low=5,
    high=3600,
)
MAX_ATTEMPTS = env.integer("MAX_ATTEMPTS", 3, "how often a job whose worker died is tried", low=1, high=100)

# ---------------------------------------------------------------- audit
AUDIT_SIGNING_KEY = env.path(
    "AUDIT_SIGNING_KEY", VAR_DIR / "audit_key.pem", "private Ed25519 key (PEM) that signs checkpoints; made when unset"
)
AUDIT_EVENT_KEYS = env.path(
    "AUDIT_EVENT_KEYS",
    VAR_DIR / "audit_event_keys.json",
    "secret keys that authenticate audit events, for all machines of a database the same; made when unset",
)
AUDIT_PUBLIC_KEYS = env.text(
    "AUDIT_PUBLIC_KEYS", "", "folder or file of the only public keys (PEM) that checkpoints are believed with, if any"
)
AUDIT_CHECKPOINT_HOURS = env.real(
    "AUDIT_CHECKPOINT_HOURS", 24.0, "hours between two signed checkpoints of the audit chain", low=0.01, high=8784
)
AUDIT_CHECKPOINT_DIR = env.text("AUDIT_CHECKPOINT_DIR", "", "folder that each checkpoint is also written to, if any")
AUDIT_CHECKPOINT_BUCKET = env.text(
    "AUDIT_CHECKPOINT_BUCKET", "", "S3 bucket with object lock that each checkpoint is also written to, if any"
)
AUDIT_CHECKPOINT_ENDPOINT = env.text(
    "AUDIT_CHECKPOINT_ENDPOINT", "", "URL of its S3 service; unset: AWS. Credentials are those that boto3 finds"
)
AUDIT_CHECKPOINT_LOCK_DAYS = env.integer(
    "AUDIT_CHECKPOINT_LOCK_DAYS", 3650, "days that nobody can remove a checkpoint from the bucket", low=1, high=36_500
)
AUDIT_CHECKPOINT_EMAILS = list(
    env.words("AUDIT_CHECKPOINT_EMAILS", (), "addresses that each checkpoint is also sent to, if any")
)
AUDIT_FILES_SAMPLE = env.integer(
    "AUDIT_FILES_SAMPLE", 500, "files that are compared with their hashes each night; 0: none", low=0, high=1_000_000
)

# ---------------------------------------------------------------- retention
ORPHAN_DAYS = env.integer(
    "ORPHAN_DAYS", 30, "days that an image is kept that led to no record; 0: for ever", low=0, high=36_500
)
REPLAY_SAMPLE = env.integer(
    "REPLAY_SAMPLE", 200, "stored verdicts that are recomputed each night; 0: none", low=0, high=5000
)
REPLAY_HOUR = env.integer("REPLAY_HOUR", 2, "hour (UTC) at which they are", low=0, high=23)

RETENTION_HOUR = env.integer("RETENTION_HOUR", 3, "hour (UTC) at which retention runs each day", low=0, high=23)

# Alarms
PUBLIC_URL = env.text(
    "PUBLIC_URL", "", "how people reach this installation, such as https://inspection.example; in messages"
).rstrip("/")
SHIFT_STARTS = list(
    env.words(
        "SHIFT_STARTS", ("06:00", "14:00", "22:00"), "when shifts begin, for reference parts, in the server's time"
    )
)
if not all(re.fullmatch(r"([01][0-9]|2[0-3]):[0-5][0-9]", start) for start in SHIFT_STARTS):
    raise ImproperlyConfigured("SHIFT_STARTS must be times such as 06:00,14:00,22:00.")
ALARM_EMAILS = list(env.words("ALARM_EMAILS", (), "addresses that alarms are sent to"))
ALARM_WEBHOOKS = list(env.words("ALARM_WEBHOOKS", (), "https:// addresses that alarms are posted to"))
ALARM_WEBHOOK_SECRET = env.text("ALARM_WEBHOOK_SECRET", "", "what these messages are signed with", secret=True)
ALARM_WEBHOOK_PRIVATE_HOSTS = list(
    env.words("ALARM_WEBHOOK_PRIVATE_HOSTS", (), "hosts of them that may lie in a private network")
)
if ALARM_WEBHOOKS and len(ALARM_WEBHOOK_SECRET) < 16:
    raise ImproperlyConfigured("ALARM_WEBHOOKS needs ALARM_WEBHOOK_SECRET, at least 16 characters.")
EMAIL_HOST = env.text("EMAIL_HOST", "localhost", "mail server")
EMAIL_PORT = env.integer("EMAIL_PORT", 25, "its port", low=1, high=65535)
EMAIL_HOST_USER = env.text("EMAIL_USER", "", "name to sign in to it with")
EMAIL_HOST_PASSWORD = env.text("EMAIL_PASSWORD", "", "password for that", secret=True)
EMAIL_USE_TLS = env.flag("EMAIL_TLS", False, "STARTTLS to the mail server")
EMAIL_TIMEOUT = 10
DEFAULT_FROM_EMAIL = env.text("EMAIL_FROM", "inspection@localhost", "sender of messages")

# ---------------------------------------------------------------- quality
PROMISE_DAYS = env.integer(
    "PROMISE_DAYS", 14, "days after which what a threshold promised is compared with what came", low=1, high=3650
)

# ---------------------------------------------------------------- signing in
CSRF_FAILURE_VIEW = "mvtec_site.views.csrf_failure"
LOGIN_URL = "login"
LOGIN_REDIRECT_URL = "line"
LOGOUT_REDIRECT_URL = "login"
AUTHENTICATION_BACKENDS = ["accounts.backends.RoleBackend"]
LOGIN_FAILURES = env.integer(
    "LOGIN_FAILURES", 5, "failed sign-ins of one user name before it is locked out", low=1, high=1000
)
LOGIN_FAILURES_ADDRESS = env.integer(
    "LOGIN_FAILURES_ADDRESS", 50, "failed sign-ins from one address before it is locked out", low=1, high=100_000
)
LOGIN_WINDOW = env.real("LOGIN_WINDOW", 15.0, "minutes they are counted in, and a lock-out lasts", low=0.1, high=1440)
TOKEN_FAILURES = env.integer(
    "TOKEN_FAILURES",
    100,
    "wrong tokens from one address within LOGIN_WINDOW before tokens that are new there are refused",
    low=1,
    high=100_000,
)
PROXIES = env.integer(
    "PROXIES", 0, "reverse proxies in front, whose X-Forwarded-For is believed; 0: the peer's address", low=0, high=10
)


def _roles_by_group(name: str) -> dict[str, str]:
    words = env.words(name, (), "which group gives which role, as plant-qa=engineer,plant-it=admin")
    pairs = [word.rpartition("=") for word in words]
    roles = ("operator", "engineer", "auditor", "admin")
    if any(not group.strip() or role.strip() not in roles for group, _, role in pairs):
        raise ImproperlyConfigured(
            f"{name} must be GROUP=ROLE, separated by commas; a role is one of {', '.join(roles)}."
        )
    return {group.strip(): role.strip() for group, _, role in pairs}


# OpenID Connect: docs/sign-in.md
OIDC_ISSUER = env.text("OIDC_ISSUER", "", "address of the OpenID provider, as it calls itself; unset: none")
OIDC_NAME = env.text("OIDC_NAME", "single sign-on", "what people call it: on the button, in messages and the audit log")
OIDC_CLIENT_ID = env.text("OIDC_CLIENT_ID", "", "name of this installation at the provider")
OIDC_CLIENT_SECRET = env.text("OIDC_CLIENT_SECRET", "", "its secret there", secret=True)
OIDC_ROLES = _roles_by_group("OIDC_ROLES")
OIDC_GROUPS_CLAIM = env.text("OIDC_GROUPS_CLAIM", "groups", "claim that lists somebody's groups")
OIDC_USERNAME_CLAIM = env.text("OIDC_USERNAME_CLAIM", "preferred_username", "claim that a new user is named by")
OIDC_SCOPES = env.text("OIDC_SCOPES", "openid profile email", "what is asked of the provider, with blanks between")
OIDC_SIGN_ALGORITHM = env.choice(
    "OIDC_SIGN_ALGORITHM", "RS256", ("RS256", "RS384", "RS512", "ES256", "ES384", "ES512"), "how it signs tokens"
)
OIDC_TIMEOUT = env.real("OIDC_TIMEOUT", 5.0, "seconds without an answer of the provider", low=0.1, high=60)
OIDC_CLOCK_SKEW = env.integer("OIDC_CLOCK_SKEW", 60, "seconds that its clock may differ", low=0, high=600)
OIDC_SESSION_MINUTES = env.real(
    "OIDC_SESSION_MINUTES", 60.0, "minutes after which somebody signs in there again", low=1, high=14 * 1440
)
if OIDC_ISSUER and not OIDC_CLIENT_ID:
    raise ImproperlyConfigured("OIDC_ISSUER needs OIDC_CLIENT_ID, the name of this installation at the provider.")
if OIDC_ISSUER and not re.match(r"https://|http://(localhost|127\.0\.0\.1|\[::1\])(:|/|$)", OIDC_ISSUER):
    raise ImproperlyConfigured("OIDC_ISSUER must begin with https:// (http:// only on the same machine).")

# LDAP: docs/sign-in.md
LDAP_URL = env.text("LDAP_URL", "", "directory (LDAP), as ldaps://ldap.example or ldap://ldap.example; unset: none")
LDAP_NAME = env.text("LDAP_NAME", "the company directory", "what people call it: in messages and the audit log")
LDAP_START_TLS = env.flag("LDAP_START_TLS", LDAP_URL.startswith("ldap://"), "STARTTLS before anything is sent")
LDAP_ALLOW_PLAIN = env.flag("LDAP_ALLOW_PLAIN", False, "send passwords to the directory without TLS")
LDAP_CA_BUNDLE = env.text("LDAP_CA_BUNDLE", "", "certificate authority of the directory (PEM); unset: the system's")
LDAP_BIND_DN = env.text("LDAP_BIND_DN", "", "as whom people are looked up; unset: as nobody")
LDAP_BIND_PASSWORD = env.text("LDAP_BIND_PASSWORD", "", "password for that", secret=True)
LDAP_USER_BASE = env.text("LDAP_USER_BASE", "", "below which people stand, as ou=people,dc=example")
LDAP_USER_FILTER = env.text("LDAP_USER_FILTER", "(uid=%(user)s)", "who they are; %(user)s is the name typed, escaped")
LDAP_USERNAME_ATTRIBUTE = env.text("LDAP_USERNAME_ATTRIBUTE", "uid", "attribute that a new user is named by")
LDAP_ID_ATTRIBUTE = env.text("LDAP_ID_ATTRIBUTE", "entryUUID", "attribute that never changes; else the DN counts")
LDAP_GROUP_BASE = env.text("LDAP_GROUP_BASE", "", "below which groups stand; unset: LDAP_USER_BASE")
LDAP_ROLES = _roles_by_group("LDAP_ROLES")
LDAP_TIMEOUT = env.real("LDAP_TIMEOUT", 5.0, "seconds without an answer of the directory", low=0.1, high=60)
if LDAP_URL and not LDAP_URL.startswith(("ldaps://", "ldap://")):
    raise ImproperlyConfigured("LDAP_URL must begin with ldaps:// or ldap://.")
if LDAP_URL.startswith("ldap://") and not LDAP_START_TLS and not LDAP_ALLOW_PLAIN:
    raise ImproperlyConfigured(
        "LDAP_URL without TLS sends passwords in the clear: use ldaps://, LDAP_START_TLS=1, or say LDAP_ALLOW_PLAIN=1."
    )
if LDAP_URL and (not LDAP_USER_BASE or "%(user)s" not in LDAP_USER_FILTER):
    raise ImproperlyConfigured("LDAP_URL needs LDAP_USER_BASE, and LDAP_USER_FILTER must have %(user)s in it.")
if LDAP_URL and importlib.util.find_spec("django_auth_ldap") is None:
    raise ImproperlyConfigured("LDAP_URL needs the packages of requirements-ldap.txt.")

AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 10}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.NumericPasswordValidator"},
]

# ---------------------------------------------------------------- security headers
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = SECURE_SSL_REDIRECT = HTTPS
SECURE_HSTS_SECONDS = 31_536_000 if HTTPS else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = HTTPS
SECURE_REDIRECT_EXEMPT = [r"^healthz$", r"^readyz$", r"^metrics$"]  # probes come from inside, without TLS
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if HTTPS else None
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [SELF],
        "img-src": [SELF, "data:", "blob:"],
        "object-src": [NONE],
        "frame-ancestors": [NONE],
        "base-uri": [SELF],
        "form-action": [SELF],
    }
}

# ---------------------------------------------------------------- connections to the line: see docs/line.md
EDGE_PRIVATE_HOSTS = list(
    env.words(
        "EDGE_PRIVATE_HOSTS",
        (),
        "hosts, addresses and networks such as 10.0.8.0/24 that connections may go to though they are private",
    )
)
EDGE_GIVE_UP_HOURS = env.real(
    "EDGE_GIVE_UP_HOURS", 24.0, "hours after which an undelivered verdict is a dead letter", low=0.01, high=8784
)
EDGE_KEEP_DAYS = env.integer(
    "EDGE_KEEP_DAYS", 30, "days that deliveries are kept once they were taken", low=1, high=3660
)
EDGE_TRIGGER_ROOTS = tuple(
    Path(word).expanduser()
    for word in env.words("EDGE_TRIGGER_ROOTS", (), "server folders whose images triggers may name, by commas")
)
EDGE_GENTL_FOLDERS = tuple(
    Path(folder)
    for folder in env.text(
        "GENICAM_GENTL64_PATH", "", "folders of the GenTL producers (.cti) of GenICam cameras, with : between"
    ).split(":")
    if folder
)
if not all(root.is_absolute() for root in EDGE_TRIGGER_ROOTS):
    raise ImproperlyConfigured("EDGE_TRIGGER_ROOTS must name folders by their absolute paths, separated by commas.")
# An edge node and its centre: see docs/edge-node.md. `manage.py edge` makes the connection of them.
EDGE_CENTRE_URL = env.text("EDGE_CENTRE_URL", "", "on an edge node: address of its centre")
EDGE_CENTRE_TOKEN = env.text("EDGE_CENTRE_TOKEN", "", "token that the centre gave for this node", secret=True)
EDGE_NODE_NAME = env.text("EDGE_NODE_NAME", "", "name by which the centre knows this node")
EDGE_CENTRE_CERTIFICATE = env.text(
    "EDGE_CENTRE_CERTIFICATE", "", "file with the certificate (PEM) of the authority that the centre's comes from"
)

# ---------------------------------------------------------------- REST API
# Requests a minute of each caller, by what they are for: a runaway program is stopped before it stops the line.
THROTTLES = {
    kind: env.integer(f"THROTTLE_{kind.upper()}", default, f"requests a minute {help}; 0: no limit", low=0, high=10**6)
    for kind, default, help in (
        ("inspect", 6000, "of one caller that have images judged"),
        ("read", 3000, "of one caller that read"),
        ("manage", 120, "of one caller that change something else"),
        ("anonymous", 60, "from one address, not signed in"),
    )
}
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "accounts.api.authentication.TokenAuthentication",
        "rest_framework.authentication.SessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["accounts.api.permissions.HasRight"],
    "DEFAULT_THROTTLE_CLASSES": ["accounts.api.throttles.RequestsPerMinute"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": [
        "common.api.parsers.JSONParser",
        "common.api.parsers.FormParser",
        "common.api.parsers.MultiPartParser",
    ],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "EXCEPTION_HANDLER": "common.api.problems.exception_handler",
    "UNAUTHENTICATED_USER": "django.contrib.auth.models.AnonymousUser",
}
SPECTACULAR_SETTINGS = {
    "TITLE": PRODUCT,
    "DESCRIPTION": "Judge images, keep the record, ask it later. Errors are RFC 9457 problem documents with a code.",
    "VERSION": "1.0.0",
    "SERVE_INCLUDE_SCHEMA": False,
    "SERVE_PERMISSIONS": ["rest_framework.permissions.IsAuthenticated"],
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "COMPONENT_SPLIT_REQUEST": True,
    "ENUM_NAME_OVERRIDES": {
        "RightEnum": "accounts.api.serializers.RIGHTS",
        "ScopeEnum": "accounts.api.serializers.SCOPES",
        "TrainingRunStatusEnum": "training.models.TrainingRun.Status",
        "RetentionFileKindEnum": "retention.api.serializers.FILE_KINDS",
        "RetentionRunStatusEnum": "retention.models.RetentionRun.Status",
        "BatchStatusEnum": "inspection.models.BatchRun.Status",
        "RescoringStatusEnum": "tuning.models.RescoringRun.Status",
        "ChallengerStatusEnum": "rollout.models.Challenger.Status",
        "RequestStatusEnum": "inspection.models.InspectionRequest.Status",
        "PromisedFigureNameEnum": "quality.promises.serializers.FIGURE_NAMES",
        "ExpectedVerdictEnum": "monitoring.models.ReferencePart.Expected",
        "StationProofEnum": "monitoring.api.serializers.STATION_STATES",
        "AlarmKindEnum": "monitoring.models.Alarm.Kind",
        "AlarmStatusEnum": "monitoring.models.Alarm.Status",
        "AlarmFilterEnum": "monitoring.api.serializers.ALARM_FILTERS",
        "DriftChartStatusEnum": "monitoring.api.serializers.CHART_STATUS",
        "DeploymentKindEnum": "modelzoo.models.Deployment.Kind",
        "DeploymentStatusEnum": "modelzoo.models.Deployment.Status",
        "ThresholdMethodEnum": "modelzoo.models.Threshold.Method",
        "OutcomeEnum": "inspection.models.Inspection.Outcome",
        "ScaleMethodEnum": "modelzoo.scales.models.ScaleCalibration.Method",
        "VerdictEnum": "inspection.models.Review.Verdict",
        "CheckActionEnum": "modelzoo.detectors.preprocessing.input_rules.ACTIONS",
        "ReportKindEnum": "reports.content.scope.Kind",
        "RegularReportKindEnum": "reports.schedules.serializers.KINDS",
        "MessageStatusEnum": "jobs.outbox.OutboxMessage.Status",
        "ReportChangeKindEnum": "reports.content.serializers.CHANGES",
        "ReportOriginEnum": "reports.content.serializers.ORIGINS",
        "ReportAuditOfEnum": "reports.content.serializers.AUDITED",
        "BlindVerdictEnum": "quality.models.BlindDecision.Verdict",
        "RecordedVerdictEnum": "inspection.models.RECORDED_VERDICTS",
        "MapFormEnum": "inspection.judging.documents.MAP_FORMS",
        "BatchMapFormEnum": "inspection.batches.documents.MAP_FORMS",
    },
}

# ---------------------------------------------------------------- observability: see docs/observability.md
METRICS_TOKEN = env.text("METRICS_TOKEN", "", "who sends it as bearer token may read /metrics", secret=True)
if METRICS_TOKEN and len(METRICS_TOKEN) < 16:
    raise ImproperlyConfigured("METRICS_TOKEN must have at least 16 characters.")
METRICS_NETWORKS = list(env.words("METRICS_NETWORKS", (), "networks that may read /metrics, such as 10.0.0.0/24"))
for _network in METRICS_NETWORKS:
    try:
        if ipaddress.ip_network(_network).prefixlen == 0:
            raise ImproperlyConfigured("METRICS_NETWORKS must not be all addresses: use METRICS_TOKEN.")
    except ValueError as error:
        raise ImproperlyConfigured(f"METRICS_NETWORKS must be networks such as 10.0.0.0/24: {error}.") from None
OTEL_EXPORTER_OTLP_ENDPOINT = env.text(
    "OTEL_EXPORTER_OTLP_ENDPOINT", "", "collector of traces, such as http://collector:4318; unset: no traces"
)

# ---------------------------------------------------------------- logging
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "line": {"()": "common.observability.logs.LineFormatter"},
        "json": {"()": "common.observability.logs.JsonFormatter"},
    },
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": LOG_FORMAT}},
    "root": {"handlers": ["stderr"], "level": LOG_LEVEL},
    "loggers": {
        "django.request": {"level": "ERROR"},
        "httpx": {"level": "WARNING"},
        # At DEBUG these would show the parameters of every query, and signed headers.
        **{name: {"level": "INFO"} for name in ("django.db.backends", "botocore", "boto3", "s3transfer", "urllib3")},
    },
}
SILENCED_SYSTEM_CHECKS: list[str] = []
