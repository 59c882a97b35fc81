"""What vouches for the rows of each model: one table for all apps, and a test that no model is missing in it.

It names the models of apps above by their labels, so that it is one table and imports none of them.

- `OwnEvent`: each row has an event that says the same (`records.audit.chain.audited_rows`); rows never change.
- `Attested`: each event about a row carries a hash of it as it then is (`records.audit.chain.attested_rows`).
- `Part`: hashed with the row that it belongs to.
- `Derived`: computed again from rows that are attested (`records.audit.chain.derived_rows`).
- `NotAttested`: deliberately not, with the reason; THREAT_MODEL.md repeats it.

`manage.py verify_audit --records` compares all but the last.
"""

from __future__ import annotations

from dataclasses import dataclass

from records.audit.chain.attested_rows import AttestedModel, Parts, register_attested


@dataclass(frozen=True)
class OwnEvent:
    by: str


@dataclass(frozen=True)
class Attested:
    by: str
    rows: AttestedModel


@dataclass(frozen=True)
class Part:
    of: str


@dataclass(frozen=True)
class Derived:
    source: str


@dataclass(frozen=True)
class NotAttested:
    reason: str


Entry = OwnEvent | Attested | Part | Derived | NotAttested

_ENDED = ("finished", "failed")
_JOB = ("requested_by_id", "created_at")

ATTESTATION: dict[str, Entry] = {
    # ---------------------------------------------------------------- Django's own
    "auth.user": Attested(
        "user.*",
        AttestedModel(
            fields=(
                "username",
                "password",
                "first_name",
                "last_name",
                "email",
                "is_superuser",
                "is_staff",
                "is_active",
                "date_joined",
            ),
            parts=(
                Parts("auth.user_groups", "user", ("group__name",)),
                Parts("auth.user_user_permissions", "user", ("permission__codename",)),
                Parts("accounts.externalidentity", "user", ("kind", "issuer", "subject")),
            ),
        ),
    ),
    "auth.user_groups": Part("auth.user"),
    "auth.user_user_permissions": Part("auth.user"),
    "auth.group": Part("auth.user"),
    "auth.group_permissions": NotAttested("what a role may do stands in the code; these rows give nobody a right"),
    "auth.permission": NotAttested("made by Django from the models; they give nobody a right"),
    "contenttypes.contenttype": NotAttested("made by Django from the models"),
    "admin.logentry": NotAttested("the administration's own list; the audit events of the same acts count"),
    "sessions.session": NotAttested("who is signed in at the moment; sign-ins are events"),
    # ---------------------------------------------------------------- accounts
    "accounts.externalidentity": Part("auth.user"),
    "accounts.apitoken": Attested(
        "token.issued, token.revoked",
        AttestedModel(("user_id", "name", "digest", "hint", "scopes", "created_at", "expires_at", "revoked_at")),
    ),
    "accounts.temporarypassword": NotAttested("a reminder to change the password; giving one is an event"),
    "accounts.failedsignins": NotAttested("counters that are deleted when they are over; lock-outs are events"),
    # ---------------------------------------------------------------- records
    "records.asset": Derived("its hash, the events that name it, and the file: verify_audit --files"),
    "records.refusedimages": NotAttested("counters of refused images, which end in an event"),
    "records.auditevent": OwnEvent("its own authenticator, and the hash of the event after it"),
    "records.auditcheckpoint": OwnEvent("audit.checkpoint_made, and its signature"),
    "records.auditverification": Attested(
        "audit.verification_requested, audit.verified, audit.verification_failed",
        AttestedModel(
            fields=_JOB,
            final_fields=("events", "checkpoints", "records", "head", "broken_at", "fault", "error"),
            final=_ENDED,
        ),
    ),
    # ---------------------------------------------------------------- modelzoo
    "modelzoo.category": Attested(
        "rows.attested, category.default_set and other events about a category",
        AttestedModel(("name", "given_name", "is_default")),
    ),
    "modelzoo.modelversion": Attested(
        "model_version.*",
        AttestedModel(
            (
                "category_id",
                "number",
                "algorithm",
                "stage",
                "artifact_sha256",
                "artifact_bytes",
                "config",
                "preprocessing",
                "backbone",
                "backbone_sha256",
                "dataset_name",
                "dataset_snapshot",
                "seed",
                "versions",
                "held_out_scores",
                "learning_curve",
                "image_statistics",
                "metrics",
                "origin",
                "created_at",
                "created_by_id",
            )
        ),
    ),
    "modelzoo.threshold": OwnEvent("threshold.set"),
    "modelzoo.deployment": Attested(
        "deployment.*, canary.ended",
        AttestedModel(
            (
                "category_id",
                "model_version_id",
                "kind",
                "station",
                "reason",
                "threshold_value",
                "threshold_reason",
                "status",
                "device_requested",
                "device",
                "runtime",
                "runtime_chosen",
                "precision",
                "precision_chosen",
                "choice",
                "worker",
                "error_code",
                "error",
                "requested_by_id",
                "requested_at",
                "activated_at",
                "ended_at",
            )
        ),
    ),
    "modelzoo.approval": Attested(
        "approval.given, approval.withdrawn",
        AttestedModel(("model_version_id", "approved", "reason", "author_id", "created_at")),
    ),
    "modelzoo.promotiongates": Attested(
        "promotion_gates.set",
        AttestedModel(
            (
                "category_id",
                "dataset_name",
                "min_recall",
                "max_false_reject_rate",
                "min_lamp_tolerance",
                "max_error_increase",
                "refuse_shortcut_warning",
                "verify_artifact",
                "min_challenger_images",
                "reason",
                "author_id",
                "created_at",
            )
        ),
    ),
    "modelzoo.signaturerules": Attested(
        "signature_rules.set",
        AttestedModel(
            (
                "category_id",
                "review",
                "threshold",
                "approval",
                "promotion",
                "rollback",
                "reason",
                "author_id",
                "created_at",
            )
        ),
    ),
    "modelzoo.inputchecksettings": Attested(
        "input_checks.set",
        AttestedModel(
            (
                "category_id",
                "size",
                "aspect",
                "colour",
                "likeness",
                "size_factor",
                "aspect_percent",
                "likeness_factor",
                "reason",
                "author_id",
                "created_at",
            )
        ),
    ),
    "modelzoo.scalecalibration": Attested(
        "calibration.*",
        AttestedModel(
            (
                "category_id",
                "station",
                "revision",
                "method",
                "mm_per_px",
                "uncertainty_percent",
                "variation_percent",
                "picture_id",
                "width",
                "height",
                "parameters",
                "reason",
                "author_id",
                "created_at",
            )
        ),
    ),
    # ---------------------------------------------------------------- training
    "training.dataset": Attested(
        "dataset.*",
        AttestedModel(
            ("name", "category_id", "snapshot", "source", "report", "created_at", "created_by_id"),
            parts=(
                Parts(
                    "training.datasetimage",
                    "dataset",
                    ("path", "asset__sha256", "split", "is_defective", "defect_type", "mask__sha256"),
                ),
            ),
        ),
    ),
    "training.datasetimage": Part("training.dataset"),
    "training.trainingrun": Attested(
        "training_run.*, retraining.requested",
        AttestedModel(
            fields=(
                *_JOB,
                "dataset_id",
                "base_version_id",
                "ignore_mask_id",
                "ignore_mask_version_id",
                "algorithm",
                "options",
                "calibration",
                "seed",
            ),
            final_fields=("versions", "history", "selection", "error_code", "error", "model_version_id", "finished_at"),
            final=("succeeded", "failed", "cancelled"),
        ),
    ),
    "training.evaluation": Attested(
        "evaluation.recorded",
        AttestedModel(("model_version_id", "dataset_id", "threshold_id", "metrics", "created_at", "created_by_id")),
    ),
    "training.evaluationrun": Attested(
        "evaluation.requested, evaluation.failed: what was asked for; the result is an evaluation",
        AttestedModel((*_JOB, "model_version_id", "dataset_id", "robustness")),
    ),
    # ---------------------------------------------------------------- inspection
    "inspection.inspection": OwnEvent("inspection.recorded"),
    "inspection.review": OwnEvent("review.recorded"),
    "inspection.standing": Derived("the reviews of its record"),
    "inspection.inspectionrequest": Derived("its record, once there is one; until then it is work to do"),
    "inspection.batchrun": Attested("batch.*", AttestedModel((*_JOB, "deployment_id", "name", "folder", "warnings"))),
    "inspection.partlayout": Attested(
        "part_layout.*",
        AttestedModel(
            ("name", "revision", "time_limit_seconds", "in_use", "reason", "author_id", "created_at"),
            parts=(Parts("inspection.layoutview", "layout", ("position", "name", "category_id", "station")),),
        ),
    ),
    "inspection.layoutview": Part("inspection.partlayout"),
    "inspection.partinspection": OwnEvent("part.recorded"),
    "inspection.partinspectionview": Derived("the records of the views, by the rule; part.recorded names each of them"),
    "inspection.partrequest": Derived("the record of the part, once there is one; until then it is work to do"),
    "inspection.partrequestview": Derived("the record of the part, once there is one; until then it is work to do"),
    "inspection.savedview": NotAttested("a person's own filter of the history; saving and deleting are events"),
    # ---------------------------------------------------------------- tuning
    "tuning.rescoringrun": Attested(
        "rescoring.*",
        AttestedModel(
            fields=(*_JOB, "model_version_id", "threshold_id", "filters", "reason"),
            final_fields=(
                "total",
                "done",
                "failed",
                "changed",
                "error_code",
                "error",
                "rank_correlation",
                "finished_at",
            ),
            parts=(
                Parts(
                    "tuning.rescored",
                    "run",
                    ("inspection_id", "outcome", "score", "p_value", "reason", "error_code"),
                ),
            ),
            final=("finished", "failed", "cancelled"),
        ),
    ),
    "tuning.rescored": Part("tuning.rescoringrun"),
    "tuning.replayrun": Attested(
        "replay.*",
        AttestedModel(
            fields=(*_JOB, "sample", "seed", "records"),
            final_fields=(
                "equal",
                "differing",
                "not_recomputed",
                "largest_deviation",
                "largest_tolerance",
                "findings",
                "error",
                "finished_at",
            ),
            final=_ENDED,
        ),
    ),
    "tuning.retraining": Attested(
        "retraining.requested",
        AttestedModel(("run_id", "production_id", "added_good", "added_test_good", "added_defective", "created_at")),
    ),
    "tuning.comparison": OwnEvent("comparison.finished"),
    "tuning.comparedimage": NotAttested("the images of a comparison: their hash and the figures are in its event"),
    # ---------------------------------------------------------------- retention
    "retention.retentionpolicy": Attested(
        "retention_policy.set",
        AttestedModel(
            (
                "category_id",
                "revision",
                "good_after_days",
                "good_keep_every",
                "maps_after_days",
                "defective_after_days",
                "keep_reviewed",
                "reason",
                "author_id",
                "created_at",
            )
        ),
    ),
    "retention.retentionrun": Attested(
        "retention_run.*, retention.discarded",
        AttestedModel(
            fields=("requested_by_id", "created_at", "policy_id", "orphan_days", "dry_run"),
            final_fields=("images", "maps", "orphans", "leftovers", "size_bytes", "error_code", "error", "finished_at"),
            final=_ENDED,
        ),
    ),
    # ---------------------------------------------------------------- rollout
    "rollout.challenger": Attested(
        "challenger.*, rows.attested",
        AttestedModel(
            fields=(*_JOB, "category_id", "model_version_id", "production_id", "share", "max_images", "reason"),
            final_fields=("end_reason", "seen", "scored", "disagreements", "failed", "discarded", "finished_at"),
            final=("finished", "stopped", "failed"),
        ),
    ),
    "rollout.challengerslice": OwnEvent("challenger.scored"),
    "rollout.challengerresult": Part("rollout.challengerslice"),
    "rollout.disagreementmark": OwnEvent("challenger.disagreement_marked"),
    # ---------------------------------------------------------------- quality
    "quality.containment": Attested(
        "containment.*",
        AttestedModel(
            fields=(
                *_JOB,
                "escape_id",
                "since",
                "since_what",
                "bounds",
                "until",
                "min_likeness",
                "rescoring_id",
                "reason",
            ),
            final_fields=(
                "searched",
                "without_map",
                "listed",
                "expected",
                "list_sha256",
                "signature",
                "key_id",
                "error_code",
                "error",
                "finished_at",
            ),
            parts=(
                Parts(
                    "quality.containedpart",
                    "containment",
                    ("inspection_id", "likeness", "rescored_outcome", "rescored_score"),
                ),
            ),
            final=_ENDED,
        ),
    ),
    "quality.containedpart": Part("quality.containment"),
    "quality.measurementstudy": Attested(
        "measurement_study.*, rows.attested",
        AttestedModel(
            (
                "category_id",
                "part_count",
                "trials",
                "near_percent",
                "standard",
                "expert_id",
                "candidates",
                "population_sha256",
                "event_sequence",
                "seed",
                "reason",
                "author_id",
                "created_at",
                "finished_at",
                "results",
                "results_sha256",
                "signature",
                "key_id",
            ),
            parts=(
                Parts(
                    "quality.studypart",
                    "study",
                    ("number", "inspection_id", "asset__sha256", "is_near", "reference"),
                ),
                Parts("quality.studyappraiser", "study", ("user_id",)),
            ),
        ),
    ),
    "quality.studypart": Part("quality.measurementstudy"),
    "quality.studyappraiser": Part("quality.measurementstudy"),
    "quality.studyanswer": Attested(
        "measurement_study.answered", AttestedModel(("part_id", "user_id", "trial", "verdict", "created_at"))
    ),
    "quality.promiseresult": Attested(
        "threshold_promise.compared",
        AttestedModel(("threshold_id", "since", "until", "inspections", "reviewed", "figures", "created_at")),
    ),
    "quality.samplingplan": Attested(
        "sampling_plan.set",
        AttestedModel(
            (
                "category_id",
                "revision",
                "percent",
                "at_least",
                "controls",
                "shift_starts",
                "reason",
                "author_id",
                "created_at",
            )
        ),
    ),
    "quality.auditedshift": Attested(
        "rows.attested; what of it is not its parts also by an event of its own, audited_shift.closed",
        AttestedModel(
            ("category_id", "number", "event_sequence", "seed"),
            parts=(Parts("quality.drawnpart", "shift", ("position", "inspection_id", "asset__sha256")),),
        ),
    ),
    "quality.drawnpart": Part("quality.auditedshift"),
    "quality.blinddecision": OwnEvent("blind_review.decided"),
    "quality.reviewbudget": Attested(
        "review_budget.set",
        AttestedModel(("category_id", "revision", "per_shift", "shift_starts", "reason", "author_id", "created_at")),
    ),
    "quality.reservation": NotAttested("who has a part before them for some minutes; deciding about it is an event"),
    "quality.queuedecision": Attested(
        "queue_review.decided",
        AttestedModel(
            ("category_id", "inspection_id", "decision", "cause", "why", "review_id", "reviewer_id", "created_at")
        ),
    ),
    # ---------------------------------------------------------------- monitoring
    "monitoring.alarm": Attested(
        "alarm.*",
        AttestedModel(
            (
                "kind",
                "category_id",
                "station",
                "sentence",
                "status",
                "opened_at",
                "acknowledged_at",
                "acknowledged_by_id",
                "resolved_at",
                "resolved_by_id",
                "cause",
                "is_new_normal",
            )
        ),
    ),
    "monitoring.alarmcomment": Attested(
        "alarm.commented", AttestedModel(("alarm_id", "text", "author_id", "created_at"))
    ),
    "monitoring.alarmmessage": NotAttested("the outbox: what is still to be sent; the alarm is an event"),
    "monitoring.driftmonitor": NotAttested("the state of control charts, which goes on with every record"),
    "monitoring.driftchart": NotAttested("the state of control charts, which goes on with every record"),
    "monitoring.driftcursor": NotAttested("how far the control charts have read"),
    "monitoring.referencepart": Attested(
        "reference_part.added, reference_part.retired",
        AttestedModel(
            (
                "category_id",
                "serial_number",
                "expected",
                "lowest_score",
                "highest_score",
                "note",
                "author_id",
                "created_at",
                "retired_at",
            )
        ),
    ),
    "monitoring.referencecheck": Derived("the reference part and the record of it"),
    "monitoring.doubtfulperiod": NotAttested("between two checks of a reference part, which are computed again"),
    # ---------------------------------------------------------------- edge
    "edge.connection": Attested(
        "connection.*",
        AttestedModel(
            fields=(
                *("name", "kind", "station", "category_id", "settings", "line_time_ms", "is_enabled", "revision"),
                *("created_at", "created_by_id"),
            ),
            parts=(Parts("edge.connectionsecret", "connection", ("name", "fingerprint", "sealed", "ends_at")),),
        ),
    ),
    "edge.connectionsecret": Part("edge.connection"),
    "edge.connectionstatus": NotAttested("how a connection is at the moment, as the process says that keeps it"),
    "edge.framedetails": Attested(
        "frame.taken",
        AttestedModel(
            (
                *("request_id", "connection_id", "camera", "number", "taken_at"),
                *("exposure_us", "gain_db", "lost_before"),
            )
        ),
    ),
    "edge.lane": NotAttested("counters of the outbox"),
    "edge.delivery": NotAttested("the outbox: what is still to be sent, and went out lately; the record is an event"),
    "edge.expectedverdict": NotAttested("what the line waits for at the moment; the record is an event"),
    "edge.heldfile": NotAttested("keeps a file from retention until it has gone out"),
    "edge.centrereceipt": NotAttested("the word of the centre, whose signature vouches for it: edge --verify"),
    "edge.edgenode": Attested(
        "edge_node.*",
        AttestedModel(fields=("name", "station", "user_id", "is_enabled", "created_at", "created_by_id")),
    ),
    "edge.forwardedrecord": Attested(
        "inspection.recorded, of the record that it brought",
        AttestedModel(
            fields=(
                *("node_id", "record_id", "inspection_id", "sequence", "row_sha256", "event_sha256", "row", "event"),
                "received_at",
            )
        ),
    ),
    "edge.nodeanchor": Attested(
        "edge_node.anchored", AttestedModel(fields=("node_id", "first", "sequence", "head", "hashes", "created_at"))
    ),
    "edge.passagecounter": NotAttested("who counts, and how far; a statement made from it is an event"),
    "edge.passage": NotAttested("what the line reported, append-only; a statement made from it is an event"),
    "edge.heardperiod": NotAttested("when a counter was heard; a statement made from it is an event"),
    # ---------------------------------------------------------------- reports
    "reports.reportschedule": Attested(
        "report_schedule.set, report_schedule.ended",
        AttestedModel(("kind", "category_id", "station", "recipients", "author_id", "created_at", "ended_at")),
    ),
    "reports.reportmessage": NotAttested("the outbox: what is still to be sent; the report is an event"),
    "reports.issuedreport": OwnEvent("report.issued"),
    "reports.issuedstatement": OwnEvent("statement.issued"),
}


def register_all() -> None:
    for label, entry in ATTESTATION.items():
        if isinstance(entry, Attested):
            register_attested(label, entry.rows)
