"""What-if over stored scores, and scoring the past again."""

from __future__ import annotations

import uuid

from drf_spectacular.utils import OpenApiExample, OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from common.api.pagination import PAGE_PARAMETERS, page_response
from common.api.parsers import JSONParser
from common.api.schema import problems
from common.api.validation import NoInput, parsed
from common.api.views import ApiView
from common.errors import UserError
from common.rights import Right
from inspection.history.api import FILTER_PARAMETERS
from inspection.history.filters import parse_filters
from modelzoo.selectors import find_version
from tuning.api import serializers
from tuning.rescoring import documents, selectors, services
from tuning.what_if import selectors as what_if
from tuning.what_if.estimates import Costs

_OWN = tuple(serializers.WhatIfInput().fields)


class WhatIfView(ApiView):
    """What any threshold would have done to the records that the filters mean, from their stored scores alone.

    `threshold` is the value that is asked about; which revision judged is `threshold_revision`. The records must be of
    one model version.
    """

    rights = {"GET": Right.READ}

    @extend_schema(
        parameters=[serializers.WhatIfInput, *(one for one in FILTER_PARAMETERS if one.name not in _OWN)],
        responses={200: serializers.WhatIfOutput, **problems()},
        operation_id="what_if",
    )
    def get(self, request: Request) -> Response:
        query = request.query_params
        values = parsed(serializers.WhatIfInput, {name: query[name] for name in _OWN if name in query})
        filters = parse_filters(query, other_names=_OWN, strict=True)
        costs = None
        if values["cost_escape"] is not None:
            costs = Costs(values["cost_false_reject"], values["cost_escape"])
        return Response(
            what_if.what_if(
                filters,
                threshold=values["threshold"],
                costs=costs,
                compare=values["compare"],
                bins=values["bins"],
                score_range=(values["curve_from"], values["curve_to"]),
                presets=values["presets"],
                percentile=values["percentile"],
                false_reject_rate=values["false_reject_rate"],
            )
        )


class RescoringsView(ApiView):
    """Runs that score records of the past again with another model version. The records stay what they are."""

    rights = {"GET": Right.READ, "POST": Right.TUNE}
    parser_classes = [JSONParser]

    @extend_schema(
        parameters=PAGE_PARAMETERS,
        responses={200: serializers.RescoringPageOutput, **problems()},
        operation_id="rescorings",
    )
    def get(self, request: Request) -> Response:
        runs = selectors.rescorings()
        return page_response(runs, request, documents.rescoring_document, ordering=("-created_at", "-id"))

    @extend_schema(
        request=serializers.RescoringInput,
        responses={202: serializers.RescoringOutput, **problems(415)},
        operation_id="create_rescoring",
        examples=[
            OpenApiExample(
                "last month, with the candidate",
                request_only=True,
                value={
                    "model_version": "7",
                    "filters": {"since": "2026-10-01", "until": "2026-10-31", "station": "east"},
                    "reason": "Would version 7 have detected the scratches that the customer sent back?",
                },
            )
        ],
    )
    def post(self, request: Request) -> Response:
        values = parsed(serializers.RescoringInput, request.data)
        run = services.request_rescoring(
            version=find_version(reference=values["model_version"], category=values["category"]),
            filters=parse_filters(values["filters"]),
            reason=values["reason"],
            actor=request.user,
            runtime_options={name: values[name] or "" for name in ("device", "runtime", "precision")},
        )
        document = documents.rescoring_document(run)
        return Response(document, status=202, headers={"Location": document["url"]})


class RescoringView(ApiView):
    """How far a run is, and its verdicts against those of the records and of the reviews."""

    rights = {"GET": Right.READ}

    @extend_schema(responses={200: serializers.RescoringDetailOutput, **problems()}, operation_id="rescoring")
    def get(self, request: Request, run_id: uuid.UUID) -> Response:
        run = selectors.find_rescoring(run_id)
        return Response(documents.rescoring_document(run) | {"summary": documents.rescoring_summary(run)})


class RescoringResultsView(ApiView):
    """Record by record, the last ones first."""

    rights = {"GET": Right.READ}

    @extend_schema(
        parameters=[
            OpenApiParameter(
                "changed", {"type": "string", "enum": ["yes", "no"]}, description="whether the outcome is another one"
            ),
            *PAGE_PARAMETERS,
        ],
        responses={200: serializers.RescoredPageOutput, **problems()},
        operation_id="rescoring_results",
    )
    def get(self, request: Request, run_id: uuid.UUID) -> Response:
        changed = request.query_params.get("changed", "")
        if changed not in ("", "yes", "no"):
            raise UserError("changed must be yes or no.", code="invalid")
        run = selectors.find_rescoring(run_id)
        results = selectors.rescored(run, changed=changed == "yes" if changed else None)
        return page_response(results, request, documents.rescored_document)


class CancelRescoringView(ApiView):
    """End a run now; the results that are there stay."""

    rights = {"POST": Right.TUNE}

    @extend_schema(
        request=None, responses={200: serializers.RescoringOutput, **problems(409)}, operation_id="cancel_rescoring"
    )
    def post(self, request: Request, run_id: uuid.UUID) -> Response:
        parsed(NoInput, request.data)
        run = services.cancel_rescoring(run=selectors.find_rescoring(run_id), actor=request.user)
        return Response(documents.rescoring_document(run))
