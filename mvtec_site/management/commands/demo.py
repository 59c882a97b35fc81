"""`manage.py demo`: from nothing to a served detector on real images, over the same roads as in production."""

from __future__ import annotations

import json
import secrets
import tempfile
import time
from argparse import ArgumentParser
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from django.conf import settings
from django.contrib.auth.models import User
from django.core.management import call_command
from django.db import connection, transaction

from accounts.models import ApiToken
from accounts.services import issue_token, revoke_token
from common.commands import ProductCommand
from common.errors import Unavailable
from common.files import write_whole
from modelzoo.loading.artifact_check import ArtifactFault
from modelzoo.loading.artifact_store import local_folder
from modelzoo.models import ModelVersion
from mvtec_site.embedded.supervisor import Supervisor
from records.audit.services import audit
from training.datasets.imports import import_path
from training.datasets.layouts.elpv import write_elpv_mono
from training.datasets.selectors import images_of
from training.models import Dataset, DatasetImage

NAME = "elpv-mono"
# Named, so that every machine trains the same detector: these weights come with the requirements, no download.
_TRAINING = {"model": "padim", "backbone": "efficientnet_lite0"}
_SINGLE, _BATCH = 4, 16  # images sent one by one and as a batch, half of them defective


def _has_artifact(version: ModelVersion) -> bool:
    try:
        return local_folder(version).is_dir()
    except ArtifactFault:
        return False


def _sample_file(image: DatasetImage) -> Path:
    """A file to send: the stored one where that is on this machine, else a copy."""
    try:
        return Path(image.asset.file.path)
    except NotImplementedError:
        path = Path(settings.VAR_DIR) / f"demo_sample{Path(image.path).suffix}"
        path.write_bytes(image.asset.read())
        return path


def places() -> str:
    """Where everything lies that the demo left."""
    bucket, database = settings.S3_BUCKET, connection.settings_dict["NAME"]
    files = f"bucket {bucket}" if bucket else str(settings.VAR_DIR)
    if connection.vendor == "sqlite" and not bucket:
        return f"{files} (database, images, maps, artifacts)"
    return f"{files} (images, maps, artifacts); database {database}"


@dataclass(frozen=True)
class _Login:
    username: str
    password: str
    token: str


class Command(ProductCommand):
    help = "Import real images, train, evaluate, start everything and judge images over HTTP."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--host", default="127.0.0.1")
        parser.add_argument("--port", type=int, default=8000)
        parser.add_argument("--exit", action="store_true", help="stop when everything was shown, instead of serving on")
        parser.add_argument(
            "--address", default="", help="of a system that runs on this database, such as http://10.0.0.7:8000"
        )

    def perform(self, **options: Any) -> None:
        began = time.monotonic()
        dataset = self._dataset()
        version = self._version(dataset)
        login = self._login()
        with ExitStack() as started:
            address, running = str(options["address"]).rstrip("/"), None
            if address:
                self.say(f"[4/5] Using the system at {address} ...")
            else:
                self.say("[4/5] Starting web server, workers and broker ...")
                running = started.enter_context(Supervisor(options["host"], options["port"], say=self.say))
                address = f"http://{options['host']}:{options['port']}"
            headers = {"Authorization": f"Bearer {login.token}"}
            # Loading the model may take as long as that; the batch, which is waited for 60 s, does not.
            with httpx.Client(base_url=address, headers=headers, timeout=settings.LOAD_TIMEOUT + 60) as client:
                single, batch = self._judge(client, version, dataset)
            self._table(version, dataset, single, batch, time.monotonic() - began)
            if running is None:
                return
            if options["exit"]:
                self.say("Stopping web server, workers and broker ...")
            else:
                self._invite(address, login, dataset)
                running.wait()

    # ------------------------------------------------------------ what is made once and reused
    def _dataset(self) -> Dataset:
        dataset = Dataset.objects.filter(name=NAME).order_by("-id").first()
        if dataset:
            self.say(f"[1/5] Data set {dataset} is here already.")
            return dataset

        self.say("[1/5] Importing electroluminescence images of solar cells (wheel elpv-dataset, CC BY-NC-SA 4.0) ...")
        with tempfile.TemporaryDirectory(dir=settings.VAR_DIR, prefix="demo-") as folder:
            imported = import_path(write_elpv_mono(Path(folder)), actor=None, name=NAME)
        return imported[0].dataset

    def _version(self, dataset: Dataset) -> ModelVersion:
        versions = ModelVersion.objects.filter(
            dataset_name=NAME,
            dataset_snapshot=dataset.snapshot,
            algorithm=_TRAINING["model"],
            backbone=_TRAINING["backbone"],
        ).order_by("-id")
        version = next((version for version in versions if _has_artifact(version)), None)
        if version:
            self.say(f"[2/5] {version} is trained already.")
        else:
            self.say("[2/5] Training PaDiM on the good cells ...")
            call_command("train", dataset=NAME, stderr=self.stderr, stdout=self.stdout, **_TRAINING)
            version = versions.all()[0]  # asked again: the first answer is remembered
        image = version.metrics["image"]
        self.say(f"[3/5] Evaluated on {version.metrics['n']} test images: image AUROC {image['auroc']:.4f}.")
        return version

    def _login(self) -> _Login:
        """The demo user and a token; made once and kept, readable by the owner only, in VAR_DIR."""
        path = Path(settings.VAR_DIR) / "demo_login.json"
        if path.exists():
            login = _Login(**json.loads(path.read_text()))
            user = User.objects.filter(username=login.username).first()
            if user and user.check_password(login.password) and user.api_tokens.filter(revoked_at=None).exists():
                return login
        password = secrets.token_urlsafe(12)
        with transaction.atomic():
            user, created = User.objects.get_or_create(
                username="demo", defaults={"is_staff": True, "is_superuser": True}
            )
            user.set_password(password)
            user.save(update_fields=["password"])
            audit(kind="user.created" if created else "user.password_set", subject=user, actor=None)
            for token in ApiToken.objects.filter(user=user, name="demo", revoked_at__isnull=True):
                revoke_token(token=token, actor=None)
            _, secret = issue_token(user=user, name="demo", actor=None)
        login = _Login("demo", password, secret)
        with write_whole(path, mode=0o600) as out:
            out.write(json.dumps(vars(login)).encode())
        return login

    # ------------------------------------------------------------ over HTTP, as an integrator would
    def _judge(
        self, client: httpx.Client, version: ModelVersion, dataset: Dataset
    ) -> tuple[list[dict[str, Any]], dict[str, Any]]:
        self.say("[5/5] Loading the model and judging test images over HTTP ...")
        self._post(client, "/api/load_model", json={"model_version": str(version.pk)})
        tests = images_of(dataset, DatasetImage.Split.TEST)
        good = [image for image in tests if not image.is_defective]
        bad = [image for image in tests if image.is_defective]
        mixed = [image for pair in zip(good, bad, strict=False) for image in pair]
        single = []
        for image in mixed[:_SINGLE]:
            files = {"image": (Path(image.path).name, image.asset.read(), image.asset.content_type)}
            single.append(self._post(client, "/api/test_image", files=files, data={"anomaly_map": "url"}))
        images = mixed[_SINGLE : _SINGLE + _BATCH]
        files_of = [("images", (Path(i.path).name, i.asset.read(), i.asset.content_type)) for i in images]
        batch = self._post(client, "/api/batch_test", files=files_of, data={"wait": "60"})
        truth = {Path(image.path).name: image.is_defective for image in mixed}
        for row in [*single, *batch["results"]]:
            row["truth"] = truth[row["filename"]]
        return single, batch

    def _post(self, client: httpx.Client, path: str, **request: Any) -> dict[str, Any]:
        response = client.post(path, **request)
        if response.is_error:
            raise Unavailable(f"POST {path} answered {response.status_code}: {response.text[:500]}")
        document: dict[str, Any] = response.json()
        return document

    # ------------------------------------------------------------ what is shown
    def _table(
        self,
        version: ModelVersion,
        dataset: Dataset,
        single: list[dict[str, Any]],
        batch: dict[str, Any],
        seconds: float,
    ) -> None:
        image = version.metrics["image"]
        threshold = version.thresholds.order_by("-revision")[0]
        out = self.stdout.write
        out("")
        out(f"  data set       {dataset}")
        out(f"  model          {version}, backbone {version.backbone}")
        out(f"  image AUROC    {image['auroc']:.4f}   AUPR {image['aupr']:.4f}   F1 {image['f1']:.4f}")
        out(f"                 (rejecting every image: F1 {image['trivial_f1']:.4f})")
        out(f"  threshold      {threshold.value:.4f}   ({threshold.method}, revision {threshold.revision})")
        out("")
        out("  image            truth      verdict         score     record")
        for row in single:
            out(
                f"  {row['filename']:<16} {self._word(row['truth']):<10} {row['outcome'].replace('_', ' '):<15} "
                f"{'-' if row['score'] is None else format(row['score'], '.3f'):<9} {row['inspection_id']}"
            )
        rows = [row for row in batch["results"] if row["status"] == "done"]
        correct = sum(row["is_defective"] == row["truth"] for row in rows)
        out(f"  batch of {batch['total']}: {batch['done']} judged, {batch['failed']} failed, {correct} as labelled")
        out("")
        out(f"  records        {places()}")
        out(f"  took           {seconds:.0f} s")

    def _word(self, defective: bool) -> str:
        return "defective" if defective else "good"

    def _invite(self, address: str, login: _Login, dataset: Dataset) -> None:
        sample = next(image for image in images_of(dataset, DatasetImage.Split.TEST) if image.is_defective)
        out = self.stdout.write
        out("")
        out(f"  Open           {address}")
        out(f"  Sign in        {login.username} / {login.password}")
        out(f"  API            {address}/api/docs   token {login.token}")
        out(f"  curl -F image=@{_sample_file(sample)} -F anomaly_map=url \\")
        out(f'       -H "Authorization: Bearer {login.token}" {address}/api/test_image')
        out("")
        out("  Ctrl-C stops everything; make run starts it again.")
