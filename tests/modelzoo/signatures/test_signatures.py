"""Electronic signatures: what has to be signed, who signs, and what of it stands in the audit chain."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import DatabaseError, transaction
from django.test import Client
from django.urls import reverse
from pypdf import PdfReader

from accounts.services import issue_token
from common.errors import UserError
from common.rights import Forbidden
from inspection.models import Review
from inspection.reviews.services import record_review, record_reviews, undo_reviews
from modelzoo import services
from modelzoo.lifecycle.services import approve_version, withdraw_approval
from modelzoo.models import ModelVersion, SignatureRules, Threshold
from modelzoo.signatures.selectors import (
    Act,
    Meaning,
    Signature,
    SignatureRefused,
    SignatureRequired,
    acts_to_sign,
    acts_to_sign_anywhere,
)
from modelzoo.signatures.services import Credentials, set_signature_rules, sign
from records.audit.chain.audited_rows import verify_all
from records.audit.sentences import names_in, sentence_of
from records.models import AuditEvent, canonical
from tests.chain import attest_people
from tests.inspection.judging.test_services import inspect
from tests.modelzoo.test_admin import act
from tests.quality.audited import close, judged, plan
from tests.versions import another, serve

pytestmark = pytest.mark.django_db

PASSWORD = "a-long-password"
ABOUT = ("modelzoo.modelversion", "1")


@pytest.fixture(autouse=True)
def people(user: User, operator: User) -> None:
    for person, first, last in ((user, "Olga", "Meier"), (operator, "Otto", "Kern")):
        person.first_name, person.last_name = first, last
        person.save(update_fields=["first_name", "last_name"])


@pytest.fixture
def signed_acts(version: ModelVersion, administrator: User) -> frozenset[Act]:
    acts = frozenset(Act)
    set_signature_rules(category=version.category, acts=acts, reason="SOP 12", actor=administrator)
    return acts


def signature(user: User, act: Act = Act.REVIEW, meaning: str = "approved") -> Signature:
    return sign(user=user, act=act, about=ABOUT, credentials=Credentials(PASSWORD, meaning))


def newest(kind: str) -> dict[str, Any]:
    event = AuditEvent.objects.filter(kind=kind).order_by("-sequence")[0]
    after: dict[str, Any] = json.loads(event.after)
    return after


# ---------------------------------------------------------------- who signs
def test_a_signature_says_who_when_and_why(user: User) -> None:
    made = signature(user, meaning="responsible")
    assert (made.printed_name, made.username, made.meaning) == ("Olga Meier", "olga", "responsible")
    assert made.signed_at.tzinfo is not None
    assert not AuditEvent.objects.exists(), "the event is that of the act"


def test_a_wrong_password_is_counted_audited_and_locks_out(user: User, settings: Any) -> None:
    settings.LOGIN_FAILURES = 2
    wrong = Credentials("wrong-secret", "approved")
    with pytest.raises(SignatureRefused, match="password is wrong"):
        sign(user=user, act=Act.THRESHOLD, about=ABOUT, credentials=wrong)
    event = AuditEvent.objects.get(kind="signature.refused")
    assert event.actor == user
    assert json.loads(event.after) == {
        "username": "olga",
        "address": "",
        "act": "threshold",
        "meaning": "approved",
        "object_type": ABOUT[0],
        "object_id": ABOUT[1],
    }
    assert str(sentence_of(event, names_in([event]))) == (
        "olga was refused the signature of a threshold: the password is wrong"
    )
    with pytest.raises(UserError) as locked:
        sign(user=user, act=Act.THRESHOLD, about=ABOUT, credentials=wrong)
    assert (locked.value.code, locked.value.status) == ("locked_out", 429)
    with pytest.raises(UserError, match="Too many failed"):
        signature(user)
    text = "".join(event.before + event.after for event in AuditEvent.objects.all())
    assert PASSWORD not in text
    assert "wrong-secret" not in text


def test_a_right_password_forgives_failures(user: User, settings: Any) -> None:
    settings.LOGIN_FAILURES = 2
    for _ in range(3):
        with pytest.raises(SignatureRefused):
            sign(user=user, act=Act.REVIEW, about=ABOUT, credentials=Credentials("wrong", "approved"))
        signature(user)


def test_who_has_no_password_or_no_full_name_cannot_sign(user: User) -> None:
    User.objects.filter(pk=user.pk).update(last_name="", first_name=" ")
    user.refresh_from_db()
    with pytest.raises(SignatureRefused, match="no full name"):
        signature(user)
    user.first_name = "Olga"
    user.set_unusable_password()
    user.save()
    with pytest.raises(SignatureRefused, match="no password here"):
        signature(user)
    assert AuditEvent.objects.filter(kind="signature.refused").count() == 2


def test_nobody_signs_as_somebody_else(user: User, operator: User, version: ModelVersion) -> None:
    with pytest.raises(SignatureRefused, match="signed in as olga"):
        sign(user=user, act=Act.REVIEW, about=ABOUT, credentials=Credentials(PASSWORD, "approved", "otto", True))
    with pytest.raises(SignatureRequired, match="first signature"):
        sign(user=user, act=Act.REVIEW, about=ABOUT, credentials=Credentials(PASSWORD, "approved", "", True))
    with pytest.raises(SignatureRequired, match="meaning"):
        signature(user, meaning="seen")
    with pytest.raises(SignatureRefused, match="somebody else"):
        approve_version(version=version, reason="x", actor=user, signature=signature(operator))


# ---------------------------------------------------------------- what has to be signed
def test_rules_are_set_by_administrators_and_kept(version: ModelVersion, user: User, administrator: User) -> None:
    assert acts_to_sign(version.category_id) == frozenset()
    with pytest.raises(Forbidden):
        set_signature_rules(category=version.category, acts=frozenset(), reason="x", actor=user)
    with pytest.raises(UserError, match="needs a reason"):
        set_signature_rules(category=version.category, acts=frozenset(), reason=" ", actor=administrator)
    acts = frozenset({Act.APPROVAL, Act.ROLLBACK})
    set_signature_rules(category=version.category, acts=acts, reason="SOP 12", actor=administrator)
    assert acts_to_sign(version.category_id) == acts_to_sign_anywhere() == acts
    event = AuditEvent.objects.get(kind="signature_rules.set")
    assert str(sentence_of(event, {})) == "ada asked for a signature of every approval and rollback in disc: SOP 12"
    set_signature_rules(category=version.category, acts=frozenset(), reason="over", actor=administrator)
    assert acts_to_sign(version.category_id) == acts_to_sign_anywhere() == frozenset()
    with pytest.raises(DatabaseError, match="append-only"), transaction.atomic():
        SignatureRules.objects.update(reason="y")


def test_nothing_is_signed_where_no_rule_says_so(version: ModelVersion, user: User) -> None:
    approve_version(version=version, reason="trial", actor=user)
    assert "signature" not in newest("approval.given")


@pytest.mark.usefixtures("signed_acts")
def test_each_act_is_refused_without_a_signature(version: ModelVersion, user: User, operator: User) -> None:
    other = another(version)
    parts = judged(version, good=2)
    before = AuditEvent.objects.count()
    acts: list[tuple[Act, Callable[[], Any]]] = [
        (Act.REVIEW, lambda: record_review(inspection=parts[0], verdict="good", actor=operator)),
        (Act.REVIEW, lambda: record_reviews(inspections=parts, verdict="good", actor=operator)),
        (
            Act.THRESHOLD,
            lambda: services.set_threshold(version=version, value=2.0, method="manual", reason="x", actor=user),
        ),
        (
            Act.THRESHOLD,
            lambda: services.request_deployment(version=version, actor=None, threshold=2.0, threshold_reason="x"),
        ),
        (Act.APPROVAL, lambda: approve_version(version=version, reason="x", actor=None)),
        (Act.APPROVAL, lambda: withdraw_approval(version=version, reason="x", actor=user)),
        (Act.PROMOTION, lambda: services.request_promotion(version=other, reason="x", actor=user)),
        (Act.PROMOTION, lambda: services.request_deployment(version=other, actor=None)),
    ]
    for needed, do in acts:
        with pytest.raises(SignatureRequired, match="administration and the command line cannot sign") as refused:
            do()
        assert refused.value.extra == {"act": needed}
    assert AuditEvent.objects.count() == before


def test_a_rollback_is_signed_and_what_serves_is_loaded_again_without(
    version: ModelVersion, user: User, administrator: User
) -> None:
    serve(version)
    other = another(version)
    serve(other)
    rules = frozenset({Act.ROLLBACK, Act.PROMOTION})
    set_signature_rules(category=version.category, acts=rules, reason="SOP", actor=administrator)
    services.request_deployment(version=other, actor=user, device="cpu")
    with pytest.raises(SignatureRequired):
        services.request_rollback(category=version.category, reason="worse", actor=user)
    signed = signature(user, Act.ROLLBACK, "responsible")
    services.request_rollback(category=version.category, reason="worse", actor=user, signature=signed)
    assert newest("deployment.requested")["signature"]["meaning"] == "responsible"


@pytest.mark.usefixtures("signed_acts")
def test_the_signature_is_in_the_event_of_the_act_with_the_hash_of_what_is_signed(
    version: ModelVersion, user: User, operator: User
) -> None:
    [part] = judged(version, good=1)
    record_review(inspection=part, verdict="good", actor=operator, signature=signature(operator, meaning="reviewed"))
    services.set_threshold(
        version=version, value=2.0, method="manual", reason="x", actor=user, signature=signature(user, Act.THRESHOLD)
    )
    approve_version(version=version, reason="trial", actor=user, signature=signature(user, Act.APPROVAL))
    services.request_promotion(version=version, reason="best", actor=user, signature=signature(user, Act.PROMOTION))
    for kind in ("review.recorded", "threshold.set", "approval.given", "deployment.requested"):
        after = newest(kind)
        facts = after.pop("signature")
        assert facts["printed_name"] in ("Olga Meier", "Otto Kern")
        assert facts["sha256"] == hashlib.sha256(canonical(after).encode()).hexdigest(), kind
        assert set(facts) == {"username", "printed_name", "meaning", "signed_at", "sha256"}
    assert newest("deployment.requested")["artifact_sha256"] == version.artifact_sha256
    attest_people()
    report = verify_all()
    assert (report.broken_at, report.reason) == (None, "")
    event = AuditEvent.objects.get(kind="approval.given")
    assert str(sentence_of(event, names_in([event]))).endswith(": trial (signed as approved)")


def test_a_signed_review_is_not_undone_by_a_click(version: ModelVersion, operator: User, administrator: User) -> None:
    [part] = judged(version, good=1)
    review = record_review(inspection=part, verdict="good", actor=operator)
    rules = frozenset({Act.REVIEW})
    set_signature_rules(category=version.category, acts=rules, reason="SOP", actor=administrator)
    with pytest.raises(SignatureRequired, match="Review the part again"):
        undo_reviews(reviews=[review], actor=operator)


@pytest.mark.usefixtures("signed_acts")
def test_the_administration_says_why_it_cannot(version: ModelVersion, admin_user: User) -> None:
    client = Client()
    client.force_login(admin_user)
    page = act(client, "modelversion", "approve", version, reason="trial")
    assert "administration and the command line cannot sign" in page
    assert not version.approvals.exists()


# ---------------------------------------------------------------- the API
def test_the_api_signs_with_the_password_of_the_tokens_user(
    version: ModelVersion, user: User, signed_acts: frozenset[Act]
) -> None:
    _, key = issue_token(user=user, name="station", actor=user)
    client = Client(headers={"Authorization": f"Bearer {key}"})

    def send(path: str, **body: Any) -> Any:
        return client.post(f"/api/{path}", body, content_type="application/json")

    def approve(**body: Any) -> Any:
        return send(f"model-versions/{version.pk}/approve", reason="trial", **body)

    answer = approve()
    assert (answer.status_code, answer.json()["code"], answer.json()["act"]) == (422, "signature_required", "approval")
    answer = approve(signature={"password": "wrong", "meaning": "approved"})
    assert (answer.status_code, answer.json()["code"]) == (403, "signature_refused")
    answer = approve(signature={"password": PASSWORD})
    assert (answer.status_code, answer.json()["errors"]) == (
        400,
        {"signature": {"meaning": ["is missing. Send it."]}},
    )
    assert not version.approvals.exists()
    answer = approve(signature={"password": PASSWORD, "meaning": "approved"})
    signed = answer.json()["approval"]["signature"]
    assert (signed["printed_name"], signed["username"], signed["meaning"]) == ("Olga Meier", "olga", "approved")
    event = AuditEvent.objects.get(pk=signed["audit_event"])
    assert (event.kind, event.hash) == ("approval.given", signed["audit_event_hash"])
    made = send(
        "thresholds",
        model_version=version.pk,
        value=3.0,
        reason='fewer "revision":1, rejects',
        signature={"password": PASSWORD, "meaning": Meaning.RESPONSIBLE},
    ).json()
    assert (made["revision"], made["signature"]["meaning"]) == (2, "responsible")
    rows = client.get("/api/thresholds").json()["results"]
    assert [row["signature"] and row["signature"]["meaning"] for row in rows] == ["responsible", None]
    [part] = judged(version, good=1)
    said = send(
        f"inspections/{part.pk}/reviews",
        verdict="good",
        comment='"signature":{} is not one',
        signature={"password": PASSWORD, "meaning": "reviewed"},
    ).json()
    assert said["signature"]["signed_sha256"] == newest("review.recorded")["signature"]["sha256"]
    assert PASSWORD not in "".join(event.after for event in AuditEvent.objects.all())


def test_words_in_a_comment_are_no_signature(version: ModelVersion, operator: User, signed_in: Client) -> None:
    [part] = judged(version, good=1)
    record_review(inspection=part, verdict="good", actor=operator, comment='{"signature":{"meaning":"approved"}}')
    assert signed_in.get("/api/reviews").json()["results"][0]["signature"] is None


def test_rules_over_the_api(version: ModelVersion, signed_in: Client, administrator: User) -> None:
    path = "/api/categories/disc/signature-rules"
    assert signed_in.get(path).json()["approval"] is False
    assert signed_in.put(path, {"reason": "x"}, content_type="application/json").status_code == 403
    client = Client()
    client.force_login(administrator)
    for body, expected in (({"approval": True}, {"approval"}), ({"review": True}, {"approval", "review"})):
        answer = client.put(path, body | {"reason": "SOP 12"}, content_type="application/json").json()
        assert {act for act in Act if answer[act]} == expected
    assert (answer["author"], answer["reason"]) == ("ada", "SOP 12")


# ---------------------------------------------------------------- pages
FIELDS = {"signature_password": PASSWORD, "signature_meaning": "approved"}


@pytest.mark.usefixtures("signed_acts", "worker")
def test_the_first_signature_of_a_session_needs_both_components(version: ModelVersion, signed_in: Client) -> None:
    page = signed_in.get(reverse("model", args=[version.pk])).content.decode()
    assert 'data-signature="approval promotion"' in page
    assert 'autocomplete="current-password"' in page
    assert 'name="signature_username"' in page
    approve = reverse("model-approve", args=[version.pk])
    for fields, status in (({}, 422), (FIELDS, 422), (FIELDS | {"signature_username": "otto"}, 403)):
        answer = signed_in.post(approve, {"reason": "trial", **fields})
        assert answer.status_code == status
        assert PASSWORD not in answer.content.decode()
    assert not version.approvals.exists()
    signed_in.post(approve, {"reason": "trial", **FIELDS, "signature_username": "olga"})
    page = signed_in.get(reverse("model", args=[version.pk])).content.decode()
    assert "Signed by <strong>Olga Meier</strong> (olga) as approved" in page
    assert 'name="signature_username"' not in page
    signed_in.post(reverse("model-withdraw-approval", args=[version.pk]), {"reason": "wrong lamp", **FIELDS})
    assert version.approvals.count() == 2


@pytest.mark.usefixtures("signed_acts")
def test_a_review_is_signed_and_shown_on_the_record_and_its_certificate(version: ModelVersion, user: User) -> None:
    one, two, three = inspect(version), *judged(version, good=2)
    client = Client()
    client.force_login(user)
    fields = FIELDS | {"signature_username": "olga", "verdict": "good", "signature_meaning": "reviewed"}
    assert client.post(reverse("inspection-review", args=[one.pk]), {"verdict": "good"}).status_code == 422
    assert client.post(reverse("inspection-review", args=[one.pk]), fields).status_code == 302
    assert client.post(reverse("line-review", args=[two.pk]), fields).status_code == 302
    assert client.post(reverse("history"), fields | {"inspection": [str(three.pk)]}).status_code == 302
    assert Review.objects.count() == 3
    page = client.get(reverse("inspection", args=[one.pk])).content.decode()
    assert "Signed by <strong>Olga Meier</strong> (olga) as reviewed" in page
    assert "Undo my review" not in page
    assert "data-signature" in client.get(reverse("history")).content.decode()
    pdf = client.get(reverse("inspection-certificate", args=[one.pk])).content
    words = "".join("".join(sheet.extract_text() for sheet in PdfReader(io.BytesIO(pdf)).pages).split())
    assert "signedelectronicallybyOlgaMeier(olga)asreviewed" in words
    assert AuditEvent.objects.get(kind="review.recorded", object_id=str(one.reviews.get().pk)).hash in words


@pytest.mark.usefixtures("signed_acts")
def test_a_threshold_is_signed_on_its_page(version: ModelVersion, signed_in: Client) -> None:
    address = reverse("threshold", args=[version.pk])
    form = {"value": "4.5", "instead_of": "1", "reason": "fewer escapes"}
    answer = signed_in.post(address, form)
    assert answer.status_code == 422
    assert "needs an electronic signature" in answer.content.decode()
    signed_in.post(address, form | FIELDS | {"signature_username": "olga"})
    assert Threshold.objects.count() == 2
    for page in (address, reverse("thresholds")):
        assert "Signed by <strong>Olga Meier</strong>" in signed_in.get(page).content.decode(), page
    signed_in.post(address, {"undo": "yes", "instead_of": "2", "reason": "back", **FIELDS})
    assert newest("threshold.set")["signature"]["username"] == "olga"


def test_a_blind_review_is_signed(version: ModelVersion, operator: User, administrator: User) -> None:
    plan(version.category)
    judged(version, good=2)
    close(version.category)
    set_signature_rules(category=version.category, acts=frozenset({Act.REVIEW}), reason="SOP", actor=administrator)
    client = Client()
    client.force_login(operator)
    page = client.get(reverse("blind-review"))
    address = reverse("blind-review-decide", args=[page.context["part"].pk])
    assert client.post(address, {"verdict": "good"}).status_code == 422
    fields = FIELDS | {"signature_username": "otto"}
    assert client.post(address, {"verdict": "good", **fields}).status_code == 302
    assert newest("review.recorded")["signature"]["printed_name"] == "Otto Kern"


def test_the_page_of_the_rules(version: ModelVersion, signed_in: Client, administrator: User) -> None:
    address = reverse("signature-rules", args=["disc"])
    page = signed_in.get(address).content.decode()
    assert "Only an administrator changes this." in page
    assert signed_in.post(address, {"review": "on", "reason": "x"}).status_code == 403
    client = Client()
    client.force_login(administrator)
    assert client.post(address, {"review": "on"}).status_code == 400
    assert client.post(address, {"review": "on", "reason": "SOP 12"}).status_code == 302
    page = client.get(address).content.decode()
    assert "These people cannot sign yet" in page
    assert "ada" in page
    assert "olga" not in page
