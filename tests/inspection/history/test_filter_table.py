"""Each filter is declared once; whatever reads, shows and documents filters knows every one of them."""

from __future__ import annotations

import html
import uuid
from typing import Any

import pytest
from django.http import QueryDict
from django.test import Client

from common.numbers import score_text
from inspection.benchmarks.synthetic import generate
from inspection.history.api import FILTER_PARAMETERS
from inspection.history.filters import FILTERS, Filters, parse_filters, split_arguments
from inspection.history.forms import HistoryForm
from inspection.history.pages import filter_options
from inspection.models import Inspection
from mvtec_site.client_shapes import current_schema

pytestmark = pytest.mark.django_db


def sample_values(record: Inspection) -> dict[str, str]:
    """For each filter a value; those of the record's own columns find it."""
    values: dict[str, Any] = {
        "period": "30d",
        "since": "2000-01-01",
        "until": "2100-01-01",
        "category": record.category.name,
        "score_min": -1e9,
        "score_max": 1e9,
        "model_version": record.model_version_id,
        "threshold": record.threshold_id,
        "threshold_revision": record.threshold.revision,
        "operator": record.standing.reviewer.get_username(),
        "serial": record.serial_number[:4],
        "search": record.serial_number,
        "batch": uuid.uuid4(),
        "image_sha256": record.asset.sha256,
        "reviewed": "yes",
        "review_verdict": record.standing.verdict,
        "reviewer": record.standing.reviewer.get_username(),
        "overruled": "no",
        "contested": "no",
    }
    return {name: str(values.get(name) or getattr(record, name)) for name in FILTERS}


def test_every_filter_is_known_to_parser_form_chips_and_api(signed_in: Client) -> None:
    generate(count=60, seed=7, tell=lambda _: None)
    record = Inspection.objects.filter(standing__isnull=False).select_related("asset", "category", "threshold")[0]
    options = filter_options()
    operations = [path["get"] for path in current_schema()["paths"].values() if "get" in path]
    [described] = [one["parameters"] for one in operations if one["operationId"] == "inspections"]
    for name, value in sample_values(record).items():
        one = FILTERS[name]
        filters = parse_filters({name: value})
        assert filters != Filters(), name
        assert Filters.from_dict(filters.as_dict()) == filters, name
        assert parse_filters(split_arguments([f"{name}={value}"])).as_dict().keys() == filters.as_dict().keys()
        filters.apply(Inspection.objects.all()).count()  # the database knows what it is looked up by

        form = HistoryForm(QueryDict(f"{name}={value}"), {}, options)
        in_groups = {legend: [field.name for field in fields] for legend, fields in form.groups()}
        if one.group is None:
            assert (name, value) in form.others
        else:
            assert form[name].label == one.label
            assert name == "search" or name in in_groups[one.group]

        page = html.unescape(signed_in.get("/inspections/", {name: value}).content.decode())
        assert f">{one.label}: " in page, name
        assert all(str(words) in page for words in one.shortcuts.values())

        assert name in {parameter.name for parameter in FILTER_PARAMETERS}
        [parameter] = [parameter for parameter in described if parameter["name"] == name]
        assert parameter.get("description", "") == one.help


def test_a_threshold_of_the_only_version_is_named_without_it(version: Any) -> None:
    threshold = version.thresholds.get()
    assert FILTERS["threshold"].in_words(str(threshold.pk)) == f"{score_text(threshold.value)} (revision 1)"
    assert FILTERS["threshold"].in_words("99999") == "99999"
