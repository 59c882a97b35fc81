"""Every code of a problem document: its status, what it means, what to do. The page /docs/problems shows this list.

A test holds it complete. What an answer says in `detail` names the file, the field or the limit; here it is in general.
Each text is a whole sentence and marked for translation: pages show it in their language (`common/web/refusals.py`).
"""

from __future__ import annotations

from typing import NamedTuple

from django.utils.translation import gettext_noop as _


class Problem(NamedTuple):
    status: tuple[int, ...]  # empty: never an answer's own, but of something inside an answer, or of a command
    meaning: str
    remedy: str

    @property
    def statuses(self) -> str:
        return " or ".join(map(str, self.status))


_ID = _("Look up the right id in the list.")
_IMAGE = _("Send another image of the part, as PNG or JPEG.")
_ARCHIVE = _("Pack the folder again as a plain zip or tar, and send that.")
_LATER = _("Try again after the seconds that Retry-After says.")
_SUPPORT = _("Try again; if it happens again, call support with the request id.")
_RELOAD = _("Reload the page or the object, then decide again.")


def _p(status: int | tuple[int, ...], meaning: str, remedy: str) -> Problem:
    return Problem((status,) if isinstance(status, int) else status, meaning, remedy)


def _not_found(meaning: str) -> Problem:
    return _p(404, meaning, _ID)


_INSIDE = ()
PROBLEMS: dict[str, Problem] = {
    # ---- requests
    "bad_request": _p(400, _("The request cannot be read."), _("Correct what detail names.")),
    "csrf_failed": _p(403, _("The form or its CSRF token is out of date."), _("Reload the page and send it again.")),
    "host_not_allowed": _p(400, _("The host name of the request is not allowed."), _("Add the name to ALLOWED_HOSTS.")),
    "incomplete_body": _p(400, _("The connection ended before the whole body was there."), _("Send it again.")),
    "invalid": _p(400, _("A field is missing or not valid."), _("Correct the field that errors or detail names.")),
    "invalid_cursor": _p(
        400, _("The cursor is of no page of this list."), _("Begin at the first page, without a cursor.")
    ),
    "invalid_filter": _p(400, _("A filter is unknown or not valid."), _("Correct the filter that parameter names.")),
    "invalid_idempotency_key": _p(
        400, _("The Idempotency-Key is not valid."), _("Send 1 to 200 printable characters.")
    ),
    "invalid_length": _p(400, _("Content-Length is not a whole number of bytes."), _("Send the length of the body.")),
    "idempotency_key_reused": _p(
        422, _("This Idempotency-Key came with another request before."), _("Make a new key for each new request.")
    ),
    "length_required": _p(411, _("The body came without a length."), _("Send Content-Length.")),
    "malformed_multipart": _p(
        400, _("The parts of the form cannot be separated."), _("Send it as multipart/form-data.")
    ),
    "method_not_allowed": _p(405, _("The address does not take this method."), _("Use one that detail names.")),
    "not_acceptable": _p(
        406, _("The answer is not available in the form of Accept."), _("Ask for application/json or */*.")
    ),
    "not_found": _p(404, _("There is nothing at this address."), _("Compare it with /api/docs.")),
    "parse_error": _p(400, _("The body is not JSON."), _("Send a JSON object in UTF-8.")),
    "repeated_field": _p(400, _("A field came more than once."), _("Send it once; field says which.")),
    "request_timeout": _p(408, _("The body did not arrive in time."), _("Send the whole request again.")),
    "request_too_large": _p(413, _("The request is larger than this address takes."), _("Send less at a time.")),
    "too_many_wrong_tokens": _p(
        429,
        _("Too many wrong tokens came from this address."),
        _(
            "Find the program that sends a wrong token. Tokens that were in use from the address go on; new ones after "
            "LOGIN_WINDOW minutes."
        ),
    ),
    "throttled": _p(429, _("Too many requests of one sender in a minute."), _LATER),
    "too_many_connections": _p(429, _("Too many requests of one address at once."), _("Wait for the others to end.")),
    "too_many_pixels_at_once": _p(429, _("Too many pixels of one sender are being judged at once."), _LATER),
    "too_many_files": _p(413, _("More files than one request may carry."), _("Send a zip, or several batches.")),
    "too_many_uploads": _p(503, _("The space for uploads is full."), _LATER),
    "unknown_field": _p(400, _("A field is unknown here."), _("nearest names a similar field.")),
    "unreadable_text": _p(400, _("A text is not UTF-8 or contains invalid characters."), _("Send UTF-8 text.")),
    "unsupported_content_encoding": _p(415, _("The body is compressed."), _("Send it as it is.")),
    "unsupported_media_type": _p(415, _("The body's Content-Type is not read here."), _("Send one that detail names.")),
    "several_images": _p(400, _("The request carries several images, and takes one."), _("Send one, or make a batch.")),
    "no_image": _p(400, _("The request carries no image."), _("Send it in the field image.")),
    # ---- who, and what they may
    "authentication_failed": _p(
        401,
        _("The token is unknown, revoked or expired, or the header is malformed."),
        _("Send Authorization: Bearer TOKEN."),
    ),
    "not_authenticated": _p(401, _("The request does not say who sends it."), _("Sign in, or send a token.")),
    "permission_denied": _p(
        403,
        _("The role lacks the right that is needed, or the token lacks its scope."),
        _("Where scope is there, use a token with that scope; else ask an admin for a role that has the right."),
    ),
    "scope_exceeded": _p(403, _("A token cannot issue one that may more than itself."), _("Ask for fewer scopes.")),
    "metrics_not_allowed": _p(
        403,
        _("Metrics are for the monitoring system alone (401 where a token is asked for)."),
        _("Send METRICS_TOKEN as bearer token, or add the network of the monitoring system to METRICS_NETWORKS."),
    ),
    "locked_out": _p(429, _("Too many failed sign-ins."), _("Wait, or ask an admin to unlock you.")),
    "wrong_password": _p(403, _("The name and the password do not belong together."), _("Type them again.")),
    "last_administrator": _p(
        _INSIDE, _("Nobody else could administer the system."), _("Give somebody else the role admin first.")
    ),
    "password_incorrect": _p(_INSIDE, _("The present password is another one."), _("Type it again.")),
    "invalid_expiry": _p(
        400, _("The token would expire in the past, or outlive the one that issues it."), _("Choose a day.")
    ),
    "invalid_scope": _p(400, _("A token has one or more of the scopes inspect, read, manage."), _("Name these.")),
    "invalid_user": _p(400, _("The name or the address of the user cannot be."), _("detail says why; choose another.")),
    "unknown_role": _p(400, _("There is no such role."), _("Choose operator, engineer, auditor or admin.")),
    "token_not_found": _not_found(_("There is no token of yours of this id or name.")),
    "user_not_found": _not_found(_("There is no user of this id or name.")),
    # ---- images
    "not_an_image": _p(415, _("The content is not an image of a known format."), _IMAGE),
    "format_not_allowed": _p(415, _("The format is switched off here."), _("Send one that ALLOWED_EXTENSIONS names.")),
    "multi_frame": _p(
        415, _("The file contains several images."), _("Send one image, or set MULTI_PAGE=first for TIFF.")
    ),
    "unsupported_mode": _p(
        415,
        _("The pixels have no single meaning as RGB (CMYK, 16 bits without a window), or are packed oddly."),
        _IMAGE,
    ),
    "empty_file": _p(400, _("The file has no bytes."), _IMAGE),
    "file_too_large": _p(413, _("The file is larger than an image may be."), _("Send a smaller one.")),
    "too_many_pixels": _p(413, _("The image has more pixels than allowed."), _("Send a smaller one.")),
    "too_many_scans": _p(413, _("The JPEG has more scans than allowed."), _("Save it as a plain JPEG.")),
    "truncated_image": _p(422, _("The file is cut off or damaged."), _("Send it again.")),
    "image_too_small": _p(422, _("The image has too few pixels."), _("Send it in its full size.")),
    "misnamed": _p(_INSIDE, _("The file's name claims another format than it has."), _("Give it the right ending.")),
    "image_unreadable": _p(_INSIDE, _("The stored image can no longer be read."), _("Restore it from a backup.")),
    "file_unreadable": _p(_INSIDE, _("A file of a folder cannot be read."), _("Check its permissions, and ask again.")),
    "unreadable": _p(_INSIDE, _("The file cannot be read."), _("Check its path and permissions.")),
    "image_discarded": _p(
        410, _("The file was deleted by retention; the record is kept."), _("Send the image again, if it exists.")
    ),
    "image_not_kept": _p(409, _("The image was not kept, so nothing can be done with it again."), _("Send it again.")),
    # ---- archives and data sets
    "not_an_archive": _p(415, _("The content is not a zip or tar."), _ARCHIVE),
    "damaged_archive": _p(422, _("The archive is damaged."), _ARCHIVE),
    "encrypted_archive": _p(422, _("The archive is encrypted."), _ARCHIVE),
    "unsupported_compression": _p(422, _("The archive uses a compression method that is not supported."), _ARCHIVE),
    "unsafe_path": _p(422, _("A name in the archive leads out of it."), _ARCHIVE),
    "link_or_device": _p(422, _("The archive holds a link or a device."), _ARCHIVE),
    "duplicate_member": _p(422, _("Two files of the archive have one name."), _ARCHIVE),
    "too_many_members": _p(413, _("The archive holds more files than is allowed."), _("Split it.")),
    "member_too_large": _p(413, _("A file of the archive is too large."), _("Leave it out, or make it smaller.")),
    "archive_too_large": _p(413, _("What the archive unpacks to is too large."), _("Split it.")),
    "compression_ratio": _p(413, _("The archive unpacks to far more than it is."), _ARCHIVE),
    "folder_too_large": _p(413, _("The folder holds more than one batch may."), _("Take a part of it.")),
    "not_mvtec_layout": _p(
        422, _("The layout of the folders is not recognised."), _("Name the folders of good parts and of defects.")
    ),
    "unreadable_folder": _p(422, _("A folder of the data set cannot be read."), _("Check its permissions.")),
    "no_such_folder": _p(422, _("A folder that was named is not in the data set."), _("Name one that detail lists.")),
    "no_such_layout": _p(422, _("There is no layout of that name."), _("Name one that detail lists, or none.")),
    "unclear_label": _p(
        422,
        _("The name of a folder may mean good or defect."),
        (_("Specify the folders of good parts and of defects.")),
    ),
    "mask_mismatch": _p(422, _("A mask does not fit its image."), _("Correct the mask that detail names.")),
    "ignore_mask_rejected": _p(
        422,
        _("The mask of ignored regions ignores nothing, or everything, or is no mask."),
        _("Correct it as detail says."),
    ),
    "ignore_mask_mismatch": _p(
        422, _("The mask of ignored regions has another shape than the images."), _("Draw it on one of them.")
    ),
    "ignore_mask_not_found": _not_found(_("There is no mask of ignored regions of this id or name.")),
    "artifact_picture_not_found": _p(
        404, _("The artifact has no such picture, or is not there."), _("Restore it from a backup.")
    ),
    "no_good_images": _p(422, _("The data set has no images of good parts."), _("Add a few dozen.")),
    "too_few_good_images": _p(422, _("The data set has too few images of good parts."), _("Add more.")),
    "no_archive": _p(400, _("No archive was sent."), _("Choose a file.")),
    "no_images": _p(400, _("No images were sent."), _("Choose some.")),
    "name_missing": _p(400, _("The data set has no name."), _("Give it one.")),
    "name_taken": _p((409, 422), _("The name is taken."), _("Choose another.")),
    "invalid_name": _p(400, _("The name cannot be one."), _("detail says what a name may be.")),
    "not_a_dataset": _p(400, _("The folder is not a data set."), _("Name the folder that holds train and test.")),
    "no_test_images": _p(400, _("The data set has no test images."), _("Import one that has.")),
    "no_labelled_images": _p(400, _("The data set says of too few images what they are."), _("Import one that does.")),
    "elpv_missing": _p(_INSIDE, _("The package with the demo's images is not installed."), _("Install it.")),
    "folder_in_use": _p(_INSIDE, _("The folder holds something else already."), _("Name an empty one.")),
    "dataset_not_found": _not_found(_("There is no data set of this id or name.")),
    "upload_not_found": _p(404, _("There is no such upload, or it has expired."), _("Send the images again.")),
    "dataset_image_not_found": _not_found(_("There is no image of a data set of this id or name.")),
    "no_mask": _p(404, _("The image has no mask."), _("It has no annotated defect.")),
    # ---- judging
    "no_model_loaded": _p(
        409, _("No model version of this category is in production."), _("Ask an engineer to promote one.")
    ),
    "several_categories": _p(
        (400, 409), _("Several categories exist, and none was named."), _("Name one of categories.")
    ),
    "several_models": _p(400, _("Several model versions fit."), _("Name one of model_versions.")),
    "inspection_failed": _p(409, _("The image was kept and could not be judged."), _SUPPORT),
    "sign_in_refused": _p(
        403, _("The provider knows the person, who may not come in here."), _("Ask an administrator for a role.")
    ),
    "provider_unavailable": _p(
        503, _("The sign-in provider does not answer."), _("Try again, or sign in with a local account.")
    ),
    "no_worker": _p(503, _("The inspection service did not answer; no record was written."), _LATER),
    "busy": _p(503, _("No thread was free for the request, or no room for its pixels; it was not begun."), _LATER),
    "outcome_unknown": _p(
        503,
        _("The request may have been carried out."),
        (_("Check before you send it again, or repeat it with its key.")),
    ),
    "not_repeatable": _p(
        409, _("The request ended in a record, or its image was not kept."), _("Send the image again.")
    ),
    "inspection_not_found": _not_found(_("There is no inspection of this id or name.")),
    "request_not_found": _not_found(_("There is no request of this id or name.")),
    "part_not_found": _not_found(_("There is no part of this id or name.")),
    "part_layout_not_found": _not_found(_("There is no part layout of this id or name.")),
    "part_layout_retired": _p(409, _("The part layout is not in use."), _("Set it again, or name another one.")),
    "part_layout_changed": _p(409, _("Somebody else changed the layout at this moment."), _RELOAD),
    "part_closed": _p(
        409,
        _("The part is complete or its time is over."),
        _("To inspect it again, send its views under another part id."),
    ),
    "part_open": _p(
        409, _("The part has no verdict yet."), _("Ask again when all views are there or its time is over.")
    ),
    "part_differs": _p(
        409,
        _("The view says another lot, part or serial number than its part."),
        _("Check whether two parts have one id."),
    ),
    "view_sent_already": _p(
        409, _("This view of the part came before, with another image."), _("Give the next part another id.")
    ),
    "unknown_view": _p(409, _("The part layout has no view of this name."), _("Use one that detail names.")),
    "no_map": _p(
        404,
        _("The record has no anomaly map."),
        (_("A record that is not comparable has none; retention deletes some.")),
    ),
    "category_not_found": _not_found(_("There is no category of this id or name.")),
    # ---- batches
    "empty_batch": _p(400, _("The batch holds no image."), _("Send images, a zip, or name a folder that holds some.")),
    "batch_not_found": _not_found(_("There is no batch of this id or name.")),
    "batch_over": _p(409, _("The batch is over already."), _("Nothing is left to cancel.")),
    "no_batch_roots": _p(409, _("Folders of the server are not allowed."), _("An administrator can set BATCH_ROOTS.")),
    "folder_not_found": _not_found(_("There is no folder of this id or name.")),
    "folder_unreadable": _p(409, _("The folder cannot be read."), _("Check the share and its permissions.")),
    # ---- reviews and records
    "invalid_review": _p(
        400, _("The verdict, defect type or comment of the review is not valid."), _("detail says what it takes.")
    ),
    "invalid_region": _p(
        400, _("A region is outside of the image or not a rectangle."), _("Draw it within the image.")
    ),
    "review_outdated": _p(409, _("Somebody else reviewed it in the meantime."), _RELOAD),
    "review_not_found": _not_found(_("There is no review of this id or name.")),
    "reviewer_missing": _p(400, _("A review belongs to a person."), _("Name the person.")),
    "no_records": _p(400, _("No record was named or matches."), _("Choose at least one, or a longer period.")),
    "too_many_records": _p(400, _("More records than can be done at once."), _("Choose fewer.")),
    "no_reviewed_images": _p(409, _("No image is left that was reviewed."), _("Review some first.")),
    "owner_missing": _p(400, _("A view belongs to a person."), _("Name the person.")),
    "empty_view": _p(400, _("The view contains no filters."), _("Choose a filter first.")),
    "too_many_views": _p(409, _("You have the maximum number of views."), _("Delete one.")),
    "view_name_taken": _p(409, _("You have a view of this name."), _("Choose another name.")),
    "view_not_found": _not_found(_("There is no view of yours of this id or name.")),
    # ---- models and thresholds
    "model_version_not_found": _not_found(_("There is no model version of this id or name.")),
    "deployment_not_found": _not_found(_("There is no deployment of this id or name.")),
    "calibration_not_found": _not_found(_("There is no calibration of this id or name.")),
    "picture_not_found": _p(
        404, _("No stored picture has this hash."), _("Upload the picture, or take that of a record.")
    ),
    "threshold_not_found": _not_found(_("There is no threshold revision of this id or name.")),
    "evaluation_not_found": _not_found(_("There is no evaluation of this id or name.")),
    "file_exists": _p(_INSIDE, _("export_model: the file is there already; it stays."), _("Name another file.")),
    "image_changed": _p(
        _INSIDE,
        _("reproduce: an image is not the one of the snapshot: its hash differs."),
        _("Restore it from a backup."),
    ),
    "no_version": _p(_INSIDE, _("reproduce: the training run has no version."), _("Name one that succeeded.")),
    "package_not_read": _p(_INSIDE, _("import_model: the file cannot be read or kept."), _("detail says why.")),
    "package_not_written": _p(_INSIDE, _("export_model: the file could not be written."), _("Choose another folder.")),
    "replay_not_found": _p(_INSIDE, _("replay: it is not there."), _("Start another one.")),
    "replay_running": _p(_INSIDE, _("replay: another one is running."), _("Wait until it has ended.")),
    "package_refused": _p(
        _INSIDE,
        _("import_model: the package is not what was signed, or its signer is not known here."),
        _("Export it again, or name the fingerprint that its sender told you."),
    ),
    "version_exists": _p(
        _INSIDE, _("import_model: this version is here already."), _("Use the one that detail names.")
    ),
    "model_unusable": _p(
        409, _("The model cannot be loaded; the current model stays in production."), _("detail says why.")
    ),
    "device_unavailable": _p(
        409, _("The device is not there; the current model stays in production."), _("Choose auto or cpu.")
    ),
    "runtime_unavailable": _p(
        409, _("The runtime is not installed; the current model stays in production."), _("Choose torch.")
    ),
    "superseded": _p(409, _("A version that was requested later is already in production."), _RELOAD),
    "already_in_production": _p(409, _("The version is in production already."), _("Nothing is left to do.")),
    "in_production": _p(
        409,
        _("The version is in production: it can be neither archived nor lose its approval."),
        _("Promote another one first."),
    ),
    "approval_missing": _p(
        409,
        _("The version is not approved, and REQUIRE_APPROVAL is on."),
        _("Have somebody approve it who did not train it."),
    ),
    "already_approved": _p(409, _("The version is approved already."), _("Nothing is left to do.")),
    "not_approved": _p(
        409, _("The version is not approved, so there is nothing to withdraw."), _("Nothing is left to do.")
    ),
    "signature_required": _p(
        422,
        _("The category requires an electronic signature for this."),
        _("Send signature: your password and its meaning."),
    ),
    "signature_refused": _p(
        403, _("Who signs could not be verified, or cannot sign."), _("detail says why; nothing was changed.")
    ),
    "gate_refused": _p(
        409,
        _("The version does not pass a promotion gate of its category; the sentence names each figure."),
        _("Evaluate it again, train a better one, or change the gates."),
    ),
    "reference_set_missing": _p(400, _("Recall and false-reject rate need a reference set."), _("Name a data set.")),
    "already_archived": _p(409, _("The version is archived already."), _("Nothing is left to do.")),
    "nothing_to_roll_back_to": _p(
        409, _("No other version was in production before."), _("Promote the one that you want.")
    ),
    "reason_missing": _p(400, _("The change needs a reason."), _("Enter a reason.")),
    "value_missing": _p(400, _("No threshold was given."), _("Give a value, or a method that finds one.")),
    "invalid_parameters": _p(400, _("The parameters of the method are not valid."), _("detail says what they may be.")),
    "threshold_not_finite": _p(400, _("The threshold is not a finite number."), _("Give a number.")),
    "threshold_not_positive": _p(400, _("The threshold is not above 0."), _("Give a number above 0.")),
    "too_few_scores": _p(
        409, _("There are too few scores for this method."), _("Choose another, or collect more parts.")
    ),
    "calibration_refused": _p(
        400, _("The picture, the points or the numbers give no scale."), _("Correct what detail names.")
    ),
    "invalid_size_rule": _p(
        400, _("The size rule makes no sense."), _("Correct the area or the grade that detail names.")
    ),
    "not_calibrated": _p(
        409,
        _("No station of the category is calibrated, so nothing is measured in mm."),
        _("Calibrate the station first."),
    ),
    "size_rule_unchanged": _p(409, _("This size rule is in force already."), _("Nothing needs to be done.")),
    "threshold_changed": _p(409, _("Somebody else changed the threshold in the meantime."), _RELOAD),
    "nothing_to_undo": _p(409, _("The active revision is the first one."), _("Set a value instead.")),
    "other_category": _p(409, _("The two belong to different categories."), _("Choose two of one category.")),
    "rescoring_not_found": _not_found(_("There is no re-scoring of this id or name.")),
    "rescoring_over": _p(409, _("The re-scoring is over already."), _("Nothing is left to cancel.")),
    "scoring_failed": _p(_INSIDE, _("An image could not be scored again."), _SUPPORT),
    # ---- training
    "unknown_algorithm": _p(400, _("There is no such detector."), _("Choose one that detail names.")),
    "invalid_options": _p(
        400, _("An option of the detector is not valid."), _("detail says which, and what it takes.")
    ),
    "invalid_calibration": _p(400, _("The rule of the first threshold is not valid."), _("detail says what it takes.")),
    "training_run_not_found": _not_found(_("There is no training run of this id or name.")),
    "training_run_is_over": _p(409, _("The training run is over already."), _("Start another one.")),
    "training_failed": _p(_INSIDE, _("The training run failed."), _("Its page says why.")),
    "not_extendable": _p(409, _("This model cannot be extended."), _("Train a new model on the larger data set.")),
    "nothing_to_learn": _p(409, _("The version has seen all of these images."), _("Choose other images.")),
    "worker_died": _p(_INSIDE, _("The worker stopped during this work."), _SUPPORT),
    "not_an_export": _p(_INSIDE, _("The file is not an export of a model."), _("Make one with manage.py export.")),
    # ---- monitoring
    "alarm_not_found": _not_found(_("There is no alarm of this id or name.")),
    "alarm_not_open": _p(409, _("Somebody was faster: the alarm is acknowledged or resolved already."), _RELOAD),
    "reference_part_not_found": _not_found(_("There is no reference part of this id or name.")),
    "reference_part_exists": _p(409, _("The serial number is a reference part already."), _("Retire it first.")),
    "reference_part_retired": _p(409, _("The reference part is retired already."), _("Nothing is left to do.")),
    "drift_monitor_not_found": _not_found(_("There is no drift monitor of this id or name.")),
    # ---- connections to the line
    "connection_not_found": _not_found(_("There is no connection of this id or name.")),
    "delivery_not_found": _not_found(_("There is no delivery of this id or name.")),
    "connection_name_taken": _p(409, _("Another connection has this name."), _("Choose another name.")),
    "kind_not_installed": _p(
        400, _("What this kind of connection needs is not installed."), _("Install it, as the answer says.")
    ),
    "invalid_trigger": _p(
        _INSIDE, _("A trigger of the line names no image that could be judged."), _("Correct what detail names.")
    ),
    "no_picture": _p(
        _INSIDE, _("No picture came for a trigger of the line."), _("Check camera, folder and waiting time.")
    ),
    # ---- edge nodes
    "edge_node_not_found": _not_found(_("There is no edge node of this id or name.")),
    "edge_node_name_taken": _p(409, _("Another edge node or account has this name."), _("Choose another name.")),
    "node_disabled": _p(403, _("The edge node is disabled at its centre."), _("Enable it on the page Edge nodes.")),
    "node_name_differs": _p(
        409, _("The token belongs to another edge node."), _("Give each node its own token and name.")
    ),
    "node_record_invalid": _p(
        422,
        _("What an edge node sent is not the record that its audit chain reports."),
        _("Verify the node: manage.py edge --verify."),
    ),
    "node_record_differs": _p(
        409,
        _("Another record with this id came from this edge node before."),
        _("Verify the node: manage.py edge --verify."),
    ),
    "node_chain_differs": _p(
        409,
        _("The audit chain of the edge node does not go on from what was anchored here."),
        _("Verify the node: manage.py edge --verify. A replaced one is registered as a new node."),
    ),
    "node_model_unknown": _p(
        409, _("The centre does not have the model that judged the record."), _("Import the model at the centre.")
    ),
    "node_threshold_unknown": _p(
        409, _("The centre has no threshold of this value for the model."), _("Set this threshold at the centre.")
    ),
    "node_calibration_unknown": _p(
        409, _("The centre has no calibration with this scale for the station."), _("Calibrate the station there.")
    ),
    "node_clock_ahead": _p(409, _("The clock of the edge node is ahead."), _("Set the clock of the node.")),
    "node_station_differs": _p(
        409,
        _("The edge node may not forward records of this station."),
        _("Correct the station of the node, or what the images say."),
    ),
    "edge_not_verified": _p(
        _INSIDE,
        _("What an edge node keeps and what its centre has do not agree."),
        _("Keep both databases as they are and read what the answer names."),
    ),
    # ---- retention, audit, the system
    "sampling_plan_not_found": _not_found(_("There is no sampling plan of this id or name.")),
    "audited_shift_not_found": _not_found(_("There is no audited shift of this id or name.")),
    "drawn_part_not_found": _not_found(_("There is no drawn part of this id or name.")),
    "blind_review_decided": _p(409, _("The part was reviewed meanwhile."), _("Go on with the next part.")),
    "not_blind": _p(409, _("You inspected or reviewed the part before."), _("Let somebody else review it.")),
    "invalid_shifts": _p(400, _("The times are no starts of shifts."), _("Send 1 to 12 times as HH:MM.")),
    "comparison_not_found": _not_found(_("There is no comparison of this id or name.")),
    "no_images_to_compare": _p(409, _("Each image was learnt by one of the two versions."), _("Review more parts.")),
    "retraining_open": _p(409, _("The category is being trained again already."), _("Wait until that run has ended.")),
    "dataset_missing": _p(409, _("The data set of the version is not here."), _("Import it, then try again.")),
    "production_was_extended": _p(
        409, _("The version in production extends another one."), _("Extend it with a data set of reviewed images.")
    ),
    "queue_part_lapsed": _p(409, _("The part is not before you any more."), _("Go on with the next part.")),
    "queue_part_reviewed": _p(409, _("The part was reviewed meanwhile."), _("Go on with the next part.")),
    "nothing_in_production": _p(409, _("No version of the category is in production."), _("Promote one first.")),
    "promise_not_found": _not_found(_("There is no threshold with a promise of this id or name.")),
    "canary_not_found": _not_found(_("There is no canary of this id or name.")),
    "canary_exists": _p(409, _("The station or the category has another canary."), _("End that one first.")),
    "canary_over": _p(409, _("The canary judges nothing any more."), _("Nothing is left to end.")),
    "is_canary": _p(409, _("The version judges the images of a station."), _("End the canary first.")),
    "version_archived": _p(409, _("The version is archived."), _("Take a candidate or an approved version.")),
    "challenger_not_found": _not_found(_("There is no challenger of this id or name.")),
    "challenger_result_not_found": _not_found(_("There is no result of a challenger of this id or name.")),
    "challenger_running": _p(
        409, _("The category has a challenger already."), _("Stop it, or wait until it is finished.")
    ),
    "challenger_over": _p(409, _("The challenger is over already."), _("Nothing is left to stop.")),
    "not_a_challenger": _p(
        409, _("The version is in production or archived."), _("Take a candidate or an approved version.")
    ),
    "no_disagreement": _p(409, _("Both versions agree about this image."), _("Mark disagreements only.")),
    "already_marked": _p(409, _("Somebody looked at this disagreement already."), _("Nothing is left to do.")),
    "containment_not_found": _not_found(_("There is no containment of this id or name.")),
    "containment_not_finished": _p(409, _("The containment has no list yet."), _("Wait until it is finished.")),
    "report_not_found": _not_found(_("There is no issued report of this id or name.")),
    "statement_not_found": _not_found(_("There is no issued statement of this id or name.")),
    "passage_counter_not_found": _not_found(_("There is no counter of passages of this id or name.")),
    "passage_not_found": _p(
        404, _("The counter did not report this value."), _("Choose values that it reported, or a time.")
    ),
    "no_passages": _p(
        400,
        _("No passage was reported in that time."),
        _("Choose another time, or a sequence of serial numbers."),
    ),
    "too_many_exceptions": _p(400, _("There are more exceptions than a statement can name."), _("Choose fewer parts.")),
    "schedule_not_found": _not_found(_("There is no schedule of this id or name.")),
    "schedule_ended": _p(409, _("The schedule was ended."), _("Set a new one.")),
    "too_many_schedules": _p(409, _("There are as many schedules as there may be."), _("End one first.")),
    "invalid_recipients": _p(400, _("The recipients are none, too many, or no e-mail addresses."), _("Correct them.")),
    "lot_not_found": _p(404, _("No record is of this lot."), _("Check its spelling.")),
    "measurement_study_not_found": _not_found(_("There is no measurement study of this id or name.")),
    "invalid_study": _p(
        400, _("The study cannot be made like this."), _("detail says which number or person to change.")
    ),
    "too_few_parts": _p(409, _("There are too few records for the study."), _("Choose fewer parts, or review more.")),
    "nothing_to_judge": _p((404, 409), _("Nothing is left for you to judge at present."), _("Wait for the others.")),
    "task_answered": _p(409, _("The part was answered already."), _("Go on with the next one.")),
    "study_not_finished": _p(409, _("The study has no results yet."), _("Wait until everybody has judged all parts.")),
    "not_an_escape": _p(409, _("The record is no escape."), _("Review the part as defective first, if it is.")),
    "retention_policy_not_found": _not_found(_("There is no retention rule of this id or name.")),
    "retention_policy_replaced": _p(409, _("Another rule is active now."), _RELOAD),
    "retention_run_not_found": _not_found(_("There is no retention run of this id or name.")),
    "retention_run_open": _p(409, _("Such a run is in progress."), _("Wait for it.")),
    "dry_run_missing": _p(409, _("The deletion was not previewed."), _("Preview it first.")),
    "object_type_missing": _p(400, _("An object's id needs its kind."), _("Send object_type too.")),
    "event_key_missing": _p(
        503, _("The key that authenticates audit events is not on this machine."), _("See docs/audit.md.")
    ),
    "signing_key_unusable": _p(400, _("The signing key of the audit log cannot be used."), _("See docs/audit.md.")),
    "checkpoint_not_written": _p(
        507, _("The checkpoint is kept, and was not written to its folder."), _("Correct the folder.")
    ),
    "partitions_impossible": _p(
        _INSIDE, _("The records cannot be divided by month now."), _("Do what detail says first.")
    ),
    "backup_failed": _p(_INSIDE, _("The backup could not be made."), _("detail says why.")),
    "backup_damaged": _p(_INSIDE, _("The backup is damaged."), _("Take another one.")),
    "conflict": _p(409, _("The request does not match the present state."), _RELOAD),
    "unavailable": _p(503, _("A part of the system does not answer."), _LATER),
    "database_unavailable": _p(503, _("The database does not answer; nothing was changed."), _LATER),
    "storage_unavailable": _p(503, _("The object storage does not answer; nothing was kept."), _("Try again later.")),
    "storage_failed": _p(507, _("The disk is full or cannot be written; nothing was kept."), _("Call support.")),
    "internal_error": _p(500, _("A software error. Saved records are safe."), _SUPPORT),
}
