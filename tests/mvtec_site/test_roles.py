"""Every role, endpoint and method in one table, written by hand: what the views declare is checked against it."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from django.contrib.admindocs.views import simplify_regex
from django.contrib.auth.models import Group, User
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver

from accounts.services import issue_token
from common.api.views import ApiView
from common.rights import SCOPES, Right, Role, Scope

# ---------------------------------------------------------------- who asks
# The last three are tokens of an engineer, with one scope each; "no role" is signed in and has none.
CALLERS = ("nobody", "no role", "operator", "engineer", "auditor", "admin", "inspect", "read", "manage")

SIGNED_IN = {"operator", "engineer", "auditor", "admin", "inspect", "read", "manage"}
READERS = {"operator", "engineer", "auditor", "admin", "read"}
LOOKERS = READERS | {"inspect"}  # readers, and whoever waits for a verdict
INSPECTORS = {"operator", "engineer", "admin", "inspect"}
REVIEWERS = {"operator", "engineer", "admin", "manage"}
ISSUERS = {"operator", "engineer", "auditor", "admin", "manage"}
EXPORTERS = {"engineer", "auditor", "admin", "read"}
ENGINEERS = {"engineer", "admin", "manage"}
AUDITORS = {"auditor", "admin"}
ADMINS = {"admin"}


@dataclass(frozen=True)
class Row:
    """Who may use which method. Everybody else than `visible_to` is told that there is nothing."""

    methods: dict[str, set[str]]
    visible_to: set[str] = field(default_factory=lambda: set(CALLERS))


def row(**methods: set[str]) -> Row:
    return Row(methods)


def hidden(**methods: set[str]) -> Row:
    return Row(methods, visible_to=methods["GET"])


TABLE: dict[str, Row] = {
    # accounts
    "me": row(GET=SIGNED_IN),
    "tokens": row(GET=READERS, POST=ISSUERS),
    "tokens/<token_id>": row(GET=READERS, DELETE=ISSUERS),
    # records: the audit log
    "audit-events": hidden(GET=AUDITORS),
    "audit-events/<sequence>": hidden(GET=AUDITORS),
    "audit-events/export": hidden(GET=AUDITORS),
    "audit-checkpoints": hidden(GET=AUDITORS, POST=ADMINS),
    "audit-checkpoints/<sequence>": hidden(GET=AUDITORS),
    # modelzoo
    "categories": row(GET=READERS),
    "categories/<name>/input-checks": row(GET=READERS, PUT=ENGINEERS),
    "categories/<name>/calibrations": row(GET=READERS, POST=ENGINEERS),
    "calibration-pictures": row(POST=ENGINEERS),
    "model-versions/<version_id>/size-rule": row(GET=READERS, PUT=ENGINEERS),
    "categories/<name>/promotion-gates": row(GET=READERS, PUT=ENGINEERS),
    "categories/<name>/signature-rules": row(GET=READERS, PUT=ADMINS),
    "categories/<name>/rollback": row(POST=ENGINEERS),
    "default-category": row(GET=READERS, PUT=ENGINEERS),
    "model-versions": row(GET=READERS),
    "model-versions/<version_id>": row(GET=READERS),
    "model-versions/<version_id>/metrics": row(GET=READERS),
    "model-versions/<version_id>/mean-image": row(GET=READERS),
    "model-versions/<version_id>/ignore-mask": row(GET=READERS),
    "model-versions/<version_id>/card": row(GET=READERS),
    "model-versions/<version_id>/artifact": row(GET=ENGINEERS),
    "model-versions/<version_id>/promote": row(POST=ENGINEERS),
    "model-versions/<version_id>/archive": row(POST=ENGINEERS),
    "model-versions/<version_id>/approve": row(POST=ENGINEERS),
    "model-versions/<version_id>/withdraw-approval": row(POST=ENGINEERS),
    "model-versions/<version_id>/release": row(GET=READERS),
    "model-versions/<version_id>/extend": row(POST=ENGINEERS),
    "thresholds": row(GET=READERS, POST=ENGINEERS),
    "thresholds/<threshold_id>": row(GET=READERS),
    "deployments": row(GET=READERS, POST=ENGINEERS),
    "deployments/<deployment_id>": row(GET=READERS),
    # training
    "datasets": row(GET=READERS, POST=ENGINEERS),
    "datasets/<dataset_id>": row(GET=READERS),
    "datasets/<dataset_id>/images": row(GET=READERS),
    "datasets/from-reviews": row(POST=ENGINEERS),
    "dataset-images/<image_id>/image": row(GET=READERS),
    "dataset-images/<image_id>/mask": row(GET=READERS),
    "ignore-masks": row(POST=ENGINEERS),
    "ignore-masks/<sha256>": row(GET=READERS),
    "training-runs": row(GET=READERS, POST=ENGINEERS),
    "training-runs/<run_id>": row(GET=READERS),
    "training-runs/<run_id>/log": row(GET=READERS),
    "training-runs/<run_id>/cancel": row(POST=ENGINEERS),
    # inspection: the four of the original system
    "load_model": row(POST=ENGINEERS),
    "status": row(GET=LOOKERS),
    "test_image": row(POST=INSPECTORS),
    "batch_test": row(POST=INSPECTORS),
    # inspection: what became of a request, and the same again
    "requests/<request_id>": row(GET=LOOKERS),
    "requests/<request_id>/inspect": row(POST=INSPECTORS),
    # inspection: batches, the record, reviews
    "batches": row(GET=LOOKERS, POST=INSPECTORS),
    "batches/<batch_id>": row(GET=LOOKERS),
    "batches/<batch_id>/report": row(GET=LOOKERS),
    "batches/<batch_id>/cancel": row(POST=INSPECTORS),
    "parts": row(GET=READERS, POST=INSPECTORS),
    "parts/views": row(POST=INSPECTORS),
    "parts/export": row(GET=EXPORTERS),
    "parts/<part_id>": row(GET=LOOKERS),
    "part-layouts": row(GET=READERS),
    "part-layouts/<name>": row(GET=READERS, PUT=ENGINEERS),
    "part-layouts/<name>/retire": row(POST=ENGINEERS),
    "inspections": row(GET=READERS),
    "inspections/export": row(GET=EXPORTERS),
    "inspections/<inspection_id>": row(GET=READERS),
    "inspections/<inspection_id>/image": row(GET=READERS),
    "inspections/<inspection_id>/picture": row(GET=READERS),
    "inspections/<inspection_id>/thumbnail": row(GET=READERS),
    "inspections/<inspection_id>/map": row(GET=READERS),
    "inspections/<inspection_id>/overlay": row(GET=READERS),
    "inspections/<inspection_id>/reviews": row(GET=READERS, POST=REVIEWERS),
    "reviews": row(GET=READERS),
    "reviews/<review_id>": row(GET=READERS),
    "reviews/agreement": row(GET=READERS),
    # tuning
    "what-if": row(GET=READERS),
    "rescorings": row(GET=READERS, POST=ENGINEERS),
    "rescorings/<run_id>": row(GET=READERS),
    "rescorings/<run_id>/results": row(GET=READERS),
    "rescorings/<run_id>/cancel": row(POST=ENGINEERS),
    # rollout
    "canaries": row(GET=READERS, POST=ENGINEERS),
    "canaries/<deployment_id>": row(GET=READERS),
    "canaries/<deployment_id>/end": row(POST=ENGINEERS),
    "challengers": row(GET=READERS, POST=ENGINEERS),
    "challengers/<challenger_id>": row(GET=READERS),
    "challengers/<challenger_id>/stop": row(POST=ENGINEERS),
    "challengers/<challenger_id>/results": row(GET=READERS),
    "challengers/<challenger_id>/disagreements": row(GET=READERS),
    "challengers/<challenger_id>/csv": row(GET=EXPORTERS),
    "challenger-results/<result_id>/mark": row(POST=REVIEWERS),
    "categories/<name>/retrain": row(POST=ENGINEERS),
    "comparisons": row(GET=READERS, POST=ENGINEERS),
    "comparisons/<comparison_id>": row(GET=READERS),
    "comparisons/<comparison_id>/images": row(GET=READERS),
    # edge
    "connection-kinds": row(GET=READERS),
    "connections": row(GET=READERS, POST=ENGINEERS),
    "connections/<connection_id>": row(GET=READERS, PATCH=ENGINEERS),
    "connections/<connection_id>/secrets": row(POST=ENGINEERS),
    "connections/<connection_id>/end-secrets": row(POST=ENGINEERS),
    "connections/<connection_id>/deliveries": row(GET=READERS),
    "connections/<connection_id>/resend": row(POST=ENGINEERS),
    "deliveries/<delivery_id>/resend": row(POST=ENGINEERS),
    "edge-nodes": row(GET=READERS, POST=ADMINS),
    "edge-nodes/<node_id>": row(GET=READERS, PATCH=ADMINS),
    "edge-nodes/<node_id>/token": row(POST=ADMINS),
    # For the token of a node alone: tests/edge/nodes
    "edge-nodes/self/contact": row(POST=set()),
    "edge-nodes/self/records": row(GET=set(), POST=set()),
    "edge-nodes/self/anchors": row(GET=set(), POST=set()),
    "passages": row(POST=INSPECTORS),
    "passage-counters": row(GET=READERS),
    "passage-counters/<counter_id>/passages": row(GET=READERS),
    # quality
    "sampling-plans": row(GET=READERS, POST=ENGINEERS),
    "sampling-plans/<plan_id>": row(GET=READERS),
    "audited-shifts": row(GET=READERS),
    "audited-shifts/<shift_id>": row(GET=READERS),
    "audited-shifts/<shift_id>/export": row(GET=EXPORTERS),
    "random-audit": row(GET=READERS),
    "blind-reviews": row(GET=REVIEWERS),
    "blind-reviews/<part_id>": row(POST=REVIEWERS),
    "blind-reviews/<part_id>/image": row(GET=REVIEWERS),
    "review-queue/<name>": row(GET=REVIEWERS),
    "review-queue/<name>/next": row(POST=REVIEWERS),
    "review-queue/<name>/budget": row(GET=READERS, PUT=ENGINEERS),
    "review-cards/<card_id>": row(POST=REVIEWERS),
    "threshold-promises": row(GET=READERS),
    "threshold-promises/<threshold_id>": row(GET=READERS),
    "containments": row(GET=READERS, POST=ENGINEERS),
    "containments/<containment_id>": row(GET=READERS),
    "containments/<containment_id>/parts": row(GET=READERS),
    "containments/<containment_id>/csv": row(GET=EXPORTERS),
    "containments/<containment_id>/pdf": row(GET=EXPORTERS),
    # reports
    "report": row(GET=READERS),
    "report/csv": row(GET=READERS),
    "report/pdf": row(GET=READERS),
    "issued-reports": row(GET=READERS, POST=EXPORTERS),
    "issued-reports/<report_id>": row(GET=READERS),
    "issued-reports/<report_id>/json": row(GET=READERS),
    "issued-reports/<report_id>/csv": row(GET=READERS),
    "issued-reports/<report_id>/pdf": row(GET=READERS),
    "statement": row(GET=READERS),
    "issued-statements": row(GET=READERS, POST=EXPORTERS),
    "issued-statements/<statement_id>": row(GET=READERS),
    "issued-statements/<statement_id>/json": row(GET=READERS),
    "issued-statements/<statement_id>/pdf": row(GET=READERS),
    "report-schedules": row(GET=READERS, POST=ENGINEERS),
    "report-schedules/<schedule_id>": row(GET=READERS, PUT=ENGINEERS, DELETE=ENGINEERS),
    "measurement-studies": row(GET=READERS, POST=ENGINEERS),
    "measurement-studies/<study_id>": row(GET=READERS),
    "measurement-studies/<study_id>/task": row(GET=REVIEWERS, POST=REVIEWERS),
    "measurement-studies/<study_id>/image": row(GET=REVIEWERS),
    "measurement-studies/<study_id>/pdf": row(GET=EXPORTERS),
    # monitoring
    "alarms": row(GET=READERS),
    "alarms/<alarm_id>": row(GET=READERS),
    "alarms/<alarm_id>/acknowledge": row(POST=REVIEWERS),
    "alarms/<alarm_id>/comments": row(POST=REVIEWERS),
    "alarms/<alarm_id>/resolve": row(POST=ENGINEERS),
    "drift-monitors": row(GET=READERS),
    "drift-monitors/<monitor_id>": row(GET=READERS),
    "drift-monitors/<monitor_id>/restart": row(POST=ENGINEERS),
    "reference-parts": row(GET=READERS, POST=ENGINEERS),
    "reference-parts/<part_id>": row(GET=READERS),
    "reference-parts/<part_id>/retire": row(POST=ENGINEERS),
    "station-states": row(GET=READERS),
    # retention
    "retention-policies": hidden(GET=AUDITORS, POST=ADMINS),
    "retention-policies/<policy_id>": hidden(GET=AUDITORS),
    "retention-runs": hidden(GET=AUDITORS, POST=ADMINS),
    "retention-runs/<run_id>": hidden(GET=AUDITORS),
}


# ---------------------------------------------------------------- what there is
def endpoints() -> Iterator[tuple[str, URLPattern]]:
    """Every address under /api/, spelt for people, with its pattern."""

    def walk(resolver: URLResolver, before: str) -> Iterator[tuple[str, URLPattern]]:
        for entry in resolver.url_patterns:
            path = before + str(entry.pattern)
            if isinstance(entry, URLResolver):
                yield from walk(entry, path)
            elif path.startswith("api/"):
                yield simplify_regex(path.removeprefix("api/")).strip("/"), entry

    yield from walk(get_resolver(), "")


# Swagger and the schema itself are not ours; the schema shows no more than this table.
_DOCUMENTATION = {"schema", "docs"}
ENDPOINTS = {name: pattern for name, pattern in endpoints() if name not in _DOCUMENTATION}
VIEWS: dict[str, type[ApiView]] = {name: pattern.callback.view_class for name, pattern in ENDPOINTS.items()}  # type: ignore[attr-defined]
# Something that each kind of argument may be; nothing in the database answers to it.
_VALUES = ("00000000-0000-0000-0000-000000000000", "999999", "nothing", "0" * 64)


def address(name: str) -> str:
    """An address that leads to the endpoint and to no object."""
    arguments = re.findall(r"<\w+>", name)
    pattern = ENDPOINTS[name].pattern
    for values in itertools.product(_VALUES, repeat=len(arguments)):
        path = name
        for argument, value in zip(arguments, values, strict=True):
            path = path.replace(argument, value)
        if pattern.match(path):
            return f"/api/{path}"
    raise AssertionError(f"no value fits the arguments of {name}")


def methods_of(view: type[ApiView]) -> set[str]:
    return {name.upper() for name in view.http_method_names if hasattr(view, name)} - {"OPTIONS", "HEAD"}


# ---------------------------------------------------------------- the table is whole
def test_the_table_has_every_endpoint_and_nothing_else() -> None:
    assert set(TABLE) == set(ENDPOINTS)


@pytest.mark.parametrize("name", ENDPOINTS)
def test_every_endpoint_declares_rights_for_its_methods(name: str) -> None:
    view = VIEWS[name]
    assert issubclass(view, ApiView)
    assert set(view.rights) == methods_of(view)
    if name in TABLE:
        assert set(TABLE[name].methods) == methods_of(view)
    declared = [rights if isinstance(rights, tuple) else (rights,) for rights in view.rights.values()]
    assert all(isinstance(right, Right) for rights in declared for right in rights)


def test_every_right_belongs_to_one_scope() -> None:
    """A token is for what its scopes say, and each request is counted as one kind."""
    assert sorted(itertools.chain(*SCOPES.values())) == sorted(Right)


# ---------------------------------------------------------------- every caller, endpoint and method
@pytest.fixture
def callers(db: None) -> dict[str, Client]:
    found: dict[str, Client] = {"nobody": Client()}
    people = {}
    for name in ("no role", *Role):
        people[name] = User.objects.create(username=str(name).replace(" ", "-"))
        if name in set(Role):
            people[name].groups.add(Group.objects.get_or_create(name=name)[0])
        found[name] = Client()
        found[name].force_login(people[name])
    for scope in Scope:
        _, key = issue_token(user=people[Role.ENGINEER], name=scope, scopes=[scope], actor=None)
        found[scope] = Client(headers={"Authorization": f"Bearer {key}"})
    return found


def test_a_token_is_told_the_scope_that_it_lacks_and_a_person_the_role(callers: dict[str, Client]) -> None:
    refused = callers["read"].post("/api/load_model", {}, content_type="application/json").json()
    assert (refused["code"], refused["right"], refused["scope"]) == ("permission_denied", "deploy", "manage")
    assert (
        "needs a token with the scope manage, which this one lacks; its user has the right to deploy"
        in refused["detail"]
    )
    assert "Ask an administrator" not in refused["detail"]
    refused = callers["operator"].post("/api/load_model", {}, content_type="application/json").json()
    assert "scope" not in refused
    assert "which the roles engineer, admin have" in refused["detail"]
    # Neither the right nor the scope: the role is what is missing.
    assert "scope" not in callers["manage"].get("/api/audit-checkpoints/1").json()
    unknown = Client(headers={"Authorization": "Bearer mvt_wrong"}).get("/api/me")
    assert (unknown.status_code, unknown.json()["code"]) == (401, "authentication_failed")
    assert "Create a new one there or with manage.py create_token." in unknown.json()["detail"]


def outcome(response: Any) -> str:
    """How a request was received: unknown, refused, hidden (nothing is told to be there), or let in."""
    if response.status_code == 401:
        return "unknown"
    if response.status_code == 403:
        return "refused"
    # What is said of an address that leads nowhere; where one leads somewhere, the object that is missing is named.
    if response.status_code == 404 and response.json()["detail"] == "There is nothing at this address.":
        return "hidden"
    return "let in"


def expected(row: Row, method: str, caller: str) -> str:
    if caller == "nobody":
        return "unknown"
    if caller in row.methods[method]:
        return "let in"
    return "refused" if caller in row.visible_to else "hidden"


CASES = [(name, method) for name, row in TABLE.items() for method in row.methods]


@pytest.mark.parametrize(("name", "method"), CASES)
def test_every_caller_at_every_endpoint(callers: dict[str, Client], settings: Any, name: str, method: str) -> None:
    settings.ANSWER_TIMEOUT = settings.LOAD_TIMEOUT = 0.1
    path = address(name)
    found = {caller: outcome(client.generic(method, path)) for caller, client in callers.items()}
    assert found == {caller: expected(TABLE[name], method, caller) for caller in CALLERS}


@pytest.mark.parametrize("name", TABLE)
def test_other_methods_are_not_allowed(callers: dict[str, Client], name: str) -> None:
    path = address(name)
    for method in {"GET", "POST", "PUT", "PATCH", "DELETE"} - set(TABLE[name].methods):
        response = callers["admin"].generic(method, path)
        assert response.status_code == 405, (method, response.content)
        assert callers["nobody"].generic(method, path).status_code == 401
