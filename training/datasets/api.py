"""The API of data sets: each view parses, calls one service or selector, answers."""

from __future__ import annotations

from http import HTTPStatus

from django.http import HttpResponse, HttpResponseBase
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, PolymorphicProxySerializer, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from common.api.pagination import PAGE_PARAMETERS, page_response
from common.api.parsers import MultiPartParser
from common.api.schema import problems
from common.api.validation import parsed, parsed_query
from common.api.views import ApiView, OneForm, immutable
from common.errors import NotFound
from common.rights import Right
from records.models import Asset
from training.datasets import documents, selectors, serializers
from training.datasets.imports import import_upload, preview_upload
from training.datasets.layouts.entries import LabelNames
from training.datasets.layouts.preview import preview_document

_DATASET_ID = OpenApiParameter("dataset_id", OpenApiTypes.INT64, OpenApiParameter.PATH)
_IMAGE_ID = OpenApiParameter("image_id", OpenApiTypes.INT64, OpenApiParameter.PATH)


# ---------------------------------------------------------------- data sets
class DatasetsView(ApiView):
    """Snapshots of images and labels, newest first; a new one is sent as an archive."""

    rights = {"GET": Right.READ, "POST": Right.TRAIN}
    parser_classes = [MultiPartParser]

    @extend_schema(
        parameters=[serializers.DatasetListInput, *PAGE_PARAMETERS],
        responses={200: serializers.DatasetPageOutput, **problems()},
        operation_id="datasets",
    )
    def get(self, request: Request) -> Response:
        filters = parsed_query(serializers.DatasetListInput, request)
        return page_response(documents.datasets(**filters), request, documents.dataset_document)

    @extend_schema(
        request={"multipart/form-data": serializers.DatasetUploadInput},
        responses={
            200: PolymorphicProxySerializer(
                component_name="ImportOutput",
                serializers=[serializers.ImportedDatasetOutput, serializers.PreviewOutput],
                resource_type_field_name=None,
                many=True,
            ),
            201: serializers.ImportedDatasetOutput(many=True),
            **problems(409, 413, 415, 422, 507),
        },
        operation_id="import_datasets",
        examples=[OpenApiExample("an archive", value={"archive": "screw.zip", "name": "screw"}, request_only=True)],
    )
    def post(self, request: Request) -> Response:
        """One data set for each category in the archive; 200 where all of them had been imported before.

        With `dry_run` 200 with what each of them would be, and nothing is kept.
        """
        fields = parsed(serializers.DatasetUploadInput, request.data)
        arguments = {
            "actor": request.user,
            "name": fields["name"],
            "labels": LabelNames(tuple(fields["good"]), tuple(fields["defect"])),
            "layout": fields["layout"],
            "keep_duplicates": fields["keep_duplicates"],
        }
        if fields["dry_run"]:
            return Response(preview_document(preview_upload(fields["archive"], **arguments)))
        imported = import_upload(fields["archive"], **arguments)
        results = [
            {
                **documents.full_dataset_document(selectors.dataset_with_counts(item.dataset.pk)),
                "created": item.created,
            }
            for item in imported
        ]
        status = HTTPStatus.CREATED if any(item.created for item in imported) else HTTPStatus.OK
        return Response(results, status=status, headers={"Location": f"/api/datasets/{imported[0].dataset.pk}"})


class DatasetView(ApiView):
    """One snapshot, and what its import noticed."""

    rights = {"GET": Right.READ}

    @extend_schema(
        parameters=[_DATASET_ID],
        responses={200: serializers.FullDatasetOutput, **problems()},
        operation_id="dataset",
    )
    def get(self, request: Request, dataset_id: str) -> Response:
        return Response(documents.full_dataset_document(selectors.dataset_with_counts(int(dataset_id))))


class DatasetImagesView(ApiView):
    """The images of a snapshot by their paths."""

    rights = {"GET": Right.READ}

    @extend_schema(
        parameters=[_DATASET_ID, serializers.ImageListInput, *PAGE_PARAMETERS],
        responses={200: serializers.DatasetImagePageOutput, **problems()},
        operation_id="dataset_images",
    )
    def get(self, request: Request, dataset_id: str) -> Response:
        filters = parsed_query(serializers.ImageListInput, request)
        dataset = selectors.dataset_with_counts(int(dataset_id))
        images = documents.images(dataset, **filters)
        return page_response(images, request, documents.image_document, ordering=("path",))


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
        return _file_response(request, selectors.find_image(int(image_id)).asset)


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
        image = selectors.find_image(int(image_id))
        if image.mask is None:
            raise NotFound(f"{image.path} has no mask.", code="no_mask")
        return _file_response(request, image.mask)


def _file_response(request: Request, asset: Asset) -> HttpResponseBase:
    asset.check_not_discarded()  # also where the asker has the file already and would be told 304
    return immutable(request, asset.sha256, lambda: HttpResponse(asset.read(), content_type=asset.content_type))
