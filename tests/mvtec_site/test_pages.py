"""Pages without a browser: they work as plain forms, and name what is there."""

from __future__ import annotations

import re
import uuid
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.cache import cache
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from common.numbers import score_text
from inspection.judging import documents, services
from inspection.line import pages
from inspection.models import Inspection
from inspection.reviews.services import record_review
from inspection.templatetags.inspections import region_boxes
from modelzoo.models import Deployment, ModelVersion
from modelzoo.services import activate, ensure_category, request_deployment, set_threshold
from records.models import Asset
from tests import parts

pytestmark = [pytest.mark.django_db, pytest.mark.postgresql_too]


@pytest.fixture
def record(version: ModelVersion, deployment: Deployment) -> Inspection:
    return services.inspect_here(
        data=parts.png(3, defective=True),
        submission=services.Submission(
            filename="cell <b>3</b>.png", source="command", actor=None, part=services.PartContext(lot="L3")
        ),
        version=version,
    )


def deployment_of(record: Inspection) -> Deployment:
    return Deployment.objects.select_related("category", "model_version").get(model_version=record.model_version)


def test_an_empty_system_explains_itself(signed_in: Client) -> None:
    page = signed_in.get("/").content.decode()
    assert "No model in production" in page
    assert "manage.py train" in page


def test_the_line_shows_what_is_loaded_and_the_last_inspections(signed_in: Client, record: Inspection) -> None:
    page = signed_in.get("/").content.decode()
    assert "disc" in page
    assert "does not answer: no image is judged" in page
    assert "DEFECT" in page
    assert reverse("inspection-thumbnail", args=[record.pk]) in page
    opened = signed_in.get("/", {"inspection": str(record.pk)}).content.decode()
    assert reverse("inspection-overlay", args=[record.pk]) in opened


@pytest.fixture
def odd(version: ModelVersion, deployment: Deployment, blank: bytes) -> Inspection:
    return services.inspect_here(
        data=blank,
        submission=services.Submission(filename="empty.png", source="command", actor=None),
        version=version,
    )


def test_a_defective_part_shows_its_regions_and_its_place(signed_in: Client, record: Inspection) -> None:
    page = signed_in.get(reverse("inspection", args=[record.pk])).content.decode()
    assert record.regions
    assert page.count('<rect class="under"') == len(record.regions) == record.region_count
    assert f"<strong>{record.largest_region_px:,}</strong> px" in page
    assert "above all 12 held-out good parts" in page
    first = record.regions[0]
    assert f"{first['peak_x']}, {first['peak_y']}" in page
    assert re.search(rf"{first['width']} .{{1,7}} {first['height']}\b", page)


def test_what_cannot_be_compared_looks_like_neither_verdict(signed_in: Client, odd: Inspection) -> None:
    for path in (reverse("inspection", args=[odd.pk]), f"{reverse('line')}?inspection={odd.pk}"):
        page = signed_in.get(path).content.decode()
        assert "NOT COMPARABLE" in page
        assert "DEFECT<" not in page
        assert "GOOD<" not in page
        assert "No part can be separated from the background." in page
        assert "Put one part in the middle" in page
        assert reverse("inspection-picture", args=[odd.pk]) in page
        for gone in (
            reverse("inspection-overlay", args=[odd.pk]),
            reverse("inspection-map", args=[odd.pk]),
            "show-map",
        ):
            assert gone not in page
        assert "None" not in page
    assert "no score" in signed_in.get(reverse("line-status")).content.decode()


def test_the_inspection_page_says_how_the_image_was_prepared(signed_in: Client, record: Inspection) -> None:
    address = reverse("inspection", args=[record.pk])
    ModelVersion.objects.update(preprocessing={})
    assert "Lighting" not in signed_in.get(address).content.decode()
    ModelVersion.objects.update(
        preprocessing={
            "illumination": {"chosen": "flatfield", "because": "the lamp <i>drifts</i>"},
            "align": {"chosen": "pose", "because": "it was requested"},
        }
    )
    page = signed_in.get(address).content.decode()
    assert "Lighting: <strong>flat field</strong>" in page
    assert "Position: <strong>aligned</strong>" in page
    assert "the lamp &lt;i&gt;drifts" in page


def test_boxes_stay_inside_the_image_and_numbers_can_be_read() -> None:
    corners = [(0, 0), (0, 99), (199, 0), (199, 99), (100, 50)]
    regions = [{"x": x, "y": y, "width": 1, "height": 1} for x, y in corners]
    boxes = region_boxes(Inspection(asset=Asset(width=200, height=100), regions=regions))
    for (x, y), box in zip(corners, boxes, strict=True):
        assert 0 <= box["x"] <= x < box["x"] + box["width"] <= 200
        assert 0 <= box["y"] <= y < box["y"] + box["height"] <= 100
        assert box["text"] <= box["baseline"] <= 100
        assert 0 <= box["left"] <= 200 - box["text"]


@pytest.mark.parametrize("wanted", ["x", "00000000-0000-0000-0000-000000000000", "' OR 1=1"])
def test_a_link_to_nothing_opens_the_line(signed_in: Client, wanted: str) -> None:
    assert signed_in.get("/", {"inspection": wanted}).status_code == 200


def test_file_names_are_text(signed_in: Client, record: Inspection) -> None:
    for path in ("/", reverse("inspection", args=[record.pk])):
        assert "<b>3</b>" not in signed_in.get(path).content.decode()


def test_the_inspection_page_says_everything_that_was_in_force(signed_in: Client, record: Inspection) -> None:
    page = signed_in.get(reverse("inspection", args=[record.pk])).content.decode()
    for fact in (
        record.asset.sha256,
        record.model_version.artifact_sha256,
        record.backbone_sha256,
        "revision 1",
        "lot L3",
        str(record.pk),
    ):
        assert fact in page
    missing = signed_in.get("/inspections/00000000-0000-0000-0000-000000000000/")
    assert missing.status_code == 404
    assert "no page at this address" in missing.content.decode()


def test_a_form_without_scripts_says_what_is_wrong(signed_in: Client, deployment: Deployment) -> None:
    nothing = signed_in.post("/inspect")
    assert nothing.status_code == 400
    assert "Choose an image" in nothing.content.decode()
    junk = signed_in.post("/inspect", {"image": SimpleUploadedFile("a.png", b"junk")})
    assert junk.status_code == 415
    assert "was not judged" in junk.content.decode()


def test_htmx_gets_the_partial_alone(signed_in: Client, deployment: Deployment) -> None:
    answer = signed_in.post("/inspect", {"image": SimpleUploadedFile("a.png", b"junk")}, headers={"HX-Request": "true"})
    assert answer.status_code == 200
    text = answer.content.decode()
    assert text.strip().startswith('<div id="result"')
    assert 'role="alert"' in text


HTMX = {"HX-Request": "true"}
JUDGING = {"alive": True, "since": None, "waiting": 0}
QUIET: dict[str, Any] = {"workers": [], "queues": {"inference": 0}, "broker": "reachable", "judging": JUDGING}


def client_of(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def at(address: str) -> dict[str, str]:
    """What htmx sends from a page that stands at an address by now."""
    return HTMX | {"HX-Current-URL": f"http://testserver{address}"}


@pytest.fixture
def other(record: Inspection) -> Deployment:
    """Another category's model, loaded later."""
    version = record.model_version
    again = ModelVersion.objects.get(pk=version.pk)
    category = ensure_category(name="nut & bolt")
    again.pk, again.category, again.artifact, again.artifact_sha256 = None, category, "nut/run-0-1", "1" * 64
    again.save()
    set_threshold(version=again, value=3.0, method="manual", reason="test", actor=None)
    asked = request_deployment(version=again, device="cpu", actor=None)
    assert activate(deployment=asked, device="cpu", worker="test")
    return Deployment.objects.get(pk=asked.pk)


def test_the_category_is_asked_for_where_several_are_in_force(
    signed_in: Client, record: Inspection, other: Deployment
) -> None:
    page = signed_in.get("/").content.decode()
    assert "What is inspected here?" in page
    assert 'href="/?category=nut%20%26%20bolt"' in page
    assert 'id="upload"' not in page
    for words in ({"category": "disc"}, {"inspection": str(record.pk)}):
        page = signed_in.get("/", words).content.decode()
        signed_in.cookies.pop("category", None)
        assert '<strong class="first">disc</strong>' in page
        assert f"s-{record.pk}" in page
        assert '<input type="hidden" name="category" value="disc">' in page
    page = signed_in.get("/", {"category": "cog <i>"}).content.decode()
    assert "No model is in production for cog &lt;i&gt;" in page
    assert 'id="upload"' not in page
    asked = signed_in.get(reverse("line-status"), headers=at("/?category=disc"))
    assert f"s-{record.pk}" in asked.content.decode()


def test_the_category_is_the_browsers_whatever_is_loaded_later(
    signed_in: Client, user: User, record: Inspection, other: Deployment
) -> None:
    def first(client: Client, address: str = "/") -> str:
        [name] = re.findall(r'<strong class="first">(.*?)</strong>', client.get(address).content.decode())
        return str(name)

    signed_in.get("/", {"category": "disc"})
    signed_in.get("/inspections/")
    assert first(signed_in) == "disc"
    assert first(client_of(user)) == "No category chosen"
    signed_in.get("/", {"category": "nut & bolt", "inspection": str(record.pk)})
    assert first(signed_in) == "disc", "a look at a record chooses nothing"
    signed_in.get("/", {"category": "cog"})
    assert first(signed_in) == "disc", "what is not in force is not chosen"
    batches = signed_in.get("/batches/").content.decode()
    assert "<option selected>disc</option>" in batches
    Deployment.objects.filter(category__name="disc").update(status=Deployment.Status.REPLACED)
    page = signed_in.get("/").content.decode()
    assert "No model is in production for disc" in page
    assert 'id="upload"' not in page, "the only one left is another part's"


def test_a_page_keeps_the_category_that_it_was_made_for(
    signed_in: Client, record: Inspection, other: Deployment
) -> None:
    signed_in.get("/", {"category": "nut & bolt"})  # in another tab
    for name in ("line-status", "line-today"):
        page = signed_in.get(reverse(name), {"category": "disc"}, headers=at("/")).content.decode()
        assert "nut" not in page
        assert "disc" in page
    signed_in.cookies["category"] = "%00%ff" * 80
    assert "What is inspected here?" in signed_in.get("/").content.decode()


def test_the_stream_is_sent_again_when_it_looks_different(signed_in: Client, user: User, record: Inspection) -> None:
    def poll(seen: str) -> str:
        return signed_in.get(reverse("line-status"), {"seen": seen}, headers=at("/")).content.decode()

    first = poll("")
    assert 'id="latest"' in first
    [seen] = re.findall(r'name="seen"\s+value="(\w+)"', first)
    record_review(inspection=record, verdict="good", actor=user)
    reviewed = poll(seen)
    assert "olga" in reviewed
    [seen] = re.findall(r'name="seen"\s+value="(\w+)"', reviewed)
    assert 'aria-current="true"' not in reviewed
    opened = signed_in.get(reverse("line-status"), {"seen": seen}, headers=at(f"/?inspection={record.pk}"))
    assert 'aria-current="true"' in opened.content.decode()


def test_what_did_not_change_is_not_sent(
    signed_in: Client, record: Inspection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("common.templatetags.formats.naturaltime", lambda moment: "now")
    first = signed_in.get(reverse("line-status"), headers=at("/")).content.decode()
    [seen] = re.findall(r'name="seen"\s+value="(\w+)"', first)
    assert 'id="latest"' not in signed_in.get(reverse("line-status"), {"seen": seen}, headers=at("/")).content.decode()


@pytest.mark.parametrize("headers", [HTMX, {"X-Requested-With": "fetch"}])
def test_an_opened_record_is_a_part_for_scripts_and_a_page_for_everybody(
    signed_in: Client, record: Inspection, headers: dict[str, str]
) -> None:
    words = {"inspection": str(record.pk)}
    part = signed_in.get("/", words, headers=headers).content.decode()
    assert part.strip().startswith('<div id="result"')
    assert f'data-inspection="{record.pk}"' in part
    assert "<html" in signed_in.get("/", words).content.decode()
    assert signed_in.get("/", {"inspection": str(uuid.uuid4())}, headers=headers).status_code == 404
    nothing = signed_in.get("/", headers=headers).content.decode()
    assert "Ready" in nothing
    assert "data-inspection" not in nothing


def test_what_is_known_of_the_part_is_kept(signed_in: Client, deployment: Deployment, worker: None) -> None:
    about = {"station": "line 3", "lot": "L-1", "part_number": "P", "serial_number": "S 9"}
    image = parts.png(1)
    sent = signed_in.post("/inspect", {"image": SimpleUploadedFile("a.png", image), **about, "key": "k1"})
    assert sent.status_code == 302
    made = Inspection.objects.get()
    assert {name: getattr(made, name) for name in about} == about
    assert sent["Location"] == f"/?category=disc&inspection={made.pk}"
    assert signed_in.cookies["category"].value == "disc"
    again = signed_in.post(
        "/inspect", {"image": SimpleUploadedFile("a.png", image), **about, "key": "k1"}, headers=HTMX
    )
    text = again.content.decode()
    assert f'data-address="/?category=disc&amp;inspection={made.pk}"' in text
    assert f"s-{made.pk}" in text, "the list comes with the verdict"
    assert Inspection.objects.count() == 1  # an image whose answer was lost is not judged a second time
    photo = signed_in.post("/inspect", {"photo": SimpleUploadedFile("b.png", parts.png(2)), "category": "disc"})
    assert photo["Location"].startswith("/?category=disc&inspection=")


@pytest.mark.parametrize("wrong", ["x" * 101, "a\0b"])
def test_a_part_that_cannot_be_kept_is_refused_with_what_was_typed(
    signed_in: Client, deployment: Deployment, wrong: str
) -> None:
    sent = {"image": SimpleUploadedFile("a.png", parts.png(1)), "lot": wrong, "station": "line 3"}
    answer = signed_in.post("/inspect", sent)
    assert answer.status_code == 400
    page = answer.content.decode()
    assert "Lot: " in page
    assert 'value="line 3"' in page
    assert not Asset.objects.exists()


def test_what_was_refused_is_said_in_the_panel(signed_in: Client, deployment: Deployment) -> None:
    answer = signed_in.post("/inspect", {"image": SimpleUploadedFile("ä.png", b"junk")}, headers=HTMX).content.decode()
    assert "ä.png was not judged" in answer
    assert 'data-refused="' in answer
    assert "data-inspection" not in answer


def test_an_image_that_nobody_judged_is_judged_later_from_what_was_kept(
    signed_in: Client, operator: User, deployment: Deployment, settings: Any, request: pytest.FixtureRequest
) -> None:
    settings.ANSWER_TIMEOUT = 0.1
    for headers, status in ((HTMX, 200), ({}, 503)):
        sent = {"image": SimpleUploadedFile("part.png", parts.png(1)), "category": "disc", "lot": "L-1"}
        answer = signed_in.post("/inspect", sent, headers=headers)
        assert answer.status_code == status
        page = answer.content.decode()
        assert "The inspection service is down. The image is kept" in page
        assert "Call support" in page
        assert "manage.py" not in page
        address = re.findall(r'action="(/inspect/\S+/again)"', page)[-1]
        assert "listed on this page under “Kept, not judged”" in page
    # Whoever comes back finds them there, and nobody else does.
    kept = signed_in.get("/?category=disc").content.decode()
    assert len(re.findall(r'formaction="/inspect/\S+/again"', kept)) == 2
    assert address in kept
    assert "unjudged-title" not in client_of(operator).get("/?category=disc").content.decode()
    assert not Inspection.objects.exists()
    settings.ANSWER_TIMEOUT = 30.0
    request.getfixturevalue("worker")
    done = signed_in.post(address)
    [made] = Inspection.objects.all()
    assert done["Location"] == f"/?category=disc&inspection={made.pk}"
    assert (made.filename, made.lot) == ("part.png", "L-1")
    assert f'data-inspection="{made.pk}"' in signed_in.post(address, headers=HTMX).content.decode()
    assert Inspection.objects.count() == 1
    assert "unjudged-title" not in signed_in.get("/?category=disc").content.decode()
    unknown = signed_in.post(reverse("line-judge-again", args=[uuid.uuid4()]))
    assert unknown.status_code == 404
    assert "Not judged" in unknown.content.decode()


def test_the_same_image_again_is_said(signed_in: Client, record: Inspection) -> None:
    def open_it(inspection: Inspection) -> str:
        return signed_in.get("/", {"inspection": str(inspection.pk)}).content.decode()

    assert "same-image" not in open_it(record)
    again = services.inspect_here(
        data=parts.png(3, defective=True),
        submission=services.Submission(filename="renamed.png", source="command", actor=None),
        version=record.model_version,
    )
    page = open_it(again)
    assert "Same image judged" in page
    assert f"GOOD by {record.model_version}" in page or f"DEFECT by {record.model_version}" in page
    assert f"inspection={record.pk}" in page[page.index('id="same-image"') :]
    assert "same-image" not in open_it(record)


def test_of_the_same_image_that_stands_first_what_a_person_said(
    signed_in: Client, operator: User, user: User, record: Inspection
) -> None:
    """A person's word leads; the threshold is named where it is another one by now."""
    other = "good" if record.is_defective else "defective"
    record_review(inspection=record, verdict=other, actor=operator)
    then = record.threshold_value
    set_threshold(version=record.model_version, value=then + 1, method="manual", actor=user, reason="tighter")
    again = services.inspect_here(
        data=parts.png(3, defective=True),
        submission=services.Submission(filename="again.png", source="command", actor=None),
        version=record.model_version,
    )
    page = signed_in.get("/", {"inspection": str(again.pk)}).content.decode()
    said = re.sub(r"<[^>]+>", "", page[page.index('id="same-image"') :].partition("</p>")[0])
    words = documents.VERDICT_WORDS
    assert f"{words[other]} by {operator.username} (model: {words[record.outcome]})" in said
    assert f"at threshold {score_text(then)}, now {score_text(then + 1)}" in said


def test_a_review_at_the_line(operator: User, auditor: User, record: Inspection) -> None:
    client, address = client_of(operator), reverse("line-review", args=[record.pk])
    assert address in client.get("/", {"inspection": str(record.pk)}).content.decode()
    assert address not in client_of(auditor).get("/", {"inspection": str(record.pk)}).content.decode()
    assert client_of(auditor).post(address, {"verdict": "good"}).status_code == 403
    said = client.post(address, {"verdict": "good", "comment": "dust", "expected_reviews": "0", "category": "disc"})
    assert said["Location"] == f"/?category=disc&inspection={record.pk}"
    [review] = record.reviews.all()
    assert (review.verdict, review.comment, review.reviewer) == ("good", "dust", operator)
    late = client.post(address, {"verdict": "defective", "comment": "crack", "expected_reviews": "0"})
    assert late.status_code == 409
    page = late.content.decode()
    assert "Your review was not saved" in page
    assert ">crack</textarea>" in page
    late = client.post(address, {"verdict": "defective", "expected_reviews": "0"}, headers=HTMX)
    assert late.status_code == 200
    assert 'role="alert"' in late.content.decode()
    done = client.post(address, {"verdict": "defective", "expected_reviews": "1"}, headers=HTMX)
    assert '"reviewed": {}' in done["HX-Trigger"]
    assert 'id="verdict"' in done.content.decode()
    assert "hx-swap-oob" in done.content.decode(), "the list says the same of the part"
    for wrong in ({"verdict": "x"}, {}, {"verdict": "good", "comment": "\0"}):
        assert client.post(address, wrong).status_code == 400
    for unreadable in ("two", "-1", "9" * 5000):
        assert client.post(address, {"verdict": "good", "expected_reviews": unreadable}).status_code == 400
    assert client.post(reverse("line-review", args=[uuid.uuid4()]), {"verdict": "good"}).status_code == 404
    assert record.reviews.count() == 2


def test_every_role_is_told_how_to_begin(user: User, operator: User, auditor: User) -> None:
    engineer, operators, auditors = (client_of(who).get("/").content.decode() for who in (user, operator, auditor))
    assert "make demo" in engineer
    assert "manage.py train" not in operators + auditors
    assert "you can inspect images here" in operators
    assert "An engineer trains the first model" in auditors
    for page in (engineer, operators, auditors):
        assert 'id="upload"' not in page
        assert "No inspection yet" in page


def test_trained_but_not_loaded(user: User, operator: User, version: ModelVersion) -> None:
    assert "No model in production" in client_of(user).get("/").content.decode()
    assert "An engineer promotes one" in client_of(operator).get("/").content.decode()


def test_who_may_only_look_is_not_offered_to_send(auditor: User, record: Inspection) -> None:
    page = client_of(auditor).get("/").content.decode()
    assert 'id="upload"' not in page
    assert "Choose an inspection" in page


def test_the_place_for_images_says_when_they_are_sent(operator: User, record: Inspection) -> None:
    page = client_of(operator).get("/").content.decode()
    [place] = re.findall(r'<input type="file"\s+id="image"[^>]*>', page)
    assert "required" in place, "without scripts the browser says that an image is missing"
    assert "Images are judged as soon as they are chosen, with the values in “Part details”." in page
    assert re.search(r'<time class="ago"[^>]*>[^<]* ago</time>|>now</time>', page[page.index('id="latest"') :])


def test_nobody_to_judge_is_said_in_words(
    signed_in: Client, record: Inspection, monkeypatch: pytest.MonkeyPatch
) -> None:
    def strip(**judging: Any) -> str:
        traffic = QUIET | {"judging": JUDGING | judging}
        monkeypatch.setattr("inspection.judging.status.traffic", lambda: traffic)
        return " ".join(re.sub("<[^>]+>", " ", signed_in.get("/line/status").content.decode()).split())

    assert "The message broker does not answer" in signed_in.get("/").content.decode()
    since = timezone.make_aware(datetime(2026, 3, 1, 14, 3))
    assert "The inspection service has been down since 14:03 , 2 images waiting" in strip(
        alive=False, since=since, waiting=2
    )
    assert "The inspection service is down. Call support." in strip(alive=False)
    assert "The inspection service is down" not in strip()
    assert "1 image waiting" in strip(waiting=1)
    assert " judging " in strip()
    monkeypatch.setattr("jobs.broker.last_sign", lambda of: timezone.now() - timedelta(seconds=8))
    assert "no response from the inspection service for 8 s" in strip(), (
        "it is not given up yet, and nobody says that it judges"
    )


def test_today_with_what_is_usual(signed_in: Client, record: Inspection, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "Normal range: available after 2 days with 20 judged parts each" in signed_in.get("/").content.decode()
    counted = {0: (404, 4, 60)} | {ago: (150, 50, ago) for ago in range(1, 6)} | {6: (30, 11, 19)}
    day = timezone.localdate()
    monkeypatch.setattr("inspection.line.pages._counts", lambda _, of, most: counted.get((day - of).days, (0, 0, 0)))
    cache.clear()
    found = pages.today(deployment_of(record))
    assert (found.share, found.baseline.shares, found.baseline.shares_of, found.deviation) == (
        15.0,
        (1.0, 5.0),
        5,
        "more",
    )
    page = signed_in.get(reverse("line-today"), headers=at("/")).content.decode()
    assert "more than normal" in page
    assert "<strong>4</strong> not comparable" in page
    assert "15.0 % of 400 judged" in page
    assert "</a> by the model," in page
    assert f"{reverse('history')}?category=disc&amp;since={day}&amp;outcome=defective" in page
    counted[0] = (1000, 0, 0)
    assert pages.today(deployment_of(record)).deviation == "fewer"


def test_drift_of_the_scores_against_the_days_before(
    signed_in: Client, record: Inspection, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "drift" not in signed_in.get(reverse("line-today"), headers=at("/")).content.decode()
    day = timezone.localdate()
    scores = {0: [10.0 + n for n in range(50)]} | {ago: [20.0 + ago + n for n in range(31)] for ago in (1, 2, 5)}
    scores[3] = [900.0] * 19  # too few for a day that counts
    monkeypatch.setattr("inspection.line.pages._scores", lambda _, of: scores.get((day - of).days, []))
    cache.clear()
    found = pages.today(deployment_of(record))
    assert (found.score, found.baseline.scores, found.baseline.scores_of, found.drift) == (34.5, (36.0, 40.0), 3, "")
    assert "drift: none" in signed_in.get(reverse("line-today"), headers=at("/")).content.decode()
    scores[0] = [score + 20 for score in scores[0]]
    assert pages.today(deployment_of(record)).drift == "higher"
    assert "scores higher than normal" in signed_in.get(reverse("line-today"), headers=at("/")).content.decode()
    scores[0] = [score - 40 for score in scores[0]]
    assert pages.today(deployment_of(record)).drift == "lower"
    scores[0] = scores[0][:5]
    assert pages.today(deployment_of(record)).drift == "", "five scores say nothing of a median"


def test_today_counts_the_day(record: Inspection, operator: User) -> None:
    record_review(inspection=record, verdict="good", actor=operator)
    deployment = deployment_of(record)
    found = pages.today(deployment)
    assert (found.inspected, found.more, found.defective, found.overruled) == (1, False, 1, 1)
    assert (found.score, found.score_interval) == (record.score, None)
    deployment.category = ensure_category(name="nut")
    assert pages.today(deployment).share is None


@pytest.mark.parametrize("address", ["http://[", "no address", "http://testserver/?category=%ff&inspection=%00"])
def test_parts_asked_for_from_an_odd_address(signed_in: Client, record: Inspection, address: str) -> None:
    for name in ("line-status", "line-today"):
        headers = {"HX-Request": "true", "HX-Current-URL": address}
        assert signed_in.get(reverse(name), headers=headers).status_code == 200


def test_the_time_of_an_image_is_the_workers_median(signed_in: Client, record: Inspection) -> None:
    took = sum(value for step, value in record.timings.items() if step.endswith("_ms"))
    assert pages.median_time(record.model_version) == pytest.approx(took)
    assert f"median time <strong>{took:.0f} ms</strong>" in signed_in.get("/").content.decode()


def test_what_the_line_asks_of_the_database(
    signed_in: Client, record: Inspection, django_assert_num_queries: Any
) -> None:
    signed_in.get("/")  # the days before are counted once
    who, state, figures, cameras = 3, 10, 3, 1
    with django_assert_num_queries(who + state + figures + cameras):
        signed_in.get("/")
    with django_assert_num_queries(who + state):
        signed_in.get(reverse("line-status"), headers=at("/"))
    with django_assert_num_queries(who + 1 + figures):
        signed_in.get(reverse("line-today"), headers=at("/"))


def test_no_page_reaches_for_another_origin(signed_in: Client, record: Inspection) -> None:
    for path in ("/", reverse("inspection", args=[record.pk]), "/login/"):
        response = signed_in.get(path)
        if response.status_code == 302:
            continue
        assert not re.findall(r'(?:src|href|action)="(?:https?:)?//', response.content.decode())
        policy = response["Content-Security-Policy"]
        assert "default-src 'self'" in policy
        assert "unsafe" not in policy


def test_every_template_closes_what_it_opens() -> None:
    """One that closes too much throws the rest of its page out of the frame, and browsers say nothing."""
    tags = "article aside button details dialog div figure footer form header li main nav ol section table tbody ul"
    for path in Path("templates").rglob("*.html"):
        source = path.read_text()
        for tag in tags.split():
            assert len(re.findall(rf"<{tag}[\s>]", source)) == source.count(f"</{tag}>"), (path, tag)


def test_no_template_has_inline_scripts_or_styles() -> None:
    for path in Path("templates").rglob("*.html"):
        if "report" in path.parts:  # a document that is sent around, not a page of this site
            continue
        text = path.read_text()
        assert "<style" not in text
        assert not re.search(r"<script(?![^>]*src=)", text), path
        assert not re.search(r"\son\w+=", text), path
        assert not re.search(r"\sstyle=", text), path


ADMIN = ["records/auditevent", "records/asset", "accounts/apitoken", "modelzoo/category", "modelzoo/modelversion"]
ADMIN += ["modelzoo/threshold", "modelzoo/deployment", "training/dataset", "training/datasetimage"]
ADMIN += ["training/trainingrun", "training/evaluation", "inspection/inspection", "inspection/inspectionrequest"]
ADMIN += ["inspection/batchrun", "inspection/review", "tuning/rescoringrun", "retention/retentionpolicy"]
ADMIN += ["auth/user", "tuning/rescored", "monitoring/alarm", "monitoring/referencepart", "quality/containment"]
ADMIN += ["modelzoo/approval", "modelzoo/promotiongates", "quality/auditedshift", "quality/promiseresult"]


@pytest.mark.parametrize("name", ADMIN)
def test_every_model_is_in_the_admin_and_nothing_is_edited_there(
    admin_user: User, record: Inspection, name: str
) -> None:
    client = Client()
    client.force_login(admin_user)
    listed = client.get(f"/admin/{name}/", {"q": "a"})
    assert listed.status_code == 200
    assert client.get(f"/admin/{name}/add/").status_code == 403


def test_the_admin_cannot_delete_a_record(admin_user: User, record: Inspection) -> None:
    client = Client()
    client.force_login(admin_user)
    detail: Any = client.get(f"/admin/inspection/inspection/{record.pk}/change/")
    assert detail.status_code == 200
    assert client.post(f"/admin/inspection/inspection/{record.pk}/delete/", {"post": "yes"}).status_code == 403
    assert Inspection.objects.filter(pk=record.pk).exists()
