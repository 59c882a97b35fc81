"""The page of one record: what it shows to whom, what can be said of it, and its certificate."""

from __future__ import annotations

import io
import json
import re
from typing import Any

import numpy as np
import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import override
from PIL import Image
from pypdf import PdfReader

from inspection.history.filters import Filters
from inspection.judging import services
from inspection.models import Inspection, Review
from inspection.record import pages, similar
from inspection.record.certificate import draw_certificate
from inspection.reviews.services import record_review, undo_reviews
from modelzoo.models import Deployment, ModelVersion
from records.audit.services import audit
from records.models import Asset, AuditEvent
from tests import parts

pytestmark = pytest.mark.django_db
HTMX = {"HX-Request": "true"}


def judge(version: ModelVersion, seed: int = 3, *, defective: bool = True, **said: str) -> Inspection:
    return services.inspect_here(
        data=parts.png(seed, defective=defective),
        submission=services.Submission(
            filename=f"part {seed}.png", source="command", actor=None, part=services.PartContext(**said)
        ),
        version=version,
    )


@pytest.fixture
def record(version: ModelVersion, deployment: Deployment) -> Inspection:
    return judge(version, serial_number="SN-1", lot="L3")


def as_person(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def address(record: Inspection, name: str = "inspection") -> str:
    return reverse(name, args=[record.pk])


def page_of(client: Client, record: Inspection, query: str = "") -> str:
    response = client.get(address(record) + query)
    assert response.status_code == 200
    return response.content.decode()


# ---------------------------------------------------------------- what it shows
def test_it_shows_where_the_score_lies_and_what_was_in_force(signed_in: Client, record: Inspection) -> None:
    page = page_of(signed_in, record)
    assert "<h1>part 3.png</h1>" in page
    assert f'<a href="{reverse("history")}"' in page.partition("</nav>")[0]
    assert "12 held-out good parts" in page
    assert "this part" in page
    assert "p-value 0.077" in page
    assert "revision 1, Percentile, by the system" in page
    assert record.threshold.reason in page
    assert "decode and prepare" in page
    assert record.asset.sha256 in page
    assert record.model_version.artifact_sha256 in page
    assert "none: judged by a command" in page
    assert "Not reviewed" in page


def test_the_list_of_regions_leads_to_each(signed_in: Client, record: Inspection) -> None:
    page = page_of(signed_in, record)
    views = re.findall(r'href="#view=([\d.]+),([\d.]+),([\d.]+)"', page)
    assert record.regions
    assert len(views) == len(record.regions)
    for (zoom, x, y), region in zip(views, record.regions, strict=True):
        assert 2 <= float(zoom) <= 12
        assert abs(float(x) * parts.SIDE - region["x"] - region["width"] / 2) < 0.1
        assert abs(float(y) * parts.SIDE - region["y"] - region["height"] / 2) < 0.1


def test_a_score_far_out_leaves_room_for_the_good_parts() -> None:
    version = ModelVersion(held_out_scores=[1.0, 1.2, 1.4, 2.0])
    for score in (0.1, 1.3, 2.1, 2.4, 900.0):
        record = Inspection(model_version=version, score=score, threshold_value=2.0, outcome="good")
        chart = pages.score_chart(record)
        assert chart
        assert sum(int(row[-1]) for row in chart.rows) == 4
        assert all(0 <= mark.at <= 100 for mark in chart.marks)
        labels = " ".join(mark.label for mark in chart.marks)
        assert f"this part {score:.4g}" in labels
        assert "threshold 2" in labels
        assert ("→" in labels) == (score == 900)
        threshold = next(mark.at for mark in chart.marks if mark.kind == "threshold")
        assert threshold > 20
    assert pages.score_chart(Inspection(model_version=version, score=None, threshold_value=2.0)) is None


def test_each_role_gets_what_it_may(
    signed_in: Client, operator: User, auditor: User, administrator: User, record: Inspection
) -> None:
    record_review(inspection=record, verdict="good", actor=operator)
    for client, reviews, reads_log in (
        (signed_in, True, False),
        (as_person(operator), True, False),
        (as_person(auditor), False, True),
        (as_person(administrator), True, True),
    ):
        page = page_of(client, record)
        assert ('id="review"' in page) == reviews
        assert ("inspection.recorded" in page) == reads_log
        assert ("review.recorded" in page) == reads_log
        assert ("Judged defective by disc v1" in page) != reads_log
    assert Client().get(address(record)).status_code == 302
    refused = as_person(auditor).post(address(record, "inspection-review"), {"verdict": "good"})
    assert refused.status_code == 403
    assert Review.objects.count() == 1


def test_what_is_not_there_is_not_found(signed_in: Client) -> None:
    nobody = "00000000-0000-0000-0000-000000000000"
    for name in ("inspection", "inspection-similar", "inspection-certificate"):
        assert signed_in.get(reverse(name, args=[nobody])).status_code == 404
    assert signed_in.post(reverse("inspection-review", args=[nobody]), {"verdict": "good"}).status_code == 404


# ---------------------------------------------------------------- among others
def test_newer_and_older_stay_within_the_filter(signed_in: Client, version: ModelVersion) -> None:
    records = [judge(version, seed, defective=seed % 2 == 1) for seed in range(4)]  # defective: 1 and 3
    good, outcome = records[2], "outcome=good"
    assert pages.neighbours(good, Filters()) == (records[3].pk, records[1].pk)
    assert pages.neighbours(good, Filters(outcome=("good",))) == (None, records[0].pk)
    # The record need not be one of them.
    assert pages.neighbours(good, Filters(outcome=("defective",))) == (records[3].pk, records[1].pk)
    page = page_of(signed_in, good, f"?{outcome}")
    assert f'href="{address(records[0])}?{outcome}"' in page
    assert f'href="{reverse("history")}?{outcome}"' in page
    assert 'rel="prev"' not in page
    assert 'rel="next"' in page


def test_reviewed_records_follow_each_other_too(version: ModelVersion, operator: User) -> None:
    first, middle, last = (judge(version, seed) for seed in range(3))
    for record in (last, first):
        record_review(inspection=record, verdict="good", actor=operator)
    assert pages.neighbours(middle, Filters(overruled=True)) == (last.pk, first.pk)
    assert pages.neighbours(first, Filters(reviewer=operator)) == (last.pk, None)


def test_a_filter_that_is_none_leads_nowhere(signed_in: Client, version: ModelVersion) -> None:
    judge(version, 1)
    record = judge(version, 2)
    page = page_of(signed_in, record, "?score_min=nan")
    assert "score_min must be a finite number" in page
    assert "rel=" not in page.partition("<main")[2]
    assert "part 2.png" in page


def test_the_same_part_is_shown_with_its_other_inspections(signed_in: Client, record: Inspection) -> None:
    assert "This is its only inspection." in page_of(signed_in, record)
    again = judge(record.model_version, 5, serial_number="SN-1")
    judge(record.model_version, 6, serial_number="SN-2")
    assert pages.same_part(record) == [again]
    assert address(again) in page_of(signed_in, record)


def test_nothing_similar_is_said_where_nothing_is(
    signed_in: Client, version: ModelVersion, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = judge(version, 1)
    for seed in range(4, 8):
        judge(version, seed, defective=False)
    assert all(case.likeness >= similar.MIN_LIKENESS for case in similar.similar(record))
    monkeypatch.setattr(similar, "MIN_LIKENESS", 1.01)
    assert similar.similar(record) == []
    page = signed_in.get(address(record, "inspection-similar")).content.decode()
    assert "No similar part" in page
    assert "200 records of" in page, "200 is the limit and not the number of records"


def test_similar_cases_have_the_same_pattern(
    signed_in: Client, version: ModelVersion, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = judge(version, 1)
    judge(version, 1)  # the same image says nothing
    others = [judge(version, seed, defective=seed < 8) for seed in range(4, 12)]
    monkeypatch.setattr(similar, "MIN_LIKENESS", -1.0)
    found = similar.similar(record)
    assert len(found) == 6
    likeness = [case.likeness for case in found]
    assert likeness == sorted(likeness, reverse=True)
    assert all(-1.001 <= value <= 1.001 for value in likeness)
    assert {case.record.pk for case in found} <= {other.pk for other in others}
    partial = signed_in.get(address(record, "inspection-similar"), headers=HTMX).content.decode()
    whole = signed_in.get(address(record, "inspection-similar")).content.decode()
    assert "Similar: the anomaly map" in partial
    assert "<main" not in partial
    assert "<main" in whole
    assert all(address(case.record) in answer for case in found for answer in (partial, whole))
    mine, theirs = (similar._pattern(str(one.map.file.name)) for one in (record, found[0].record))  # type: ignore[union-attr]
    assert np.isclose(float(mine @ theirs), likeness[0])  # type: ignore[operator]


def test_what_has_no_map_has_no_similar_cases(signed_in: Client, version: ModelVersion, blank: bytes) -> None:
    odd = services.inspect_here(
        data=blank,
        submission=services.Submission(filename="empty.png", source="command", actor=None),
        version=version,
    )
    assert similar.similar(odd) == []
    assert "is not comparable" in signed_in.get(address(odd, "inspection-similar")).content.decode()
    assert 'class="chart"' not in page_of(signed_in, odd)


# ---------------------------------------------------------------- what is said of it
def test_a_plain_form_reviews_and_comes_back(signed_in: Client, record: Inspection) -> None:
    said = {
        "verdict": "defective",
        "defect_type": "scratch",
        "comment": "as long\nas <b>a nail</b>",
        "regions": "10 20 30 12\n\n 1,2, 3,4 ",
        "expected_reviews": "0",
    }
    response = signed_in.post(address(record, "inspection-review") + "?outcome=defective", said)
    assert response.status_code == 302
    assert response["Location"] == f"{address(record)}?outcome=defective#reviews"
    review = Review.objects.get()
    assert (review.verdict, review.defect_type, review.agrees) == ("defective", "scratch", True)
    assert review.regions == [
        {"x": 10, "y": 20, "width": 30, "height": 12},
        {"x": 1, "y": 2, "width": 3, "height": 4},
    ]
    page = page_of(signed_in, record)
    assert "as long<br>as &lt;b&gt;a nail&lt;/b&gt;" in page
    assert page.count('class="said"') == 2
    assert "olga" in page.partition('id="standing"')[2].partition("</div>")[0]
    assert "<option>scratch</option>" in page
    assert 'name="expected_reviews" value="1"' in page


def test_htmx_gets_the_thread_and_what_else_changed(signed_in: Client, record: Inspection) -> None:
    response = signed_in.post(
        address(record, "inspection-review"), {"verdict": "good", "expected_reviews": "0"}, headers=HTMX
    )
    assert response.status_code == 200
    review = Review.objects.get()
    toast = {"text": "part 3.png reviewed as GOOD.", "undo": [review.pk]}
    assert json.loads(response["HX-Trigger"]) == {"toast": toast, "reviewed": {}}
    answer = response.content.decode()
    assert "<main" not in answer
    for part in ('id="reviews"', 'id="standing"', 'id="life"', "overrules the model"):
        assert part in answer
    # The person's word leads: banner and title; the model's stays visible beside it.
    banner = answer.partition('id="standing"')[2].partition("</div>")[0]
    assert 'class="human good"' in banner
    assert "model: DEFECT" in banner
    assert 'class="badge' not in banner
    assert "<title>GOOD, olga · part 3.png · " in answer
    assert 'class="badge defective' in answer.partition('id="reviews"')[2].partition("</section>")[0]


def test_a_plain_form_gets_a_message_with_undo_and_undo_restores(signed_in: Client, record: Inspection) -> None:
    response = signed_in.post(address(record, "inspection-review") + "?lot=L3", {"verdict": "good"})
    page = signed_in.get(response["Location"]).content.decode()
    toast = page.partition('class="toast')[2].partition("</form>")[0]
    assert "part 3.png reviewed as GOOD." in toast
    review = Review.objects.get()
    assert f'name="review" value="{review.pk}"' in toast
    here = f"{address(record)}?lot=L3"
    assert f'name="next" value="{here}"' in toast
    undone = signed_in.post(reverse("reviews-undo"), {"review": review.pk, "next": here})
    assert undone["Location"] == here
    page = signed_in.get(here).content.decode()
    assert "Undone: part 3.png is not reviewed." in page
    assert "<title>DEFECT · part 3.png · " in page
    assert "WITHDRAWN" in page.partition('id="reviews"')[2].partition("</ol>")[0]
    assert 'name="expected_reviews" value="2"' in page


def test_a_review_moves_on_where_that_was_asked_for(
    signed_in: Client, version: ModelVersion, record: Inspection
) -> None:
    newer = judge(version, 4, lot="L3")
    said = {"verdict": "good", "then": "next"}
    response = signed_in.post(address(newer, "inspection-review") + "?lot=L3", said, headers=HTMX)
    assert response["HX-Redirect"] == f"{address(record)}?lot=L3"
    assert "part 4.png reviewed as GOOD." in signed_in.get(response["HX-Redirect"]).content.decode()
    # The last of them stays where it is.
    response = signed_in.post(address(record, "inspection-review") + "?lot=L3", said)
    assert response["Location"] == f"{address(record)}?lot=L3#reviews"


def test_an_overruled_part_reads_as_the_person_said_everywhere(
    signed_in: Client, version: ModelVersion, operator: User
) -> None:
    passed = judge(version, 5, defective=False, serial_number="SN-9")
    again = judge(version, 6, defective=False, serial_number="SN-9")
    record_review(inspection=passed, verdict="defective", defect_type="burr", actor=operator)
    page = page_of(signed_in, passed)
    assert "<title>DEFECT, otto · part 5.png · " in page
    banner = page.partition('id="standing"')[2].partition("</div>")[0]
    assert "model: GOOD" in banner
    assert 'class="badge' not in banner
    case = page_of(signed_in, again).partition(f'<a href="{address(passed)}">')[2].partition("</li>")[0]
    assert 'class="human defective"' in case
    assert 'class="badge' not in case
    text = text_of(signed_in.get(address(passed, "inspection-certificate")).content)
    assert "Inspection certificate: DEFECT, otto" in text
    assert "otto reviewed this part as DEFECT (burr) on" in text
    assert "model: GOOD" in text


@pytest.mark.parametrize(
    ("said", "status", "words"),
    [
        ({"verdict": "perhaps"}, 400, "good or defective"),
        ({"verdict": ""}, 400, "good or defective"),
        ({"verdict": "good", "defect_type": "scratch"}, 400, "Only a defect has"),
        ({"verdict": "defective", "regions": "1 2 3"}, 400, "four whole numbers"),
        ({"verdict": "defective", "regions": "1 2 3 9999999999"}, 400, "four whole numbers"),
        ({"verdict": "defective", "regions": "90 90 30 30"}, 400, "is not inside the image"),
        ({"verdict": "defective", "comment": "a\0b"}, 400, "invalid character"),
        ({"verdict": "defective", "expected_reviews": "many"}, 400, "whole number"),
        ({"verdict": "defective", "expected_reviews": "3"}, 409, "now has 0 reviews"),
    ],
)
def test_what_is_no_review_says_why_and_keeps_what_was_written(
    signed_in: Client, record: Inspection, said: dict[str, str], status: int, words: str
) -> None:
    given = {"comment": "I looked twice", "defect_type": "", **said}
    response = signed_in.post(address(record, "inspection-review"), given)
    page = response.content.decode()
    assert response.status_code == status
    assert "The review was not saved." in page
    assert words in page
    assert "<h1>part 3.png</h1>" in page
    if "comment" not in said:
        assert "I looked twice" in page
    # htmx swaps answers of 2xx only.
    assert signed_in.post(address(record, "inspection-review"), given, headers=HTMX).status_code == 200
    assert not Review.objects.exists()


def test_nobody_overrules_what_they_have_not_seen(signed_in: Client, operator: User, record: Inspection) -> None:
    record_review(inspection=record, verdict="defective", actor=operator, comment="mind the edge")
    response = signed_in.post(address(record, "inspection-review"), {"verdict": "good", "expected_reviews": "0"})
    page = response.content.decode()
    assert response.status_code == 409
    assert "mind the edge" in page
    assert 'name="expected_reviews" value="1"' in page
    assert Review.objects.count() == 1


# ---------------------------------------------------------------- what retention took
def discard(asset: Asset | None, *, tell: bool = True) -> None:
    assert asset
    Asset.objects.filter(pk=asset.pk).update(discarded_at=timezone.now(), file="")
    if tell:
        after = {"category": "disc", "policy_revision": 4, "dry_run": False, "files": [{"sha256": asset.sha256}]}
        audit(kind="retention.discarded", subject=("retention.retentionrun", "1"), actor=None, after=after)


def test_a_removed_image_is_said_to_be_so(signed_in: Client, administrator: User, record: Inspection) -> None:
    discard(record.asset)
    page = page_of(signed_in, record)
    assert "The image was deleted by retention" in page
    assert "By revision 4 of the retention rule of disc." in page
    assert "Image removed" in page
    assert address(record, "inspection-image") not in page
    assert address(record, "inspection-overlay") in page  # the map is still there
    assert "retention.discarded" in page_of(as_person(administrator), record)
    discard(record.map, tell=False)
    page = page_of(signed_in, record)
    assert address(record, "inspection-overlay") not in page
    assert "The anomaly map was deleted by retention" in page
    assert similar.similar(pages.open_record(record.pk)) == []


# ---------------------------------------------------------------- the certificate
def text_of(pdf: bytes) -> str:
    return " ".join(" ".join(page.extract_text() for page in PdfReader(io.BytesIO(pdf)).pages).split())


def pictures_in(pdf: bytes) -> int:
    return sum(len(page.images) for page in PdfReader(io.BytesIO(pdf)).pages)


def test_a_certificate_says_what_the_record_says(signed_in: Client, operator: User, record: Inspection) -> None:
    record_review(inspection=record, verdict="good", actor=operator, comment="ein Fussel, 毛 <i>")
    response = signed_in.get(address(record, "inspection-certificate"))
    assert response.status_code == 200
    assert response["Content-Type"] == "application/pdf"
    assert f"certificate-{record.pk}.pdf" in response["Content-Disposition"]
    text = text_of(response.content)
    version = record.model_version
    written = AuditEvent.objects.get(kind="inspection.recorded")
    assert record.score is not None
    for said in (
        *("DEFECT", "part 3.png", "SN-1", "L3", str(record.pk), f"{record.score:.6g}", f"{record.threshold_value:.6g}"),
        *("above all 12 held-out good parts".capitalize(), "revision 1", "otto", "GOOD, overrules the model"),
        *("ein Fussel, [U+6BDB] <i>", "by olga", f"{written.sequence} of "),
    ):
        assert said in text, said
    for digest in (record.asset.sha256, version.artifact_sha256, version.backbone_sha256, written.hash):
        assert digest in text.replace(" ", ""), digest
    assert pictures_in(response.content) == 2
    made = AuditEvent.objects.get(kind="certificate.made")
    assert made.object_id == str(record.pk)
    assert made.actor_name == "olga"


def test_the_same_certificate_twice_is_the_same_file(record: Inspection) -> None:
    shown = pages.open_record(record.pk)
    same: dict[str, Any] = {"reviews": [], "event": pages.recorded_by(shown), "at": record.created_at, "by": "olga"}
    first, second = (draw_certificate(shown, **same) for _ in range(2))
    assert first == second
    assert "the verdict is the model's only" in text_of(first)


def test_a_certificate_is_english_for_german_readers_too(record: Inspection) -> None:
    discard(record.asset)
    shown = pages.open_record(record.pk)
    same: dict[str, Any] = {"reviews": [], "event": pages.recorded_by(shown), "at": record.created_at, "by": "olga"}
    english = draw_certificate(shown, **same)
    with override("de"):
        assert draw_certificate(shown, **same) == english
        assert "Aufbewahrungsregel" in pages.removal(shown), "what pages show"


def test_a_certificate_of_many_words_has_more_pages(operator: User, record: Inspection) -> None:
    for _ in range(12):
        record_review(inspection=record, verdict="defective", actor=operator, comment="word " * 390)
    shown = pages.open_record(record.pk)
    made = draw_certificate(
        shown, reviews=pages.reviews_of(shown), event=pages.recorded_by(shown), at=record.created_at, by="olga"
    )
    assert len(PdfReader(io.BytesIO(made)).pages) > 2
    assert text_of(made).count("word") == 12 * 390


@pytest.mark.parametrize("comment", ["a\r\n" * 900, "\u4e2d" * 2000])
@pytest.mark.slow
def test_a_certificate_takes_a_comment_that_is_longer_than_a_page(
    signed_in: Client, operator: User, record: Inspection, comment: str
) -> None:
    record_review(inspection=record, verdict="defective", actor=operator, comment=comment)
    response = signed_in.get(address(record, "inspection-certificate"))
    assert response.status_code == 200
    assert "U+000D" not in text_of(response.content)


def test_a_certificate_says_that_the_image_is_gone(auditor: User, record: Inspection) -> None:
    discard(record.map)
    made = as_person(auditor).get(address(record, "inspection-certificate")).content
    assert "Without its anomaly map" in text_of(made)
    assert pictures_in(made) == 1
    discard(record.asset)
    made = as_person(auditor).get(address(record, "inspection-certificate")).content
    assert "was deleted by retention" in text_of(made)
    assert "By revision 4 of the retention rule of disc." in text_of(made)
    assert pictures_in(made) == 0


def test_a_certificate_of_what_no_model_judged(
    signed_in: Client, operator: User, version: ModelVersion, blank: bytes
) -> None:
    odd = services.inspect_here(
        data=blank,
        submission=services.Submission(filename="empty.png", source="command", actor=None),
        version=version,
    )
    text = text_of(signed_in.get(address(odd, "inspection-certificate")).content)
    assert "NOT COMPARABLE" in text
    assert "the model could not judge this part" in text
    assert "the part has no verdict" in text
    for claim in ("EvaluatedImage", "judged by", "as judged", "the model's only", "model said"):
        assert claim not in text, claim
    page = signed_in.get(address(odd)).content.decode()
    assert "Judged with" not in page
    assert "no model has judged it" in page
    record_review(inspection=odd, verdict="good", actor=operator)
    text = text_of(signed_in.get(address(odd, "inspection-certificate")).content)
    assert "otto reviewed this part as GOOD on " in text
    assert "the model gave no verdict" in text
    assert "model said" not in text
    page = signed_in.get(address(odd)).content.decode()
    assert "no model has judged it" not in page, "a person has"
    assert "model: GOOD" not in page


def test_a_wide_image_fits(version: ModelVersion, signed_in: Client) -> None:
    with io.BytesIO() as out:
        Image.new("RGB", (600, 40), (90, 120, 90)).save(out, "PNG")
        data = out.getvalue()
    wide = services.inspect_here(
        data=data,
        submission=services.Submission(filename="wide.png", source="command", actor=None),
        version=version,
    )
    assert signed_in.get(address(wide, "inspection-certificate")).status_code == 200
    assert page_of(signed_in, wide)


# ---------------------------------------------------------------- how much it asks
def test_it_asks_the_database_the_same_however_much_there_is(
    administrator: User, operator: User, version: ModelVersion, deployment: Deployment
) -> None:
    client = as_person(administrator)
    record = judge(version, 3, serial_number="SN-1")
    record_review(inspection=record, verdict="good", actor=operator)
    judge(version, 4, serial_number="SN-1")

    def queries() -> int:
        with CaptureQueriesContext(
            connection,
        ) as asked:
            page_of(client, record, "?outcome=defective")
        return len(asked)

    queries()
    few = queries()
    for seed in range(5, 9):
        judge(version, seed, serial_number="SN-1")
        record_review(inspection=record, verdict="defective", actor=administrator, defect_type=f"kind {seed}")
    assert queries() == few
    assert few <= 16


def test_a_name_that_claims_another_format_is_a_remark_on_the_record(
    version: ModelVersion, deployment: Deployment, user: User
) -> None:
    record = services.inspect_here(
        data=parts.png(3),
        submission=services.Submission(filename="part.jpg", source="command", actor=None),
        version=version,
    )
    shown = page_of(as_person(user), record)
    assert "The name ends in .jpg, the content is PNG; the content counts." in shown
    assert f"PNG, {record.asset.width}" in shown


def test_who_may_not_read_the_log_is_told_that_an_undo_left_the_record_unreviewed(
    record: Inspection, operator: User
) -> None:
    review = record_review(inspection=record, verdict="good", actor=operator)
    undo_reviews(reviews=[review], actor=operator)
    page = page_of(as_person(operator), record)
    life = page.partition('id="life"')[2].partition("</section>")[0]
    assert "Review undone: not reviewed again" in life
    assert "WITHDRAWN" not in life


def test_a_place_that_was_marked_by_a_review_that_was_undone_is_drawn_no_more(
    signed_in: Client, user: User, record: Inspection
) -> None:
    box = {"x": 3, "y": 5, "width": 17, "height": 19}
    drawn = '<rect class="said" x="3" y="5" width="17" height="19" />'
    review = record_review(inspection=record, verdict="defective", regions=[box], actor=user)
    assert page_of(signed_in, record).count(drawn) == 1
    [undo] = undo_reviews(reviews=[review], actor=user)
    assert drawn not in page_of(signed_in, record)
    undo_reviews(reviews=[undo], actor=user)
    assert page_of(signed_in, record).count(drawn) == 1


def test_who_reviewed_it_last_can_undo_that_on_its_page(operator: User, user: User, record: Inspection) -> None:
    review = record_review(inspection=record, verdict="good", actor=operator)
    own = as_person(operator).get(address(record)).content.decode()
    assert "Undo my review" in own
    assert f'name="review" value="{review.pk}"' in " ".join(own.split())
    assert "Undo my review" not in as_person(user).get(address(record)).content.decode(), "of somebody else"
    undo_reviews(reviews=[review], actor=operator)
    assert "Undo my review" not in as_person(operator).get(address(record)).content.decode()


def test_good_stands_left_of_defect_on_every_page(operator: User, record: Inspection) -> None:
    """One order, and the type of the defect is asked for in the same field."""
    client = as_person(operator)
    for where in (f"/?inspection={record.pk}", address(record), "/inspections/"):
        page = client.get(where).content.decode()
        assert page.index('name="verdict" value="good"') < page.index('name="verdict" value="defective"'), where
        assert 'id="defect_type"' in page
