"""What the API answers, as types: each is the document of that name in the OpenAPI schema.

Documents may gain members; code that reads them by name goes on working.
"""

from __future__ import annotations

from datetime import date, datetime
from typing import Any, Literal, NotRequired, TypedDict

Moment = str
"""ISO 8601 with offset: `datetime.fromisoformat` reads it."""
Verdict = Literal["good", "defective"]
Outcome = Literal["good", "defective", "not_comparable"]
MapForm = Literal["full", "url", "none"]
CsvDialect = Literal["excel", "excel-de", "plain"]
Picture = Literal["image", "thumbnail", "map", "overlay"]
JsonObject = dict[str, Any]


# ---------------------------------------------------------------- inspections
class Region(TypedDict):
    x: int
    y: int
    width: int
    height: int
    area_px: int
    peak: float
    peak_x: int
    peak_y: int


class Standing(TypedDict):
    verdict: Verdict
    reviewer: str
    defect_type: str
    overruled: bool
    contested: bool
    reviews: int


class PictureWarning(TypedDict):
    """What was odd about a picture that was judged all the same."""

    code: str
    detail: str


class InspectionRow(TypedDict):
    """A record in a list."""

    reconstruction_error: float | None
    is_defective: bool | None
    threshold: float
    confidence: float | None
    anomaly_map: Any
    inspection_id: str
    outcome: Outcome
    reason: str
    explanation: str
    warnings: list[PictureWarning]
    score: float | None
    p_value: float | None
    region_count: int | None
    largest_region_px: int | None
    algorithm: str
    model_version: int
    category: str
    threshold_revision: int
    filename: str
    path: str
    image_sha256: str
    image_format: Literal["PNG", "JPEG"]
    image_url: str
    overlay_url: str | None
    page_url: str
    station: str
    part_number: str
    lot: str
    serial_number: str
    device: str
    worker: str
    created_at: Moment
    review: Standing | None
    source: NotRequired[str]
    operator: NotRequired[str | None]
    batch_id: NotRequired[str | None]


class Inspection(InspectionRow):
    """A whole record. `is_defective` is None where the part could not be compared: no verdict, so never "good"."""

    regions: list[Region] | None
    timings: JsonObject


class Request(TypedDict):
    """What became of the request to judge one image."""

    request_id: str
    status: str
    final: bool
    deadline: str | None
    inspection_id: str | None
    inspection_url: str | None
    code: str
    detail: str
    repeat_url: str | None
    repeat_of: str | None
    batch_id: str | None
    filename: str
    path: str
    image_sha256: str | None
    station: str
    part_number: str
    lot: str
    serial_number: str
    created_at: str


class Filters(TypedDict, total=False):
    """Which records are meant; the same for lists, exports, agreement, what-if and rescoring."""

    since: date | datetime | str
    until: date | datetime | str
    category: str
    outcome: Outcome | list[Outcome]
    score_min: float
    score_max: float
    model_version: int
    threshold_revision: int
    station: str
    lot: str
    part_number: str
    source: str
    operator: str
    serial_number: str
    serial: str
    search: str
    batch: str
    image_sha256: str
    reviewed: bool
    overruled: bool
    contested: bool
    review_verdict: Verdict
    reviewer: str


class PartFields(TypedDict, total=False):
    """What is known about the part; kept with the record as given."""

    station: str
    part_number: str
    lot: str
    serial_number: str


# ---------------------------------------------------------------- batches
class BatchRow(TypedDict):
    """A batch in a list."""

    batch_id: str
    name: str
    status: Literal["queued", "running", "finished", "cancelled"]
    cancel_requested: bool
    url: str
    model_version: int
    version_number: int
    algorithm: str
    category: str
    requested_by: str | None
    total: int
    done: int
    failed: int
    cancelled: int
    good: int
    defective: int
    not_comparable: int
    reviewed: int
    overruled: int
    stands_good: int
    stands_defective: int
    stands_not_comparable: int
    progress: float
    created_at: Moment
    started_at: Moment | None
    finished_at: Moment | None
    duration_seconds: float | None
    images_per_second: float | None


class BatchItem(TypedDict, total=False):
    """The members of a record where `status` is done, `code` and `detail` where it failed."""

    position: int
    path: str
    status: Literal["queued", "running", "done", "failed", "expired", "cancelled"]
    code: str
    detail: str
    reconstruction_error: float | None
    is_defective: bool | None
    threshold: float
    confidence: float | None
    anomaly_map: Any
    inspection_id: str
    outcome: Outcome
    reason: str
    explanation: str
    warnings: list[PictureWarning]
    score: float | None
    p_value: float | None
    regions: list[Region] | None
    region_count: int | None
    largest_region_px: int | None
    algorithm: str
    model_version: int
    category: str
    threshold_revision: int
    filename: str
    image_sha256: str
    image_format: Literal["PNG", "JPEG"]
    image_url: str
    overlay_url: str | None
    page_url: str
    station: str
    part_number: str
    lot: str
    serial_number: str
    device: str
    worker: str
    timings: JsonObject
    created_at: Moment
    review: Standing | None
    version_number: int
    standing_verdict: Outcome
    reviewed_at: Moment | None


class Batch(BatchRow):
    """A whole batch; `results` are empty where they were not asked for."""

    failed_by_code: dict[str, int]
    warnings: list[str]
    scores: dict[str, float] | None
    results: list[BatchItem]


# ---------------------------------------------------------------- the line
class LoadedModel(TypedDict):
    deployment_id: int
    category: str
    model_version: int
    version_number: int
    algorithm: str
    backbone: str | None
    device: str
    runtime: str
    precision: str
    precision_chosen: str
    worker: str
    threshold: float
    threshold_revision: int
    image_size: Any
    preprocessing: dict[str, str]
    loaded_at: Moment | None
    loaded_by: str | None


class Worker(TypedDict):
    name: str
    queues: list[str]


class Judging(TypedDict):
    alive: bool
    since: str | None
    waiting: int


class Scheduler(TypedDict):
    alive: bool
    since: str | None


class Status(TypedDict):
    model_loaded: bool
    model: LoadedModel | None
    default_category: str | None
    deployments: list[LoadedModel]
    device: str
    threshold: float | None
    workers: list[Worker]
    judging: Judging
    scheduler: Scheduler
    queues: dict[str, int | None]
    broker: str
    versions: dict[str, str]
    uptime_seconds: float


# ---------------------------------------------------------------- reviews
class MarkedRegion(TypedDict):
    x: int
    y: int
    width: int
    height: int


class Review(TypedDict):
    review_id: int
    inspection_id: str
    inspection_url: str
    category: str
    outcome: Outcome
    number: int
    verdict: Verdict | Literal["withdrawn"]
    agrees: bool | None
    defect_type: str
    comment: str
    regions: list[MarkedRegion]
    undoes: int | None
    reviewer: str
    created_at: Moment


class Agreement(TypedDict):
    filters: JsonObject
    records: int
    model: JsonObject
    people: JsonObject


# ---------------------------------------------------------------- data sets and training
class Dataset(TypedDict):
    id: int
    name: str
    category: str
    snapshot: str
    source: str
    train_images: int
    test_images: int
    defective_images: int
    masks: int
    skipped_count: int
    created_at: Moment
    created_by: str | None


class Skipped(TypedDict):
    path: str
    reason: str


class FullDataset(Dataset):
    skipped: list[Skipped]
    warnings: list[str]


class ImportedDataset(FullDataset):
    created: bool


class DatasetOfReviews(ImportedDataset):
    made_from: JsonObject


class DatasetImage(TypedDict):
    id: int
    path: str
    split: Literal["train", "test"]
    is_defective: bool
    defect_type: str
    sha256: str
    width: int
    height: int
    discarded: bool
    image_url: str
    mask_url: str | None


class RunDataset(TypedDict):
    id: int
    name: str
    snapshot: str


class TrainingRun(TypedDict):
    id: int
    dataset: RunDataset
    category: str
    algorithm: str
    base_version: int | None
    options: JsonObject
    calibration: JsonObject
    seed: int
    status: Literal["queued", "running", "succeeded", "failed", "cancelled"]
    progress: float
    message: str
    cancel_requested: bool
    attempt: int
    worker: str | None
    error_code: str | None
    error: str | None
    model_version: int | None
    log_url: str
    requested_by: str | None
    created_at: Moment
    started_at: Moment | None
    finished_at: Moment | None


class FullTrainingRun(TrainingRun):
    warnings: list[str]
    history: list[JsonObject]
    versions: dict[str, str]


# ---------------------------------------------------------------- models, thresholds, deployments
class ProductionVersion(TypedDict):
    id: int
    number: int
    algorithm: str


class Category(TypedDict):
    name: str
    is_default: bool
    production: ProductionVersion | None
    deployment: int | None
    model_versions: int
    datasets: int
    created_at: Moment


CheckAction = Literal["off", "warn", "refuse"]


class InputCheckFields(TypedDict, total=False):
    """What is checked of a picture, what follows, and how much is tolerated."""

    size: CheckAction
    aspect: CheckAction
    colour: CheckAction
    likeness: CheckAction
    size_factor: float
    aspect_percent: float
    likeness_factor: float


class InputChecks(TypedDict):
    category: str
    size: CheckAction
    aspect: CheckAction
    colour: CheckAction
    likeness: CheckAction
    size_factor: float
    aspect_percent: float
    likeness_factor: float
    reason: str
    author: str | None
    created_at: Moment | None


class DefaultCategory(TypedDict):
    category: str | None


class ModelVersion(TypedDict):
    id: int
    category: str
    number: int
    algorithm: str
    backbone: str | None
    stage: Literal["candidate", "production", "archived"]
    auroc: float | None
    threshold: float | None
    threshold_revision: int | None
    dataset: str
    dataset_snapshot: str
    artifact_sha256: str
    artifact_bytes: int
    created_at: Moment
    created_by: str | None


class FullModelVersion(ModelVersion):
    config: JsonObject
    preprocessing: JsonObject
    backbone_sha256: str | None
    seed: int
    versions: dict[str, str]
    training_run: int | None
    dataset_id: int | None
    base_version: int | None
    threshold_warnings: list[str]


class Metrics(TypedDict):
    model_version: int
    dataset: str
    dataset_snapshot: str
    metrics: JsonObject
    held_out_scores: list[float]


class Threshold(TypedDict):
    id: int
    model_version: int
    category: str
    revision: int
    in_force: bool
    value: float
    method: Literal["percentile", "conformal", "best_f1", "cost", "manual"]
    parameters: JsonObject
    evidence: JsonObject
    warnings: list[str]
    reason: str
    author: str | None
    created_at: Moment


class Deployment(TypedDict):
    id: int
    category: str
    model_version: int
    version_number: int
    algorithm: str
    kind: str
    reason: str
    status: Literal["loading", "active", "replaced", "failed"]
    device_requested: str
    device: str | None
    runtime: str
    precision: str
    precision_chosen: str | None
    choice: JsonObject
    threshold: float | None
    threshold_reason: str
    worker: str | None
    error_code: str | None
    error: str | None
    requested_by: str | None
    requested_at: Moment
    activated_at: Moment | None
    ended_at: Moment | None


class How(TypedDict, total=False):
    """On what and how a model is run; what is not given is as the server's settings say."""

    device: Literal["auto", "cpu", "cuda"]
    runtime: Literal["torch", "compile", "onnxruntime", "openvino"]
    precision: Literal["auto", "fp32", "bf16", "int8"]


# ---------------------------------------------------------------- what-if and scoring again
class WhatIf(TypedDict):
    model_version: int
    version_number: int
    category: str
    filters: JsonObject
    threshold_in_force: JsonObject
    total: int
    recorded: JsonObject
    period: JsonObject
    coverage: list[JsonObject]
    unreviewed: int
    asked: JsonObject
    in_force: JsonObject | None
    against_in_force: JsonObject
    borderline: JsonObject
    curve: JsonObject | None
    presets: list[JsonObject] | None
    notes: list[str]


class WhatIfOptions(Filters, total=False):
    """The filters, and how the answer shall be made."""

    compare: bool
    cost_false_reject: float
    cost_escape: float
    bins: int
    curve_from: float
    curve_to: float
    presets: bool
    percentile: float
    false_reject_rate: float


class Rescoring(TypedDict):
    rescoring_id: str
    url: str
    results_url: str
    status: Literal["queued", "running", "finished", "failed", "cancelled"]
    model_version: int
    version_number: int
    category: str
    threshold: float
    threshold_revision: int
    device: str
    runtime: str
    precision: str
    precision_chosen: str
    filters: JsonObject
    reason: str
    total: int
    done: int
    failed: int
    changed: int
    progress: float
    error_code: str
    error: str
    requested_by: str | None
    created_at: Moment
    started_at: Moment | None
    finished_at: Moment | None


class RescoringDetail(Rescoring):
    summary: JsonObject


class Rescored(TypedDict):
    inspection_id: str
    inspection_url: str
    filename: str
    created_at: Moment
    recorded: JsonObject
    outcome: Outcome | None
    score: float | None
    p_value: float | None
    reason: str
    error_code: str
    changed: bool
    review: Verdict | None


# ---------------------------------------------------------------- people, audit, retention
class TokenOfMe(TypedDict):
    id: int
    name: str
    scopes: list[str]
    expires_at: Moment | None


class Me(TypedDict):
    username: str
    roles: list[str]
    is_superuser: bool
    rights: list[str]
    token: TokenOfMe | None


class Token(TypedDict):
    id: int
    user: str
    name: str
    hint: str
    scopes: list[str]
    valid: bool
    created_at: Moment
    expires_at: Moment | None
    revoked_at: Moment | None
    last_used_at: Moment | None


class IssuedToken(Token):
    key: str


class AuditFilters(TypedDict, total=False):
    actor: str
    kind: str
    object_type: str
    object_id: str
    source: str
    request_id: str
    since: date | datetime | str
    until: date | datetime | str


class AuditEvent(TypedDict):
    sequence: int
    at: Moment
    actor: str
    actor_id: int | None
    kind: str
    object_type: str
    object_id: str
    before: Any
    after: Any
    source: str
    request_id: str
    address: str
    previous_hash: str
    hash: str
    url: str


class AuditEventDetail(AuditEvent):
    changes: list[JsonObject]


class Checkpoint(TypedDict):
    format: str
    sequence: int
    head: str
    events: int
    at: Moment
    key_id: str
    signature: str


class RetentionPolicy(TypedDict):
    id: int
    category: str
    revision: int
    good_after_days: int | None
    good_keep_every: int
    maps_after_days: int | None
    defective_after_days: int | None
    keep_reviewed: bool
    reason: str
    author: str | None
    created_at: Moment


class RetentionRun(TypedDict):
    id: int
    category: str | None
    policy: int | None
    policy_revision: int | None
    orphan_days: int | None
    dry_run: bool
    status: Literal["queued", "running", "finished", "failed"]
    images: int
    maps: int
    orphans: int
    leftovers: int
    size_bytes: int
    oldest: Moment | None
    examples: list[JsonObject]
    first_sha256: str
    last_sha256: str
    code: str
    detail: str
    requested_by: str | None
    created_at: Moment
    started_at: Moment | None
    finished_at: Moment | None
