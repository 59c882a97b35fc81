"""Data sets and training runs. Each view parses, calls one service or selector, answers."""

from __future__ import annotations

from http import HTTPStatus

from django.http import HttpResponse, HttpResponseBase
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from common.api.base import (
    PAGE_PARAMETERS,
    ApiView,
    NoInput,
    OneForm,
    immutable,
    page_response,
    parsed,
    parsed_query,
    problems,
)
from common.api.parsers import JSONParser, MultiPartParser
from common.errors import NotFound
from common.rights import Right
from records.models import Asset
from training.api import serializers as shapes
from training.datasets import documents as datasets_documents
from training.datasets import selectors as datasets_selectors
from training.datasets.imports import import_upload
from training.datasets.layouts.scan import LabelNames
from training.runs import documents as runs_documents
from training.runs import selectors as runs_selectors
from training.runs import services as runs_services
from training.runs.options import threshold_rule

_DATASET_ID = OpenApiParameter("dataset_id", OpenApiTypes.INT64, OpenApiParameter.PATH)
_IMAGE_ID = OpenApiParameter("image_id", OpenApiTypes.INT64, OpenApiParameter.PATH)
_RUN_ID = OpenApiParameter("run_id", OpenApiTypes.INT64, OpenApiParameter.PATH)


# ---------------------------------------------------------------- data sets
class DatasetsView(ApiView):
    """Snapshots of images and labels, newest first; a new one is sent as an archive."""

    rights = {"GET": Right.READ, "POST": Right.TRAIN}
    parser_classes = [MultiPartParser]

    @extend_schema(
        parameters=[shapes.DatasetListInput, *PAGE_PARAMETERS],
        responses={200: shapes.DatasetPageOutput, **problems()},
        operation_id="datasets",
    )
    def get(self, request: Request) -> Response:
        given = parsed_query(shapes.DatasetListInput, request)
        return page_response(datasets_documents.datasets(**given), request, datasets_documents.dataset_document)

    @extend_schema(
        request={"multipart/form-data": shapes.DatasetUploadInput},
        responses={
            200: shapes.ImportedDatasetOutput(many=True),
            201: shapes.ImportedDatasetOutput(many=True),
            **problems(409, 413, 415, 422, 507),
        },
        operation_id="import_datasets",
        examples=[OpenApiExample("an archive", value={"archive": "screw.zip", "name": "screw"}, request_only=True)],
    )
    def post(self, request: Request) -> Response:
        """One data set for each category in the archive; 200 where all of them had been imported before."""
        given = parsed(shapes.DatasetUploadInput, request.data)
        labels = LabelNames(tuple(given["good"]), tuple(given["defect"]))
        imported = import_upload(given["archive"], name=given["name"], actor=request.user, labels=labels)
        found = [
            {
                **datasets_documents.full_dataset_document(datasets_selectors.dataset_with_counts(item.dataset.pk)),
                "created": item.created,
            }
            for item in imported
        ]
        status = HTTPStatus.CREATED if any(item.created for item in imported) else HTTPStatus.OK
        return Response(found, status=status, headers={"Location": f"/api/datasets/{imported[0].dataset.pk}"})


class DatasetView(ApiView):
    """One snapshot, and what its import noticed."""

    rights = {"GET": Right.READ}

    @extend_schema(
        parameters=[_DATASET_ID], responses={200: shapes.FullDatasetOutput, **problems()}, operation_id="dataset"
    )
    def get(self, request: Request, dataset_id: str) -> Response:
        return Response(
            datasets_documents.full_dataset_document(datasets_selectors.dataset_with_counts(int(dataset_id)))
        )


class DatasetImagesView(ApiView):
    """The images of a snapshot by their paths."""

    rights = {"GET": Right.READ}

    @extend_schema(
        parameters=[_DATASET_ID, shapes.ImageListInput, *PAGE_PARAMETERS],
        responses={200: shapes.DatasetImagePageOutput, **problems()},
        operation_id="dataset_images",
    )
    def get(self, request: Request, dataset_id: str) -> Response:
        given = parsed_query(shapes.ImageListInput, request)
        dataset = datasets_selectors.dataset_with_counts(int(dataset_id))
        found = datasets_documents.images(dataset, **given)
        return page_response(found, request, datasets_documents.image_document, ordering=("path",))


class DatasetImageView(ApiView):
    """An image as it was imported. It never changes."""

    rights = {"GET": Right.READ}
    content_negotiation_class = OneForm

    @extend_schema(
        parameters=[_IMAGE_ID],
        responses={
            (200, "image/png"): OpenApiTypes.BINARY,
            (200, "image/jpeg"): OpenApiTypes.BINARY,
            304: None,
            **problems(410),
        },
        operation_id="dataset_image",
    )
    def get(self, request: Request, image_id: str) -> HttpResponseBase:
        return _sent(request, datasets_selectors.find_image(int(image_id)).asset)


class DatasetMaskView(ApiView):
    """The ground truth of a defective image. It never changes."""

    rights = {"GET": Right.READ}
    content_negotiation_class = OneForm

    @extend_schema(
        parameters=[_IMAGE_ID],
        responses={
            (200, "image/png"): OpenApiTypes.BINARY,
            (200, "image/jpeg"): OpenApiTypes.BINARY,
            304: None,
            **problems(410),
        },
        operation_id="dataset_mask",
    )
    def get(self, request: Request, image_id: str) -> HttpResponseBase:
        image = datasets_selectors.find_image(int(image_id))
        if image.mask is None:
            raise NotFound(f"{image.path} has no mask.", code="no_mask")
        return _sent(request, image.mask)


def _sent(request: Request, asset: Asset) -> HttpResponseBase:
    asset.check_kept()  # also where the asker has the file already and would be told 304
    return immutable(request, asset.sha256, lambda: HttpResponse(asset.read(), content_type=asset.content_type))


# ---------------------------------------------------------------- training runs
class TrainingRunsView(ApiView):
    """Training runs, newest first; a new one waits for a worker."""

    rights = {"GET": Right.READ, "POST": Right.TRAIN}
    parser_classes = [JSONParser]

    @extend_schema(
        parameters=[shapes.TrainingRunListInput, *PAGE_PARAMETERS],
        responses={200: shapes.TrainingRunPageOutput, **problems()},
        operation_id="training_runs",
    )
    def get(self, request: Request) -> Response:
        given = parsed_query(shapes.TrainingRunListInput, request)
        return page_response(runs_documents.runs(**given), request, runs_documents.run_document)

    @extend_schema(
        request=shapes.TrainingRunInput,
        responses={202: shapes.FullTrainingRunOutput, **problems(413, 415)},
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
        given = parsed(shapes.TrainingRunInput, request.data)
        run = runs_services.queue_run(
            dataset=datasets_selectors.wanted_dataset(given["dataset"]),
            algorithm=given["algorithm"],
            options=given["options"],
            calibration=given["calibration"] or threshold_rule(),
            seed=given["seed"],
            actor=request.user,
        )
        return Response(
            runs_documents.full_run_document(runs_selectors.find_run(run.pk)),
            status=HTTPStatus.ACCEPTED,
            headers={"Location": f"/api/training-runs/{run.pk}"},
        )


class TrainingRunView(ApiView):
    """One run: how far it is, its losses, what came of it."""

    rights = {"GET": Right.READ}

    @extend_schema(
        parameters=[_RUN_ID], responses={200: shapes.FullTrainingRunOutput, **problems()}, operation_id="training_run"
    )
    def get(self, request: Request, run_id: str) -> Response:
        return Response(runs_documents.full_run_document(runs_selectors.find_run(int(run_id))))


class CancelView(ApiView):
    """Ask a run to stop. A queued one ends at once, a running one at its next step."""

    rights = {"POST": Right.TRAIN}

    @extend_schema(
        parameters=[_RUN_ID],
        request=None,
        responses={200: shapes.FullTrainingRunOutput, **problems(409)},
        operation_id="cancel_training_run",
    )
    def post(self, request: Request, run_id: str) -> Response:
        parsed(NoInput, request.data)
        run = runs_services.cancel_run(run_id=int(run_id), actor=request.user)
        return Response(runs_documents.full_run_document(runs_selectors.find_run(run.pk)))


class LogView(ApiView):
    """What a run has said, from a place on. Ask again with `X-Next-Offset` for what came since."""

    rights = {"GET": Right.READ}
    content_negotiation_class = OneForm

    @extend_schema(
        parameters=[
            _RUN_ID,
            shapes.LogInput,
            OpenApiParameter(
                "X-Log-Offset",
                OpenApiTypes.INT64,
                OpenApiParameter.HEADER,
                response=[200],
                description="where the text begins: later than asked for, where the beginning of a long log is gone",
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
        given = parsed_query(shapes.LogInput, request)
        text, begins, ends = runs_documents.log_from(runs_selectors.find_run(int(run_id)), given["offset"])
        headers = {"X-Log-Offset": str(begins), "X-Next-Offset": str(ends)}
        return HttpResponse(text, content_type="text/plain; charset=utf-8", headers=headers)
