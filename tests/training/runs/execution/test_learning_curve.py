"""What ten more images are worth: measured when a version is trained, said by command, page and API."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.test import Client

from modelzoo.models import ModelVersion

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("lease_renewed_at_the_end")]


def train(folder: Path, *, as_json: bool, **options: Any) -> str:
    out, said = io.StringIO(), io.StringIO()
    small = ["n_features=12"] if options["model"] == "padim" else []
    call_command(
        "train",
        dataset=str(folder),
        image_size=64,
        backbone="efficientnet_lite0",
        option=small,
        json=as_json,
        stdout=out,
        stderr=said,
        **options,
    )
    return out.getvalue() if as_json else said.getvalue()


@pytest.mark.sqlite_is_enough
def test_padim_measures_a_curve_and_everybody_is_told(dataset_folder: Path, signed_in: Client) -> None:
    told = json.loads(train(dataset_folder, model="padim", as_json=True))["more_images"]
    version = ModelVersion.objects.get()
    assert version.learning_curve is not None
    assert [size for size, _ in version.learning_curve] == [6, 10]
    assert (told["n"], told["more"], told["requested_rate"]) == (12, 10, pytest.approx(0.1))
    assert told["score_fall"] is not None
    document = signed_in.get(f"/api/model-versions/{version.pk}/metrics").json()
    assert document["more_images"] == told
    assert told["sentence"] in " ".join(signed_in.get(f"/models/{version.pk}/").content.decode().split())
    assert told["sentence"].startswith("With 10 more good images, the smallest false-reject rate")


@pytest.mark.sqlite_is_enough
def test_patchcore_says_what_the_threshold_would_gain_and_no_more(dataset_folder: Path) -> None:
    text = train(dataset_folder, model="patchcore", as_json=False)
    assert "more       With 10 more good images, the smallest false-reject rate" in text
    assert "scores of new good parts" not in text
    assert ModelVersion.objects.get().learning_curve is None
