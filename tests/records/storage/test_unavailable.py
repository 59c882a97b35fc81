"""What callers see of an object storage that does not answer: a sentence with 503, and nothing kept."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse

from inspection.models import InspectionRequest
from modelzoo.models import Deployment, ModelVersion
from records.models import Asset
from tests import parts
from tests.object_storage import Bucket
from tests.retention.test_services import record

pytestmark = pytest.mark.django_db


@pytest.fixture
def away(settings: Any) -> None:
    gone = Bucket("http://127.0.0.1:1", "any").storage("media", timeout=0.3, attempts=1)
    settings.STORAGES = settings.STORAGES | {"default": gone}


def test_an_image_that_cannot_be_stored_is_refused(deployment: Deployment, signed_in: Client, away: None) -> None:
    image = SimpleUploadedFile("a.png", parts.png(1), "image/png")
    answer = signed_in.post("/api/test_image", {"image": image})
    assert (answer.status_code, answer.json()["code"]) == (503, "storage_unavailable")
    assert "Nothing was kept" in answer.json()["detail"]
    assert not Asset.objects.exists()
    assert not InspectionRequest.objects.exists()


def test_a_stored_image_cannot_be_shown_for_now(
    version: ModelVersion, signed_in: Client, request: pytest.FixtureRequest
) -> None:
    kept = record(version, "kept")
    request.getfixturevalue("away")
    answer = signed_in.get(f"/api/inspections/{kept.pk}/image")
    assert (answer.status_code, answer.json()["code"]) == (503, "storage_unavailable")


def test_a_page_that_needs_a_file_says_so(signed_in: Client) -> None:
    """As Django calls it for whatever a view raises."""
    from django.test import RequestFactory

    from mvtec_site.views import server_error
    from records.storage.errors import StorageUnavailable

    asked = RequestFactory().get(reverse("models"))
    asked.user = signed_in.get(reverse("line")).wsgi_request.user
    try:
        raise StorageUnavailable("The object storage does not answer.")
    except StorageUnavailable:
        page = server_error(asked)
    assert page.status_code == 503
    assert "The object storage does not answer." in page.content.decode()
