"""Every code of a problem document: its status, what it means, what to do. The page /docs/problems shows this list.

A test holds it complete. What an answer says in `detail` names the file, the field or the limit; here it is in general.
"""

from __future__ import annotations

from typing import NamedTuple


class Problem(NamedTuple):
    status: tuple[int, ...]  # empty: never an answer's own, but of something inside an answer, or of a command
    meaning: str
    remedy: str

    @property
    def statuses(self) -> str:
        return " or ".join(map(str, self.status))


_ID = "Look up the right id in the list."
_IMAGE = "Send another image of the part, as PNG or JPEG."
_ARCHIVE = "Pack the folder again as a plain zip or tar, and send that."
_LATER = "Try again after the seconds that Retry-After says."
_SUPPORT = "Try again; if it happens again, call support with the request id."
_RELOAD = "Reload the page or the object, then decide again."


def _p(status: int | tuple[int, ...], meaning: str, remedy: str) -> Problem:
    return Problem((status,) if isinstance(status, int) else status, meaning, remedy)


def _not_found(what: str) -> Problem:
    return _p(404, f"There is no {what} of this id or name.", _ID)


_INSIDE = ()
PROBLEMS: dict[str, Problem] = {
    # ---- requests
    "bad_request": _p(400, "The request cannot be read.", "Correct what detail names."),
    "csrf_failed": _p(403, "The form or its CSRF token is out of date.", "Reload the page and send it again."),
    "host_not_allowed": _p(400, "The host name of the request is not allowed.", "Add the name to ALLOWED_HOSTS."),
    "incomplete_body": _p(400, "The connection ended before the whole body was there.", "Send it again."),
    "invalid": _p(400, "A field is missing or not valid.", ("Correct the field that errors or detail names.")),
    "invalid_cursor": _p(400, "The cursor is of no page of this list.", "Begin at the first page, without a cursor."),
    "invalid_filter": _p(400, "A filter is unknown or not valid.", "Correct the filter that parameter names."),
    "invalid_idempotency_key": _p(400, "The Idempotency-Key is not valid.", "Send 1 to 200 printable characters."),
    "invalid_length": _p(400, "Content-Length is not a whole number of bytes.", "Send the length of the body."),
    "idempotency_key_reused": _p(
        422, "This Idempotency-Key came with another request before.", "Make a new key for each new request."
    ),
    "length_required": _p(411, "The body came without a length.", "Send Content-Length."),
    "malformed_multipart": _p(400, "The parts of the form cannot be separated.", "Send it as multipart/form-data."),
    "method_not_allowed": _p(405, "The address does not take this method.", "Use one that detail names."),
    "not_acceptable": _p(406, "The answer is not available in the form of Accept.", "Ask for application/json or */*."),
    "not_found": _p(404, "There is nothing at this address.", "Compare it with /api/docs."),
    "parse_error": _p(400, "The body is not JSON.", "Send a JSON object in UTF-8."),
    "repeated_field": _p(400, "A field came more than once.", "Send it once; field says which."),
    "request_timeout": _p(408, "The body did not arrive in time.", "Send the whole request again."),
    "request_too_large": _p(413, "The request is larger than this address takes.", "Send less at a time."),
    "too_many_wrong_tokens": _p(
        429,
        "Too many wrong tokens came from this address.",
        "Find the program that sends a wrong token. Tokens that were in use from the address go on; new ones after "
        "LOGIN_WINDOW minutes.",
    ),
    "throttled": _p(429, "Too many requests of one sender in a minute.", _LATER),
    "too_many_connections": _p(429, "Too many requests of one address at once.", "Wait for the others to end."),
    "too_many_pixels_at_once": _p(429, "Too many pixels of one sender are being judged at once.", _LATER),
    "too_many_files": _p(413, "More files than one request may carry.", "Send a zip, or several batches."),
    "too_many_uploads": _p(503, "The space for uploads is full.", _LATER),
    "unknown_field": _p(400, "A field is unknown here.", "nearest names a similar field."),
    "unreadable_text": _p(400, "A text is not UTF-8 or contains invalid characters.", "Send UTF-8 text."),
    "unsupported_content_encoding": _p(415, "The body is compressed.", "Send it as it is."),
    "unsupported_media_type": _p(415, "The body's Content-Type is not read here.", "Send one that detail names."),
    "several_images": _p(400, "The request carries several images, and takes one.", "Send one, or make a batch."),
    "no_image": _p(400, "The request carries no image.", "Send it in the field image."),
    # ---- who, and what they may
    "authentication_failed": _p(
        401,
        "The token is unknown, revoked or expired, or the header is malformed.",
        "Send Authorization: Bearer TOKEN.",
    ),
    "not_authenticated": _p(401, "The request does not say who sends it.", "Sign in, or send a token."),
    "permission_denied": _p(
        403,
        "The role lacks the right that is needed, or the token lacks its scope.",
        "Where scope is there, use a token with that scope; else ask an admin for a role that has the right.",
    ),
    "scope_exceeded": _p(403, "A token cannot issue one that may more than itself.", "Ask for fewer scopes."),
    "metrics_not_allowed": _p(
        403,
        "Metrics are for the monitoring system alone (401 where a token is asked for).",
        "Send METRICS_TOKEN as bearer token, or add the network of the monitoring system to METRICS_NETWORKS.",
    ),
    "locked_out": _p(429, "Too many failed sign-ins.", "Wait, or ask an admin to unlock you."),
    "wrong_password": _p(403, "The name and the password do not belong together.", "Type them again."),
    "last_administrator": _p(
        _INSIDE, "Nobody else could administer the system.", "Give somebody else the role admin first."
    ),
    "password_incorrect": _p(_INSIDE, "The present password is another one.", "Type it again."),
    "invalid_expiry": _p(
        400, "The token would expire in the past, or outlive the one that issues it.", "Choose a day."
    ),
    "invalid_scope": _p(400, "A token has one or more of the scopes inspect, read, manage.", "Name these."),
    "invalid_user": _p(400, "The name or the address of the user cannot be.", "detail says why; choose another."),
    "unknown_role": _p(400, "There is no such role.", "Choose operator, engineer, auditor or admin."),
    "token_not_found": _not_found("token of yours"),
    "user_not_found": _not_found("user"),
    # ---- images
    "not_an_image": _p(415, "The content is not an image of a known format.", _IMAGE),
    "format_not_allowed": _p(415, "The format is switched off here.", "Send one that ALLOWED_EXTENSIONS names."),
    "multi_frame": _p(415, "The file contains several images.", "Send one image, or set MULTI_PAGE=first for TIFF."),
    "unsupported_mode": _p(
        415,
        "The pixels have no single meaning as RGB (CMYK, 16 bits without a window), or are packed oddly.",
        _IMAGE,
    ),
    "empty_file": _p(400, "The file has no bytes.", _IMAGE),
    "file_too_large": _p(413, "The file is larger than an image may be.", "Send a smaller one."),
    "too_many_pixels": _p(413, "The image has more pixels than allowed.", "Send a smaller one."),
    "too_many_scans": _p(413, "The JPEG has more scans than allowed.", "Save it as a plain JPEG."),
    "truncated_image": _p(422, "The file is cut off or damaged.", "Send it again."),
    "image_too_small": _p(422, "The image has too few pixels.", "Send it in its full size."),
    "misnamed": _p(_INSIDE, "The file's name claims another format than it has.", "Give it the right ending."),
    "image_unreadable": _p(_INSIDE, "The stored image can no longer be read.", "Restore it from a backup."),
    "file_unreadable": _p(_INSIDE, "A file of a folder cannot be read.", "Check its permissions, and ask again."),
    "unreadable": _p(_INSIDE, "The file cannot be read.", "Check its path and permissions."),
    "image_discarded": _p(
        410, "The file was deleted by retention; the record is kept.", "Send the image again, if it exists."
    ),
    "image_not_kept": _p(409, "The image was not kept, so nothing can be done with it again.", "Send it again."),
    # ---- archives and data sets
    "not_an_archive": _p(415, "The content is not a zip or tar.", _ARCHIVE),
    "damaged_archive": _p(422, "The archive is damaged.", _ARCHIVE),
    "encrypted_archive": _p(422, "The archive is encrypted.", _ARCHIVE),
    "unsupported_compression": _p(422, "The archive uses a compression method that is not supported.", _ARCHIVE),
    "unsafe_path": _p(422, "A name in the archive leads out of it.", _ARCHIVE),
    "link_or_device": _p(422, "The archive holds a link or a device.", _ARCHIVE),
    "duplicate_member": _p(422, "Two files of the archive have one name.", _ARCHIVE),
    "too_many_members": _p(413, "The archive holds more files than is allowed.", "Split it."),
    "member_too_large": _p(413, "A file of the archive is too large.", "Leave it out, or make it smaller."),
    "archive_too_large": _p(413, "What the archive unpacks to is too large.", "Split it."),
    "compression_ratio": _p(413, "The archive unpacks to far more than it is.", _ARCHIVE),
    "folder_too_large": _p(413, "The folder holds more than one batch may.", "Take a part of it."),
    "not_mvtec_layout": _p(
        422, "The layout of the folders is not recognised.", "Name the folders of good parts and of defects."
    ),
    "unreadable_folder": _p(422, "A folder of the data set cannot be read.", "Check its permissions."),
    "no_such_folder": _p(422, "A folder that was named is not in the data set.", "Name one that detail lists."),
    "no_such_layout": _p(422, "There is no layout of that name.", "Name one that detail lists, or none."),
    "unclear_label": _p(
        422, "The name of a folder may mean good or defect.", ("Specify the folders of good parts and of defects.")
    ),
    "mask_mismatch": _p(422, "A mask does not fit its image.", "Correct the mask that detail names."),
    "ignore_mask_rejected": _p(
        422, "The mask of ignored regions ignores nothing, or everything, or is no mask.", "Correct it as detail says."
    ),
    "ignore_mask_mismatch": _p(
        422, "The mask of ignored regions has another shape than the images.", "Draw it on one of them."
    ),
    "ignore_mask_not_found": _not_found("mask of ignored regions"),
    "artifact_picture_not_found": _p(
        404, "The artifact has no such picture, or is not there.", "Restore it from a backup."
    ),
    "no_good_images": _p(422, "The data set has no images of good parts.", "Add a few dozen."),
    "too_few_good_images": _p(422, "The data set has too few images of good parts.", "Add more."),
    "no_archive": _p(400, "No archive was sent.", "Choose a file."),
    "no_images": _p(400, "No images were sent.", "Choose some."),
    "name_missing": _p(400, "The data set has no name.", "Give it one."),
    "name_taken": _p((409, 422), "The name is taken.", "Choose another."),
    "invalid_name": _p(400, "The name cannot be one.", "detail says what a name may be."),
    "not_a_dataset": _p(400, "The folder is not a data set.", "Name the folder that holds train and test."),
    "no_test_images": _p(400, "The data set has no test images.", "Import one that has."),
    "no_labelled_images": _p(400, "The data set says of too few images what they are.", "Import one that does."),
    "elpv_missing": _p(_INSIDE, "The package with the demo's images is not installed.", "Install it."),
    "folder_in_use": _p(_INSIDE, "The folder holds something else already.", "Name an empty one."),
    "dataset_not_found": _not_found("data set"),
    "upload_not_found": _p(404, "There is no such upload, or it has expired.", "Send the images again."),
    "dataset_image_not_found": _not_found("image of a data set"),
    "no_mask": _p(404, "The image has no mask.", "It has no annotated defect."),
    # ---- judging
    "no_model_loaded": _p(
        409, "No model version of this category is in production.", "Ask an engineer to promote one."
    ),
    "several_categories": _p((400, 409), "Several categories exist, and none was named.", "Name one of categories."),
    "several_models": _p(400, "Several model versions fit.", "Name one of model_versions."),
    "inspection_failed": _p(409, "The image was kept and could not be judged.", _SUPPORT),
    "sign_in_refused": _p(
        403, "The provider knows the person, who may not come in here.", "Ask an administrator for a role."
    ),
    "provider_unavailable": _p(
        503, "The sign-in provider does not answer.", "Try again, or sign in with a local account."
    ),
    "no_worker": _p(503, "The inspection service did not answer; no record was written.", _LATER),
    "busy": _p(503, "No thread was free for the request, or no room for its pixels; it was not begun.", _LATER),
    "outcome_unknown": _p(
        503, "The request may have been carried out.", ("Check before you send it again, or repeat it with its key.")
    ),
    "not_repeatable": _p(409, "The request ended in a record, or its image was not kept.", "Send the image again."),
    "inspection_not_found": _not_found("inspection"),
    "request_not_found": _not_found("request"),
    "part_not_found": _not_found("part"),
    "part_layout_not_found": _not_found("part layout"),
    "part_layout_retired": _p(409, "The part layout is not in use.", "Set it again, or name another one."),
    "part_layout_changed": _p(409, "Somebody else changed the layout at this moment.", _RELOAD),
    "part_closed": _p(
        409, "The part is complete or its time is over.", "To inspect it again, send its views under another part id."
    ),
    "part_open": _p(409, "The part has no verdict yet.", "Ask again when all views are there or its time is over."),
    "part_differs": _p(
        409, "The view says another lot, part or serial number than its part.", "Check whether two parts have one id."
    ),
    "view_sent_already": _p(
        409, "This view of the part came before, with another image.", "Give the next part another id."
    ),
    "unknown_view": _p(409, "The part layout has no view of this name.", "Use one that detail names."),
    "no_map": _p(
        404, "The record has no anomaly map.", ("A record that is not comparable has none; retention deletes some.")
    ),
    "category_not_found": _not_found("category"),
    # ---- batches
    "empty_batch": _p(400, "The batch holds no image.", "Send images, a zip, or name a folder that holds some."),
    "batch_not_found": _not_found("batch"),
    "batch_over": _p(409, "The batch is over already.", "Nothing is left to cancel."),
    "no_batch_roots": _p(409, "Folders of the server are not allowed.", "An administrator can set BATCH_ROOTS."),
    "folder_not_found": _not_found("folder"),
    "folder_unreadable": _p(409, "The folder cannot be read.", "Check the share and its permissions."),
    # ---- reviews and records
    "invalid_review": _p(
        400, "The verdict, defect type or comment of the review is not valid.", "detail says what it takes."
    ),
    "invalid_region": _p(400, "A region is outside of the image or not a rectangle.", "Draw it within the image."),
    "review_outdated": _p(409, "Somebody else reviewed it in the meantime.", _RELOAD),
    "review_not_found": _not_found("review"),
    "reviewer_missing": _p(400, "A review belongs to a person.", "Name the person."),
    "no_records": _p(400, "No record was named or matches.", "Choose at least one, or a longer period."),
    "too_many_records": _p(400, "More records than can be done at once.", "Choose fewer."),
    "no_reviewed_images": _p(409, "No image is left that was reviewed.", "Review some first."),
    "owner_missing": _p(400, "A view belongs to a person.", "Name the person."),
    "empty_view": _p(400, "The view contains no filters.", "Choose a filter first."),
    "too_many_views": _p(409, "You have the maximum number of views.", "Delete one."),
    "view_name_taken": _p(409, "You have a view of this name.", "Choose another name."),
    "view_not_found": _not_found("view of yours"),
    # ---- models and thresholds
    "model_version_not_found": _not_found("model version"),
    "deployment_not_found": _not_found("deployment"),
    "threshold_not_found": _not_found("threshold revision"),
    "evaluation_not_found": _not_found("evaluation"),
    "file_exists": _p(_INSIDE, "export_model: the file is there already; it stays.", "Name another file."),
    "image_changed": _p(
        _INSIDE, "reproduce: an image is not the one of the snapshot: its hash differs.", "Restore it from a backup."
    ),
    "no_version": _p(_INSIDE, "reproduce: the training run has no version.", "Name one that succeeded."),
    "package_not_read": _p(_INSIDE, "import_model: the file cannot be read or kept.", "detail says why."),
    "package_not_written": _p(_INSIDE, "export_model: the file could not be written.", "Choose another folder."),
    "replay_not_found": _p(_INSIDE, "replay: it is not there.", "Start another one."),
    "replay_running": _p(_INSIDE, "replay: another one is running.", "Wait until it has ended."),
    "package_refused": _p(
        _INSIDE,
        "import_model: the package is not what was signed, or its signer is not known here.",
        "Export it again, or name the fingerprint that its sender told you.",
    ),
    "version_exists": _p(_INSIDE, "import_model: this version is here already.", "Use the one that detail names."),
    "model_unusable": _p(409, "The model cannot be loaded; the current model stays in production.", "detail says why."),
    "device_unavailable": _p(
        409, "The device is not there; the current model stays in production.", "Choose auto or cpu."
    ),
    "runtime_unavailable": _p(
        409, "The runtime is not installed; the current model stays in production.", "Choose torch."
    ),
    "superseded": _p(409, "A version that was requested later is already in production.", _RELOAD),
    "already_in_production": _p(409, "The version is in production already.", "Nothing is left to do."),
    "in_production": _p(
        409,
        "The version is in production: it can be neither archived nor lose its approval.",
        "Promote another one first.",
    ),
    "approval_missing": _p(
        409,
        "The version is not approved, and REQUIRE_APPROVAL is on.",
        "Have somebody approve it who did not train it.",
    ),
    "already_approved": _p(409, "The version is approved already.", "Nothing is left to do."),
    "not_approved": _p(409, "The version is not approved, so there is nothing to withdraw.", "Nothing is left to do."),
    "signature_required": _p(
        422, "The category requires an electronic signature for this.", "Send signature: your password and its meaning."
    ),
    "signature_refused": _p(
        403, "Who signs could not be verified, or cannot sign.", "detail says why; nothing was changed."
    ),
    "gate_refused": _p(
        409,
        "The version does not pass a promotion gate of its category; the sentence names each figure.",
        "Evaluate it again, train a better one, or change the gates.",
    ),
    "reference_set_missing": _p(400, "Recall and false-reject rate need a reference set.", "Name a data set."),
    "already_archived": _p(409, "The version is archived already.", "Nothing is left to do."),
    "nothing_to_roll_back_to": _p(409, "No other version was in production before.", "Promote the one that you want."),
    "reason_missing": _p(400, "The change needs a reason.", "Enter a reason."),
    "value_missing": _p(400, "No threshold was given.", "Give a value, or a method that finds one."),
    "invalid_parameters": _p(400, "The parameters of the method are not valid.", "detail says what they may be."),
    "threshold_not_finite": _p(400, "The threshold is not a finite number.", "Give a number."),
    "threshold_not_positive": _p(400, "The threshold is not above 0.", "Give a number above 0."),
    "too_few_scores": _p(409, "There are too few scores for this method.", "Choose another, or collect more parts."),
    "threshold_changed": _p(409, "Somebody else changed the threshold in the meantime.", _RELOAD),
    "nothing_to_undo": _p(409, "The active revision is the first one.", "Set a value instead."),
    "other_category": _p(409, "The two belong to different categories.", "Choose two of one category."),
    "rescoring_not_found": _not_found("re-scoring"),
    "rescoring_over": _p(409, "The re-scoring is over already.", "Nothing is left to cancel."),
    "scoring_failed": _p(_INSIDE, "An image could not be scored again.", _SUPPORT),
    # ---- training
    "unknown_algorithm": _p(400, "There is no such detector.", "Choose one that detail names."),
    "invalid_options": _p(400, "An option of the detector is not valid.", "detail says which, and what it takes."),
    "invalid_calibration": _p(400, "The rule of the first threshold is not valid.", "detail says what it takes."),
    "training_run_not_found": _not_found("training run"),
    "training_run_is_over": _p(409, "The training run is over already.", "Start another one."),
    "training_failed": _p(_INSIDE, "The training run failed.", "Its page says why."),
    "not_extendable": _p(409, "This model cannot be extended.", "Train a new model on the larger data set."),
    "nothing_to_learn": _p(409, "The version has seen all of these images.", "Choose other images."),
    "worker_died": _p(_INSIDE, "The worker stopped during this work.", _SUPPORT),
    "not_an_export": _p(_INSIDE, "The file is not an export of a model.", "Make one with manage.py export."),
    # ---- monitoring
    "alarm_not_found": _not_found("alarm"),
    "alarm_not_open": _p(409, "Somebody was faster: the alarm is acknowledged or resolved already.", _RELOAD),
    "reference_part_not_found": _not_found("reference part"),
    "reference_part_exists": _p(409, "The serial number is a reference part already.", "Retire it first."),
    "reference_part_retired": _p(409, "The reference part is retired already.", "Nothing is left to do."),
    "drift_monitor_not_found": _not_found("drift monitor"),
    # ---- retention, audit, the system
    "sampling_plan_not_found": _not_found("sampling plan"),
    "audited_shift_not_found": _not_found("audited shift"),
    "drawn_part_not_found": _not_found("drawn part"),
    "blind_review_decided": _p(409, "The part was reviewed meanwhile.", "Go on with the next part."),
    "not_blind": _p(409, "You inspected or reviewed the part before.", "Let somebody else review it."),
    "invalid_shifts": _p(400, "The times are no starts of shifts.", "Send 1 to 12 times as HH:MM."),
    "comparison_not_found": _not_found("comparison"),
    "no_images_to_compare": _p(409, "Each image was learnt by one of the two versions.", "Review more parts."),
    "retraining_open": _p(409, "The category is being trained again already.", "Wait until that run has ended."),
    "dataset_missing": _p(409, "The data set of the version is not here.", "Import it, then try again."),
    "production_was_extended": _p(
        409, "The version in production extends another one.", "Extend it with a data set of reviewed images."
    ),
    "queue_part_lapsed": _p(409, "The part is not before you any more.", "Go on with the next part."),
    "queue_part_reviewed": _p(409, "The part was reviewed meanwhile.", "Go on with the next part."),
    "nothing_in_production": _p(409, "No version of the category is in production.", "Promote one first."),
    "promise_not_found": _not_found("threshold with a promise"),
    "canary_not_found": _not_found("canary"),
    "canary_exists": _p(409, "The station or the category has another canary.", "End that one first."),
    "canary_over": _p(409, "The canary judges nothing any more.", "Nothing is left to end."),
    "is_canary": _p(409, "The version judges the images of a station.", "End the canary first."),
    "version_archived": _p(409, "The version is archived.", "Take a candidate or an approved version."),
    "challenger_not_found": _not_found("challenger"),
    "challenger_result_not_found": _not_found("result of a challenger"),
    "challenger_running": _p(409, "The category has a challenger already.", "Stop it, or wait until it is finished."),
    "challenger_over": _p(409, "The challenger is over already.", "Nothing is left to stop."),
    "not_a_challenger": _p(
        409, "The version is in production or archived.", "Take a candidate or an approved version."
    ),
    "no_disagreement": _p(409, "Both versions agree about this image.", "Mark disagreements only."),
    "already_marked": _p(409, "Somebody looked at this disagreement already.", "Nothing is left to do."),
    "containment_not_found": _not_found("containment"),
    "containment_not_finished": _p(409, "The containment has no list yet.", "Wait until it is finished."),
    "report_not_found": _not_found("issued report"),
    "schedule_not_found": _not_found("schedule"),
    "schedule_ended": _p(409, "The schedule was ended.", "Set a new one."),
    "too_many_schedules": _p(409, "There are as many schedules as there may be.", "End one first."),
    "invalid_recipients": _p(400, "The recipients are none, too many, or no e-mail addresses.", "Correct them."),
    "lot_not_found": _p(404, "No record is of this lot.", "Check its spelling."),
    "measurement_study_not_found": _not_found("measurement study"),
    "invalid_study": _p(400, "The study cannot be made like this.", "detail says which number or person to change."),
    "too_few_parts": _p(409, "There are too few records for the study.", "Choose fewer parts, or review more."),
    "nothing_to_judge": _p((404, 409), "Nothing is left for you to judge at present.", "Wait for the others."),
    "task_answered": _p(409, "The part was answered already.", "Go on with the next one."),
    "study_not_finished": _p(409, "The study has no results yet.", "Wait until everybody has judged all parts."),
    "not_an_escape": _p(409, "The record is no escape.", "Review the part as defective first, if it is."),
    "retention_policy_not_found": _not_found("retention rule"),
    "retention_policy_replaced": _p(409, "Another rule is active now.", _RELOAD),
    "retention_run_not_found": _not_found("retention run"),
    "retention_run_open": _p(409, "Such a run is in progress.", "Wait for it."),
    "dry_run_missing": _p(409, "The deletion was not previewed.", "Preview it first."),
    "object_type_missing": _p(400, "An object's id needs its kind.", "Send object_type too."),
    "event_key_missing": _p(
        503, "The key that authenticates audit events is not on this machine.", "See docs/audit.md."
    ),
    "signing_key_unusable": _p(400, "The signing key of the audit log cannot be used.", "See docs/audit.md."),
    "checkpoint_not_written": _p(
        507, "The checkpoint is kept, and was not written to its folder.", "Correct the folder."
    ),
    "backup_failed": _p(_INSIDE, "The backup could not be made.", "detail says why."),
    "backup_damaged": _p(_INSIDE, "The backup is damaged.", "Take another one."),
    "conflict": _p(409, "The request does not match the present state.", _RELOAD),
    "unavailable": _p(503, "A part of the system does not answer.", _LATER),
    "database_unavailable": _p(503, "The database does not answer; nothing was changed.", _LATER),
    "storage_unavailable": _p(503, "The object storage does not answer; nothing was kept.", "Try again later."),
    "storage_failed": _p(507, "The disk is full or cannot be written; nothing was kept.", "Call support."),
    "internal_error": _p(500, "A software error. Saved records are safe.", _SUPPORT),
}
