"""What the API answers, as types: each is the document of that name in the OpenAPI schema.

Documents may gain members; code that reads them by name goes on working.

Made by `manage.py generate_client` (`make client`) from the serializers of the API: change those, not this file.
"""

from __future__ import annotations

from datetime import date, datetime
from typing import Any, Literal, NotRequired, TypedDict

Moment = str
"""ISO 8601 with offset: `datetime.fromisoformat` reads it."""
JsonObject = dict[str, Any]
BatchMapForm = Literal["url", "none"]
BatchStatus = Literal["queued", "running", "finished", "cancelled"]
CalibrationInputMethod = Literal["percentile", "conformal"]
CheckAction = Literal["off", "warn", "refuse"]
CsvDialect = Literal["excel", "excel-de", "plain"]
DeploymentKind = Literal["load", "promotion", "rollback"]
DeploymentStatus = Literal["loading", "active", "replaced", "failed"]
Device = Literal["auto", "cpu", "cuda"]
ExpectedRateIs = Literal["requested", "held-out"]
ImageFormat = Literal["PNG", "JPEG", "BMP", "TIFF", "WEBP"]
MapForm = Literal["full", "url", "none"]
Outcome = Literal["good", "defective", "not_comparable"]
Picture = Literal["image", "map", "overlay", "picture", "thumbnail"]
Precision = Literal["auto", "fp32", "bf16", "int8"]
RecordedVerdict = Literal["good", "defective", "withdrawn"]
RequestStatus = Literal["queued", "running", "done", "failed", "expired", "cancelled"]
RescoringStatus = Literal["queued", "running", "finished", "failed", "cancelled"]
RetentionFileKind = Literal["image", "map", "orphan", "leftover"]
RetentionRunStatus = Literal["queued", "running", "finished", "failed"]
Right = Literal["inspect", "read", "review", "export", "train", "tune", "deploy", "audit", "issue", "administer"]
Runtime = Literal["torch", "compile", "onnxruntime", "openvino"]
Scope = Literal["inspect", "read", "manage"]
Split = Literal["train", "test"]
Stage = Literal["candidate", "production", "archived"]
ThresholdMethod = Literal["percentile", "conformal", "best_f1", "cost", "manual"]
TrainingRunStatus = Literal["queued", "running", "succeeded", "failed", "cancelled"]
Verdict = Literal["good", "defective"]


class AgreementConfusion(TypedDict):
    """By the model's outcome."""

    good: VerdictCounts
    defective: VerdictCounts
    not_comparable: VerdictCounts


class Agreement(TypedDict):
    filters: JsonObject
    records: int
    """that were reviewed"""
    model: ModelAgreement
    people: ReviewerAgreement


class AtThreshold(TypedDict):
    threshold: float
    verdicts: OutcomeCounts
    changes: VerdictChanges
    """against the verdicts of the records"""
    reviewed: ReviewedMetrics
    """of the reviewed records only, which are not a random sample"""
    estimate: EstimatedMetrics | None
    """of all scored records: the reviewed ones of each recorded verdict stand for all of it; null where none of a
    verdict was reviewed"""
    per_day: PerDay


class AuditEventDetail(TypedDict):
    sequence: int
    at: Moment
    actor: str
    """user name, or the source where nobody was signed in"""
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
    changes: list[FieldChange]


class AuditEvent(TypedDict):
    sequence: int
    at: Moment
    actor: str
    """user name, or the source where nobody was signed in"""
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


class BatchItem(TypedDict):
    """The fields of a record are there when `status` is done, `code` and `detail` when it is failed."""

    reconstruction_error: NotRequired[float | None]
    """the image score, for every algorithm; null when not comparable"""
    is_defective: NotRequired[bool | None]
    """null when not comparable: no verdict"""
    threshold: NotRequired[float]
    confidence: NotRequired[float | None]
    """|score - threshold|"""
    anomaly_map: NotRequired[Any]
    """nested list [H][W] over the whole image, longer side at most 512; an address; or null"""
    inspection_id: NotRequired[str]
    outcome: NotRequired[Outcome]
    reason: NotRequired[str]
    """why it is not comparable, a word for programs"""
    explanation: NotRequired[str]
    """the same as a sentence"""
    warnings: NotRequired[list[PictureWarning]]
    """warnings about an image that was judged"""
    score: NotRequired[float | None]
    p_value: NotRequired[float | None]
    """share of good parts at least as anomalous, this one included: small is suspicious"""
    regions: NotRequired[list[Region] | None]
    """above the threshold, highest first, at most 50"""
    ignored_outlines: NotRequired[list[list[list[int]]] | None]
    """polygons [[x, y], ...] of what is not judged, in the image's pixels; one inside another is a hole; null where
    the whole image is judged"""
    region_count: NotRequired[int | None]
    largest_region_px: NotRequired[int | None]
    algorithm: NotRequired[str]
    model_version: NotRequired[int]
    category: NotRequired[str]
    threshold_revision: NotRequired[int]
    filename: str
    path: NotRequired[str]
    """within the zip, the folder or the data set; else not there"""
    image_sha256: NotRequired[str]
    image_format: NotRequired[ImageFormat]
    """by content; the name may say otherwise"""
    image_url: NotRequired[str]
    overlay_url: NotRequired[str | None]
    page_url: NotRequired[str]
    station: NotRequired[str]
    part_number: NotRequired[str]
    lot: NotRequired[str]
    serial_number: NotRequired[str]
    device: NotRequired[str]
    worker: NotRequired[str]
    timings: NotRequired[JsonObject]
    """milliseconds of each step; how the model ran (runtime, precision)"""
    created_at: NotRequired[Moment]
    review: NotRequired[Standing | None]
    """null: not reviewed"""
    position: int
    status: RequestStatus
    code: NotRequired[str]
    detail: NotRequired[str]
    version_number: NotRequired[int]
    """of the model version, within its category"""
    standing_verdict: NotRequired[Outcome]
    """after the reviews: the last person's verdict, else the model's"""
    reviewed_at: NotRequired[Moment | None]
    """when that person said it; see review"""


class Batch(TypedDict):
    """A whole batch; `results` are empty where they were not asked for."""

    batch_id: str
    name: str
    status: BatchStatus
    cancel_requested: bool
    url: str
    model_version: int
    """its id"""
    version_number: int
    """of the model version, within its category"""
    algorithm: str
    category: str
    requested_by: str | None
    total: int
    done: int
    """have a record: good, defective or not comparable"""
    failed: int
    """have none, and say why"""
    cancelled: int
    """were not judged because the batch was cancelled"""
    good: int
    """by the model; reviews do not change it"""
    defective: int
    """by the model"""
    not_comparable: int
    """by the model"""
    reviewed: int
    """have a person's verdict that stands"""
    overruled: int
    """of the reviewed: that verdict and the model's differ"""
    stands_good: int
    """after the reviews"""
    stands_defective: int
    """after the reviews"""
    stands_not_comparable: int
    """after the reviews"""
    progress: float
    created_at: Moment
    started_at: Moment | None
    finished_at: Moment | None
    duration_seconds: float | None
    """from the first slice to the end, or to now"""
    images_per_second: float | None
    failed_by_code: dict[str, int]
    warnings: list[str]
    """what was left out, and names that may be misread, in sentences"""
    scores: Scores | None
    """quantiles; null while nothing has a score"""
    results: list[BatchItem]


class BatchReport(TypedDict):
    """A whole batch as a file."""

    batch_id: str
    name: str
    status: BatchStatus
    cancel_requested: bool
    url: str
    model_version: int
    """its id"""
    version_number: int
    """of the model version, within its category"""
    algorithm: str
    category: str
    requested_by: str | None
    total: int
    done: int
    """have a record: good, defective or not comparable"""
    failed: int
    """have none, and say why"""
    cancelled: int
    """were not judged because the batch was cancelled"""
    good: int
    """by the model; reviews do not change it"""
    defective: int
    """by the model"""
    not_comparable: int
    """by the model"""
    reviewed: int
    """have a person's verdict that stands"""
    overruled: int
    """of the reviewed: that verdict and the model's differ"""
    stands_good: int
    """after the reviews"""
    stands_defective: int
    """after the reviews"""
    stands_not_comparable: int
    """after the reviews"""
    progress: float
    created_at: Moment
    started_at: Moment | None
    finished_at: Moment | None
    duration_seconds: float | None
    """from the first slice to the end, or to now"""
    images_per_second: float | None
    failed_by_code: dict[str, int]
    warnings: list[str]
    """what was left out, and names that may be misread, in sentences"""
    scores: Scores | None
    """quantiles; null while nothing has a score"""
    results: list[BatchItem]
    complete: bool
    """false while the batch is not finished"""


class BatchRow(TypedDict):
    """A batch in a list."""

    batch_id: str
    name: str
    status: BatchStatus
    cancel_requested: bool
    url: str
    model_version: int
    """its id"""
    version_number: int
    """of the model version, within its category"""
    algorithm: str
    category: str
    requested_by: str | None
    total: int
    done: int
    """have a record: good, defective or not comparable"""
    failed: int
    """have none, and say why"""
    cancelled: int
    """were not judged because the batch was cancelled"""
    good: int
    """by the model; reviews do not change it"""
    defective: int
    """by the model"""
    not_comparable: int
    """by the model"""
    reviewed: int
    """have a person's verdict that stands"""
    overruled: int
    """of the reviewed: that verdict and the model's differ"""
    stands_good: int
    """after the reviews"""
    stands_defective: int
    """after the reviews"""
    stands_not_comparable: int
    """after the reviews"""
    progress: float
    created_at: Moment
    started_at: Moment | None
    finished_at: Moment | None
    duration_seconds: float | None
    """from the first slice to the end, or to now"""
    images_per_second: float | None


class Borderline(TypedDict):
    above: list[BorderlineRecord]
    """the next ones that would be rejected, nearest first"""
    below: list[BorderlineRecord]
    """the next ones that would be passed, nearest first"""


class BorderlineRecord(TypedDict):
    inspection_id: str
    score: float
    recorded: Outcome
    review: Verdict | None
    filename: str
    image_removed: bool
    """by retention; the record stays"""
    created_at: Moment
    page_url: str


class Category(TypedDict):
    name: str
    is_default: bool
    """used for images without a category while several are in production"""
    production: ProductionVersion | None
    """the model version that judges its parts"""
    deployment: int | None
    """the active one"""
    model_versions: int
    """how many"""
    datasets: int
    """how many"""
    created_at: Moment


class Checkpoint(TypedDict):
    """As in the file that `manage.py audit_checkpoint` writes."""

    format: str
    sequence: int
    """of the last event that it covers"""
    head: str
    """hash of that event"""
    events: int
    at: str
    key_id: str
    signature: str
    """Ed25519 over the text of docs/audit.md, base64"""


class Curve(TypedDict):
    thresholds: list[float]
    """evenly spaced, ascending"""
    series: list[CurveSeries]


class CurveSeries(TypedDict):
    recorded: Outcome
    review: Verdict | None
    """null: unreviewed"""
    counts: list[int]
    """between each threshold and the next, that one included"""
    above: list[int]
    """above each threshold"""


class DatasetImage(TypedDict):
    id: int
    path: str
    split: Split
    is_defective: bool
    defect_type: str
    """good, or the name of the defect"""
    sha256: str
    width: int
    height: int
    discarded: bool
    """true: retention removed the file"""
    image_url: str
    mask_url: str | None


class DatasetOfReviews(TypedDict):
    """`skipped`: the records that were left out, and why."""

    id: int
    name: str
    category: str
    snapshot: str
    """hash over every image, split, label and mask"""
    source: str
    train_images: int
    test_images: int
    defective_images: int
    masks: int
    skipped_count: int
    created_at: Moment
    created_by: str | None
    layout: Layout | None
    """how it was read; null: it was made otherwise"""
    skipped: list[Skipped]
    """files that are not part of it, at most 200"""
    duplicates: Duplicates | None
    """null: nobody looked for them"""
    warnings: list[str]
    created: bool
    """false: the same content had been imported before"""
    made_from: JsonObject
    """as requested"""


class Dataset(TypedDict):
    id: int
    name: str
    category: str
    snapshot: str
    """hash over every image, split, label and mask"""
    source: str
    train_images: int
    test_images: int
    defective_images: int
    masks: int
    skipped_count: int
    created_at: Moment
    created_by: str | None


class DefaultCategory(TypedDict):
    category: str | None


class DefectTypeAgreement(TypedDict):
    defect_type: str
    """empty: nobody named it"""
    recall: Rate
    """of those with a score: defects by the model"""
    not_comparable: int


class DefectTypeRecall(TypedDict):
    defect_type: str
    total: int
    found: int
    recall: Figure


class Deployment(TypedDict):
    id: int
    category: str
    model_version: int
    version_number: int
    algorithm: str
    kind: DeploymentKind
    reason: str
    status: DeploymentStatus
    device_requested: str
    device: str | None
    runtime: Runtime
    precision: Precision
    """as requested"""
    precision_chosen: str | None
    """what it runs in"""
    choice: JsonObject
    """why, and what was measured"""
    threshold: float | None
    """that came with it"""
    threshold_reason: str
    worker: str | None
    error_code: str | None
    error: str | None
    requested_by: str | None
    requested_at: Moment
    activated_at: Moment | None
    ended_at: Moment | None


class DisturbanceEffect(TypedDict):
    """What became of good images, not comparable ones counted as rejected."""

    title: str
    """of the disturbance, in words"""
    n: int
    rejected: int
    rejected_share: float
    not_comparable: int
    change_median: float | None
    """of the score, in standard deviations of the held-out scores; positive: to rejection"""
    change_p95: float | None
    """95th percentile of the same"""
    reasons: dict[str, int]
    """why images are not comparable"""


class Disturbance(TypedDict):
    """What became of good images, not comparable ones counted as rejected."""

    title: str
    """of the disturbance, in words"""
    n: int
    rejected: int
    rejected_share: float
    not_comparable: int
    change_median: float | None
    """of the score, in standard deviations of the held-out scores; positive: to rejection"""
    change_p95: float | None
    """95th percentile of the same"""
    reasons: dict[str, int]
    """why images are not comparable"""
    name: str
    """darker, brighter, blur, noise, shift, rotation or jpeg"""


class DuplicateGroup(TypedDict):
    is_identical: bool
    """byte for byte; false: nearly identical"""
    count: int
    images: list[DuplicateImage]
    """at most 50"""


class DuplicateImage(TypedDict):
    path: str
    split: Split
    defect_type: str
    left_out: bool
    """true: it is not imported"""


class Duplicates(TypedDict):
    group_count: int
    """how many pictures are there more than once"""
    image_count: int
    """images in these groups"""
    left_out_count: int
    """test images that are not imported because of them"""
    groups: list[DuplicateGroup]
    """at most 50"""


class EstimatedConfusion(TypedDict):
    tp: Figure
    fp: Figure
    tn: Figure
    fn: Figure


class EstimatedMetrics(TypedDict):
    precision: Figure
    recall: Figure
    f1: Figure
    false_reject_rate: Figure
    """share of the good parts that are rejected"""
    escape_rate: Figure
    """share of the defects that are passed"""
    confusion: EstimatedConfusion
    cost: Figure | None


class FieldChange(TypedDict):
    field: str
    """with dots between names where values lie within each other"""
    before: Any
    after: Any


class Figure(TypedDict):
    value: float | None
    """null of nothing"""
    interval: list[float] | None
    """[low, high] at 95 %"""


class FullDataset(TypedDict):
    id: int
    name: str
    category: str
    snapshot: str
    """hash over every image, split, label and mask"""
    source: str
    train_images: int
    test_images: int
    defective_images: int
    masks: int
    skipped_count: int
    created_at: Moment
    created_by: str | None
    layout: Layout | None
    """how it was read; null: it was made otherwise"""
    skipped: list[Skipped]
    """files that are not part of it, at most 200"""
    duplicates: Duplicates | None
    """null: nobody looked for them"""
    warnings: list[str]


class FullModelVersion(TypedDict):
    id: int
    category: str
    number: int
    """within its category"""
    algorithm: str
    backbone: str | None
    stage: Stage
    auroc: float | None
    """image AUROC at the end of training"""
    threshold: float
    """in force"""
    threshold_revision: int
    dataset: str
    """name of the data set it learned from"""
    dataset_snapshot: str
    artifact_sha256: str
    artifact_bytes: int
    created_at: Moment
    created_by: str | None
    config: JsonObject
    """options of the detector"""
    preprocessing: JsonObject
    """what was decided about illumination and pose, and why"""
    backbone_sha256: str | None
    seed: int
    versions: dict[str, str]
    """of code and libraries that trained it"""
    training_run: int | None
    dataset_id: int | None
    base_version: int | None
    """the version that it extends"""
    ignore_mask: VersionIgnoreMask | None
    """null where the whole image is judged"""
    threshold_warnings: list[str]
    """of the threshold in force: that it comes from too few images"""


class FullTrainingRun(TypedDict):
    id: int
    dataset: RunDataset
    category: str
    algorithm: str
    base_version: int | None
    """the version that it extends"""
    options: JsonObject
    calibration: JsonObject
    ignore_mask: str | None
    """sha256 of the mask of what is not judged"""
    ignore_mask_version: int | None
    """the version on whose mean image the mask was drawn"""
    seed: int
    status: TrainingRunStatus
    progress: float
    """0 to 1"""
    message: str
    cancel_requested: bool
    attempt: int
    worker: str | None
    error_code: str | None
    error: str | None
    model_version: int | None
    """what came of it"""
    log_url: str
    requested_by: str | None
    created_at: Moment
    started_at: Moment | None
    finished_at: Moment | None
    warnings: list[str]
    """about the first threshold: that it comes from too few images"""
    history: list[JsonObject]
    """epoch and losses, where there are epochs"""
    selection: JsonObject | None
    """of auto, once it succeeded: the winner, why, and every candidate with what it found"""
    versions: dict[str, str]
    """of code and libraries, once it succeeded"""


class IgnoreMask(TypedDict):
    sha256: str
    """for `ignore_mask` of a training run"""
    width: int
    height: int
    share: float
    """of the picture that is not judged, 0 to 1"""


class ImportedDataset(TypedDict):
    id: int
    name: str
    category: str
    snapshot: str
    """hash over every image, split, label and mask"""
    source: str
    train_images: int
    test_images: int
    defective_images: int
    masks: int
    skipped_count: int
    created_at: Moment
    created_by: str | None
    layout: Layout | None
    """how it was read; null: it was made otherwise"""
    skipped: list[Skipped]
    """files that are not part of it, at most 200"""
    duplicates: Duplicates | None
    """null: nobody looked for them"""
    warnings: list[str]
    created: bool
    """false: the same content had been imported before"""


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
    """null: nobody set them, these are the defaults"""


class Inspection(TypedDict):
    """A whole record. What could not be compared has no verdict, so it is never "good": `is_defective` is null."""

    reconstruction_error: float | None
    """the image score, for every algorithm; null when not comparable"""
    is_defective: bool | None
    """null when not comparable: no verdict"""
    threshold: float
    confidence: float | None
    """|score - threshold|"""
    anomaly_map: Any
    """nested list [H][W] over the whole image, longer side at most 512; an address; or null"""
    inspection_id: str
    outcome: Outcome
    reason: str
    """why it is not comparable, a word for programs"""
    explanation: str
    """the same as a sentence"""
    warnings: list[PictureWarning]
    """warnings about an image that was judged"""
    score: float | None
    p_value: float | None
    """share of good parts at least as anomalous, this one included: small is suspicious"""
    regions: list[Region] | None
    """above the threshold, highest first, at most 50"""
    ignored_outlines: list[list[list[int]]] | None
    """polygons [[x, y], ...] of what is not judged, in the image's pixels; one inside another is a hole; null where
    the whole image is judged"""
    region_count: int | None
    largest_region_px: int | None
    algorithm: str
    model_version: int
    category: str
    threshold_revision: int
    filename: str
    path: str
    """in the zip, folder or data set of its batch; empty where it came alone"""
    image_sha256: str
    image_format: ImageFormat
    """by content; the name may say otherwise"""
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
    """milliseconds of each step; how the model ran (runtime, precision)"""
    created_at: Moment
    review: Standing | None
    """null: not reviewed"""


class InspectionRow(TypedDict):
    """A record in a list: without `regions`, `ignored_outlines` and `timings`, with where it came from."""

    reconstruction_error: float | None
    """the image score, for every algorithm; null when not comparable"""
    is_defective: bool | None
    """null when not comparable: no verdict"""
    threshold: float
    confidence: float | None
    """|score - threshold|"""
    anomaly_map: str | None
    """address"""
    inspection_id: str
    outcome: Outcome
    reason: str
    """why it is not comparable, a word for programs"""
    explanation: str
    """the same as a sentence"""
    warnings: list[PictureWarning]
    """warnings about an image that was judged"""
    score: float | None
    p_value: float | None
    """share of good parts at least as anomalous, this one included: small is suspicious"""
    region_count: int | None
    largest_region_px: int | None
    algorithm: str
    model_version: int
    category: str
    threshold_revision: int
    filename: str
    path: str
    """in the zip, folder or data set of its batch; empty where it came alone"""
    image_sha256: str
    image_format: ImageFormat
    """by content; the name may say otherwise"""
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
    """null: not reviewed"""
    source: str
    operator: str | None
    batch_id: str | None


class IssuedToken(TypedDict):
    id: int
    user: str
    name: str
    hint: str
    """the key's first characters"""
    scopes: list[Scope]
    valid: bool
    """neither revoked nor expired"""
    created_at: Moment
    expires_at: Moment | None
    revoked_at: Moment | None
    last_used_at: Moment | None
    """to the minute"""
    key: str
    """shown here and never again"""


class Judging(TypedDict):
    alive: bool
    """an inference worker gave a sign of life in the last seconds"""
    since: Moment | None
    """when none is alive: the last sign of life; null where it is not known"""
    waiting: int
    """single images that wait for their verdict"""


class Lamp(TypedDict):
    steps: list[float]
    """changes of brightness, as shares"""
    max_rejected_share: float
    """twice the expected rate"""
    darker: float
    """the largest step up to which no more are rejected; 0: none"""
    brighter: float
    """the same"""
    rejected_share: dict[str, dict[str, float]]
    """of darker and brighter: of each step that was tried"""


class Layout(TypedDict):
    name: str
    sentence: str


class LeftOut(TypedDict):
    code: str
    reason: str
    """of the first of these files"""
    count: int
    examples: list[str]


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
    """as requested"""
    precision_chosen: str
    """what the model runs in"""
    worker: str
    threshold: float
    threshold_revision: int
    image_size: Any
    preprocessing: dict[str, str]
    """illumination: flatfield or none; align: pose or none; size: WIDTHxHEIGHT of a native input"""
    loaded_at: Moment
    loaded_by: str | None


class MarkedRegion(TypedDict):
    """A box in pixels of the image, after its EXIF orientation; it lies in the image."""

    x: int
    y: int
    width: int
    height: int


class Me(TypedDict):
    username: str
    roles: list[str]
    """of operator, engineer, auditor, admin"""
    is_superuser: bool
    rights: list[Right]
    """what may be done with this session or token"""
    token: TokenOfMe | None
    """the token that was shown; null in a browser session"""


class Metrics(TypedDict):
    model_version: int
    dataset: str
    dataset_snapshot: str
    metrics: JsonObject
    """of the evaluation at the end of training; empty without test images"""
    held_out_scores: list[float]
    """of good images that the model had not seen"""
    robustness: Robustness | None
    """of the newest evaluation that measured it (manage.py evaluate --robustness)"""
    more_images: MoreImages | None
    """what ten more good images would be worth"""


class ModelAgreement(TypedDict):
    confusion: AgreementConfusion
    agreement: Rate
    false_rejects: Rate
    """rejected by the model, reviewed as good"""
    escapes: Rate
    """passed by the model, reviewed as defect"""
    defect_types: list[DefectTypeAgreement]


class ModelVersion(TypedDict):
    id: int
    category: str
    number: int
    """within its category"""
    algorithm: str
    backbone: str | None
    stage: Stage
    auroc: float | None
    """image AUROC at the end of training"""
    threshold: float
    """in force"""
    threshold_revision: int
    dataset: str
    """name of the data set it learned from"""
    dataset_snapshot: str
    artifact_sha256: str
    artifact_bytes: int
    created_at: Moment
    created_by: str | None


class MoreImages(TypedDict):
    n: int
    """held-out good images now"""
    more: int
    """how many more are meant"""
    promised_rate: float
    """the smallest false-reject rate that a threshold can promise"""
    promised_rate_then: float
    """the same with more images"""
    requested_rate: float | None
    """of the threshold in force, where its rule has one"""
    rate_interval: list[float] | None
    """where the real rate lies in 95 % of cases; null: too few images for it"""
    rate_interval_then: list[float] | None
    """the same with more images"""
    score_fall: float | None
    """share by which scores of new good parts would fall; null: not measured"""
    score_fall_range: list[float] | None
    """of it, over pairs of points of the learning curve"""
    sentence: str


class OutcomeCounts(TypedDict):
    good: int
    defective: int
    not_comparable: int


class OutcomePair(TypedDict):
    recorded: Outcome
    rescored: Outcome
    count: int


class PerDay(TypedDict):
    inspections: float
    rejected: float
    """rejected"""
    not_comparable: float
    false_rejects: Figure | None
    escapes: Figure | None
    cost: Figure | None


class Period(TypedDict):
    first: Moment | None
    last: Moment | None
    days: float | None
    """from the first record to the last, at least 1"""


class PictureWarning(TypedDict):
    """What was odd about a picture that was judged all the same."""

    code: str
    detail: str


class PreviewImages(TypedDict):
    split: Split
    defect_type: str
    """good, or the name of the defect"""
    is_defective: bool
    count: int
    masks: int


class Preview(TypedDict):
    """What one data set would be."""

    name: str
    snapshot: str
    """that the data set would have"""
    layout: Layout
    images: list[PreviewImages]
    masks: int
    left_out: list[LeftOut]
    left_out_count: int
    duplicates: Duplicates
    warnings: list[str]


class ProductionVersion(TypedDict):
    id: int
    number: int
    algorithm: str


class Rate(TypedDict):
    count: int
    of: int
    rate: float | None
    """null of nothing"""
    interval: list[float] | None
    """95 %, exact (Clopper-Pearson)"""


class RecordedResult(TypedDict):
    model_version: int
    outcome: Outcome
    score: float | None
    threshold: float
    p_value: float | None


class Region(TypedDict):
    """A connected place above the threshold, in pixels of the image; its peak is in the unit of the score."""

    x: int
    """left edge of its box"""
    y: int
    """upper edge of its box"""
    width: int
    height: int
    area_px: int
    peak: float
    peak_x: int
    peak_y: int


class Request(TypedDict):
    """What became of the request to judge one image."""

    request_id: str
    status: RequestStatus
    final: bool
    """false: a record may come yet, until the deadline"""
    deadline: Moment | None
    """no record is written after it; null: no end"""
    inspection_id: str | None
    """the record; null where there is none"""
    inspection_url: str | None
    code: str
    """why there is no record, when status is failed"""
    detail: str
    repeat_url: str | None
    """POST: have the kept image judged again; null where that is not possible"""
    repeat_of: str | None
    """the first request for the same part"""
    batch_id: str | None
    filename: str
    path: str
    """in the zip, folder or data set of its batch; empty where it came alone"""
    image_sha256: str | None
    station: str
    part_number: str
    lot: str
    serial_number: str
    created_at: Moment


class Rescored(TypedDict):
    inspection_id: str
    inspection_url: str
    filename: str
    created_at: Moment
    """of the record"""
    recorded: RecordedResult
    outcome: Outcome | None
    score: float | None
    p_value: float | None
    reason: str
    """why it is not comparable"""
    error_code: str
    """why there is no outcome"""
    changed: bool
    review: Verdict | None


class RescoringAgainstReviews(TypedDict):
    total: int
    right_before: int
    right_after: int
    became_right: int
    became_wrong: int
    """not comparable included: it agrees with no review"""


class RescoringDetail(TypedDict):
    rescoring_id: str
    url: str
    results_url: str
    status: RescoringStatus
    model_version: int
    version_number: int
    category: str
    threshold: float
    """active when the run was requested"""
    threshold_revision: int
    device: str
    runtime: str
    precision: str
    """as requested"""
    precision_chosen: str
    """what all of the run is scored in"""
    filters: JsonObject
    reason: str
    total: int
    done: int
    failed: int
    changed: int
    """of those done: the outcome is not that of the record"""
    progress: float
    error_code: str
    error: str
    requested_by: str | None
    created_at: Moment
    started_at: Moment | None
    finished_at: Moment | None
    summary: RescoringSummary


class RescoringFailure(TypedDict):
    code: str
    count: int


class Rescoring(TypedDict):
    rescoring_id: str
    url: str
    results_url: str
    status: RescoringStatus
    model_version: int
    version_number: int
    category: str
    threshold: float
    """active when the run was requested"""
    threshold_revision: int
    device: str
    runtime: str
    precision: str
    """as requested"""
    precision_chosen: str
    """what all of the run is scored in"""
    filters: JsonObject
    reason: str
    total: int
    done: int
    failed: int
    changed: int
    """of those done: the outcome is not that of the record"""
    progress: float
    error_code: str
    error: str
    requested_by: str | None
    created_at: Moment
    started_at: Moment | None
    finished_at: Moment | None


class RescoringSummary(TypedDict):
    verdicts: list[OutcomePair]
    failures: list[RescoringFailure]
    reviewed: RescoringAgainstReviews
    rank_correlation: float | None
    """Spearman's, of the scores; at the end"""


class RetentionExample(TypedDict):
    what: RetentionFileKind
    name: str
    """sha256 of a file, or the path of a leftover"""
    size_bytes: int


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
    """null: orphaned files"""
    policy: int | None
    policy_revision: int | None
    orphan_days: int | None
    dry_run: bool
    status: RetentionRunStatus
    images: int
    maps: int
    orphans: int
    """images that no record refers to"""
    leftovers: int
    """files and folders that no row refers to"""
    size_bytes: int
    oldest: Moment | None
    examples: list[RetentionExample]
    first_sha256: str
    last_sha256: str
    code: str
    """why it failed"""
    detail: str
    requested_by: str | None
    created_at: Moment
    started_at: Moment | None
    finished_at: Moment | None


class ReviewCoverage(TypedDict):
    recorded: Outcome
    total: int
    reviewed: int
    share: float | None


class Review(TypedDict):
    review_id: int
    inspection_id: str
    inspection_url: str
    category: str
    outcome: Outcome
    """what model"""
    number: int
    """of the reviews of this record, from 1"""
    verdict: RecordedVerdict
    """withdrawn: the undo of the only review"""
    agrees: bool | None
    """with the model; null where it gave no verdict"""
    defect_type: str
    comment: str
    regions: list[MarkedRegion]
    undoes: int | None
    """the review that this one takes back; null: none"""
    reviewer: str
    created_at: Moment


class ReviewedMetrics(TypedDict):
    precision: Figure
    recall: Figure
    f1: Figure
    false_reject_rate: Figure
    """share of the good parts that are rejected"""
    escape_rate: Figure
    """share of the defects that are passed"""
    total: int
    confusion: WhatIfConfusion
    defect_types: list[DefectTypeRecall]
    cost: float | None


class ReviewerAgreement(TypedDict):
    records: int
    """that two or more people reviewed"""
    unanimous: Rate
    agreement: float | None
    """chance that two people say the same of one part"""
    fleiss_kappa: float | None
    """agreement beyond chance; null where undefined"""
    pairs: list[ReviewerPair]
    """at most 50, those with the most parts first"""


class ReviewerPair(TypedDict):
    reviewers: list[str]
    agreement: Rate
    cohen_kappa: float | None


class Robustness(TypedDict):
    images: str
    """test images, or training images where there are no good test images"""
    n: int
    threshold: float
    """in force when it was measured"""
    spread: float
    """standard deviation of the held-out scores, the unit of changes"""
    expected_rate: float
    """share of good parts that the threshold should reject"""
    expected_rate_is: ExpectedRateIs
    """by its rule, or where it has none from the held-out scores"""
    baseline: DisturbanceEffect
    """the images as taken"""
    disturbances: list[Disturbance]
    lamp: Lamp
    sentence: str
    """what the lamp may do before parts are rejected"""


class RunDataset(TypedDict):
    id: int
    name: str
    snapshot: str


class Scheduler(TypedDict):
    alive: bool
    since: Moment | None
    """when it is not: its last sign of life, if known"""


class Scores(TypedDict):
    minimum: float
    p05: float
    p25: float
    median: float
    p75: float
    p95: float
    maximum: float


class Skipped(TypedDict):
    path: str
    reason: str


class Standing(TypedDict):
    """Where a record stands after its last review."""

    verdict: Verdict
    reviewer: str
    defect_type: str
    overruled: bool
    """the last review and the model's verdict differ"""
    contested: bool
    """its reviews differ among themselves"""
    reviews: int
    """how many there are"""


class Status(TypedDict):
    model_loaded: bool
    model: LoadedModel | None
    """what judges an image that names no category; null: nothing, or several could"""
    default_category: str | None
    """set on purpose; null: none is"""
    deployments: list[LoadedModel]
    device: str
    threshold: float | None
    workers: list[Worker]
    judging: Judging
    scheduler: Scheduler
    queues: dict[str, int | None]
    """messages, of which several may be for one image"""
    broker: str
    versions: dict[str, str]
    uptime_seconds: float


class ThresholdInForce(TypedDict):
    revision: int
    value: float


class Threshold(TypedDict):
    id: int
    model_version: int
    category: str
    revision: int
    in_force: bool
    value: float
    method: ThresholdMethod
    parameters: JsonObject
    evidence: JsonObject
    warnings: list[str]
    """what to know before relying on it: that it comes from too few images"""
    reason: str
    author: str | None
    created_at: Moment


class ThresholdPreset(TypedDict):
    method: ThresholdMethod
    parameters: JsonObject
    """and what it was taken from"""
    threshold: float | None
    unavailable: str
    """why there is none"""


class TokenOfMe(TypedDict):
    id: int
    name: str
    scopes: list[Scope]
    expires_at: Moment | None


class Token(TypedDict):
    id: int
    user: str
    name: str
    hint: str
    """the key's first characters"""
    scopes: list[Scope]
    valid: bool
    """neither revoked nor expired"""
    created_at: Moment
    expires_at: Moment | None
    revoked_at: Moment | None
    last_used_at: Moment | None
    """to the minute"""


class TrainingRun(TypedDict):
    id: int
    dataset: RunDataset
    category: str
    algorithm: str
    base_version: int | None
    """the version that it extends"""
    options: JsonObject
    calibration: JsonObject
    ignore_mask: str | None
    """sha256 of the mask of what is not judged"""
    ignore_mask_version: int | None
    """the version on whose mean image the mask was drawn"""
    seed: int
    status: TrainingRunStatus
    progress: float
    """0 to 1"""
    message: str
    cancel_requested: bool
    attempt: int
    worker: str | None
    error_code: str | None
    error: str | None
    model_version: int | None
    """what came of it"""
    log_url: str
    requested_by: str | None
    created_at: Moment
    started_at: Moment | None
    finished_at: Moment | None


class VerdictChanges(TypedDict):
    to_defective: int
    to_good: int


class VerdictCounts(TypedDict):
    good: int
    """as people said last"""
    defective: int


class VersionIgnoreMask(TypedDict):
    share: float
    """of the model's input that is not judged, 0 to 1"""
    sha256: str | None
    """of the mask as it was drawn or sent"""
    drawn_on_version: int | None
    """the version on whose mean image it was drawn; null: on the images as they are"""
    picture_url: str
    """white is not judged, in the pixels of the mean image"""


class WhatIfConfusion(TypedDict):
    tp: int
    """defects that are rejected"""
    fp: int
    """good parts that are rejected: false rejects"""
    tn: int
    """good parts that are passed"""
    fn: int
    """defects that are passed: escapes"""


class WhatIf(TypedDict):
    model_version: int
    version_number: int
    category: str
    filters: JsonObject
    threshold_in_force: ThresholdInForce
    total: int
    """records that meet the filters"""
    recorded: OutcomeCounts
    """as they were judged"""
    period: Period
    coverage: list[ReviewCoverage]
    """how many of each recorded verdict were reviewed"""
    unreviewed: int
    asked: AtThreshold
    in_force: AtThreshold | None
    """with compare"""
    against_in_force: VerdictChanges
    """how many the asked threshold judges otherwise than the active one"""
    borderline: Borderline
    curve: Curve | None
    """with bins"""
    presets: list[ThresholdPreset] | None
    notes: list[str]
    """limits of the metrics, for people"""


class Worker(TypedDict):
    name: str
    queues: list[str]


class Filters(TypedDict, total=False):
    """Which records are meant; the same for lists, exports, agreement, what-if and rescoring."""

    batch: str
    category: str
    """name"""
    contested: bool
    """of the reviewed ones: whether reviews differ among themselves"""
    image_sha256: str
    """of the image file as it was sent"""
    lot: str
    model_version: int
    """id"""
    operator: str
    """user name of who had it inspected"""
    outcome: Outcome | list[Outcome]
    """one of those that are given"""
    overruled: bool
    """of the reviewed ones: whether the review that stands differs from the verdict"""
    part_number: str
    period: Literal["today", "24h", "7d", "30d"]
    """until now, instead of `since`; days are those of the system's time zone"""
    review_verdict: Verdict
    """that stands"""
    reviewed: bool
    reviewer: str
    """user name of whose review stands"""
    score_max: float
    """records with a score not above this"""
    score_min: float
    """records with a score not below this"""
    search: str
    """how the file name, the serial number, the lot or the part number begins"""
    serial: str
    """how the serial number begins"""
    serial_number: str
    """whole"""
    since: date | datetime | str
    """from this day or moment on; without an offset in the system's time zone"""
    source: str
    """how the image came: api, web, command, ..."""
    station: str
    threshold_revision: int
    """its number, of `model_version` or of any"""
    until: date | datetime | str
    """to the end of this day, or before this moment"""


class WhatIfOptions(TypedDict, total=False):
    """The filters, and how the answer shall be made."""

    batch: str
    bins: int
    """of the curve, about; 0: none"""
    category: str
    """name"""
    compare: bool
    """tell the same of the active one"""
    contested: bool
    """of the reviewed ones: whether reviews differ among themselves"""
    cost_escape: float
    """in the same unit"""
    cost_false_reject: float
    """of a good part"""
    curve_from: float
    """score at which the curve begins; default: the lowest"""
    curve_to: float
    """score at which it ends; default: the highest"""
    false_reject_rate: float
    """promised by a preset; between 0 and 1, without them"""
    image_sha256: str
    """of the image file as it was sent"""
    lot: str
    model_version: int
    """id"""
    operator: str
    """user name of who had it inspected"""
    outcome: Outcome | list[Outcome]
    """one of those that are given"""
    overruled: bool
    """of the reviewed ones: whether the review that stands differs from the verdict"""
    part_number: str
    percentile: float
    """of the good parts held out of training, for a preset; default: THRESHOLD_PERCENTILE"""
    period: Literal["today", "24h", "7d", "30d"]
    """until now, instead of `since`; days are those of the system's time zone"""
    presets: bool
    """thresholds that suggest themselves"""
    review_verdict: Verdict
    """that stands"""
    reviewed: bool
    reviewer: str
    """user name of whose review stands"""
    score_max: float
    """records with a score not above this"""
    score_min: float
    """records with a score not below this"""
    search: str
    """how the file name, the serial number, the lot or the part number begins"""
    serial: str
    """how the serial number begins"""
    serial_number: str
    """whole"""
    since: date | datetime | str
    """from this day or moment on; without an offset in the system's time zone"""
    source: str
    """how the image came: api, web, command, ..."""
    station: str
    threshold_revision: int
    """its number, of `model_version` or of any"""
    until: date | datetime | str
    """to the end of this day, or before this moment"""


class AuditFilters(TypedDict, total=False):
    """Which audit events are meant."""

    actor: str
    """user name, or the source where nobody was signed in"""
    kind: str
    """such as threshold.set"""
    object_id: str
    """needs object_type; of an inspection, with the events of its reviews"""
    object_type: str
    """such as inspection.inspection"""
    request_id: str
    """X-Request-ID of the request"""
    since: date | datetime | str
    """at or after"""
    source: str
    """api, web, admin, command, worker, system"""
    until: date | datetime | str
    """before"""


class PartFields(TypedDict, total=False):
    """What is known about the part; kept with the record as given."""

    station: str
    part_number: str
    lot: str
    serial_number: str


class How(TypedDict, total=False):
    """On what and how a model is run; what is not given is as the server's settings say."""

    device: Device
    runtime: Runtime
    precision: Precision


class InputCheckFields(TypedDict, total=False):
    """What is checked of a picture, what follows, and how much is tolerated."""

    size: CheckAction
    aspect: CheckAction
    colour: CheckAction
    likeness: CheckAction
    size_factor: float
    """how many times longer or shorter the sides may be"""
    aspect_percent: float
    """by how many per cent width to height may differ"""
    likeness_factor: float
    """how many times the learnt limit is allowed"""
