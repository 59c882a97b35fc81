"""The API of training runs: each view parses, calls one service or selector, answers."""

from __future__ import annotations

from http import HTTPStatus

from django.http import HttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from common.api.pagination import PAGE_PARAMETERS, page_response
from common.api.parsers import JSONParser
from common.api.schema import problems
from common.api.validation import NoInput, parsed, parsed_query
from common.api.views import ApiView, OneForm
from common.rights import Right
from modelzoo.selectors import find_version
from training.datasets import selectors
from training.runs import documents, services
from training.runs import selectors as runs_selectors
from training.runs import serializers as runs_serializers
from training.runs.ignore_masks.services import find_mask
from training.runs.options import threshold_rule
from training.runs.serializers import FullTrainingRunOutput

_RUN_ID = OpenApiParameter("run_id", OpenApiTypes.INT64, OpenApiParameter.PATH)


# ---------------------------------------------------------------- training runs
class TrainingRunsView(ApiView):
    """Training runs, newest first; a new one waits for a worker."""

    rights = {"GET": Right.READ, "POST": Right.TRAIN}
    parser_classes = [JSONParser]

    @extend_schema(
        parameters=[runs_serializers.TrainingRunListInput, *PAGE_PARAMETERS],
        responses={200: runs_serializers.TrainingRunPageOutput, **problems()},
        operation_id="training_runs",
    )
    def get(self, request: Request) -> Response:
        filters = parsed_query(runs_serializers.TrainingRunListInput, request)
        return page_response(documents.runs(**filters), request, documents.run_document)

    @extend_schema(
        request=runs_serializers.TrainingRunInput,
        responses={202: runs_serializers.FullTrainingRunOutput, **problems(409, 413, 415, 422)},
        operation_id="start_training_run",
        examples=[
            OpenApiExample(
                "a PaDiM that rejects at most every twentieth good part",
                value={
                    "dataset": "screw",
                    "algorithm": "padim",
                    "options": {"image_size": 320, "n_features": 150},
                    "seed": 1,
                    "calibration": {"method": "conformal", "false_reject_rate": 0.05},
                },
                request_only=True,
            )
        ],
    )
    def post(self, request: Request) -> Response:
        fields = parsed(runs_serializers.TrainingRunInput, request.data)
        mask_version = fields["ignore_mask_version"]
        run = services.queue_run(
            dataset=selectors.resolve_dataset(fields["dataset"]),
            algorithm=fields["algorithm"],
            options=fields["options"],
            calibration=fields["calibration"] or threshold_rule(),
            seed=fields["seed"],
            actor=request.user,
            ignore_mask=find_mask(fields["ignore_mask"]) if fields["ignore_mask"] else None,
            ignore_mask_version=find_version(reference=str(mask_version)) if mask_version else None,
        )
        return Response(
            documents.full_run_document(runs_selectors.find_run(run.pk)),
            status=HTTPStatus.ACCEPTED,
            headers={"Location": f"/api/training-runs/{run.pk}"},
        )


class TrainingRunView(ApiView):
    """One run: how far it is, its losses, what came of it."""

    rights = {"GET": Right.READ}

    @extend_schema(
        parameters=[_RUN_ID],
        responses={200: runs_serializers.FullTrainingRunOutput, **problems()},
        operation_id="training_run",
    )
    def get(self, request: Request, run_id: str) -> Response:
        return Response(documents.full_run_document(runs_selectors.find_run(int(run_id))))


class CancelView(ApiView):
    """Ask a run to stop. A queued one ends at once, a running one at its next step."""

    rights = {"POST": Right.TRAIN}

    @extend_schema(
        parameters=[_RUN_ID],
        request=None,
        responses={200: runs_serializers.FullTrainingRunOutput, **problems(409)},
        operation_id="cancel_training_run",
    )
    def post(self, request: Request, run_id: str) -> Response:
        parsed(NoInput, request.data)
        run = services.cancel_run(run_id=int(run_id), actor=request.user)
        return Response(documents.full_run_document(runs_selectors.find_run(run.pk)))


class LogView(ApiView):
    """What a run has said, from a place on. Ask again with `X-Next-Offset` for what came since."""

    rights = {"GET": Right.READ}
    content_negotiation_class = OneForm

    @extend_schema(
        parameters=[
            _RUN_ID,
            runs_serializers.LogInput,
            OpenApiParameter(
                "X-Log-Offset",
                OpenApiTypes.INT64,
                OpenApiParameter.HEADER,
                response=[200],
                description=("where the text begins: later than requested if the beginning of a long log was left out"),
            ),
            OpenApiParameter(
                "X-Next-Offset",
                OpenApiTypes.INT64,
                OpenApiParameter.HEADER,
                response=[200],
                description="where the next piece begins",
            ),
        ],
        responses={(200, "text/plain"): OpenApiTypes.STR, **problems()},
        operation_id="training_run_log",
    )
    def get(self, request: Request, run_id: str) -> HttpResponse:
        query = parsed_query(runs_serializers.LogInput, request)
        text, begins, ends = documents.log_from(runs_selectors.find_run(int(run_id)), query["offset"])
        headers = {"X-Log-Offset": str(begins), "X-Next-Offset": str(ends)}
        return HttpResponse(text, content_type="text/plain; charset=utf-8", headers=headers)


class ExtendInput(serializers.Serializer):
    dataset = serializers.CharField(max_length=100, help_text="its name, then the newest snapshot is meant, or its id")


class ExtendView(ApiView):
    """Let a version learn from the good training images of a data set; a new candidate comes of it."""

    rights = {"POST": Right.TRAIN}
    parser_classes = [JSONParser]

    @extend_schema(
        parameters=[OpenApiParameter("version_id", OpenApiTypes.INT64, OpenApiParameter.PATH)],
        request=ExtendInput,
        responses={202: FullTrainingRunOutput, **problems(409, 415)},
        operation_id="extend_model_version",
        examples=[OpenApiExample("hard good examples", value={"dataset": "screw-hard"}, request_only=True)],
    )
    def post(self, request: Request, version_id: str) -> Response:
        fields = parsed(ExtendInput, request.data)
        run = services.queue_extension(
            version=find_version(reference=version_id),
            dataset=selectors.resolve_dataset(fields["dataset"]),
            actor=request.user,
        )
        return Response(
            documents.full_run_document(runs_selectors.find_run(run.pk)),
            status=HTTPStatus.ACCEPTED,
            headers={"Location": f"/api/training-runs/{run.pk}"},
        )
