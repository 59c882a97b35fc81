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
AlarmKind = Literal["drift", "batch_drift", "reference_part"]
AlarmStatus = Literal["open", "acknowledged", "resolved"]
Basis = Literal["serials", "counter"]
BatchMapForm = Literal["url", "none"]
BatchStatus = Literal["queued", "running", "finished", "cancelled"]
Blank = Literal[""]
BlindVerdict = Literal["good", "defective", "doubtful"]
CalibrationInputMethod = Literal["percentile", "conformal"]
Cause = Literal["threshold", "novelty", "disagreement", "random_audit"]
ChallengerStatus = Literal["queued", "running", "finished", "stopped", "failed"]
CheckAction = Literal["off", "warn", "refuse"]
ConnectionInputKind = Literal["camera", "centre", "modbus", "mqtt", "opcua", "webhook"]
CsvDialect = Literal["excel", "excel-de", "plain"]
Decision = Literal["good", "defective", "unclear", "skipped"]
DeploymentKind = Literal["load", "promotion", "rollback", "canary"]
DeploymentStatus = Literal["loading", "active", "replaced", "failed"]
Device = Literal["auto", "cpu", "cuda"]
DriftChartStatus = Literal["learning", "in control", "out of control"]
Event = Literal["verdict", "no_verdict"]
ExpectedRateIs = Literal["requested", "held-out"]
ExpectedVerdict = Literal["good", "defective"]
FullConnectionOutputState = Literal["disabled", "silent", "opening", "open", "failing"]
ImageFormat = Literal["PNG", "JPEG", "BMP", "TIFF", "WEBP"]
MapForm = Literal["full", "url", "none"]
Meaning = Literal["reviewed", "approved", "responsible"]
MessageStatus = Literal["waiting", "sent", "failed"]
Outcome = Literal["good", "defective", "not_comparable"]
PartOutputStatus = Literal["open", "closed"]
PartViewOutputState = Literal["good", "defective", "not_comparable", "refused", "missing", "pending"]
Picture = Literal["image", "map", "overlay", "picture", "thumbnail"]
Precision = Literal["auto", "fp32", "bf16", "int8"]
PromisedFigureName = Literal[
    "reject_share",
    "false_reject_rate",
    "escape_rate",
    "inspections",
    "rejected",
    "false_rejects",
    "escapes",
    "audited_escapes",
]
PromisedFigureOutputVerdict = Literal["kept", "higher", "lower", "not_known"]
RecordedVerdict = Literal["good", "defective", "withdrawn"]
RegularReportKind = Literal["shift", "day", "week", "month"]
ReportAuditOf = Literal["lot", "shifts"]
ReportChangeKind = Literal["model", "threshold", "approval", "input checks"]
ReportKind = Literal["shift", "day", "week", "month", "period", "lot"]
ReportOrigin = Literal["single", "batch"]
RequestStatus = Literal["queued", "running", "done", "failed", "expired", "cancelled"]
RescoringStatus = Literal["queued", "running", "finished", "failed", "cancelled"]
RetentionFileKind = Literal["image", "map", "orphan", "leftover"]
RetentionRunStatus = Literal["queued", "running", "finished", "failed"]
Right = Literal[
    "inspect",
    "read",
    "review",
    "export",
    "train",
    "tune",
    "deploy",
    "connect",
    "forward",
    "audit",
    "issue",
    "administer",
]
Runtime = Literal["auto", "torch", "compile", "onnxruntime", "openvino"]
ScaleMethod = Literal["known_length", "checkerboard", "withdrawn"]
Scope = Literal["inspect", "read", "manage"]
SinceWhat = Literal["threshold", "deployment"]
Source = Literal["test_set", "review"]
Split = Literal["train", "test"]
Stage = Literal["candidate", "approved", "production", "archived"]
Standard = Literal["reviews", "expert"]
StatementExceptionOutputKind = Literal["missing", "not_comparable", "unreported", "reset", "not_covered"]
StationProof = Literal["unproven", "proven", "failed"]
StudyAppraiserOutputKind = Literal["person", "model"]
ThresholdMethod = Literal["percentile", "conformal", "best_f1", "cost", "manual"]
TrainingRunStatus = Literal["queued", "running", "succeeded", "failed", "cancelled"]
Type = Literal["string", "integer", "number", "boolean"]
Verdict = Literal["good", "defective"]


class AgainstStandard(TypedDict):
    kappa: float | None
    """null where it is not defined"""
    kappa_interval: list[float] | None
    verdict: str
    """acceptable, marginal or unacceptable; empty where nothing could be rated"""
    effectiveness: StudyShare
    """parts judged rightly in every trial"""
    misses: StudyShare
    """defective parts called good"""
    false_alarms: StudyShare
    """good parts called defective"""


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


class AlarmComment(TypedDict):
    text: str
    author: str | None
    """null: the system"""
    created_at: Moment


class Alarm(TypedDict):
    id: int
    kind: AlarmKind
    category: str
    station: str
    sentence: str
    """what was found"""
    details: JsonObject
    """what it was found in"""
    status: AlarmStatus
    opened_at: Moment
    acknowledged_at: Moment | None
    acknowledged_by: str | None
    resolved_at: Moment | None
    resolved_by: str | None
    cause: str
    is_new_normal: bool
    """charts began anew with what was measured then"""
    page_url: str


class AppraiserPair(TypedDict):
    kappa: float | None
    """null where it is not defined"""
    kappa_interval: list[float] | None
    verdict: str
    """acceptable, marginal or unacceptable; empty where nothing could be rated"""
    appraisers: list[str]


class Approval(TypedDict):
    reason: str
    author: str | None
    created_at: Moment
    signature: Signature | None


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


class AuditFigures(TypedDict):
    """Of parts that the model judged good and that were drawn at random."""

    drawn: int
    good: int
    defective: int
    doubtful: int
    open: int
    """drawn and not reviewed yet"""
    level: float
    escape_rate: float | None
    """share of defective parts among the clearly decided ones"""
    interval: list[float] | None
    """of the share of defective parts among all that passed: mid-P, about the level on average"""
    exact_interval: list[float] | None
    """the same, exact: holds the truth in at least `level` of all cases"""
    escapes: list[int] | None
    """`interval` as numbers of parts; of one shift only"""
    exact_escapes: list[int] | None
    passed: int | None
    """parts judged good; of one shift only"""
    shifts: int | None
    """with drawn parts; over several shifts only"""
    control: Control


class AuditedShiftFigures(TypedDict):
    shift_id: str
    category: str
    number: int
    """of the category's shifts, without a gap"""
    plan: int
    """id of the sampling plan"""
    starts_at: Moment
    ends_at: Moment
    first_sequence: int
    """of the audit events of its parts"""
    last_sequence: int
    passed: int
    rejected: int
    population_sha256: str
    draws: int
    controls: int
    event_sequence: int
    """of the audit event that closed it"""
    seed: str
    """the hash of that event"""
    export_url: str
    figures: AuditFigures


class AuditedShift(TypedDict):
    shift_id: str
    category: str
    number: int
    """of the category's shifts, without a gap"""
    plan: int
    """id of the sampling plan"""
    starts_at: Moment
    ends_at: Moment
    first_sequence: int
    """of the audit events of its parts"""
    last_sequence: int
    passed: int
    rejected: int
    population_sha256: str
    draws: int
    controls: int
    event_sequence: int
    """of the audit event that closed it"""
    seed: str
    """the hash of that event"""
    export_url: str


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
    image_statistics: NotRequired[dict[str, float] | None]
    """what the picture looks like as a whole, see docs/drift.md; null in records older than it"""
    region_count: NotRequired[int | None]
    largest_region_px: NotRequired[int | None]
    largest_region_mm2: NotRequired[float | None]
    """null: the station had no calibration"""
    mm_per_px: NotRequired[float | None]
    """with which it was measured, when it was judged"""
    calibration: NotRequired[int | None]
    """the calibration that was in force then"""
    min_region_mm2: NotRequired[float | None]
    """the size rule of its threshold revision; null: it had none"""
    ignored_region_count: NotRequired[int | None]
    """of region_count; null: no size rule was applied"""
    severity: NotRequired[str | None]
    """the most severe grade of its regions"""
    size_note: NotRequired[str]
    """what the size rule did to the verdict, or why it was not applied"""
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
    """from the first slice to the end, or to now; null where the clock was set back meanwhile"""
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
    """from the first slice to the end, or to now; null where the clock was set back meanwhile"""
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
    """from the first slice to the end, or to now; null where the clock was set back meanwhile"""
    images_per_second: float | None


class BetweenAppraisers(TypedDict):
    kappa: float | None
    """null where it is not defined"""
    kappa_interval: list[float] | None
    verdict: str
    """acceptable, marginal or unacceptable; empty where nothing could be rated"""
    agreement: StudyShare
    pairs: list[AppraiserPair]


class BlindDecision(TypedDict):
    part_id: int
    shift_id: str
    position: int
    inspection_id: str
    inspection_url: str
    outcome: Outcome
    """the model's verdict"""
    verdict: BlindVerdict
    comment: str
    review_id: int | None
    """null: doubtful"""
    reviewer: str
    created_at: Moment


class BlindPart(TypedDict):
    """A part to review. What the model said of it is not told before it is decided."""

    part_id: int
    category: str
    shift_ends_at: Moment
    image_url: str


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


class CalibrationPicture(TypedDict):
    sha256: str
    """for `picture` of a calibration"""
    width: int
    height: int


class Canary(TypedDict):
    canary_id: int
    """id of its deployment"""
    url: str
    category: str
    station: str
    model_version: int
    version_number: int
    algorithm: str
    active: bool
    reason: str
    requested_by: str | None
    activated_at: Moment
    ended_at: Moment | None


class CanaryStatus(TypedDict):
    deployment_id: int
    category: str
    station: str
    model_version: int
    version_number: int
    algorithm: str
    threshold: float
    threshold_revision: int
    reason: str
    loaded_at: Moment


class CardData(TypedDict):
    name: str
    snapshot: str
    train_images: int | None
    test_images: int | None
    duplicates_left_out: int | None
    held_out_images: int
    """good images that thresholds are set from"""
    left_out: list[JsonObject]
    """training images that cannot be compared, and why"""


class CardDefect(TypedDict):
    words: str
    detected: int
    total: int
    interval: str


class CardEvaluation(TypedDict):
    images: int | None
    good: int | None
    defective: int | None
    threshold: float | None
    figures: list[CardFigure]
    defects: list[CardDefect]
    not_comparable: JsonObject | None


class CardFigure(TypedDict):
    words: str
    text: str
    interval: str
    """95 %"""


class CardModel(TypedDict):
    category: str
    number: int
    algorithm: str
    backbone: str | None
    artifact_sha256: str
    artifact_bytes: int
    stage: str
    seed: int
    created_at: Moment
    created_by: str | None
    software: JsonObject
    """that trained it"""
    configuration: JsonObject


class CardThreshold(TypedDict):
    revision: int
    in_force: bool
    value: float
    method: str
    parameters: JsonObject
    reason: str
    warnings: list[str]
    author: str | None
    created_at: Moment


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


class ChainHead(TypedDict):
    sequence: int
    hash: str


class Challenger(TypedDict):
    challenger_id: str
    url: str
    category: str
    model_version: int
    version_number: int
    production: int
    """the model version that it is beside"""
    production_number: int
    status: ChallengerStatus
    share: float
    """of the live images that are scored"""
    max_images: int | None
    reason: str
    end_reason: str
    """why it ended"""
    seen: int
    """live images since the start"""
    scored: int
    disagreements: int
    """of those scored"""
    failed: int
    """could not be scored"""
    discarded: int
    """retention had removed the image"""
    requested_by: str | None
    created_at: Moment
    finished_at: Moment | None
    results_url: str
    disagreements_url: str
    csv_url: str


class ChallengerResult(TypedDict):
    id: int
    inspection_id: str
    inspection_url: str
    filename: str
    created_at: Moment
    """of the record"""
    production: VersionVerdict
    """as recorded"""
    challenger: VersionVerdict
    threshold: int
    """id of the challenger's threshold revision"""
    p_value: float | None
    reason: str
    """why it cannot be compared"""
    error_code: str
    """why there is no outcome"""
    disagrees: bool
    distance: float
    """between score / (score + threshold) of both, 0 to 1; 1 where one gives no score"""
    review: Verdict | None
    """that stands"""
    mark: DisagreementMark | None
    """of who looked without a review"""
    looked_at: bool


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
    authenticated_from: NotRequired[int]
    """the first event that must carry an authenticator; absent before there were any"""


class ComparedImage(TypedDict):
    sha256: str
    is_defective: bool
    defect_type: str
    source: Source
    inspection_id: str | None
    dataset_image: int | None
    candidate_score: float | None
    """null: not comparable, so rejected"""
    production_score: float | None


class ComparisonFigures(TypedDict):
    images: int
    good: int
    defective: int
    production: VersionFigures
    candidate: VersionFigures
    only_production_right: int
    only_candidate_right: int
    mcnemar_p_value: float
    """McNemar's exact test, two-sided"""
    results_sha256: str
    """over every image and both scores"""


class Comparison(TypedDict):
    comparison_id: str
    category: str
    candidate: int
    production: int
    candidate_threshold: float
    production_threshold: float
    dataset: str
    """whose test images are among the images"""
    status: RetentionRunStatus
    progress: float
    images: int
    images_sha256: str
    """over the images and what they are"""
    left_out: dict[str, int]
    """images, by the reason"""
    figures: ComparisonFigures | None
    error_rate_difference: float | None
    """share of wrong verdicts: the candidate's less that of production"""
    error: str
    requested_by: str | None
    """null: after a retraining, by the system"""
    created_at: Moment
    finished_at: Moment | None
    differing_url: str


class Connection(TypedDict):
    connection_id: int
    url: str
    page_url: str
    name: str
    kind: str
    station: str
    """whose verdicts it gets; empty: all stations"""
    category: str | None
    settings: JsonObject
    secrets: list[SecretSet]
    """those in force, by name; what they say is given to nobody"""
    line_time_ms: int | None
    enabled: bool
    revision: int
    created_at: Moment
    created_by: str | None


class ContainedPart(TypedDict):
    inspection_id: str
    inspection_url: str
    filename: str
    serial_number: str
    lot: str
    station: str
    created_at: Moment
    score: float
    likeness: float | None
    """with the escape; null: a map is gone"""
    rescored_outcome: Outcome | None
    rescored_score: float | None


class Containment(TypedDict):
    containment_id: str
    inspection_id: str
    """of the escape"""
    category: str
    model_version: int
    """that passed it"""
    threshold: int
    """id of the threshold revision that passed it"""
    since: Moment
    since_what: SinceWhat
    """what had changed then"""
    bounds: list[StationBound]
    """stations whose reference parts passed later, before the escape: searched from then on"""
    until: Moment
    min_likeness: float
    rescoring_id: str | None
    reason: str
    status: RetentionRunStatus
    passed: int
    """parts that passed in that time, the escape too"""
    searched: int
    without_map: int
    """searched, but retention removed the map"""
    listed: int
    expected_escapes: float | None
    """further ones, by random audits at this threshold; null: there are none"""
    expected_interval: list[int] | None
    """exact, at 95 %"""
    list_sha256: str
    """of the CSV file"""
    signature: str
    """of the CSV file: Ed25519, base64"""
    key_id: str
    code: str
    """why it failed"""
    detail: str
    requested_by: str | None
    created_at: Moment
    finished_at: Moment | None
    parts_url: str
    csv_url: str
    pdf_url: str


class Control(TypedDict):
    """Parts judged defective that were mixed in."""

    drawn: int
    good: int
    defective: int
    doubtful: int


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


class DefectRate(TypedDict):
    """A share with its exact 95 % interval (Clopper and Pearson); of nothing there is none."""

    found: int
    of: int
    value: float | None
    low: float | None
    high: float | None


class DefectTypeAgreement(TypedDict):
    defect_type: str
    """empty: nobody named it"""
    recall: Rate
    """of those with a score: defects by the model"""
    not_comparable: int


class DefectTypeCount(TypedDict):
    defect_type: str
    count: int
    share: float
    cumulative_share: float


class DefectTypeRecall(TypedDict):
    defect_type: str
    total: int
    found: int
    recall: Figure


class Delivery(TypedDict):
    delivery_id: str
    status: MessageStatus
    """failed: a dead letter"""
    event: Event
    station: str
    sequence: int
    """of its connection and station, without gaps"""
    attempts: int
    resent: bool
    """a person sent it again"""
    error: str
    content: JsonObject
    """what is said about the part: docs/line.md"""
    requested_at: Moment
    recorded_at: Moment
    due_at: Moment
    sent_at: Moment | None
    latency_ms: float | None
    """record to delivered"""


class Deployment(TypedDict):
    id: int
    category: str
    model_version: int
    version_number: int
    algorithm: str
    kind: DeploymentKind
    station: str | None
    """of a canary: the station whose images it judges"""
    reason: str
    status: DeploymentStatus
    device_requested: str
    device: str | None
    runtime: Runtime
    """as requested"""
    runtime_chosen: str | None
    """what runs it"""
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
    signature: Signature | None


class DisagreementMark(TypedDict):
    author: str | None
    comment: str
    created_at: Moment


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


class DoubtfulTime(TypedDict):
    category: str
    station: str
    serial_number: str
    since: Moment | None
    """null: the part had never passed there"""
    until: Moment | None
    """null: it had not passed again"""


class DriftChart(TypedDict):
    kind: str
    """see docs/drift.md"""
    unit: str
    status: DriftChartStatus
    reference_parts: int
    """so far; complete at 100"""
    average: float | None
    """moving average; of shares that of the last 50 parts"""
    centre: float | None
    lower_limit: float | None
    upper_limit: float | None
    stability_index: float | None
    """population stability index of the last 100 inspections against training"""
    differs_from_training: bool


class DriftMonitor(TypedDict):
    id: int
    category: str
    station: str
    of_batches: bool
    """of images that came in batches, not one by one"""
    model_version: int
    """of the newest record"""
    records: int
    last_record_at: Moment
    alarm: int | None
    """the unresolved one; null: none"""


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


class EndedSecrets(TypedDict):
    ended: int


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


class ExportedDecision(TypedDict):
    inspection_id: str
    verdict: BlindVerdict


class FailureCount(TypedDict):
    code: str
    count: int


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


class FullCanary(TypedDict):
    canary_id: int
    """id of its deployment"""
    url: str
    category: str
    station: str
    model_version: int
    version_number: int
    algorithm: str
    active: bool
    reason: str
    requested_by: str | None
    activated_at: Moment
    ended_at: Moment | None
    of_canary: VersionCounts
    """at its station"""
    of_production: VersionCounts
    """at all other stations in the same time"""
    of_station_before: VersionCounts
    """by production at the same station, in as long a time before"""


class FullChallenger(TypedDict):
    challenger_id: str
    url: str
    category: str
    model_version: int
    version_number: int
    production: int
    """the model version that it is beside"""
    production_number: int
    status: ChallengerStatus
    share: float
    """of the live images that are scored"""
    max_images: int | None
    reason: str
    end_reason: str
    """why it ended"""
    seen: int
    """live images since the start"""
    scored: int
    disagreements: int
    """of those scored"""
    failed: int
    """could not be scored"""
    discarded: int
    """retention had removed the image"""
    requested_by: str | None
    created_at: Moment
    finished_at: Moment | None
    results_url: str
    disagreements_url: str
    csv_url: str
    verdicts: list[VerdictPair]
    of_production: VersionCounts
    of_challenger: VersionCounts
    open_disagreements: int
    """that nobody looked at"""


class FullConnection(TypedDict):
    connection_id: int
    url: str
    page_url: str
    name: str
    kind: str
    station: str
    """whose verdicts it gets; empty: all stations"""
    category: str | None
    settings: JsonObject
    secrets: list[SecretSet]
    """those in force, by name; what they say is given to nobody"""
    line_time_ms: int | None
    enabled: bool
    revision: int
    created_at: Moment
    created_by: str | None
    state: FullConnectionOutputState
    """silent: no process keeps it"""
    since: Moment | None
    seen_at: Moment | None
    """last sign of life"""
    error: str
    """the last one"""
    error_at: Moment | None
    waiting: int
    delivered: int
    """since it was made"""
    dead_letters: int
    oldest_waiting_at: Moment | None
    last_delivered_at: Moment | None
    latency_p50_ms: float | None
    """record to delivered, of the last 1,000"""
    latency_p99_ms: float | None
    """record to delivered, of the last 1,000"""
    figures: JsonObject
    """what its kind counts since it was opened"""


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
    origin: VersionOrigin | None
    """of a version that was imported; null: trained here"""
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


class GateResult(TypedDict):
    name: str
    title: str
    required: str
    measured: str
    passed: bool


class Grade(TypedDict):
    name: str
    min_area_mm2: float
    min_peak: float


class HashedEvent(TypedDict):
    """An audit event as its hash covers it."""

    sequence: int
    at: str
    actor_id: int | None
    actor_name: str
    kind: str
    object_type: str
    object_id: str
    before: str
    after: str
    source: str
    request_id: str
    address: str
    previous_hash: str
    attests: str | None
    key_id: str | None
    hash: str
    authenticator: str | None


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
    image_statistics: dict[str, float] | None
    """what the picture looks like as a whole, see docs/drift.md; null in records older than it"""
    region_count: int | None
    largest_region_px: int | None
    largest_region_mm2: float | None
    """null: the station had no calibration"""
    mm_per_px: float | None
    """with which it was measured, when it was judged"""
    calibration: int | None
    """the calibration that was in force then"""
    min_region_mm2: float | None
    """the size rule of its threshold revision; null: it had none"""
    ignored_region_count: int | None
    """of region_count; null: no size rule was applied"""
    severity: str | None
    """the most severe grade of its regions"""
    size_note: str
    """what the size rule did to the verdict, or why it was not applied"""
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
    """A record in a list: without what its own page alone shows, with where it came from."""

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
    largest_region_mm2: float | None
    """null: the station had no calibration"""
    mm_per_px: float | None
    """with which it was measured, when it was judged"""
    calibration: int | None
    """the calibration that was in force then"""
    min_region_mm2: float | None
    """the size rule of its threshold revision; null: it had none"""
    ignored_region_count: int | None
    """of region_count; null: no size rule was applied"""
    severity: str | None
    """the most severe grade of its regions"""
    size_note: str
    """what the size rule did to the verdict, or why it was not applied"""
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


class IssuedReport(TypedDict):
    kind: ReportKind
    category: str | None
    """null: all"""
    station: str
    """empty: all"""
    lot: str
    since: Moment
    until: Moment
    """not included"""
    report_id: str
    title: str
    schedule: int | None
    """id; null: issued by somebody"""
    issued_by: str | None
    created_at: Moment
    messages: list[ReportMessage]
    json_url: str
    csv_url: str
    pdf_url: str


class IssuedStatement(TypedDict):
    statement_id: str
    title: str
    basis: Basis
    station: str
    first: str
    last: str
    exceptions: int
    issued_by: str | None
    created_at: Moment
    json_url: str
    pdf_url: str


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


class Kind(TypedDict):
    kind: str
    title: str
    takes_verdicts: bool
    installed: bool
    """whether what it needs is installed on the web server"""
    settings: list[KindSetting]
    secrets: list[KindSecret]


class KindSecret(TypedDict):
    name: str
    title: str
    mandatory: bool


class KindSetting(TypedDict):
    name: str
    title: str
    type: Type
    mandatory: bool
    initial_value: Any
    low: float | None
    high: float | None
    choices: list[str]


class Kinds(TypedDict):
    kinds: list[Kind]


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


class LayoutCounts(TypedDict):
    """Parts of several views, each counted once."""

    parts: int
    good: int
    """by the rule over its views, as the models judged them"""
    defective: int
    not_comparable: int
    defect_rate: DefectRate
    stands_good: int
    """by the same rule after reviews"""
    stands_defective: int
    """by the same rule after reviews"""
    layout: str


class Layout(TypedDict):
    name: str
    sentence: str


class LayoutView(TypedDict):
    name: str
    category: str
    station: str
    """empty: that of the sender"""


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
    """as requested"""
    runtime_chosen: str
    """what runs the model"""
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


class MeasurementStudy(TypedDict):
    study_id: str
    category: str
    parts: int
    trials: int
    near_percent: int
    standard: Standard
    expert: str | None
    candidates: int
    population_sha256: str
    event_sequence: int
    seed: str
    """hash of that event"""
    reason: str
    author: str | None
    created_at: Moment
    finished_at: Moment | None
    results_sha256: str
    signature: str
    key_id: str
    pdf_url: str


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


class ModelCard(TypedDict):
    format: str
    model: CardModel
    intended_use: list[str]
    not_intended_for: list[str]
    training_data: CardData
    evaluation: CardEvaluation | None
    """null: its data set has no test images"""
    robustness: Robustness | None
    """null: not measured"""
    shortcut_audit: JsonObject | None
    thresholds: list[CardThreshold]
    """the last twenty revisions, newest first"""
    limits: list[str]
    origin: VersionOrigin | None


class ModelCounts(TypedDict):
    records: int
    good: int
    """by the model"""
    defective: int
    """by the model"""
    not_comparable: int
    defect_rate: DefectRate
    stands_good: int
    """after reviews"""
    stands_defective: int
    """after reviews"""
    stands_defect_rate: DefectRate
    model_version: int
    model: str
    threshold: int
    """id of the revision"""
    revision: int
    value: float


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


class NextCard(TypedDict):
    progress: QueueProgress
    card: QueueCard | None
    """null: nothing to review for the caller"""


class Node(TypedDict):
    node_id: int
    url: str
    name: str
    station: str
    enabled: bool
    account: str
    """its user, who has no role"""
    created_at: Moment
    created_by: str | None
    last_contact_at: Moment | None
    waiting: int | None
    """records that it has still to forward, as it says"""
    oldest_waiting_at: Moment | None
    records: int
    """of it that are here"""
    anchored_event: int
    """of its audit chain; 0: none yet"""
    anchored_head: str
    """hash of that event"""
    anchored_at: Moment | None
    refusal_code: str
    """of what was last not taken"""
    refusal: str
    refused_at: Moment | None


class NodeWithToken(TypedDict):
    node_id: int
    url: str
    name: str
    station: str
    enabled: bool
    account: str
    """its user, who has no role"""
    created_at: Moment
    created_by: str | None
    last_contact_at: Moment | None
    waiting: int | None
    """records that it has still to forward, as it says"""
    oldest_waiting_at: Moment | None
    records: int
    """of it that are here"""
    anchored_event: int
    """of its audit chain; 0: none yet"""
    anchored_head: str
    """hash of that event"""
    anchored_at: Moment | None
    refusal_code: str
    """of what was last not taken"""
    refusal: str
    refused_at: Moment | None
    token: str
    """shown this once"""


class OriginCounts(TypedDict):
    records: int
    good: int
    """by the model"""
    defective: int
    """by the model"""
    not_comparable: int
    defect_rate: DefectRate
    stands_good: int
    """after reviews"""
    stands_defective: int
    """after reviews"""
    stands_defect_rate: DefectRate
    origin: ReportOrigin


class OutcomeCounts(TypedDict):
    good: int
    defective: int
    not_comparable: int


class OutcomePair(TypedDict):
    recorded: Outcome
    rescored: Outcome
    count: int


class PartChecks(TypedDict):
    category: str
    serial_number: str
    expected: ExpectedVerdict
    station: str
    inspections: int
    passed: int
    failed: int


class PartLayout(TypedDict):
    name: str
    revision: int
    url: str
    time_limit_seconds: int
    in_use: bool
    """false: retired, no new part begins"""
    views: list[LayoutView]
    reason: str
    author: str | None
    created_at: Moment


class Part(TypedDict):
    """Defective if any view is; else not comparable if any view is that, refused or missing; else good."""

    id: str
    part_id: str
    layout: str
    layout_revision: int
    status: PartOutputStatus
    outcome: Outcome | None
    """null: the part is open and has no verdict"""
    explanation: str
    """which views are not good"""
    standing_outcome: Outcome | None
    """the same rule over the views after reviews"""
    missing: list[str]
    """views that did not come, or not yet"""
    views: list[PartView]
    source: str
    station: str
    part_number: str
    lot: str
    serial_number: str
    operator: str | None
    opened_at: Moment
    closes_at: Moment
    """no view is taken from then on"""
    closed_at: Moment | None
    url: str
    page_url: str
    certificate_url: str | None


class PartView(TypedDict):
    view: str
    category: str
    state: PartViewOutputState
    """pending: its image waits for its verdict"""
    code: str
    """why it was refused or is missing"""
    detail: str
    inspection_id: str | None
    inspection_url: str | None
    page_url: str | None
    score: float | None
    threshold: float | None
    review: Standing | None
    """null: not reviewed"""


class PassageCounter(TypedDict):
    counter_id: int
    station: str
    source: str
    """who counts"""
    connection_id: int | None
    counter: int | None
    """the last value"""
    counter_first: int | None
    counter_last: int | None
    passed_at: Moment | None
    """of the last value"""
    created_at: Moment


class Passage(TypedDict):
    counter: int | None
    run: int
    """1 and how often the counter had begun anew; 0: a serial number alone"""
    serial_number: str
    passed_at: Moment
    reported_at: Moment


class Passages(TypedDict):
    """What became of a report."""

    counter_id: int
    written: int
    repeated: int
    """known already, or a sign that nothing passed"""
    resets: int
    """how often the counter began anew"""
    unreported: int
    """parts that the counter counted and nobody reported so far"""
    unplaced: int
    """came late and fit between no two others: they closed no gap"""


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


class PopulationMember(TypedDict):
    inspection_id: str
    outcome: str
    event_hash: str
    """of the audit event that reports the record"""


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


class Promise(TypedDict):
    threshold: int
    """id of the threshold revision"""
    revision: int
    value: float
    model_version: int
    category: str
    promised_at: Moment
    due_at: Moment
    """when its days are over"""
    compared_at: Moment | None
    """then what came was kept; null: so far"""
    until: Moment
    inspections: int
    reviewed: int
    figures: list[PromisedFigure]


class PromisedFigure(TypedDict):
    name: PromisedFigureName
    promised: float | None
    came: float | None
    interval: list[float] | None
    """of what came, 95 %"""
    verdict: PromisedFigureOutputVerdict
    """kept: the promise lies in the interval; higher: more came than was promised"""


class PromotionGates(TypedDict):
    category: str
    dataset_name: str
    min_recall: float | None
    max_false_reject_rate: float | None
    min_lamp_tolerance: float | None
    max_error_increase: float | None
    refuse_shortcut_warning: bool
    verify_artifact: bool
    min_challenger_images: int | None
    reason: str
    author: str | None
    created_at: Moment | None
    """null: nobody set gates"""


class QueueCard(TypedDict):
    """The part before the caller. Of one of the random audit what the model said is not told before it is decided."""

    card_id: int
    category: str
    cause: Cause
    why: str
    expires_at: Moment
    """then somebody else may be given it"""
    image_url: str
    inspection_id: str | None
    outcome: Outcome | None
    score: float | None
    threshold: float | None


class QueueDecision(TypedDict):
    decision: Decision
    cause: Cause
    inspection_id: str | None
    """null: a skipped part of the random audit"""
    outcome: Outcome | None
    review_id: int | None
    overruled: bool
    created_at: Moment


class QueuePlace(TypedDict):
    inspection_id: str
    inspection_url: str
    worth: float
    """the higher, the sooner; 0 to 3"""
    cause: Cause
    why: str


class QueueProgress(TypedDict):
    category: str
    budget: int
    """parts of this shift"""
    done: int
    """by all people; what was skipped does not count"""
    overruled: int
    """of those: the person said something else than the model"""
    shift_starts_at: Moment
    shift_ends_at: Moment


class RandomAuditExport(TypedDict):
    """For `scripts/verify_random_audit.py`."""

    format: str
    made_by: str
    shift: AuditedShift
    closing_event: HashedEvent
    population: list[PopulationMember]
    seed: str
    drawn: list[str]
    decisions: list[ExportedDecision]
    decision_events: list[HashedEvent]
    figures: AuditFigures
    head: ChainHead


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


class ReferenceCheck(TypedDict):
    inspection_id: str
    station: str
    score: float | None
    passed: bool
    explanation: str
    """why it failed"""
    checked_at: Moment


class ReferencePart(TypedDict):
    id: int
    category: str
    serial_number: str
    expected: ExpectedVerdict
    lowest_score: float | None
    highest_score: float | None
    note: str
    author: str | None
    created_at: Moment
    retired_at: Moment | None


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
    area_mm2: float | None
    """null: the station had no calibration"""
    width_mm: float | None
    """of its box"""
    height_mm: float | None
    is_ignored: bool
    """by the size rule: smaller than min_region_mm2 of the record"""
    severity: str | None
    """its grade; null: none, or ignored"""


class Release(TypedDict):
    model_version: int
    stage: Stage
    approval: Approval | None
    gates: list[GateResult]
    passed: bool
    """every gate; an approval is asked for besides where it is required"""


class ReportAlarmList(TypedDict):
    total: int
    rows: list[ReportAlarm]


class ReportAlarm(TypedDict):
    alarm_id: int
    kind: AlarmKind
    category: str
    station: str
    sentence: str
    charts: list[str]
    """out of limits"""
    opened_at: Moment
    was_open_before: bool
    resolved_at: Moment | None
    resolved_by: str | None
    cause: str


class ReportAuditFigures(TypedDict):
    of: ReportAuditOf
    shifts: int
    drawn: int
    good: int
    defective: int
    doubtful: int
    open: int
    level: float
    escape_rate: float | None
    exact_interval: list[float] | None


class ReportAudit(TypedDict):
    sequence: int
    """of the last event when the report was made"""
    head: str
    """its hash"""
    checkpoint: int | None
    checkpoint_doubt: str
    verified_at: Moment | None
    """the whole log, last"""
    verified_events: int | None
    fault: str | None


class ReportChangeList(TypedDict):
    total: int
    rows: list[ReportChange]


class ReportChange(TypedDict):
    at: Moment
    what: ReportChangeKind
    category: str
    sentence: str
    by: str
    reason: str


class ReportCounts(TypedDict):
    records: int
    good: int
    """by the model"""
    defective: int
    """by the model"""
    not_comparable: int
    defect_rate: DefectRate
    stands_good: int
    """after reviews"""
    stands_defective: int
    """after reviews"""
    stands_defect_rate: DefectRate
    failed: int
    """images that ended without a record"""
    failures: list[FailureCount]
    reference_inspections: int
    """of reference parts; in none of the other counts"""
    good_by_size_rule: NotRequired[int]
    """of good: those with a score above the threshold, whose regions a size rule ignored"""
    without_scale: NotRequired[int]
    """a size rule could not be applied to them: their pictures were not calibrated"""


class ReportDefects(TypedDict):
    reviewed: int
    """records that a review calls defective"""
    unreviewed: int
    """judged defective, without a review, so without a type"""
    overruled: int
    """judged defective, good by a review"""
    total: int
    rows: list[DefectTypeCount]


class ReportDoubtfulTimeList(TypedDict):
    total: int
    rows: list[DoubtfulTime]


class ReportLayoutCountsList(TypedDict):
    total: int
    rows: list[LayoutCounts]


class ReportMessage(TypedDict):
    target: str
    status: MessageStatus
    attempts: int
    error: str
    sent_at: Moment | None


class ReportModelCountsList(TypedDict):
    total: int
    rows: list[ModelCounts]


class Report(TypedDict):
    kind: ReportKind
    category: str | None
    """null: all"""
    station: str
    """empty: all"""
    lot: str
    since: Moment
    until: Moment
    """not included"""
    format: str
    title: str
    is_over: bool
    """false: what it says is so far"""
    made_at: Moment
    time_zone: str
    counts: ReportCounts
    parts: ReportPartCounts
    """of several views; the other counts are of images"""
    by_station: ReportStationCountsList
    by_model: ReportModelCountsList
    by_origin: list[OriginCounts]
    defects: ReportDefects
    worst: list[WorstImage]
    changes: ReportChangeList
    alarms: ReportAlarmList
    reference_parts: ReportParts
    random_audit: ReportAuditFigures
    reviews: ReportReviews
    replay: ReportReplay
    audit: ReportAudit


class ReportPartChecksList(TypedDict):
    total: int
    rows: list[PartChecks]


class ReportPartCounts(TypedDict):
    """Parts of several views, each counted once."""

    parts: int
    good: int
    """by the rule over its views, as the models judged them"""
    defective: int
    not_comparable: int
    defect_rate: DefectRate
    stands_good: int
    """by the same rule after reviews"""
    stands_defective: int
    """by the same rule after reviews"""
    by_layout: ReportLayoutCountsList


class ReportParts(TypedDict):
    inspections: int
    failed: int
    checks: ReportPartChecksList
    unproven_records: int
    unproven: ReportUnprovenTimeList
    doubts: ReportDoubtfulTimeList


class ReportReplay(TypedDict):
    runs: int
    records: int
    equal: int
    differing: int
    not_recomputed: int
    last_at: Moment | None
    last_is_proof: bool | None


class ReportReviews(TypedDict):
    records: int
    of: int
    reviews: int
    overruled: int
    contested: int
    by_person: list[ReviewerCounts]


class ReportSchedule(TypedDict):
    id: int
    kind: RegularReportKind
    category: str | None
    """null: all"""
    station: str
    """empty: all"""
    recipients: list[str]
    next_since: Moment
    """of the window that is issued next"""
    next_until: Moment
    error: str
    """why the last one could not be made"""
    author: str | None
    created_at: Moment


class ReportStationCountsList(TypedDict):
    total: int
    rows: list[StationCounts]


class ReportUnprovenTimeList(TypedDict):
    total: int
    rows: list[UnprovenTime]


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
    """as requested"""
    runtime_chosen: str
    """what runs it, all of the run"""
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
    """as requested"""
    runtime_chosen: str
    """what runs it, all of the run"""
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


class Resent(TypedDict):
    resent: int


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


class Retraining(TypedDict):
    run_id: int
    run_url: str
    production: int
    """id of the version that it began from"""
    dataset: str
    added_good: int
    """reviewed good parts that are training images now"""
    added_test_good: int
    """reviewed good parts that are test images now"""
    added_defective: int
    """reviewed defects, which are test images"""


class ReviewBudget(TypedDict):
    category: str
    revision: int
    """0: nobody set one, these are the defaults"""
    per_shift: int
    shift_starts: list[str]
    reason: str
    author: str | None
    created_at: Moment | None


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
    signature: Signature | None


class ReviewQueue(TypedDict):
    progress: QueueProgress
    blind: int
    """parts of the random audit that the caller can review blind"""
    records: list[QueuePlace]
    """the first of the others, in their order"""


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


class ReviewerCounts(TypedDict):
    reviewer: str
    records: int
    overruled: int


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


class SamplingPlan(TypedDict):
    id: int
    category: str
    revision: int
    percent: float
    at_least: int
    controls: int
    shift_starts: list[str]
    reason: str
    author: str | None
    created_at: Moment


class ScaleCalibration(TypedDict):
    id: int
    category: str
    station: str
    revision: int
    """of this category and station"""
    in_force: bool
    method: ScaleMethod
    mm_per_px: float | None
    """null: withdrawn"""
    uncertainty_percent: float | None
    """standard uncertainty of a length"""
    variation_percent: float | None
    """by how much the scale differs over the board; null: not measured"""
    is_uneven: bool
    """it differs by more than 2 %: the camera is tilted, or its lens distorts"""
    warnings: list[str]
    picture: str | None
    """SHA-256"""
    width: int | None
    """of the pictures that it is valid for"""
    height: int | None
    parameters: JsonObject
    reason: str
    author: str | None
    created_at: Moment


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


class SecretSet(TypedDict):
    name: str
    set_at: Moment
    ends_at: Moment | None
    """until when it holds beside a newer one"""


class Signature(TypedDict):
    printed_name: str
    username: str
    meaning: Meaning
    signed_at: Moment
    signed_sha256: str
    """of what was signed: the audit event's `after` without this"""
    audit_event: int
    """that holds the act and the signature"""
    audit_event_hash: str


class SignatureRules(TypedDict):
    category: str
    review: bool
    threshold: bool
    approval: bool
    promotion: bool
    rollback: bool
    reason: str
    author: str | None
    created_at: Moment | None
    """null: nobody set rules"""


class SizeRule(TypedDict):
    model_version: int
    min_area_mm2: float | None
    grades: list[Grade]
    stations_without_calibration: list[str]
    """that sent pictures lately: their verdicts are those of the threshold alone; empty text: no station"""
    threshold: Threshold
    """the revision that holds it"""


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


class StatementCounts(TypedDict):
    passed: int
    """as far as they were reported, or entered"""
    inspected: int
    """good, defective, or judged more than once"""
    good: int
    defective: int
    repeated: int
    not_comparable: int
    missing: int
    """without a record"""
    unreported: int
    """counted by the line, with no message of them"""
    resets: int
    times_not_covered: int


class StatementException(TypedDict):
    kind: StatementExceptionOutputKind
    first: str
    """serial number or value of the counter"""
    last: str
    count: int | None
    """parts; null: not known"""
    since: Moment | None
    until: Moment | None


class StatementExceptions(TypedDict):
    total: int
    """rows, also those that are too many to be named"""
    parts: int
    """of the rows, as far as it is known"""
    rows: list[StatementException]


class StatementModel(TypedDict):
    model_version: int
    model: str
    threshold: int
    revision: int
    value: float
    records: int


class Statement(TypedDict):
    """What passed, what became of it, and what is not known."""

    format: str
    title: str
    statement: str
    """the sentence that is stated"""
    reservations: list[str]
    """to be read with it"""
    basis: Basis
    station: str
    first: str
    last: str
    counter_id: int | None
    source: str
    """from where it is known what passed"""
    since: Moment | None
    until: Moment | None
    by_time: bool
    """passages had no serial numbers"""
    delay_ms: int | None
    tolerance_ms: int | None
    made_at: Moment
    made_by: str
    time_zone: str
    is_complete: bool
    """false: not all exceptions are named, and it cannot be issued"""
    counts: StatementCounts
    exceptions: StatementExceptions
    repeated: StatementRanges
    ended_without_verdict: StatementRemarks
    judged_elsewhere: StatementRemarks
    judged_otherwise: StatementRemarks
    still_open: StatementRemarks
    outside: StatementRemarks
    first_record_at: Moment | None
    last_record_at: Moment | None
    models: list[StatementModel]
    audit: ReportAudit


class StatementRange(TypedDict):
    first: str
    last: str
    count: int


class StatementRanges(TypedDict):
    total: int
    rows: list[StatementRange]


class StatementRemark(TypedDict):
    serial_number: str
    at: Moment
    what: str
    id: str
    """of the record or request"""


class StatementRemarks(TypedDict):
    total: int
    rows: list[StatementRemark]


class StationBound(TypedDict):
    station: str
    since: Moment
    reference_parts: list[str]
    """serial numbers"""


class StationCounts(TypedDict):
    records: int
    good: int
    """by the model"""
    defective: int
    """by the model"""
    not_comparable: int
    defect_rate: DefectRate
    stands_good: int
    """after reviews"""
    stands_defective: int
    """after reviews"""
    stands_defect_rate: DefectRate
    category: str
    station: str


class StationState(TypedDict):
    category: str
    station: str
    state: StationProof
    since: Moment
    """when the shift began"""
    missing: list[str]
    """serial numbers that did not pass since"""


class StationStates(TypedDict):
    stations: list[StationState]


class Status(TypedDict):
    model_loaded: bool
    model: LoadedModel | None
    """what judges an image that names no category; null: nothing, or several could"""
    default_category: str | None
    """set on purpose; null: none is"""
    deployments: list[LoadedModel]
    canaries: list[CanaryStatus]
    """versions that judge one station instead of production"""
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


class StudyAppraiser(TypedDict):
    name: str
    kind: StudyAppraiserOutputKind
    threshold: float | None
    """of a model version"""
    within: WithinAppraiser | None
    """null: a model says the same each time"""
    against_standard: AgainstStandard


class StudyProgress(TypedDict):
    name: str
    done: int
    of: int


class StudyResults(TypedDict):
    study: str
    seed: str
    parts: int
    defective_parts: int
    near_threshold: int
    trials: int
    appraisers: list[StudyAppraiser]
    between: BetweenAppraisers
    verdict: str
    """the worst of the people's"""


class StudyShare(TypedDict):
    """Of parts or decisions, with its exact 95 % interval."""

    count: int
    of: int
    interval: list[float] | None
    """95 %, exact (Clopper-Pearson)"""
    share: float | None


class StudyTask(TypedDict):
    study_id: str
    task: int | None
    """send it with the answer; null: nothing to judge now"""
    left: int
    image_url: str | None


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
    min_region_mm2: float | None
    """the size rule: regions of a smaller area are ignored; null: none is"""
    severity_grades: list[JsonObject] | None
    """the size rule: name, min_area_mm2 and min_peak of each grade, from the mildest; null: none"""
    reason: str
    author: str | None
    created_at: Moment
    signature: Signature | None


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


class UnprovenTime(TypedDict):
    category: str
    station: str
    since: Moment
    until: Moment
    was_proven: bool
    """at its end; false: the shift or the window ended first"""
    records: int
    """inspected meanwhile"""


class VerdictChanges(TypedDict):
    to_defective: int
    to_good: int


class VerdictCounts(TypedDict):
    good: int
    """as people said last"""
    defective: int


class VerdictPair(TypedDict):
    production: Outcome
    challenger: Outcome
    count: int


class VersionCounts(TypedDict):
    good: int
    defective: int
    not_comparable: int
    defect_share: float | None
    """of the judged ones; null: there is none"""
    defect_share_interval: list[float] | None
    """[low, high], exact at 95 %"""


class VersionFigures(TypedDict):
    threshold: float
    auroc: float | None
    recall: float | None
    recall_interval: list[float] | None
    """95 %"""
    false_reject_rate: float | None
    false_reject_interval: list[float] | None
    """95 %"""
    wrong: int
    """verdicts"""
    error_rate: float
    """share of wrong verdicts"""
    not_comparable: int
    """counted as rejected"""


class VersionIgnoreMask(TypedDict):
    share: float
    """of the model's input that is not judged, 0 to 1"""
    sha256: str | None
    """of the mask as it was drawn or sent"""
    drawn_on_version: int | None
    """the version on whose mean image it was drawn; null: on the images as they are"""
    picture_url: str
    """white is not judged, in the pixels of the mean image"""


class VersionOrigin(TypedDict):
    """What an imported version was where it came from, and whose signature says so."""

    category: str
    number: int
    id: int
    created_at: Moment
    """when it was trained"""
    created_by: str
    threshold_revision: int
    """in force there when it was exported"""
    key_id: str
    fingerprint: str
    """SHA-256 of the key that signed it"""
    package_sha256: str
    """of the signed list of contents"""
    before: JsonObject | None
    """where that installation had it from"""


class VersionVerdict(TypedDict):
    outcome: Outcome | None
    score: float | None
    threshold: float


class WarmModel(TypedDict):
    model_version: int
    name: str
    device: str
    runtime: str
    precision: str
    size_bytes: int
    """counted when it was loaded"""
    used_at: Moment


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


class WholeAlarm(TypedDict):
    id: int
    kind: AlarmKind
    category: str
    station: str
    sentence: str
    """what was found"""
    details: JsonObject
    """what it was found in"""
    status: AlarmStatus
    opened_at: Moment
    acknowledged_at: Moment | None
    acknowledged_by: str | None
    resolved_at: Moment | None
    resolved_by: str | None
    cause: str
    is_new_normal: bool
    """charts began anew with what was measured then"""
    page_url: str
    comments: list[AlarmComment]


class WholeDriftMonitor(TypedDict):
    id: int
    category: str
    station: str
    of_batches: bool
    """of images that came in batches, not one by one"""
    model_version: int
    """of the newest record"""
    records: int
    last_record_at: Moment
    alarm: int | None
    """the unresolved one; null: none"""
    charts: list[DriftChart]


class WholeMeasurementStudy(TypedDict):
    study_id: str
    category: str
    parts: int
    trials: int
    near_percent: int
    standard: Standard
    expert: str | None
    candidates: int
    population_sha256: str
    event_sequence: int
    seed: str
    """hash of that event"""
    reason: str
    author: str | None
    created_at: Moment
    finished_at: Moment | None
    results_sha256: str
    signature: str
    key_id: str
    pdf_url: str
    progress: list[StudyProgress]
    results: StudyResults | None


class WholeReferencePart(TypedDict):
    id: int
    category: str
    serial_number: str
    expected: ExpectedVerdict
    lowest_score: float | None
    highest_score: float | None
    note: str
    author: str | None
    created_at: Moment
    retired_at: Moment | None
    checks: list[ReferenceCheck]
    """the last 100, newest first"""


class WithinAppraiser(TypedDict):
    kappa: float | None
    """null where it is not defined"""
    kappa_interval: list[float] | None
    verdict: str
    """acceptable, marginal or unacceptable; empty where nothing could be rated"""
    agreement: StudyShare


class WorkerMemory(TypedDict):
    budget_bytes: int
    """what models may take; see the setting WARM_MODELS_MIB"""
    size_bytes: int
    """what they take; more than the budget where one alone is larger"""
    evictions: int
    """models that made room for others since the process began"""
    models: list[WarmModel]
    """the most recently used first"""


class Worker(TypedDict):
    name: str
    queues: list[str]
    memory: list[WorkerMemory]
    """of each process that judges, once it has said"""


class WorstImage(TypedDict):
    inspection_id: str
    inspection_url: str
    created_at: Moment
    filename: str
    serial_number: str
    lot: str
    station: str
    model: str
    score: float
    threshold: float
    score_by_threshold: float
    outcome: Outcome
    region_count: NotRequired[int | None]
    largest_region_px: NotRequired[int | None]
    largest_region_mm2: NotRequired[float | None]
    severity: NotRequired[str | None]
    review: Verdict | None
    defect_type: str


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


class ReportScopeFields(TypedDict, total=False):
    """Which report is meant."""

    at: str
    """a day or moment in the shift, day, week, month that is meant; none: now. Without an offset it is of the
    system's time zone"""
    category: str
    """none: all"""
    kind: Literal["shift", "day", "week", "month", "period", "lot", ""]
    lot: str
    """of a lot report"""
    since: date | datetime | str
    """of a period report"""
    station: str
    """none: all"""
    until: date | datetime | str
    """of a period report: to the end of this day"""


class StatementScopeFields(TypedDict, total=False):
    """What a statement of inspection is about."""

    basis: Literal["serials", "counter", ""]
    counter_id: int
    """with counter"""
    delay_ms: int
    """passages without serial numbers: from the record to the passage; none: 0"""
    first: str
    """serial number; with counter: a value that it reported"""
    last: str
    """the same"""
    since: date | datetime | str
    """with counter, instead of first"""
    station: str
    """with serials; a counter has its own"""
    tolerance_ms: int
    """give or take; none: 2000"""
    until: date | datetime | str
    """with counter, instead of last: to the end of this day"""


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


class ScaleCalibrationFields(TypedDict, total=False):
    """What a scale was measured from: a known length, or a checkerboard."""

    picture: str
    """image_sha256 of a record or sha256 of a stored calibration picture; not where it is withdrawn"""
    points: float | list[float] | list[float | list[float]]
    """[[x, y], [x, y]] in pixels of the picture, from its upper left corner"""
    length_mm: float
    """between the two points"""
    length_error_mm: float
    """standard uncertainty of that length"""
    point_error_px: float
    """standard uncertainty of each point"""
    columns: int
    """inner corners"""
    rows: int
    """inner corners"""
    square_mm: float
    """side of a square"""


class SignatureFields(TypedDict, total=False):
    """What an act is signed with: the password of the token's user, and the meaning of the signature."""

    username: str
    """in a browser's session needed for the first signature"""
    password: str
    meaning: Meaning


class SignatureRulesFields(TypedDict, total=False):
    """Which acts of a category need an electronic signature."""

    review: bool
    """and undoing one is refused"""
    threshold: bool
    approval: bool
    """giving and withdrawing one"""
    promotion: bool
    """and any other loading of a version that is not in production"""
    rollback: bool


class ConnectionFields(TypedDict, total=False):
    """A connection to the line."""

    name: str
    kind: ConnectionInputKind
    settings: JsonObject
    """as the kind takes them: GET /api/connection-kinds"""
    secrets: dict[str, str]
    """never given back"""
    station: str
    """empty: all stations"""
    category: str
    """null: all"""
    line_time_ms: int
    """from the request to the moment from which on the line acts on no verdict; null: it always does"""
    enabled: bool


class ConnectionChanges(TypedDict, total=False):
    """What is changed of a connection."""

    name: str
    settings: JsonObject
    """as the kind takes them: GET /api/connection-kinds"""
    station: str
    """empty: all stations"""
    category: str
    """null: all"""
    line_time_ms: int
    """from the request to the moment from which on the line acts on no verdict; null: it always does"""
    enabled: bool


class NodeChanges(TypedDict, total=False):
    """What is changed of an edge node."""

    station: str
    """empty: any"""
    enabled: bool


class PromotionGatesFields(TypedDict, total=False):
    """What a version must show before it may go into production."""

    dataset_name: str
    """the reference set, of the same category"""
    min_recall: float
    """0..1, on the reference set"""
    max_false_reject_rate: float
    """0..1, on the reference set"""
    min_lamp_tolerance: float
    """0..1, by which the lamp may change in both directions"""
    max_error_increase: float
    """0..1, by which the share of wrong verdicts may be above production's, on the same images"""
    refuse_shortcut_warning: bool
    verify_artifact: bool
    min_challenger_images: int
    """live images to be scored beside production, with every disagreement looked at"""
