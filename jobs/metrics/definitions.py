"""Every metric there is, in one place: what is counted, its labels, and the sentence that explains it.

Labels have few values: a category's name (see `category_label`), a stage, a code of the product. Never a user's text.
"""

from __future__ import annotations

from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Counter, Histogram

REGISTRY = CollectorRegistry()  # of what this process counted
_QUICK = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_SLOW = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 30, 60, 120, 300)

# Upper bounds of the histograms by name; "+Inf" comes on top.
BUCKETS = {
    "mvtec_inspection_stage_seconds": _QUICK,
    "mvtec_http_request_seconds": _QUICK,
    "mvtec_model_load_seconds": _SLOW,
}

STAGES = ("receive", "decode", "queue", "prepare", "model", "map", "record", "answer")
MAX_CATEGORIES = 100
OTHER = "other"


# ---------------------------------------------------------------- counted as it happens
INSPECTIONS = Counter(
    "mvtec_inspections", "Records written, by category and verdict.", ["category", "verdict"], registry=REGISTRY
)
REQUESTS = Counter(
    "mvtec_inspection_requests",
    "Images whose judging ended: recorded, failed (with a reason), or expired (nobody judged it in time).",
    ["outcome"],
    registry=REGISTRY,
)
STAGE_SECONDS = Histogram(
    "mvtec_inspection_stage_seconds",
    "Time of each stage of judging an image: receive (its bytes), decode (validating the upload), queue (until a "
    "worker took it), prepare (reading, decoding again where needed, aligning, statistics), model, map (map, regions, "
    "verdict), record (the transaction, of all images judged together), answer (from the record to whoever waits).",
    ["stage"],
    buckets=BUCKETS["mvtec_inspection_stage_seconds"],
    registry=REGISTRY,
)
HTTP_SECONDS = Histogram(
    "mvtec_http_request_seconds",
    "Time from the first byte of a request until its answer is made, by lane of threads and class of status.",
    ["lane", "status"],
    buckets=BUCKETS["mvtec_http_request_seconds"],
    registry=REGISTRY,
)
UPLOADS_REFUSED = Counter(
    "mvtec_uploads_refused",
    "Images that upload validation refused, by the code of the reason.",
    ["reason"],
    registry=REGISTRY,
)
LOCK_OUTS = Counter(
    "mvtec_sign_in_lock_outs",
    "User names and addresses locked out after failed sign-ins; addresses (token) after wrong tokens.",
    ["kind"],
    registry=REGISTRY,
)
MODEL_LOAD_SECONDS = Histogram(
    "mvtec_model_load_seconds",
    "Time to load a model version into memory.",
    buckets=BUCKETS["mvtec_model_load_seconds"],
    registry=REGISTRY,
)
MODEL_LOAD_FAILURES = Counter(
    "mvtec_model_load_failures",
    "Model versions that could not be loaded, by the code of the reason.",
    ["reason"],
    registry=REGISTRY,
)
TASKS = Counter("mvtec_tasks", "Tasks that workers ended, by name and outcome.", ["task", "outcome"], registry=REGISTRY)
MESSAGES = Counter(
    "mvtec_outbox_deliveries",
    "Tries to deliver alarms and reports: sent, again (tried again later) or failed (given up).",
    ["outbox", "outcome"],
    registry=REGISTRY,
)
CPU_SECONDS = Counter(
    "mvtec_process_cpu_seconds", "Processor time of all processes of a role.", ["role"], registry=REGISTRY
)
STARTS = Counter("mvtec_process_starts", "Processes of a role that began.", ["role"], registry=REGISTRY)


# ---------------------------------------------------------------- looked up when they are asked for
@dataclass(frozen=True)
class Gauge:
    name: str
    help: str
    labels: tuple[str, ...] = ()


GAUGES = {
    gauge.name: gauge
    for gauge in (
        Gauge("mvtec_build_info", "1; the label says which code answers.", ("version",)),
        Gauge("mvtec_ready", "1 where the check of /readyz passes, else 0.", ("check",)),
        Gauge("mvtec_queue_messages", "Messages that wait in a queue of the broker.", ("queue",)),
        Gauge("mvtec_queue_oldest_message_seconds", "Age of the message that is next; 0 where none waits.", ("queue",)),
        Gauge("mvtec_inspections_waiting", "Single images that no worker has begun to judge."),
        Gauge("mvtec_inspections_waiting_seconds", "For how long the oldest of them waits; 0 where none does."),
        Gauge("mvtec_jobs_open", "Long work that is queued or running, by kind and status.", ("kind", "status")),
        Gauge("mvtec_training_runs", "Training runs by status.", ("status",)),
        Gauge("mvtec_outbox_waiting", "Messages that are to be sent, alarms and reports.", ("outbox",)),
        Gauge("mvtec_outbox_overdue_seconds", "For how long the first of them is due; 0 where none is.", ("outbox",)),
        Gauge("mvtec_audit_checkpoint_age_seconds", "Age of the newest signed checkpoint of the audit chain."),
        Gauge("mvtec_alarms_unresolved", "Alarms that are open or acknowledged.", ("status",)),
        Gauge("mvtec_last_success_timestamp_seconds", "When a scheduled task last ended well.", ("task",)),
        Gauge("mvtec_retention_last_run_timestamp_seconds", "When retention last finished."),
        Gauge("mvtec_processes", "Processes that gave figures lately.", ("host", "role")),
        Gauge("mvtec_process_resident_bytes", "Memory of all processes of a role on a machine.", ("host", "role")),
        Gauge("mvtec_models_warm", "Models held in memory.", ("host", "role")),
        Gauge("mvtec_models_warm_bytes", "Bytes of their tensors and arrays.", ("host", "role")),
        Gauge("mvtec_models_budget_bytes", "Bytes that they may take, of all processes.", ("host", "role")),
        Gauge("mvtec_gpu_memory_used_bytes", "GPU memory in use, by all programs.", ("host", "gpu")),
        Gauge("mvtec_gpu_memory_size_bytes", "GPU memory there is.", ("host", "gpu")),
        Gauge("mvtec_storage_free_bytes", "Free space of the disk that VAR_DIR is on.", ("host",)),
        Gauge("mvtec_storage_size_bytes", "Size of that disk.", ("host",)),
        Gauge("mvtec_scrape_seconds", "Time that looking up these figures took."),
        Gauge(
            "mvtec_scrape_incomplete",
            "1 where a dependency did not answer, so that its figures are missing.",
            ("source",),
        ),
    )
}


# Whatever is asked for before it first happened is 0, not missing: an increase from nothing is one nobody sees.
for _stage in STAGES:
    STAGE_SECONDS.labels(_stage)
for _outcome in ("recorded", "failed", "expired"):
    REQUESTS.labels(_outcome)


def label_names(name: str) -> tuple[str, ...]:
    """Of a counter or histogram, by the name of its family."""
    return tuple(REGISTRY._names_to_collectors[name]._labelnames)  # type: ignore[attr-defined]  # no public way
