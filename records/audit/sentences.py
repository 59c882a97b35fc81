"""What an audit event says, as a sentence for people: one entry for each kind that the product writes.

A sentence is made of what the event itself keeps, and of the names of the objects that it points to. An event of
another release may say less; then the sentence leaves that out.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from django.apps import apps

from common.numbers import score_text
from records.keys import short_key
from records.models import AuditEvent

_VERSION, _THRESHOLD, _USER = "modelzoo.modelversion", "modelzoo.threshold", "auth.user"
# What rows of these types are called, and what else is read for it.
_NAME_SOURCES: dict[str, tuple[tuple[str, ...], Callable[[Any], str]]] = {
    _VERSION: (("category",), lambda row: f"{row.category.name} v{row.number}"),
    _THRESHOLD: (
        ("model_version__category",),
        lambda row: (
            f"{score_text(row.value)} (revision {row.revision} of "
            f"{row.model_version.category.name} v{row.model_version.number})"
        ),
    ),
    _USER: ((), lambda row: str(row.get_username())),
}
# Values of events that are ids of such rows, by the last word of their place.
_POINTERS = {
    **dict.fromkeys(("model_version", "base_version", "instead_of", "production", "candidate"), _VERSION),
    "threshold": _THRESHOLD,
}
_MAX_REASON_LENGTH = 160


@dataclass(frozen=True)
class Sentence:
    """`actor` is empty where the sentence does not begin with who did it: nobody was signed in."""

    actor: str
    text: str

    def __str__(self) -> str:
        return f"{self.actor} {self.text}".strip()


@dataclass(frozen=True)
class _Act:
    """An event to be put into words. `names`: what objects are called, by type and id."""

    event: AuditEvent
    before: dict[str, Any]
    after: dict[str, Any]
    names: Mapping[tuple[str, str], str]

    @property
    def version(self) -> str:
        """The model version that the event is of, or points to."""
        event = self.event
        own = event.object_id if event.object_type == _VERSION else self.after.get("model_version")
        return self.name(_VERSION, own) or "a model version"

    @property
    def user(self) -> str:
        username = self.after.get("username") or self.name(_USER, self.event.object_id)
        return username or "a user"

    def name(self, object_type: str, object_id: Any) -> str:
        if object_id in (None, ""):
            return ""
        return self.names.get((object_type, str(object_id)), f"{_noun(object_type)} {object_id}")

    @property
    def reason(self) -> str:
        return _because(self.after.get("reason"))

    @property
    def error(self) -> str:
        return _because(self.after.get("error"))


def _where(act: _Act) -> str:
    place = ", station ".join(str(act.after[name]) for name in ("category", "station") if act.after.get(name))
    return f" of {place}" if place else ""


def sentence_of(event: AuditEvent, names: Mapping[tuple[str, str], str]) -> Sentence:
    """The sentence of an event. `names` are those of `names_in`."""
    before, after = (json.loads(text) for text in (event.before, event.after))
    act = _Act(event, _mapping(before), _mapping(after), names)
    actor = "The system" if event.actor_id is None and event.actor_name == "system" else event.actor_name
    if write := _WITHOUT_ACTOR.get(event.kind):
        return Sentence("", write(act))
    return Sentence(actor, SENTENCES.get(event.kind, _generic)(act) + _signed(act))


def kinds() -> frozenset[str]:
    """Every kind that has a sentence of its own."""
    return frozenset(SENTENCES) | frozenset(_WITHOUT_ACTOR)


def names_in(events: Iterable[AuditEvent]) -> dict[tuple[str, str], str]:
    """What the model versions, thresholds and users are called that these events point to: a query for each kind."""
    objects: set[tuple[str, str]] = set()
    for event in events:
        objects.add((event.object_type, event.object_id))
        for text in (event.before, event.after):
            fields = _mapping(json.loads(text))
            for key, value in (*fields.items(), *_mapping(fields.get("filters")).items()):
                if reference := pointed_to(key, value):
                    objects.add(reference)
    return names_of(objects)


def names_of(objects: Iterable[tuple[str, str]]) -> dict[tuple[str, str], str]:
    """The same of objects by type and id. What is not there, or has no name, is left out."""
    ids: dict[str, set[str]] = {}
    for object_type, object_id in objects:
        if object_type in _NAME_SOURCES and _ID.fullmatch(object_id):
            ids.setdefault(object_type, set()).add(object_id)
    names: dict[tuple[str, str], str] = {}
    for object_type, keys in ids.items():
        related, name_of = _NAME_SOURCES[object_type]
        rows = apps.get_model(object_type)._default_manager.filter(pk__in=keys).select_related(*related)
        names |= {(object_type, str(row.pk)): name_of(row) for row in rows}
    return names


_ID = re.compile(r"[0-9]{1,18}")


def pointed_to(field: str, value: Any) -> tuple[str, str] | None:
    """Type and id of the object that a value of an event is the id of; None of any other value."""
    object_type = _POINTERS.get(field.rpartition(".")[2])
    is_id = isinstance(value, int) and not isinstance(value, bool)
    return (object_type, str(value)) if object_type and is_id else None


# ---------------------------------------------------------------- words
def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _noun(object_type: str) -> str:
    try:
        return str(apps.get_model(object_type)._meta.verbose_name)
    except (LookupError, ValueError):
        return object_type


def _because(text: Any) -> str:
    if not text:
        return ""
    words = " ".join(str(text).split())
    return f": {words if len(words) <= _MAX_REASON_LENGTH else words[:_MAX_REASON_LENGTH] + '…'}"


def _connection(act: _Act) -> str:
    """By the name that it has after the event."""
    return str(act.after.get("name", act.event.object_id))


def _secret(act: _Act) -> str:
    return str(act.after.get("secret", "secret")).replace("_", " ")


def _dead_letters(number: Any) -> str:
    return "one dead letter" if number == 1 else f"{number} dead letters"


def _number(value: Any) -> str:
    """A score or a threshold as on the pages."""
    if not isinstance(value, int | float):
        return "?"
    return score_text(value)


def _distinct_numbers(old: Any, new: Any) -> tuple[str, str]:
    """Both numbers, with the decimals that tell them apart."""
    one, other = _number(old), _number(new)
    return (one, other) if one != other or old == new else (repr(old), repr(new))


def _count(number: Any, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _signed(act: _Act) -> str:
    meaning = _mapping(act.after.get("signature")).get("meaning")
    return f" (signed as {meaning})" if meaning else ""


def _generic(act: _Act) -> str:
    """Of a kind that this release does not know."""
    return f"{act.event.kind.replace('.', ' ').replace('_', ' ')}: {_noun(act.event.object_type)} {act.event.object_id}"


# ---------------------------------------------------------------- the kinds
def _threshold_set(act: _Act) -> str:
    value, old = act.after.get("value"), act.before.get("value")
    rule = _size_rule(act)
    if old is None:
        return f"set the threshold of {act.version} to {_number(value)}{rule}{act.reason}"
    if old == value and rule:
        return f"set the size rule of {act.version} at its threshold {_number(value)}{rule}{act.reason}"
    before, after = _distinct_numbers(old, value)
    return f"set the threshold of {act.version} from {before} to {after}{rule}{act.reason}"


def _size_rule(act: _Act) -> str:
    """What changed of the size rule of a threshold; empty where nothing did."""
    rules = [
        (values.get("min_region_mm2"), [grade.get("name") for grade in values.get("severity_grades") or []])
        for values in (act.before, act.after)
    ]
    if rules[0] == rules[1]:
        return ""
    area, grades = rules[1]
    ignored = "no region is ignored" if area is None else f"regions below {area:g} mm2 are ignored"
    return f"; {ignored}{f', grades {_and(grades)}' if grades else ''}"


_OUTCOMES = {"good": "GOOD", "defective": "DEFECT", "not_comparable": "NOT COMPARABLE"}


def _part(act: _Act, otherwise: str) -> str:
    """The part by its serial number, else by its file; events of before this release name neither."""
    serial, file = act.after.get("serial_number"), act.after.get("filename")
    return f"{serial} ({file})" if serial and file else str(serial or file or otherwise)


def _inspection(act: _Act) -> str:
    outcome, score, threshold = (act.after.get(name) for name in ("outcome", "score", "threshold"))
    # The name of a threshold begins with its value.
    value = act.names.get((_THRESHOLD, str(threshold)), "").partition(" ")[0]
    reason = _because(act.after.get("reason"))
    if score is not None:
        reason = f" (score {_number(score)}, threshold {value})" if value else f" (score {_number(score)})"
    return f"had {_part(act, 'an image')} judged by {act.version}: {_OUTCOMES.get(str(outcome), outcome)}{reason}"


def _part_of_views(act: _Act) -> str:
    """The verdict of a part, and which views are not good."""
    views = _count(len(act.after.get("views") or []), "view")
    outcome, explanation = str(act.after.get("outcome")), act.after.get("explanation")
    verdict = _OUTCOMES.get(outcome, outcome)
    return f"had part {act.after.get('part_id')} of {views} judged: {verdict}{_because(explanation)}"


_CHECKS = {"size": "size", "aspect": "shape", "colour": "colour", "likeness": "kind of image"}
_CHECK_WORDS = _CHECKS | {
    "size_factor": "tolerance of size",
    "aspect_percent": "tolerance of shape (%)",
    "likeness_factor": "tolerance of kind of image",
}


def _input_checks(act: _Act) -> str:
    """What changed from what to what; checks that went the same way stand together."""
    moves: dict[str, list[str]] = {}
    for name, words in _CHECK_WORDS.items():
        old, new = act.before.get(name), act.after.get(name)
        if old is not None and new is not None and old != new:
            way = f"from {old:g} to {new:g}" if isinstance(new, float) else f"from {old} to {new}"
            moves.setdefault(way, []).append(words)
    changed = "; ".join(f"{_and(words)} {way}" for way, words in moves.items())
    of = f"set the input checks of {act.after.get('category')}"
    return f"{of} ({changed}){act.reason}" if changed else f"{of}{act.reason}"


def _and(words: list[str]) -> str:
    return f"{', '.join(words[:-1])} and {words[-1]}" if len(words) > 1 else words[0]


def _export(act: _Act) -> str:
    """How many, as what, of which filters; events of before this release count nothing."""
    after = act.after
    records, dialect, filters = after.get("records"), after.get("dialect"), _mapping(after.get("filters"))
    many = "inspection records" if records is None else _count(records, "inspection record")
    parts = [_filter(act, name, value) for name, value in filters.items()]
    form = f"{after.get('format')} ({dialect})" if dialect else f"{after.get('format')}"
    return f"exported {many} as {form}: {', '.join(parts) or 'without a filter'}"


def _filter(act: _Act, name: str, value: Any) -> str:
    reference = pointed_to(name, value)
    text = " or ".join(map(str, value)) if isinstance(value, list) else value
    return f"{name.replace('_', ' ')} {act.names.get(reference, text) if reference else text}"


def _promoted(act: _Act) -> str:
    before = act.name(_VERSION, act.after.get("instead_of"))
    if act.after.get("kind") == "rollback":
        category, _, number = act.version.rpartition(" ")
        left = f" from {before.rpartition(' ')[2]}" if before else ""
        return f"rolled back {category} to {number}{left}{act.reason}"
    return f"promoted {act.version} to production{f' instead of {before}' if before else ''}{act.reason}"


def _candidate(act: _Act) -> str:
    return act.name(_VERSION, act.after.get("candidate")) or "a version"


def _challenger_end(words: str) -> Callable[[_Act], str]:
    """A worker or a person ends it; the event's actor is who started or who stopped it."""

    def write(act: _Act) -> str:
        scored, disagreements = act.after.get("scored", 0), act.after.get("disagreements", 0)
        return (
            f"{words} challenger {act.version} after {_count(scored, 'live image')}, "
            f"{_count(disagreements, 'disagreement')}{act.reason}"
        )

    return write


def _rescored(act: _Act) -> str:
    """A worker does it; the event's actor is who asked for it."""
    by = f" with {act.version}" if act.after.get("model_version") else ""
    changed, count = act.after.get("changed", 0), act.after.get("done", 0)
    return (
        f"Re-scoring{by} finished: {changed} of {_count(count, 'record')} would get another verdict (requested by "
        f"{act.event.actor_name}; records do not change)"
    )


def _review(act: _Act) -> str:
    outcome = _OUTCOMES.get(act.after.get("verdict", ""), "?")
    record = _part(act, f"inspection {short_key(act.after.get('inspection', ''))}")
    if act.after.get("undoes"):
        remaining = "" if act.after.get("verdict") == "withdrawn" else f": {outcome} again"
        return f"undid the review of {record}{remaining}"
    kind = f", {act.after['defect_type']}" if act.after.get("defect_type") else ""
    agrees = act.after.get("agrees")
    against = "" if agrees is None else " (confirms the model)" if agrees else " (overrules the model)"
    return f"reviewed {record} as {outcome}{kind}{against}{_because(act.after.get('comment'))}"


def _category_default(act: _Act) -> str:
    if category := act.after.get("category"):
        return f"made {category} the default category{act.reason}"
    return f"removed the default category{act.reason}"


def _deployment_requested(act: _Act) -> str:
    how = {"promotion": "promote", "rollback": "roll back to"}.get(act.after.get("kind", ""), "load")
    return f"requested to {how} {act.version}{_as_canary(act)}{act.reason}"


def _as_canary(act: _Act) -> str:
    return f" as canary of station {act.after['station']}" if act.after.get("station") else ""


def _deployment_activated(act: _Act) -> str:
    before = act.name(_VERSION, act.before.get("model_version")) if act.before else ""
    return f"activated {act.version}{_as_canary(act)}{f' instead of {before}' if before else ''}{act.reason}"


def _replay(act: _Act) -> str:
    equal, records = act.after.get("equal"), act.after.get("records")
    if equal == records:
        return f"recomputed {records} stored verdicts: all are as recorded"
    findings = act.after.get("findings") or [""]
    return f"recomputed {records} stored verdicts: {equal} are as recorded. {findings[0]}".strip()


_REPORTS = {"day": "daily", "week": "weekly", "month": "monthly"}


def _of_station(act: _Act) -> str:
    return f"station {act.after.get('station')}" if act.after.get("station") else "a line without stations"


def _report(act: _Act) -> str:
    kind = str(act.after.get("kind", ""))
    place = [str(act.after.get("category") or "all categories")]
    place += [f"{name} {act.after[name]}" for name in ("station", "lot") if act.after.get(name)]
    return f"{_REPORTS.get(kind, kind)} report of {', '.join(place)}"


def _training_requested(act: _Act) -> str:
    base = act.name(_VERSION, act.after.get("base_version"))
    if base:
        return f"requested training that extends {base} with data set {act.after.get('dataset')}"
    return f"requested training of {act.after.get('algorithm')} on data set {act.after.get('dataset')}"


def _user_changed(act: _Act) -> str:
    words = [name.replace("is_", "").replace("_", " ") for name in act.after if name != "reason"]
    return f"changed user {act.user}: {', '.join(words)}{act.reason}"


def _token_issued(act: _Act) -> str:
    scopes = str(act.after.get("scopes", "")).replace(" ", ", ")
    return f'issued token "{act.after.get("name")}" to {act.after.get("user")}, for {scopes}'


def _retention_policy(act: _Act) -> str:
    return f"set retention rule {act.after.get('revision')} of a category{act.reason}"


def _about_retention(act: _Act) -> str:
    of = act.after.get("category")
    return f"retention of {of}" if of else "removal of orphaned files"


def _retention_finished(act: _Act) -> str:
    after = act.after
    files = sum(after.get(name) or 0 for name in ("images", "maps", "orphans", "leftovers"))
    what = "found" if after.get("dry_run") else "removed"
    suffix = " that may be removed" if after.get("dry_run") else ""
    return f"finished {_about_retention(act)}: {what} {_count(files, 'file')}{suffix}"


def _verification(act: _Act) -> str:
    if act.after.get("sentence"):
        return f"verified the audit log and found a fault{_because(act.after['sentence'])}"
    return f"verified the audit log: {_count(act.after.get('events', 0), 'event')}, no fault"


def _files_verified(act: _Act) -> str:
    compared = _count(act.after.get("files", 0), "file")
    faults = act.after.get("faults", [])
    found = f"found {_count(len(faults), 'fault')}{_because('; '.join(faults))}" if faults else "no fault"
    return f"compared {compared} with the hashes on record: {found}"


def _signature_rules(act: _Act) -> str:
    acts = [name for name, is_required in act.after.items() if is_required is True]
    of = act.after.get("category")
    if not acts:
        return f"asked for no signatures in {of}{act.reason}"
    return f"asked for a signature of every {_and(acts)} in {of}{act.reason}"


def _calibration(act: _Act) -> str:
    place = f"station {act.after['station']}" if act.after.get("station") else "images without a station"
    of = f"{place} of {act.after.get('category')}"
    if act.event.kind == "calibration.withdrawn":
        return f"withdrew the calibration of {of}{act.reason}"
    how = "a checkerboard" if act.after.get("method") == "checkerboard" else "a known length"
    return f"calibrated {of} with {how}: {act.after.get('mm_per_px', 0):.5g} mm per pixel{act.reason}"


SENTENCES: dict[str, Callable[[_Act], str]] = {
    "asset.received_again": lambda act: f"restored file {str(act.after.get('sha256', ''))[:12]}: it was sent again",
    "audit.checkpoint_made": lambda act: f"signed a checkpoint of the audit log at event {act.event.object_id}",
    "audit.authentication_began": lambda act: "began to authenticate each event with a secret key",
    "audit.key_rotated": lambda act: f"put the key {act.event.object_id} into force for later audit events",
    "rows.attested": lambda act: "attested rows as they were",
    "triggers.restored": lambda act: f"put triggers of the database back: {', '.join(act.after.get('triggers', []))}",
    "files.verified": _files_verified,
    "history.partitioned": lambda act: f"divided the records by month from {act.after.get('first_month')} on",
    "history.joined": lambda act: "put the records of all months into one table",
    "history.months_prepared": lambda act: (
        f"prepared the database for the records of {', '.join(act.after.get('months', []))}"
    ),
    "audit.exported": lambda act: "exported the audit log",
    "audit.verification_requested": lambda act: "requested a verification of the full audit log",
    "audit.verified": _verification,
    "audit.verification_failed": lambda act: f"could not verify the audit log{act.error}",
    "backup.made": lambda act: f"created backup {act.after.get('file')}",
    "backup.restored": lambda act: f"restored backup {act.after.get('file')}",
    "batch.requested": lambda act: (
        f'requested batch "{act.after.get("name")}" of {_count(act.after.get("images"), "image")}'
    ),
    "batch.finished": lambda act: f"finished a batch ({_count(act.after.get('failed', 0), 'image')} failed)",
    "batch.cancelled": lambda act: f"ended a cancelled batch ({act.after.get('cancelled', 0)} not judged)",
    "batch.cancel_requested": lambda act: f'cancelled batch "{act.after.get("name")}"',
    "calibration.picture_stored": lambda act: f"stored the calibration picture {str(act.after.get('sha256', ''))[:12]}",
    "calibration.set": _calibration,
    "calibration.withdrawn": _calibration,
    "category.default_set": _category_default,
    "certificate.made": lambda act: (
        f"created a certificate of {'part' if 'part_id' in act.after else 'inspection'} "
        f"{act.after.get('part_id') or short_key(act.event.object_id)}"
    ),
    "dataset.imported": lambda act: (
        f"imported data set {act.after.get('name')} with {_count(act.after.get('images', 0), 'image')}"
    ),
    "dataset.made_from_reviews": lambda act: (
        f"created data set {act.after.get('name')} from reviews, with {_count(act.after.get('images', 0), 'image')}"
    ),
    "deployment.requested": _deployment_requested,
    "deployment.activated": _deployment_activated,
    "deployment.failed": lambda act: f"could not load a model version{act.error}",
    "evaluation.requested": lambda act: f"requested evaluation of {act.version} on data set {act.after.get('dataset')}",
    "evaluation.failed": lambda act: f"could not evaluate {act.version}{act.error}",
    "evaluation.recorded": lambda act: f"evaluated {act.version} on data set {act.after.get('dataset')}",
    "image.refused": lambda act: (
        f"sent image {act.after.get('filename')}, which was refused{_because(act.after.get('reason'))}"
    ),
    "input_checks.set": _input_checks,
    "image.refusals_summed_up": lambda act: (
        f"sent {_count(act.after.get('count', 0), 'more image')} that were refused, after those with an event each"
    ),
    "inspection.recorded": _inspection,
    "inspection.failed": lambda act: f"sent image {act.after.get('filename')}, which could not be judged{act.error}",
    "inspection.repeated": lambda act: (
        f"had the kept image {act.after.get('filename')} judged again, because an earlier request ended without a "
        "record"
    ),
    "inspection.unanswered": lambda act: (
        f"sent image {act.after.get('filename')}, which was not judged in time; there is no record of it"
    ),
    "inspections.exported": _export,
    "part.recorded": _part_of_views,
    "parts.exported": lambda act: f"exported {_count(act.after.get('parts', 0), 'part')} as a table",
    "part_layout.set": lambda act: (
        f"set part layout {act.after.get('name')}, revision {act.after.get('revision')}, with "
        f"{_count(len(act.after.get('views') or []), 'view')}{act.reason}"
    ),
    "part_layout.retired": lambda act: f"retired part layout {act.after.get('name')}{act.reason}",
    "model_version.registered": lambda act: f"registered {act.version} ({act.after.get('algorithm')})",
    "model_version.exported": lambda act: f"exported {act.version} as a signed file",
    "model_version.imported": lambda act: (
        f"imported {act.version}, which was {act.after.get('was')} where it came from (key {act.after.get('key_id')})"
    ),
    "model_version.import_refused": lambda act: (
        f"could not import the model version in {act.after.get('file')}{act.error}"
    ),
    "model_version.verified": lambda act: (
        f"verified the artifact of {act.version}: {act.after.get('fault') or 'every byte is as recorded'}"
    ),
    "model_version.promoted": _promoted,
    "model_version.archived": lambda act: f"archived {act.version}{act.reason}",
    "model_version.approved": lambda act: f"made {act.version} an approved version{act.reason}",
    "approval.given": lambda act: f"approved {act.version}{act.reason}",
    "approval.withdrawn": lambda act: f"withdrew the approval of {act.version}{act.reason}",
    "promotion_gates.set": lambda act: f"set the promotion gates of {act.after.get('category')}{act.reason}",
    "signature.refused": lambda act: (
        f"was refused the signature of a {act.after.get('act')}: {act.after.get('cause') or 'the password is wrong'}"
    ),
    "signature_rules.set": _signature_rules,
    "model_version.candidate": lambda act: f"made {act.version} a candidate again{act.reason}",
    "canary.ended": lambda act: (
        f"ended canary {act.version} of station {act.after.get('station')}: production judges it again{act.reason}"
    ),
    "challenger.started": lambda act: (
        f"started {act.version} as challenger beside "
        f"{act.name(_VERSION, act.after.get('production')) or 'production'}{act.reason}"
    ),
    "challenger.scored": lambda act: (
        f"scored {_count(act.after.get('results', 0), 'live image')} with challenger {act.version}, "
        f"{_count(act.after.get('disagreements', 0), 'disagreement')}"
    ),
    "challenger.finished": _challenger_end("finished"),
    "challenger.stopped": _challenger_end("stopped"),
    "challenger.failed": _challenger_end("could not go on with"),
    "challenger.exported": lambda act: (
        f"exported {_count(act.after.get('results', 0), 'result')} of challenger {act.version}"
    ),
    "challenger.disagreement_marked": lambda act: (
        f"looked at a disagreement about inspection {short_key(act.after.get('inspection'))}"
        f"{_because(act.after.get('comment'))}"
    ),
    "sampling_plan.set": lambda act: (
        f"set revision {act.after.get('revision')} of the sampling plan of {act.after.get('category')}: "
        f"{act.after.get('percent')} % of the passed parts of a shift{act.reason}"
    ),
    "audited_shift.closed": lambda act: (
        f"closed shift {act.after.get('number')} of {act.after.get('category')} and drew "
        f"{_count(act.after.get('draws', 0), 'part')} of {act.after.get('passed')} that passed"
    ),
    "blind_review.decided": lambda act: (
        f"decided blind that drawn part {act.after.get('position')} of a shift is {act.after.get('verdict')}"
    ),
    "review_budget.set": lambda act: (
        f"set the review budget of {act.after.get('category')} to "
        f"{_count(act.after.get('per_shift', 0), 'part')} per shift{act.reason}"
    ),
    "queue_review.decided": lambda act: (
        f"decided on inspection {short_key(act.after.get('inspection'))} from the "
        f"review queue: {act.after.get('decision')}"
    ),
    "retraining.requested": lambda act: (
        f"started to train {act.after.get('category')} again, with "
        f"{_count(act.after.get('added_good', 0), 'part')} more that were reviewed as good"
    ),
    "comparison.requested": lambda act: (
        f"started to compare {_candidate(act)} with production on {_count(act.after.get('images', 0), 'image')}"
    ),
    "comparison.finished": lambda act: (
        f"finished the comparison of {_candidate(act)} with production on {_count(act.after.get('images', 0), 'image')}"
    ),
    "comparison.failed": lambda act: f"could not compare {_candidate(act)} with production{act.error}",
    "measurement_study.started": lambda act: (
        f"started a measurement study of {act.after.get('category')}: {_count(act.after.get('parts'), 'part')}, "
        f"{_count(act.after.get('trials'), 'trial')}{act.reason}"
    ),
    "measurement_study.answered": lambda act: (
        f"judged part {act.after.get('part')} of a measurement study as {act.after.get('verdict')} "
        + (f"in trial {act.after.get('trial')}" if act.after.get("trial") else "as its standard")
    ),
    "measurement_study.finished": lambda act: "gave the last answer of a measurement study, which was signed",
    "measurement_study.exported": lambda act: "exported the report of a measurement study",
    "threshold_promise.compared": lambda act: (
        f"compared the promise of threshold {act.name(_THRESHOLD, act.event.object_id)} with what came of "
        f"{_count(act.after.get('inspections', 0), 'inspection')}"
    ),
    "containment.requested": lambda act: (
        f"started a containment from inspection {short_key(act.after.get('inspection'))} over "
        f"{_count(act.after.get('passed', 0), 'passed part')}{act.reason}"
    ),
    "containment.finished": lambda act: (
        f"finished a containment: {_count(act.after.get('listed', 0), 'part')} listed of "
        f"{act.after.get('searched')} that passed"
    ),
    "containment.failed": lambda act: f"could not finish a containment{act.error}",
    "containment.exported": lambda act: (
        f"exported the list of a containment as {str(act.after.get('form', '')).upper()}, "
        f"{_count(act.after.get('parts', 0), 'part')}"
    ),
    "report.issued": lambda act: f"issued the {_report(act)} from {str(act.after.get('since'))[:16].replace('T', ' ')}",
    "statement.issued": lambda act: (
        f"issued the statement of inspection {_of_station(act)} from {act.after.get('first')} to "
        f"{act.after.get('last')}, with {_count(act.after.get('exceptions', 0), 'exception')}"
    ),
    "report_schedule.set": lambda act: (
        f"{'changed' if act.before else 'added'} the schedule of the {_report(act)}, "
        f"for {_count(len(act.after.get('recipients') or []), 'recipient')}"
    ),
    "report_schedule.ended": lambda act: f"ended the schedule of the {_report(act)}",
    "training_run.reproduced": lambda act: (
        f"trained {act.version} again from its snapshot: {act.after.get('sentence', '')}"
    ),
    "replay.requested": lambda act: f"drew {act.after.get('records')} stored verdicts to be recomputed",
    "replay.finished": _replay,
    "replay.failed": lambda act: f"could not recompute stored verdicts{act.error}",
    "reference_part.added": lambda act: (
        f"made {act.after.get('serial_number')} a reference part of {act.after.get('category')}, "
        f"expected {act.after.get('expected')}{act.reason}"
    ),
    "reference_part.retired": lambda act: f"retired reference part {act.after.get('serial_number')}{act.reason}",
    "connection.created": lambda act: f"made the connection {_connection(act)} ({act.after.get('kind', '')})",
    "connection.changed": lambda act: f"changed the connection {_connection(act)}",
    "connection.enabled": lambda act: f"enabled the connection {_connection(act)}",
    "connection.disabled": lambda act: f"disabled the connection {_connection(act)}",
    "connection.secret_set": lambda act: f"set the {_secret(act)} of the connection {_connection(act)}",
    "connection.secret_ended": lambda act: (
        f"ended older ones of the {_secret(act)} of the connection {_connection(act)}"
    ),
    "passage_counter.begun": lambda act: (
        f"was heard for the first time counting the parts that pass {_of_station(act)}"
    ),
    "frame.taken": lambda act: (
        f"took frame {act.after.get('number')} of {act.after.get('camera')} by the connection "
        f"{act.after.get('connection', '')}"
    ),
    "delivery.resent": lambda act: (
        f"had {_dead_letters(act.after.get('deliveries', 1))} of the connection "
        f"{act.after.get('connection', '')} sent again"
    ),
    "edge_node.created": lambda act: f"made the edge node {_connection(act)}",
    "edge_node.changed": lambda act: f"changed the edge node {_connection(act)}",
    "edge_node.enabled": lambda act: f"enabled the edge node {_connection(act)}",
    "edge_node.disabled": lambda act: f"disabled the edge node {_connection(act)}",
    "edge_node.token_renewed": lambda act: f"gave the edge node {_connection(act)} another token",
    "edge_node.anchored": lambda act: (
        f"anchored the audit chain of the edge node {act.after.get('node', '')} "
        f"at its event {act.after.get('sequence')}"
    ),
    "edge_node.refused": lambda act: (
        f"did not take what the edge node {_connection(act)} sent{_because(act.after.get('sentence'))}"
    ),
    "alarm.opened": lambda act: f"opened an alarm{_where(act)}: {act.after.get('sentence', '')}",
    "alarm.acknowledged": lambda act: f"acknowledged alarm {act.event.object_id}: {act.after.get('sentence', '')}",
    "alarm.commented": lambda act: f"commented on alarm {act.event.object_id}: {act.after.get('text', '')}",
    "alarm.resolved": lambda act: f"resolved alarm {act.event.object_id}{_because(act.after.get('cause'))}",
    "drift_monitor.restarted": lambda act: f"began the control charts anew{_where(act)}{act.reason}",
    "retention_policy.set": _retention_policy,
    "retention_run.requested": lambda act: (
        f"asked for {'a preview of ' if act.after.get('dry_run') else ''}{_about_retention(act)}"
    ),
    "retention_run.finished": _retention_finished,
    "retention_run.failed": lambda act: f"could not finish {_about_retention(act)}{act.error}",
    "retention.discarded": lambda act: (
        f"removed {_count(len(act.after.get('files') or []), 'file')} by {_about_retention(act)}"
    ),
    "rescoring.requested": lambda act: (
        f"requested re-scoring of {_count(act.after.get('records', 0), 'record')} with {act.version}{act.reason}"
    ),
    "rescoring.cancelled": lambda act: f"cancelled re-scoring after {_count(act.after.get('done', 0), 'record')}",
    "review.recorded": _review,
    "sign_in.succeeded": lambda act: (
        f"signed in with {act.after.get('provider')}" if act.after.get("provider") else "signed in"
    ),
    "sign_in.unlocked": lambda act: f"unlocked sign-in for {act.before.get('name')}",
    "sign_out": lambda act: "signed out",
    "threshold.set": _threshold_set,
    "token.issued": _token_issued,
    "token.revoked": lambda act: f'revoked token "{act.after.get("name")}"{act.reason}',
    "training_run.requested": _training_requested,
    "training_run.succeeded": lambda act: f"finished training run {act.event.object_id}, which created {act.version}",
    "training_run.failed": lambda act: f"failed training run {act.event.object_id}{act.error}",
    "training_run.cancelled": lambda act: f"ended cancelled training run {act.event.object_id}",
    "training_run.cancel_requested": lambda act: f"cancelled training run {act.event.object_id}",
    "user.created": lambda act: f"created user {act.user}",
    "user.changed": _user_changed,
    "user.linked": lambda act: f"linked user {act.user} to {act.after.get('subject')} at {act.after.get('issuer')}",
    "user.password_changed": lambda act: f"changed the password of {act.user}",
    "user.password_rehashed": lambda act: f"hashed the password of {act.user} anew, in the way of this release",
    "user.password_reset": lambda act: f"gave {act.user} a temporary password{act.reason}",
    "user.sessions_ended": lambda act: (
        f"signed {act.user} out in {_count(act.after.get('sessions', 0), 'browser')}{act.reason}"
    ),
    "user.password_set": lambda act: f"set the password of {act.user}",
    "view.saved": lambda act: f'saved view "{act.after.get("name")}"',
    "view.deleted": lambda act: f'deleted view "{act.before.get("name")}"',
}
_WITHOUT_ACTOR: dict[str, Callable[[_Act], str]] = {
    "image.refusals_summed_up": lambda act: f"{_count(act.after.get('count', 0), 'more image')} were refused",
    "sign_in.refused": lambda act: (
        f"Sign-in with {act.after.get('provider')} was refused{_because(act.after.get('cause'))}"
    ),
    "token.guessing": lambda act: (
        f"{_count(act.after.get('failures', 0), 'wrong token')} came from {act.after.get('address') or '?'}: "
        "tokens that are new there are refused"
    ),
    "rescoring.finished": _rescored,
    "rescoring.failed": lambda act: (
        f"Re-scoring that {act.event.actor_name} requested could not be finished{act.error}"
    ),
    "sign_in.failed": lambda act: (
        f'Failed sign-in as "{act.after.get("username")}" from {act.after.get("address") or "?"}'
    ),
    "sign_in.locked_out": lambda act: (
        f'Sign-in as "{act.after.get("username")}" from {act.after.get("address") or "?"} was locked after '
        f"{_count(act.after.get('failures', 0), 'failure')}"
    ),
}
