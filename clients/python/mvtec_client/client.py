"""The client: a method for each call of the API, named after what it does."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date, datetime
from pathlib import Path
from typing import IO, Any, Literal, TypeVar, Unpack

import httpx

from mvtec_client import shapes
from mvtec_client.problems import TookTooLong
from mvtec_client.transport import File, Retry, Transport, _text_values

T = TypeVar("T")
Image = bytes | str | Path
"""The bytes of a PNG or JPEG file, or the path of one."""
ImageOrNamed = Image | tuple[str, bytes]
"""The same, or a file name and the bytes."""


class Client(Transport):
    """A connection to one server: `with Client("http://127.0.0.1:8000", token) as client:`.

    Requests that may be sent twice are sent again when the connection or the server fails (`retry`). Whatever remains
    an error is an `ApiProblem` with a stable `code`, or `Unreachable`. Lists are iterators that ask for a page when the
    one before is used up. May be used by several threads.

    `timeout`: seconds; longer than the server waits for a worker that loads a model (its LOAD_TIMEOUT, 120).
    """

    def __init__(
        self,
        base_url: str,
        token: str = "",
        *,
        timeout: float | httpx.Timeout = 180.0,
        retry: Retry | None = None,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        super().__init__(base_url, token, timeout=timeout, retry=retry or Retry(), transport=transport)

    # ------------------------------------------------------------ the line
    def status(self) -> shapes.Status:
        """What is loaded, who works, what waits."""
        return self._get("status")

    def load_model(
        self,
        model_version: int | str = "latest",
        *,
        category: str = "",
        algorithm: str = "",
        threshold: float | None = None,
        **how: Unpack[shapes.How],
    ) -> shapes.LoadedModel:
        """Load a model version and put it in force; returns when a worker holds it.

        Problem `several_categories` for the latest version of no category, where several have versions.
        """
        selection = {"model_version": str(model_version), "category": category, "algorithm": algorithm}
        return self._post("load_model", json=_without_none(**selection, threshold=threshold, **how))

    def inspect(
        self,
        image: ImageOrNamed,
        *,
        category: str = "",
        anomaly_map: shapes.MapForm = "url",
        idempotency_key: str | None = None,
        **part: Unpack[shapes.PartFields],
    ) -> shapes.Inspection:
        """Have an image judged; returns the record. However often it has to be sent, there is one record of it.

        Without a `category` it is judged by the only one in force, or by the default one; problem `several_categories`
        where there are others.

        `idempotency_key`: give one of your own where your program may be restarted and ask again; the same key with the
        same image gives the same record. Without, each call has a new one.
        """
        return self._post(
            "test_image",
            fields={"category": category, "anomaly_map": anomaly_map, **part},
            files=[("image", _file(image))],
            key=idempotency_key or str(uuid.uuid4()),
        )

    def request(self, request_id: str) -> shapes.Request:
        """What became of an image that was sent: the `request_id` of problems `no_worker` and `outcome_unknown`."""
        return self._get("requests", request_id)

    def inspect_again(self, request_id: str) -> shapes.Inspection:
        """Have the kept image of a request that ended without a record judged; asked for twice, it is judged once."""
        return self._post("requests", request_id, "inspect", repeatable=True)

    # ------------------------------------------------------------ parts of several views
    def inspect_part(
        self,
        layout: str,
        views: Mapping[str, ImageOrNamed],
        *,
        part_id: str = "",
        **part: Unpack[shapes.PartFields],
    ) -> shapes.Part:
        """Have several views of one part judged; `views`: the image of each view by the view's name.

        With all views of the layout the part has its `outcome`; with some of them it waits for the others until
        `closes_at`. Sent twice with one `part_id`, it is one part. Without, each call is another part.
        """
        return self._post(
            "parts",
            fields={"layout": layout, "part_id": part_id, **part},
            files=[(view, _file(image)) for view, image in views.items()],
            key=str(uuid.uuid4()),
        )

    def inspect_view(
        self,
        layout: str,
        part_id: str,
        view: str,
        image: ImageOrNamed,
        **part: Unpack[shapes.PartFields],
    ) -> shapes.Part:
        """Have one view of a part judged; returns the part, with its `outcome` once the last view is there.

        Part id and view are the key: however often it has to be sent, it is one view.
        """
        return self._post(
            "parts",
            "views",
            fields={"layout": layout, "part_id": part_id, "view": view, **part},
            files=[("image", _file(image))],
            repeatable=True,
        )

    def part(self, part: str) -> shapes.Part:
        """One part, open or closed, by its `id`."""
        return self._get("parts", part)

    def parts(
        self,
        *,
        status: Literal["open", "closed"] = "closed",
        outcome: Literal["good", "defective", "not_comparable"] | None = None,
        layout: str = "",
        part_id: str = "",
        serial_number: str = "",
        lot: str = "",
        station: str = "",
        page_size: int = 500,
    ) -> Iterator[shapes.Part]:
        """Parts that have their verdict, newest first; with `open` those whose views are gathered, all of them."""
        return self._pages(
            "parts",
            status=status,
            outcome=outcome,
            layout=layout,
            part_id=part_id,
            serial_number=serial_number,
            lot=lot,
            station=station,
            limit=page_size,
        )

    def export_parts(
        self,
        target: str | Path,
        *,
        dialect: shapes.CsvDialect | None = None,
        outcome: Literal["good", "defective", "not_comparable"] | None = None,
        layout: str = "",
        lot: str = "",
        station: str = "",
    ) -> Path:
        """The parts that are meant as a CSV table in a file, one line each."""
        filters = {"outcome": outcome, "layout": layout, "lot": lot, "station": station}
        return self._save(target, "parts", "export", dialect=dialect, **filters)

    def part_layouts(self) -> Iterator[shapes.PartLayout]:
        """The layouts in use, each as it is in force."""
        return self._pages("part-layouts")

    def part_layout(self, name: str) -> shapes.PartLayout:
        return self._get("part-layouts", name)

    def set_part_layout(
        self, name: str, views: Sequence[Mapping[str, str]], *, time_limit_seconds: int, reason: str
    ) -> shapes.PartLayout:
        """A new layout, or a new revision of it. A view has `name`, `category` and perhaps `station`."""
        body = {"views": [dict(view) for view in views], "time_limit_seconds": time_limit_seconds, "reason": reason}
        return self._send("PUT", ("part-layouts", name), json=body).json()

    def retire_part_layout(self, name: str, *, reason: str) -> shapes.PartLayout:
        """No part begins with it any more."""
        return self._post("part-layouts", name, "retire", json={"reason": reason})

    # ------------------------------------------------------------ records
    def inspection(self, inspection_id: str, *, anomaly_map: shapes.MapForm = "url") -> shapes.Inspection:
        return self._get("inspections", inspection_id, anomaly_map=anomaly_map)

    def picture(self, inspection_id: str, which: shapes.Picture = "image") -> bytes:
        """A picture of a record. Problem `image_discarded` (410) where retention removed it."""
        return self._bytes("inspections", inspection_id, which)

    def inspections(self, *, page_size: int = 500, **filters: Unpack[shapes.Filters]) -> Iterator[shapes.InspectionRow]:
        """The records that are meant, newest first."""
        return self._pages("inspections", limit=page_size, **filters)

    def export_inspections(
        self,
        target: str | Path,
        *,
        format: Literal["csv", "jsonl", "xlsx"] = "csv",
        dialect: shapes.CsvDialect | None = None,
        **filters: Unpack[shapes.Filters],
    ) -> Path:
        """The records that are meant as a table in a file. `dialect` of CSV: `excel` unless said otherwise."""
        return self._save(target, "inspections", "export", format=format, dialect=dialect, **filters)

    # ------------------------------------------------------------ batches
    def batch(
        self,
        images: Iterable[ImageOrNamed] = (),
        *,
        archive: str | Path | tuple[str, IO[bytes]] | None = None,
        dataset: str = "",
        folder: str = "",
        category: str = "",
        wait: float = 0.0,
        idempotency_key: str | None = None,
        **part: Unpack[shapes.PartFields],
    ) -> shapes.Batch:
        """Have many images judged as one job: files, a zip, the test images of a data set, or a folder of the server.

        Returns at once with what is known, or after at most `wait` seconds with the results. See `wait_for_batch`.
        """
        fields = {"dataset": dataset, "folder": folder, "category": category, "wait": wait, **part}
        key = idempotency_key or str(uuid.uuid4())
        files = [("images", _file(image)) for image in images]
        if archive is None:
            if files:
                return self._post("batches", fields=fields, files=files, key=key)
            return self._post("batches", json=_without_none(**fields), key=key)
        with _archive_stream(archive) as (name, stream):
            files.append(("archive", (name, stream, "application/zip")))
            return self._post("batches", fields=fields, files=files, key=key)

    def find_batch(self, batch_id: str, *, results: bool = True) -> shapes.Batch:
        """Progress and results, or (without them) the counts alone."""
        return self._get("batches", batch_id, results=results)

    def wait_for_batch(
        self,
        batch_id: str,
        *,
        timeout: float | None = None,
        progress: Callable[[shapes.Batch], None] | None = None,
    ) -> shapes.Batch:
        """The batch, once it is finished or cancelled. Raises `TookTooLong`."""
        self._until(
            lambda: self.find_batch(batch_id, results=False),
            lambda batch: batch["status"] in ("finished", "cancelled"),
            timeout,
            progress,
        )
        return self.find_batch(batch_id)

    def batches(
        self,
        *,
        status: Literal["queued", "running", "finished", "cancelled"] | None = None,
        since: date | datetime | str | None = None,
        until: date | datetime | str | None = None,
        category: str = "",
        page_size: int = 500,
    ) -> Iterator[shapes.BatchRow]:
        return self._pages("batches", status=status, since=since, until=until, category=category, limit=page_size)

    def cancel_batch(self, batch_id: str) -> shapes.BatchRow:
        """Call off what is not judged yet. One that a worker is at stops after the images in hand."""
        return self._post("batches", batch_id, "cancel")

    def batch_report(
        self,
        target: str | Path,
        batch_id: str,
        *,
        format: Literal["csv", "json", "html"] = "csv",
        dialect: shapes.CsvDialect | None = None,
    ) -> Path:
        return self._save(target, "batches", batch_id, "report", format=format, dialect=dialect)

    # ------------------------------------------------------------ reviews
    def review(
        self,
        inspection_id: str,
        verdict: shapes.Verdict,
        *,
        defect_type: str = "",
        comment: str = "",
        regions: Sequence[shapes.MarkedRegion] = (),
        expected_reviews: int | None = None,
        signature: shapes.SignatureFields | None = None,
    ) -> shapes.Review:
        """Confirm or overrule a record.

        `expected_reviews`: how many there were when you looked; problem `review_outdated` where there are more by now.
        """
        body = _without_none(
            verdict=verdict,
            defect_type=defect_type,
            comment=comment,
            regions=list(regions),
            expected_reviews=expected_reviews,
            signature=signature,
        )
        return self._post("inspections", inspection_id, "reviews", json=body)

    def reviews_of(self, inspection_id: str) -> Iterator[shapes.Review]:
        """Of one record, the last word first."""
        return self._pages("inspections", inspection_id, "reviews")

    def reviews(
        self,
        *,
        reviewer: str = "",
        verdict: shapes.Verdict | None = None,
        agrees: Literal["yes", "no", "none"] | None = None,
        category: str = "",
        since: datetime | str | None = None,
        until: datetime | str | None = None,
    ) -> Iterator[shapes.Review]:
        return self._pages(
            "reviews", reviewer=reviewer, verdict=verdict, agrees=agrees, category=category, since=since, until=until
        )

    def find_review(self, review_id: int) -> shapes.Review:
        return self._get("reviews", review_id)

    def agreement(self, **filters: Unpack[shapes.Filters]) -> shapes.Agreement:
        """How far people agree with the models, and with one another."""
        return self._get("reviews", "agreement", **filters)

    # ------------------------------------------------------------ data sets
    def categories(self) -> Iterator[shapes.Category]:
        return self._pages("categories")

    def datasets(self, *, category: str = "", name: str = "") -> Iterator[shapes.Dataset]:
        return self._pages("datasets", category=category, name=name)

    def dataset(self, dataset_id: int) -> shapes.FullDataset:
        return self._get("datasets", dataset_id)

    def dataset_images(
        self,
        dataset_id: int,
        *,
        split: Literal["train", "test"] | None = None,
        is_defective: bool | None = None,
        defect_type: str = "",
    ) -> Iterator[shapes.DatasetImage]:
        filters = {"split": split, "is_defective": is_defective, "defect_type": defect_type}
        return self._pages("datasets", dataset_id, "images", **filters)

    def dataset_image(self, image_id: int) -> bytes:
        return self._bytes("dataset-images", image_id, "image")

    def dataset_mask(self, image_id: int) -> bytes:
        return self._bytes("dataset-images", image_id, "mask")

    def upload_dataset(
        self,
        archive: str | Path | tuple[str, IO[bytes]],
        *,
        name: str = "",
        good: Iterable[str] = (),
        defect: Iterable[str] = (),
        layout: str = "",
        keep_duplicates: bool = False,
    ) -> list[shapes.ImportedDataset]:
        """Import an archive of images: a data set for each category in it. The same content twice is one.

        `good`, `defect`: folders of good and of defective parts whose names leave it open (`unclear_label`). `layout`:
        by which rules the folders are read; else by those that they are recognised by. `keep_duplicates`: also test
        images that are training images, or that are called both good and defective.
        """
        fields = _dataset_fields(name, good, defect, layout, keep_duplicates=keep_duplicates)
        return self._send_archive(archive, fields)

    def preview_dataset(
        self,
        archive: str | Path | tuple[str, IO[bytes]],
        *,
        name: str = "",
        good: Iterable[str] = (),
        defect: Iterable[str] = (),
        layout: str = "",
        keep_duplicates: bool = False,
    ) -> list[shapes.Preview]:
        """What `upload_dataset` would import of an archive. Nothing is kept."""
        fields = _dataset_fields(name, good, defect, layout, keep_duplicates=keep_duplicates)
        return self._send_archive(archive, fields | {"dry_run": "true"})

    def _send_archive(self, archive: str | Path | tuple[str, IO[bytes]], fields: dict[str, Any]) -> Any:
        with _archive_stream(archive) as (filename, stream):
            file: File = (filename, stream, "application/octet-stream")
            return self._post("datasets", fields=fields, files=[("archive", file)], repeatable=True)

    def dataset_from_reviews(
        self,
        name: str,
        category: str,
        *,
        filters: shapes.Filters | None = None,
        test_share: float | None = None,
        include_confirmed_good: bool = True,
        include_contested: bool = False,
    ) -> shapes.DatasetOfReviews:
        """Make a data set of reviewed images."""
        body = _without_none(
            name=name,
            category=category,
            filters=_text_values(filters or {}),
            test_share=test_share,
            include_confirmed_good=include_confirmed_good,
            include_contested=include_contested,
        )
        return self._post("datasets", "from-reviews", json=body, repeatable=True)

    # ------------------------------------------------------------ training
    def start_training(
        self,
        dataset: str | int,
        algorithm: str,
        *,
        options: Mapping[str, Any] | None = None,
        seed: int = 0,
        calibration: Mapping[str, Any] | None = None,
        ignore_mask: str | None = None,
        ignore_mask_version: int | None = None,
    ) -> shapes.FullTrainingRun:
        """Have a detector trained. `calibration`: the rule of its first threshold, see the API's documentation.

        `ignore_mask`: the sha256 of what is not judged (`store_ignore_mask`); `ignore_mask_version`: on whose mean
        image it was painted, if not on plain images.
        """
        body = _without_none(
            dataset=str(dataset),
            algorithm=algorithm,
            options=dict(options or {}),
            seed=seed,
            calibration=calibration,
            ignore_mask=ignore_mask,
            ignore_mask_version=ignore_mask_version,
        )
        return self._post("training-runs", json=body)

    def extend(self, version_id: int, dataset: str | int) -> shapes.FullTrainingRun:
        """Let a version learn from the good images of a data set; a new candidate comes of it."""
        return self._post("model-versions", version_id, "extend", json={"dataset": str(dataset)})

    def training_runs(
        self, *, dataset: str = "", algorithm: str = "", status: str = ""
    ) -> Iterator[shapes.TrainingRun]:
        return self._pages("training-runs", dataset=dataset, algorithm=algorithm, status=status)

    def training_run(self, run_id: int) -> shapes.FullTrainingRun:
        return self._get("training-runs", run_id)

    def wait_for_training(
        self,
        run_id: int,
        *,
        timeout: float | None = None,
        progress: Callable[[shapes.FullTrainingRun], None] | None = None,
    ) -> shapes.FullTrainingRun:
        """The run, once it has succeeded, failed or been cancelled. Raises `TookTooLong`."""
        return self._until(
            lambda: self.training_run(run_id),
            lambda run: run["status"] not in ("queued", "running"),
            timeout,
            progress,
        )

    def training_log(self, run_id: int, *, offset: int = 0) -> tuple[str, int]:
        """What a run has said from a place on, and the place to go on from."""
        answer = self._send("GET", ("training-runs", run_id, "log"), params={"offset": offset}, accept="*/*")
        return answer.text, int(answer.headers["X-Next-Offset"])

    def store_ignore_mask(self, mask: bytes, *, filename: str = "mask.png") -> shapes.IgnoreMask:
        """Keep a picture that is not black where nothing shall be judged. Its `sha256` is `ignore_mask` of a run."""
        return self._post("ignore-masks", files=[("mask", (filename, mask, "image/png"))], repeatable=True)

    def ignore_mask(self, sha256: str) -> bytes:
        return self._bytes("ignore-masks", sha256)

    def cancel_training(self, run_id: int) -> shapes.FullTrainingRun:
        return self._post("training-runs", run_id, "cancel")

    # ------------------------------------------------------------ models
    def model_versions(
        self,
        *,
        category: str = "",
        algorithm: str = "",
        stage: Literal["candidate", "approved", "production", "archived"] | None = None,
    ) -> Iterator[shapes.ModelVersion]:
        return self._pages("model-versions", category=category, algorithm=algorithm, stage=stage)

    def model_version(self, version_id: int) -> shapes.FullModelVersion:
        return self._get("model-versions", version_id)

    def mean_image(self, version_id: int) -> bytes:
        """Of good parts as the version sees them: what an ignore mask of an aligned part is painted on."""
        return self._bytes("model-versions", version_id, "mean-image")

    def version_ignore_mask(self, version_id: int) -> bytes:
        """What the version does not judge, in its mean image."""
        return self._bytes("model-versions", version_id, "ignore-mask")

    def metrics(self, version_id: int) -> shapes.Metrics:
        return self._get("model-versions", version_id, "metrics")

    def download_artifact(self, target: str | Path, version_id: int) -> Path:
        """A version as one signed file, which `manage.py import_model` of another installation takes."""
        return self._save(target, "model-versions", version_id, "artifact")

    def model_card(self, version_id: int) -> shapes.ModelCard:
        """Intended use, data, figures, robustness, limits, shortcut audit and thresholds of a version."""
        return self._get("model-versions", version_id, "card")

    def promote(
        self,
        version_id: int,
        *,
        reason: str,
        signature: shapes.SignatureFields | None = None,
        **how: Unpack[shapes.How],
    ) -> shapes.Deployment:
        """Put a version in production; the version that was is archived."""
        return self._post(
            "model-versions", version_id, "promote", json=_without_none(reason=reason, signature=signature, **how)
        )

    def release(self, version_id: int) -> shapes.Release:
        """Whether a version may go into production: its approval, and what it shows at each promotion gate."""
        return self._get("model-versions", version_id, "release")

    def approve(
        self, version_id: int, *, reason: str, signature: shapes.SignatureFields | None = None
    ) -> shapes.Release:
        """Vouch for a version; with REQUIRE_APPROVAL somebody else than who had it trained."""
        body = _without_none(reason=reason, signature=signature)
        return self._post("model-versions", version_id, "approve", json=body)

    def withdraw_approval(
        self, version_id: int, *, reason: str, signature: shapes.SignatureFields | None = None
    ) -> shapes.Release:
        """Take an approval back."""
        body = _without_none(reason=reason, signature=signature)
        return self._post("model-versions", version_id, "withdraw-approval", json=body)

    def archive(self, version_id: int, *, reason: str) -> shapes.FullModelVersion:
        """Put a candidate aside."""
        return self._post("model-versions", version_id, "archive", json={"reason": reason})

    def rollback(
        self, category: str, *, reason: str, signature: shapes.SignatureFields | None = None
    ) -> shapes.Deployment:
        """Put the version in production that was before the present one."""
        body = _without_none(reason=reason, signature=signature)
        return self._post("categories", category, "rollback", json=body)

    def default_category(self) -> shapes.DefaultCategory:
        """Which category is meant by images that name none while several are in force."""
        return self._get("default-category")

    def set_default_category(self, category: str | None, *, reason: str) -> shapes.DefaultCategory:
        """Say which one is meant; None: images that name none are refused (problem `several_categories`)."""
        body = {"category": category, "reason": reason}
        return self._send("PUT", ("default-category",), json=body, repeatable=True).json()

    def input_checks(self, category: str) -> shapes.InputChecks:
        """What is checked of a picture before it is judged as one of a category."""
        return self._get("categories", category, "input-checks")

    def set_input_checks(
        self, category: str, *, reason: str, **checks: Unpack[shapes.InputCheckFields]
    ) -> shapes.InputChecks:
        """Set what is checked from the next image on; what is not given stays as it is."""
        body = {**checks, "reason": reason}
        return self._send("PUT", ("categories", category, "input-checks"), json=body, repeatable=True).json()

    def calibrations(self, category: str, *, station: str = "") -> Iterator[shapes.ScaleCalibration]:
        """How many millimetres a pixel stands for at each station: all revisions, the newest first."""
        return self._pages("categories", category, "calibrations", station=station or None)

    def store_calibration_picture(self, image: bytes, *, filename: str = "gauge.png") -> shapes.CalibrationPicture:
        """Keep a picture to calibrate a station with. Its `sha256` is `picture` of a calibration."""
        return self._post("calibration-pictures", files=[("image", (filename, image, "image/png"))], repeatable=True)

    def calibrate(
        self,
        category: str,
        *,
        method: Literal["known_length", "checkerboard", "withdrawn"],
        reason: str,
        station: str = "",
        **measured: Unpack[shapes.ScaleCalibrationFields],
    ) -> shapes.ScaleCalibration:
        """Set the scale of a station by a known length or a checkerboard, or withdraw it."""
        body = {**measured, "method": method, "station": station, "reason": reason}
        return self._post("categories", category, "calibrations", json=body)

    def size_rule(self, version_id: int) -> shapes.SizeRule:
        """Which regions a version ignores by their area, and how severe the others are."""
        return self._get("model-versions", version_id, "size-rule")

    def set_size_rule(
        self,
        version_id: int,
        *,
        reason: str,
        min_area_mm2: float | None = None,
        grades: Sequence[shapes.Grade] = (),
        signature: shapes.SignatureFields | None = None,
    ) -> shapes.SizeRule:
        """Set both, as a new revision of the threshold of the same value; without area and grades: no rule."""
        body = _without_none(reason=reason, min_area_mm2=min_area_mm2, grades=list(grades), signature=signature)
        return self._send("PUT", ("model-versions", version_id, "size-rule"), json=body).json()

    def promotion_gates(self, category: str) -> shapes.PromotionGates:
        """What a version of a category must show before it may go into production."""
        return self._get("categories", category, "promotion-gates")

    def set_promotion_gates(
        self, category: str, *, reason: str, **gates: Unpack[shapes.PromotionGatesFields]
    ) -> shapes.PromotionGates:
        """Set what a version must show; what is not given stays as it is, None is no such gate."""
        body = {**gates, "reason": reason}
        return self._send("PUT", ("categories", category, "promotion-gates"), json=body, repeatable=True).json()

    def signature_rules(self, category: str) -> shapes.SignatureRules:
        """Which acts of a category need an electronic signature."""
        return self._get("categories", category, "signature-rules")

    def set_signature_rules(
        self, category: str, *, reason: str, **rules: Unpack[shapes.SignatureRulesFields]
    ) -> shapes.SignatureRules:
        """Say which acts need one; what is not given stays as it is."""
        body = {**rules, "reason": reason}
        return self._send("PUT", ("categories", category, "signature-rules"), json=body, repeatable=True).json()

    def deployments(self, *, category: str = "", status: str = "") -> Iterator[shapes.Deployment]:
        return self._pages("deployments", category=category, status=status)

    def deployment(self, deployment_id: int) -> shapes.Deployment:
        return self._get("deployments", deployment_id)

    def deploy(
        self,
        version_id: int,
        *,
        threshold: float | None = None,
        threshold_reason: str = "",
        signature: shapes.SignatureFields | None = None,
        **how: Unpack[shapes.How],
    ) -> shapes.Deployment:
        """Load a version and put it in force, as `load_model` does; a threshold comes with its reason."""
        reason = {"threshold_reason": threshold_reason} if threshold_reason else {}
        return self._post(
            "deployments",
            json=_without_none(model_version=version_id, threshold=threshold, signature=signature, **reason, **how),
        )

    # ------------------------------------------------------------ thresholds
    def thresholds(self, *, model_version: int | None = None, category: str = "") -> Iterator[shapes.Threshold]:
        return self._pages("thresholds", model_version=model_version, category=category)

    def threshold(self, threshold_id: int) -> shapes.Threshold:
        return self._get("thresholds", threshold_id)

    def set_threshold(
        self,
        model_version: int,
        value: float | None = None,
        *,
        reason: str,
        method: Literal["percentile", "conformal", "best_f1", "cost", "manual"] = "manual",
        parameters: Mapping[str, Any] | None = None,
        evidence: Mapping[str, Any] | None = None,
        signature: shapes.SignatureFields | None = None,
    ) -> shapes.Threshold:
        """A new revision, in force for the next image. `percentile` and `conformal` compute the value."""
        body = _without_none(
            model_version=model_version,
            value=value,
            method=method,
            parameters=dict(parameters or {}),
            evidence=dict(evidence or {}),
            reason=reason,
            signature=signature,
        )
        return self._post("thresholds", json=body)

    # ------------------------------------------------------------ what if
    def what_if(self, threshold: float | None = None, **options: Unpack[shapes.WhatIfOptions]) -> shapes.WhatIf:
        """What a threshold would have done to records of the past, from their stored scores."""
        return self._get("what-if", threshold=threshold, **options)

    def rescore(
        self,
        model_version: int | str,
        *,
        reason: str,
        category: str = "",
        filters: shapes.Filters | None = None,
        **how: Unpack[shapes.How],
    ) -> shapes.Rescoring:
        """Have records of the past scored with another version; the results are kept apart from the records."""
        selection = {"model_version": str(model_version), "category": category, "reason": reason}
        return self._post("rescorings", json=_without_none(**selection, filters=_text_values(filters or {}), **how))

    def rescorings(self) -> Iterator[shapes.Rescoring]:
        return self._pages("rescorings")

    def rescoring(self, rescoring_id: str) -> shapes.RescoringDetail:
        return self._get("rescorings", rescoring_id)

    def wait_for_rescoring(
        self,
        rescoring_id: str,
        *,
        timeout: float | None = None,
        progress: Callable[[shapes.RescoringDetail], None] | None = None,
    ) -> shapes.RescoringDetail:
        """The run, once it is finished, failed or cancelled. Raises `TookTooLong`."""
        return self._until(
            lambda: self.rescoring(rescoring_id),
            lambda run: run["status"] not in ("queued", "running"),
            timeout,
            progress,
        )

    def rescoring_results(self, rescoring_id: str, *, changed: bool | None = None) -> Iterator[shapes.Rescored]:
        return self._pages("rescorings", rescoring_id, "results", changed=changed)

    def cancel_rescoring(self, rescoring_id: str) -> shapes.Rescoring:
        return self._post("rescorings", rescoring_id, "cancel")

    # ------------------------------------------------------------ who, and what was done
    def me(self) -> shapes.Me:
        """Who this token is, and what it may do."""
        return self._get("me")

    def tokens(self, *, user: str = "") -> Iterator[shapes.Token]:
        """One's own; admins may ask for those of a user, or of everybody (`*`)."""
        return self._pages("tokens", user=user)

    def token(self, token_id: int) -> shapes.Token:
        return self._get("tokens", token_id)

    def issue_token(
        self,
        name: str,
        scopes: Sequence[Literal["inspect", "read", "manage"]],
        *,
        expires_in_days: int | None = None,
        user: str = "",
    ) -> shapes.IssuedToken:
        """`key` is shown in this answer and never again."""
        body = _without_none(name=name, scopes=list(scopes), expires_in_days=expires_in_days, user=user)
        return self._post("tokens", json=body)

    def revoke_token(self, token_id: int) -> None:
        self._send("DELETE", ("tokens", token_id))

    def audit_events(
        self, *, page_size: int = 500, **filters: Unpack[shapes.AuditFilters]
    ) -> Iterator[shapes.AuditEvent]:
        return self._pages("audit-events", limit=page_size, **filters)

    def audit_event(self, sequence: int) -> shapes.AuditEventDetail:
        return self._get("audit-events", sequence)

    def export_audit(self, target: str | Path, **filters: Unpack[shapes.AuditFilters]) -> Path:
        """Events as JSON Lines in a file, oldest first."""
        return self._save(target, "audit-events", "export", **filters)

    def audit_checkpoints(self) -> Iterator[shapes.Checkpoint]:
        return self._pages("audit-checkpoints")

    def audit_checkpoint(self, sequence: int) -> shapes.Checkpoint:
        return self._get("audit-checkpoints", sequence)

    def make_audit_checkpoint(self) -> shapes.Checkpoint:
        """Seal the chain as it is now."""
        return self._post("audit-checkpoints", repeatable=True)

    # ------------------------------------------------------------ random audits
    def sampling_plans(self, *, category: str = "", in_force: bool = False) -> Iterator[shapes.SamplingPlan]:
        return self._pages("sampling-plans", category=category, in_force=in_force)

    def sampling_plan(self, plan_id: int) -> shapes.SamplingPlan:
        return self._get("sampling-plans", plan_id)

    def set_sampling_plan(
        self,
        category: str,
        percent: float,
        *,
        shift_starts: Sequence[str],
        reason: str,
        at_least: int = 1,
        controls: int = 0,
    ) -> shapes.SamplingPlan:
        """Which share of the passed parts of a shift is drawn for blind review, from the next shift on."""
        body = {"category": category, "percent": percent, "shift_starts": list(shift_starts), "reason": reason}
        return self._post("sampling-plans", json=body | {"at_least": at_least, "controls": controls})

    def audited_shifts(self, *, category: str = "") -> Iterator[shapes.AuditedShift]:
        """The closed shifts, newest first."""
        return self._pages("audited-shifts", category=category)

    def audited_shift(self, shift_id: str) -> shapes.AuditedShiftFigures:
        return self._get("audited-shifts", shift_id)

    def export_audited_shift(self, shift_id: str) -> shapes.RandomAuditExport:
        """All that `scripts/verify_random_audit.py` needs to repeat the draw without the system."""
        return self._get("audited-shifts", shift_id, "export")

    def random_audit(
        self,
        *,
        category: str = "",
        model_version: int | None = None,
        threshold: int | None = None,
        since: str | None = None,
    ) -> shapes.AuditFigures:
        """What random audits tell of what a category, a model version or a threshold revision passed."""
        return self._get(
            "random-audit", category=category, model_version=model_version, threshold=threshold, since=since
        )

    def blind_reviews(self) -> Iterator[shapes.BlindPart]:
        """The parts that the caller can review blind."""
        return self._pages("blind-reviews")

    def blind_review_image(self, part_id: int) -> bytes:
        return self._bytes("blind-reviews", part_id, "image")

    def review_blind(
        self,
        part_id: int,
        verdict: Literal["good", "defective", "doubtful"],
        *,
        defect_type: str = "",
        comment: str = "",
        signature: shapes.SignatureFields | None = None,
    ) -> shapes.BlindDecision:
        """Decide on a part, once; the answer tells what the model said."""
        body = _without_none(verdict=verdict, defect_type=defect_type, comment=comment, signature=signature)
        return self._post("blind-reviews", part_id, json=body)

    # ------------------------------------------------------------ training again, comparing with production
    def retrain(self, category: str) -> shapes.Retraining:
        """Train with production's configuration, on its images and what was reviewed; then compare with production."""
        return self._post("categories", category, "retrain")

    def start_comparison(self, model_version: int | str) -> shapes.Comparison:
        """Compare a candidate with production on images that neither has learnt."""
        return self._post("comparisons", json={"model_version": str(model_version)})

    def comparisons(self, *, model_version: int | None = None) -> Iterator[shapes.Comparison]:
        """Newest first."""
        return self._pages("comparisons", model_version=model_version)

    def comparison(self, comparison_id: str) -> shapes.Comparison:
        return self._get("comparisons", comparison_id)

    def comparison_images(self, comparison_id: str) -> Iterator[shapes.ComparedImage]:
        """The images of which the two versions say something else."""
        return self._pages("comparisons", comparison_id, "images")

    # ------------------------------------------------------------ review queue
    def review_queue(self, category: str) -> shapes.ReviewQueue:
        """How far the shift is, and the parts that teach most; nothing is reserved."""
        return self._get("review-queue", category)

    def next_review(self, category: str) -> shapes.NextCard:
        """Take the next part: it is the caller's for five minutes."""
        return self._post("review-queue", category, "next")

    def decide_review(
        self,
        card_id: int,
        decision: Literal["good", "defective", "unclear", "skipped"],
        *,
        defect_type: str = "",
        comment: str = "",
        signature: shapes.SignatureFields | None = None,
    ) -> shapes.QueueDecision:
        body = _without_none(decision=decision, defect_type=defect_type, comment=comment, signature=signature)
        return self._post("review-cards", card_id, json=body)

    def review_budget(self, category: str) -> shapes.ReviewBudget:
        return self._get("review-queue", category, "budget")

    def set_review_budget(
        self, category: str, per_shift: int, *, shift_starts: Sequence[str], reason: str
    ) -> shapes.ReviewBudget:
        body = {"per_shift": per_shift, "shift_starts": list(shift_starts), "reason": reason}
        return self._send("PUT", ("review-queue", category, "budget"), json=body, repeatable=True).json()

    # ------------------------------------------------------------ measurement studies
    def measurement_studies(self) -> Iterator[shapes.MeasurementStudy]:
        return self._pages("measurement-studies")

    def measurement_study(self, study_id: str) -> shapes.WholeMeasurementStudy:
        """How far everybody is and, once it is finished, the results."""
        return self._get("measurement-studies", study_id)

    def start_measurement_study(
        self,
        category: str,
        appraisers: Sequence[str],
        *,
        reason: str,
        parts: int = 50,
        trials: int = 3,
        near_percent: int = 40,
        expert: str = "",
    ) -> shapes.WholeMeasurementStudy:
        """Draw parts that these people judge blind; `expert`: whose word is the standard, else the reviews."""
        body = {
            "category": category,
            "appraisers": list(appraisers),
            "reason": reason,
            "parts": parts,
            "trials": trials,
            "near_percent": near_percent,
            "expert": expert,
        }
        return self._post("measurement-studies", json=body)

    def measurement_study_task(self, study_id: str) -> shapes.StudyTask:
        """What the caller judges next; `task` goes with the answer."""
        return self._get("measurement-studies", study_id, "task")

    def measurement_study_image(self, study_id: str) -> bytes:
        """The picture of what the caller judges next."""
        return self._bytes("measurement-studies", study_id, "image")

    def answer_measurement_study(
        self, study_id: str, task: int, verdict: Literal["good", "defective"]
    ) -> shapes.StudyTask:
        """Say what the part is; the answer is the next one."""
        return self._post("measurement-studies", study_id, "task", json={"task": task, "verdict": verdict})

    def download_measurement_study(self, study_id: str) -> bytes:
        """The signed report, as PDF."""
        return self._bytes("measurement-studies", study_id, "pdf")

    # ------------------------------------------------------------ monitoring
    def alarms(self, *, category: str = "", status: str = "") -> Iterator[shapes.Alarm]:
        """Newest first; `status` may be `unresolved`."""
        return self._pages("alarms", category=category, status=status)

    def alarm(self, alarm_id: int) -> shapes.WholeAlarm:
        return self._get("alarms", alarm_id)

    def acknowledge_alarm(self, alarm_id: int) -> shapes.WholeAlarm:
        return self._post("alarms", alarm_id, "acknowledge")

    def comment_alarm(self, alarm_id: int, text: str) -> shapes.WholeAlarm:
        return self._post("alarms", alarm_id, "comments", json={"text": text})

    def resolve_alarm(self, alarm_id: int, cause: str, *, is_new_normal: bool = False) -> shapes.WholeAlarm:
        """`is_new_normal`: the next 100 parts become the reference of the charts that are out of control."""
        return self._post("alarms", alarm_id, "resolve", json={"cause": cause, "is_new_normal": is_new_normal})

    def drift_monitors(self, *, category: str = "") -> Iterator[shapes.DriftMonitor]:
        return self._pages("drift-monitors", category=category)

    def drift_monitor(self, monitor_id: int) -> shapes.WholeDriftMonitor:
        return self._get("drift-monitors", monitor_id)

    def restart_drift_monitor(self, monitor_id: int, reason: str) -> shapes.WholeDriftMonitor:
        """The next 100 parts become the reference of all its charts."""
        return self._post("drift-monitors", monitor_id, "restart", json={"reason": reason})

    def reference_parts(self, *, category: str = "") -> Iterator[shapes.ReferencePart]:
        return self._pages("reference-parts", category=category)

    def reference_part(self, part_id: int) -> shapes.WholeReferencePart:
        return self._get("reference-parts", part_id)

    def add_reference_part(
        self,
        category: str,
        serial_number: str,
        expected: Literal["good", "defective"],
        *,
        note: str,
        lowest_score: float | None = None,
        highest_score: float | None = None,
    ) -> shapes.WholeReferencePart:
        """A part whose verdict is known; `note` says what it is, and how that is known."""
        body = {"category": category, "serial_number": serial_number, "expected": expected, "note": note}
        return self._post("reference-parts", json=body | {"lowest_score": lowest_score, "highest_score": highest_score})

    def retire_reference_part(self, part_id: int, reason: str) -> shapes.WholeReferencePart:
        return self._post("reference-parts", part_id, "retire", json={"reason": reason})

    def station_states(self) -> shapes.StationStates:
        """Whether each station is proven in this shift by its reference parts."""
        return self._get("station-states")

    # ------------------------------------------------------------ promises
    def threshold_promises(self) -> Iterator[shapes.Promise]:
        """What thresholds that were applied on their page promised, beside what came; newest first."""
        return self._pages("threshold-promises")

    def threshold_promise(self, threshold_id: int) -> shapes.Promise:
        return self._get("threshold-promises", threshold_id)

    # ------------------------------------------------------------ connections to the line
    def connection_kinds(self) -> shapes.Kinds:
        """The kinds of connections, with their settings and secrets."""
        return self._get("connection-kinds")

    def connections(self) -> Iterator[shapes.Connection]:
        return self._pages("connections")

    def connection(self, connection_id: int) -> shapes.FullConnection:
        """One connection, and how it is."""
        return self._get("connections", connection_id)

    def create_connection(self, **fields: Unpack[shapes.ConnectionFields]) -> shapes.FullConnection:
        """A new connection; it is opened within seconds."""
        return self._post("connections", json=fields)

    def change_connection(
        self, connection_id: int, **changes: Unpack[shapes.ConnectionChanges]
    ) -> shapes.FullConnection:
        """What is left out stays as it is."""
        return self._send("PATCH", ("connections", connection_id), json=changes, repeatable=True).json()

    def set_connection_secret(self, connection_id: int, name: str, value: str) -> shapes.FullConnection:
        """It is never given back; the one before it holds on as long as the kind says."""
        return self._post("connections", connection_id, "secrets", json={"name": name, "value": value})

    def end_connection_secrets(self, connection_id: int, name: str) -> shapes.EndedSecrets:
        """End those that hold on beside a newer one."""
        return self._post("connections", connection_id, "end-secrets", json={"name": name})

    def deliveries(self, connection_id: int, *, status: str = "") -> Iterator[shapes.Delivery]:
        """What waits for a connection, went over it or is a dead letter (`failed`), newest first."""
        return self._pages("connections", connection_id, "deliveries", status=status)

    def resend_dead_letters(self, connection_id: int) -> shapes.Resent:
        return self._post("connections", connection_id, "resend")

    def resend_delivery(self, delivery_id: str) -> shapes.Delivery:
        return self._post("deliveries", delivery_id, "resend")

    # ------------------------------------------------------------ edge nodes
    def edge_nodes(self) -> Iterator[shapes.Node]:
        """Small PCs at the line that forward their records here, by name."""
        return self._pages("edge-nodes")

    def edge_node(self, node_id: int) -> shapes.Node:
        return self._get("edge-nodes", node_id)

    def create_edge_node(self, name: str, *, station: str = "") -> shapes.NodeWithToken:
        """A new node with its token, which is shown this once."""
        return self._post("edge-nodes", json={"name": name, "station": station})

    def change_edge_node(self, node_id: int, **changes: Unpack[shapes.NodeChanges]) -> shapes.Node:
        """What is left out stays as it is. A disabled node is refused; what it has waits on it."""
        return self._send("PATCH", ("edge-nodes", node_id), json=changes, repeatable=True).json()

    def renew_edge_node_token(self, node_id: int) -> shapes.NodeWithToken:
        """Another token; the one before it is revoked at once."""
        return self._post("edge-nodes", node_id, "token")

    # ------------------------------------------------------------ what passed
    def report_passages(
        self,
        passages: Sequence[shapes.JsonObject],
        *,
        station: str = "",
        counter_first: int | None = None,
        counter_last: int | None = None,
    ) -> shapes.Passages:
        """Parts that passed, in their order. The same twice is one; say `passed_at`, so that it is known again."""
        fields = {"station": station, "counter_first": counter_first, "counter_last": counter_last}
        return self._post("passages", json={"passages": list(passages), **_without_none(**fields)})

    def passage_counters(self, *, station: str | None = None) -> Iterator[shapes.PassageCounter]:
        """Who counts the parts that pass."""
        return self._pages("passage-counters", **_without_none(station=station))

    def passages(self, counter_id: int) -> Iterator[shapes.Passage]:
        """What one of them reported, newest first."""
        return self._pages("passage-counters", counter_id, "passages")

    # ------------------------------------------------------------ canaries
    def start_canary(
        self, version_id: int, station: str, *, reason: str, signature: shapes.SignatureFields | None = None
    ) -> shapes.FullCanary:
        """Let a version judge the images of one station instead of production."""
        body = {"model_version": version_id, "station": station, "reason": reason}
        return self._post("canaries", json=body | _without_none(signature=signature))

    def canaries(self, *, category: str = "", active: bool | None = None) -> Iterator[shapes.Canary]:
        return self._pages("canaries", category=category, active=active)

    def canary(self, canary_id: int) -> shapes.FullCanary:
        """What it judged, beside production."""
        return self._get("canaries", canary_id)

    def end_canary(self, canary_id: int, *, reason: str) -> shapes.FullCanary:
        """Give the station back to production, from its next image on."""
        return self._post("canaries", canary_id, "end", json={"reason": reason})

    # ------------------------------------------------------------ challengers
    def start_challenger(
        self, version_id: int, *, reason: str, share: float | None = None, max_images: int | None = None
    ) -> shapes.FullChallenger:
        """Let a version score what production judges from now on. It decides nothing."""
        body = {"model_version": version_id, "reason": reason}
        return self._post("challengers", json=body | _without_none(share=share, max_images=max_images))

    def challengers(self, *, category: str = "") -> Iterator[shapes.Challenger]:
        return self._pages("challengers", category=category)

    def challenger(self, challenger_id: str) -> shapes.FullChallenger:
        """Both versions beside each other on the same live images."""
        return self._get("challengers", challenger_id)

    def stop_challenger(self, challenger_id: str, *, reason: str) -> shapes.FullChallenger:
        return self._post("challengers", challenger_id, "stop", json={"reason": reason})

    def challenger_results(self, challenger_id: str) -> Iterator[shapes.ChallengerResult]:
        return self._pages("challengers", challenger_id, "results")

    def challenger_disagreements(
        self, challenger_id: str, *, looked_at: bool | None = None
    ) -> Iterator[shapes.ChallengerResult]:
        """Those farthest apart first. `looked_at`: those that a person looked at, or that nobody did."""
        return self._pages("challengers", challenger_id, "disagreements", looked_at=looked_at)

    def mark_disagreement(self, result_id: int, *, comment: str = "") -> shapes.ChallengerResult:
        """Say that you looked at a disagreement, where a review of the record would say too much."""
        return self._post("challenger-results", result_id, "mark", json={"comment": comment})

    def download_challenger(self, challenger_id: str) -> bytes:
        """All results as CSV."""
        return self._bytes("challengers", challenger_id, "csv")

    # ------------------------------------------------------------ containments
    def start_containment(
        self,
        inspection_id: str,
        *,
        reason: str,
        model_version: int | None = None,
        min_likeness: float | None = None,
        use_reference_parts: bool | None = None,
    ) -> shapes.Containment:
        """Search all that passed under the conditions of an escape. `model_version`: it scores them again."""
        body = {"inspection_id": inspection_id, "reason": reason}
        more = _without_none(
            model_version=model_version, min_likeness=min_likeness, use_reference_parts=use_reference_parts
        )
        return self._post("containments", json=body | more)

    def containments(self) -> Iterator[shapes.Containment]:
        return self._pages("containments")

    def containment(self, containment_id: str) -> shapes.Containment:
        return self._get("containments", containment_id)

    def containment_parts(self, containment_id: str) -> Iterator[shapes.ContainedPart]:
        return self._pages("containments", containment_id, "parts")

    def download_containment(self, containment_id: str, form: Literal["csv", "pdf"] = "csv") -> bytes:
        """The signed list. Problem `containment_not_finished` (409) before there is one."""
        return self._bytes("containments", containment_id, form)

    def wait_for_containment(self, containment_id: str, *, timeout: float | None = None) -> shapes.Containment:
        """The containment, once it is finished or failed. Raises `TookTooLong`."""
        return self._until(
            lambda: self.containment(containment_id),
            lambda found: found["status"] in ("finished", "failed"),
            timeout,
            None,
        )

    # ------------------------------------------------------------ reports
    def report(self, **scope: Unpack[shapes.ReportScopeFields]) -> shapes.Report:
        """What happened in a shift, a day, a week, a month, a period or a lot; nothing said: in the present shift."""
        return self._get("report", **scope)

    def download_report(self, form: Literal["csv", "pdf"] = "pdf", **scope: Unpack[shapes.ReportScopeFields]) -> bytes:
        """The same report as a file."""
        return self._bytes("report", form, **scope)

    def issue_report(self, **scope: Unpack[shapes.ReportScopeFields]) -> shapes.IssuedReport:
        """Freeze a report as it is now; its hashes go into the audit log."""
        return self._post("issued-reports", json=dict(scope))

    def issued_reports(self) -> Iterator[shapes.IssuedReport]:
        return self._pages("issued-reports")

    def issued_report(self, report_id: str) -> shapes.IssuedReport:
        return self._get("issued-reports", report_id)

    def download_issued_report(self, report_id: str, form: Literal["json", "csv", "pdf"] = "pdf") -> bytes:
        """The same bytes at every call."""
        return self._bytes("issued-reports", report_id, form)

    def statement(self, **scope: Unpack[shapes.StatementScopeFields]) -> shapes.Statement:
        """What could be stated now: "nothing passed uninspected between A and B, except ..."."""
        return self._get("statement", **scope)

    def issue_statement(self, **scope: Unpack[shapes.StatementScopeFields]) -> shapes.IssuedStatement:
        """Freeze it as it is now; its hashes go into the audit log."""
        return self._post("issued-statements", json=dict(scope))

    def issued_statements(self) -> Iterator[shapes.IssuedStatement]:
        return self._pages("issued-statements")

    def issued_statement(self, statement_id: str) -> shapes.IssuedStatement:
        return self._get("issued-statements", statement_id)

    def download_statement(self, statement_id: str, form: Literal["json", "pdf"] = "pdf") -> bytes:
        """The same bytes at every call."""
        return self._bytes("issued-statements", statement_id, form)

    def report_schedules(self) -> Iterator[shapes.ReportSchedule]:
        return self._pages("report-schedules")

    def report_schedule(self, schedule_id: int) -> shapes.ReportSchedule:
        return self._get("report-schedules", schedule_id)

    def set_report_schedule(
        self,
        kind: Literal["shift", "day", "week", "month"],
        recipients: Sequence[str],
        *,
        category: str | None = None,
        station: str = "",
        schedule_id: int | None = None,
    ) -> shapes.ReportSchedule:
        """A report that is issued and sent when each of its windows is over. `schedule_id`: change this one."""
        body = {"kind": kind, "recipients": list(recipients), "category": category, "station": station}
        if schedule_id is None:
            return self._post("report-schedules", json=body)
        return self._send("PUT", ("report-schedules", schedule_id), json=body, repeatable=True).json()

    def end_report_schedule(self, schedule_id: int) -> None:
        self._send("DELETE", ("report-schedules", schedule_id), repeatable=True)

    # ------------------------------------------------------------ retention
    def retention_policies(self, *, category: str = "", in_force: bool = False) -> Iterator[shapes.RetentionPolicy]:
        return self._pages("retention-policies", category=category, in_force=in_force)

    def retention_policy(self, policy_id: int) -> shapes.RetentionPolicy:
        return self._get("retention-policies", policy_id)

    def set_retention_policy(
        self,
        category: str,
        *,
        reason: str,
        good_after_days: int | None = None,
        good_keep_every: int = 0,
        maps_after_days: int | None = None,
        defective_after_days: int | None = None,
        keep_reviewed: bool = True,
    ) -> shapes.RetentionPolicy:
        """How long the files of a category are kept from now on; without any days, for ever."""
        body = _without_none(
            category=category,
            reason=reason,
            good_after_days=good_after_days,
            good_keep_every=good_keep_every,
            maps_after_days=maps_after_days,
            defective_after_days=defective_after_days,
            keep_reviewed=keep_reviewed,
        )
        return self._post("retention-policies", json=body)

    def retention_runs(
        self, *, category: str = "", dry_run: bool | None = None, sha256: str = ""
    ) -> Iterator[shapes.RetentionRun]:
        """`sha256`: the runs that removed this file."""
        return self._pages("retention-runs", category=category, dry_run=dry_run, sha256=sha256)

    def retention_run(self, run_id: int) -> shapes.RetentionRun:
        return self._get("retention-runs", run_id)

    def start_retention_run(self, category: str | None = None, *, dry_run: bool = True) -> shapes.RetentionRun:
        """Without a category: the files that belong to nobody. A real run needs a dry run before it."""
        return self._post("retention-runs", json={"category": category, "dry_run": dry_run})

    def wait_for_retention(self, run_id: int, *, timeout: float | None = None) -> shapes.RetentionRun:
        """The run, once it is finished or failed. Raises `TookTooLong`."""
        return self._until(
            lambda: self.retention_run(run_id), lambda run: run["status"] in ("finished", "failed"), timeout, None
        )

    # ------------------------------------------------------------ waiting
    def _until(
        self,
        look: Callable[[], T],
        settled: Callable[[T], bool],
        timeout: float | None,
        progress: Callable[[T], None] | None,
    ) -> T:
        """Look again and again, at longer and longer intervals up to two seconds."""
        deadline = None if timeout is None else time.monotonic() + timeout
        pause = 0.1
        while True:
            state = look()
            if progress:
                progress(state)
            if settled(state):
                return state
            if deadline is not None and time.monotonic() + pause > deadline:
                raise TookTooLong(f"Not over after {timeout:g} seconds. It goes on; wait again.")
            time.sleep(pause)
            pause = min(2.0, pause * 1.5)


def _without_none(**members: Any) -> dict[str, Any]:
    """A JSON body without what was not given: the server has the defaults."""
    return {name: value for name, value in members.items() if value is not None}


def _file(image: ImageOrNamed) -> File:
    if isinstance(image, str | Path):
        name, content = Path(image).name, Path(image).read_bytes()
    elif isinstance(image, bytes):
        name, content = ("image.png" if image.startswith(b"\x89PNG") else "image.jpg"), image
    else:
        name, content = image
    return name, content, "image/png" if name.lower().endswith(".png") else "image/jpeg"


def _dataset_fields(
    name: str, good: Iterable[str], defect: Iterable[str], layout: str, *, keep_duplicates: bool
) -> dict[str, Any]:
    fields: dict[str, Any] = {"name": name, "good": list(good), "defect": list(defect)}
    fields |= {"layout": layout} if layout else {}
    return fields | ({"keep_duplicates": "true"} if keep_duplicates else {})


@contextmanager
def _archive_stream(archive: str | Path | tuple[str, IO[bytes]]) -> Iterator[tuple[str, IO[bytes]]]:
    """A path as an open file for the length of a block; a stream stays the caller's."""
    if isinstance(archive, tuple):
        yield archive
        return
    with Path(archive).open("rb") as stream:
        yield Path(archive).name, stream
