"""Writes: taking a model version out of an installation as one signed file, and into another one."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from django.conf import settings
from django.db import transaction

from common.errors import Conflict, UserError
from common.files import write_folder, write_whole
from common.rights import Right, require
from modelzoo import services
from modelzoo.card.documents import card_document
from modelzoo.card.pages import card_file
from modelzoo.loading.artifact_check import ArtifactFault, check_folder
from modelzoo.loading.artifact_store import check_artifact, stored_artifact
from modelzoo.loading.scoring import ModelUnusable
from modelzoo.models import ModelVersion
from modelzoo.transfer import package
from modelzoo.transfer.description import (
    COLUMNS,
    Description,
    describe,
    evaluation_of,
    read_description,
    read_evaluation,
    spelled,
)
from modelzoo.transfer.package import Contents, PackageRefused
from modelzoo.transfer.reports import report_of
from records.audit.chain import signing
from records.audit.services import Actor, audit

# Public keys of other installations whose packages are taken without a further word: PEM files in this folder.
_KNOWN_KEYS = "model_public_keys"
# Hidden, as what was half-written is: leftovers of a killed import go when retention removes those.
_UNPACKED = ".import.partial-"
_ARTIFACT = "artifact"  # in such a folder: what a model is loaded from, without the rest of the package


class PackageNotAccepted(UserError):
    """The package, or one of its members, is not what was signed, or its signer is not known here."""

    code = "package_refused"


# ---------------------------------------------------------------- out
@dataclass(frozen=True)
class Package:
    """A version ready to be sent. The same version at the same threshold, with the same card, is the same bytes."""

    version: ModelVersion
    contents: Contents
    members: dict[str, package.Source]

    @property
    def identity(self) -> str:
        return hashlib.sha256(self.contents.text()).hexdigest()

    @property
    def size_bytes(self) -> int:
        return package.size_of({name: package.hash_of(source)[1] for name, source in self.members.items()})

    @property
    def filename(self) -> str:
        return f"{self.version.category.name}-v{self.version.number}-{self.version.algorithm}.zip"

    def chunks(self) -> Iterator[bytes]:
        return package.chunks(self.members)


def make_package(version: ModelVersion) -> Package:
    """A version with its evaluation and its card, signed with the key that signs checkpoints of the audit chain.

    Raises `ModelUnusable` where the artifact on the disk is not the recorded one.
    """
    try:
        files = check_artifact(version)
    except ArtifactFault as error:
        raise ModelUnusable(
            f"The artifact of {version} is not sent: {error} Nothing was changed. Restore it from a backup."
        ) from error
    card, report = card_document(version), report_of(version)
    members: dict[str, package.Source] = {
        **{file.name: file for file in files},
        package.DESCRIPTION: spelled(describe(version)),
        package.EVALUATION: spelled(evaluation_of(version)),
        package.CARD: spelled(card),
        package.CARD_PAGE: card_file(card).encode(),
        **({package.REPORT: report.encode()} if report else {}),
    }
    private = signing.own_key()
    public = private.public_key()
    contents = Contents(
        files={name: package.hash_of(source) for name, source in members.items()},
        public_key=signing.pem(public),
        key_id=signing.key_id(public),
        version={"category": version.category.name, "number": version.number, "algorithm": version.algorithm},
    )
    text = contents.text()
    head = {package.CONTENTS: text, package.SIGNATURE: base64.b64encode(private.sign(text))}
    return Package(version, contents, {**head, **members})


@transaction.atomic
def note_export(*, made: Package, actor: Actor) -> None:
    """Say in the log that a version is about to be taken out, before it is. Raises `Forbidden`."""
    require(actor, Right.DEPLOY)
    audit(
        kind="model_version.exported",
        subject=made.version,
        actor=actor,
        after={
            "artifact_sha256": made.version.artifact_sha256,
            "package_sha256": made.identity,
            "key_id": made.contents.key_id,
            "size_bytes": made.size_bytes,
        },
        changes_subject=False,
    )


def export_version(*, version: ModelVersion, output: Path, actor: Actor) -> Package:
    """Write a version to a file, whole or not at all. Raises `Conflict` where the file is there already."""
    require(actor, Right.DEPLOY)
    if output.exists():
        raise Conflict(f"{output} exists already. Nothing was written. Name another file.", code="file_exists")
    made = make_package(version)
    try:
        with write_whole(output, replace=False) as out:
            for block in made.chunks():
                out.write(block)
            note_export(made=made, actor=actor)
    except OSError as error:
        raise UserError(
            f"The package could not be written to {output} ({error.strerror or error}). Nothing was kept.",
            code="package_not_written",
        ) from error
    return made


# ---------------------------------------------------------------- in
def fingerprint(key: Ed25519PublicKey) -> str:
    """SHA-256 of a public key's 32 bytes, which its owner reads out to whoever is to trust it."""
    return hashlib.sha256(key.public_bytes_raw()).hexdigest()


def own_fingerprint() -> str:
    return fingerprint(signing.own_key().public_key())


def import_version(
    *,
    path: Path,
    actor: Actor,
    category: str = "",
    public_keys: Iterable[Path] = (),
    fingerprints: Iterable[str] = (),
    check: Callable[[Path, str], object] | None = None,
) -> ModelVersion:
    """A version from a package, as a candidate with the threshold that it had, if all of it is what a known key signed.

    Known are the key of this installation, those in VAR_DIR/model_public_keys, and what is named here: files, or the
    fingerprint of the key inside the package. `category`: where it shall judge another one than at home. `check`: gets
    the unpacked folder and the artifact's hash, and raises `UserError` where the model cannot be loaded.

    Raises `Forbidden`, `PackageNotAccepted` with the member that is not as it was signed, and `Conflict` where the
    version is here already. Then nothing is kept but an audit event.
    """
    require(actor, Right.DEPLOY)
    root = Path(settings.MODEL_PATH)
    root.mkdir(parents=True, exist_ok=True)
    unpacked = Path(tempfile.mkdtemp(prefix=_UNPACKED, dir=root))
    try:
        contents = _unpack(path, unpacked, _keys(public_keys), {text.strip().lower() for text in fingerprints})
        description = read_description((unpacked / package.DESCRIPTION).read_bytes())
        evaluation = read_evaluation((unpacked / package.EVALUATION).read_bytes())
        _check_artifact(unpacked, description, contents)
        _check_is_new(description)
        if check:
            check(unpacked, description.artifact_sha256)
        return _install(
            unpacked, description, evaluation, contents, category=category or description.category, actor=actor
        )
    except PackageRefused as error:
        refusal = PackageNotAccepted(f"{path.name} was not imported: {error} Nothing was kept.", member=error.member)
        _audit_refusal(path, refusal, actor)
        raise refusal from error
    except PackageNotAccepted as error:
        _audit_refusal(path, error, actor)
        raise
    except OSError as error:
        raise UserError(
            f"{path.name} cannot be read or kept ({error.strerror or error}). Nothing was imported.",
            code="package_not_read",
        ) from error
    finally:
        shutil.rmtree(unpacked, ignore_errors=True)


def _keys(files: Iterable[Path]) -> dict[str, Ed25519PublicKey]:
    known = sorted((Path(settings.VAR_DIR) / _KNOWN_KEYS).glob("*.pem"))
    keys = [signing.read_public(path) for path in (*known, *files)]
    own = signing.own_public_key()
    return {fingerprint(key): key for key in ([own] if own else []) + keys}


def _unpack(path: Path, folder: Path, keys: Mapping[str, Ed25519PublicKey], trusted: set[str]) -> Contents:
    def check(contents: Contents, text: bytes, signature: bytes) -> None:
        key = _public_key(contents)
        own = fingerprint(key)
        if own not in keys and own not in trusted:
            raise PackageNotAccepted(
                f"{path.name} was not imported: it is signed by a key that is not known here, with the fingerprint "
                f"{own}. Nothing was kept. Ask whoever sent it for the fingerprint of their key, over another way; if "
                f"it is this one, import again with --fingerprint {own}, or put their public key into "
                f"{_KNOWN_KEYS} in VAR_DIR.",
                fingerprint=own,
            )
        if not signing.is_signed(text, signature, key):
            raise PackageRefused("its signature does not fit.", package.CONTENTS)

    with path.open("rb") as file:
        return package.read(file, size=os.fstat(file.fileno()).st_size, check=check, folder=folder)


def _public_key(contents: Contents) -> Ed25519PublicKey:
    try:
        key = signing.public_from(contents.public_key.encode())
    except UserError as error:
        raise PackageRefused("it holds no public key.", package.CONTENTS) from error
    if signing.key_id(key) != contents.key_id or signing.pem(key) != contents.public_key:
        raise PackageRefused("its public key is not the one that it names.", package.CONTENTS)
    return key


def _check_artifact(folder: Path, description: Description, contents: Contents) -> None:
    """The artifact is the one that the version says, in bytes and in shapes."""
    try:
        files = check_folder(folder, description.artifact_sha256)
    except ArtifactFault as error:
        raise PackageRefused(str(error)) from error
    if {file.name for file in files} != {package.MANIFEST, package.TENSORS}:
        raise PackageRefused("it names other files than a model has.", package.MANIFEST)
    manifest = json.loads((folder / package.MANIFEST).read_bytes())
    if manifest.get("algorithm") != description.algorithm:
        raise PackageRefused("it is of another algorithm than the version says.", package.MANIFEST)
    if sum(contents.files[file.name][1] for file in files) != description.artifact_bytes:
        raise PackageRefused("the size of its artifact is another one.", package.DESCRIPTION)


def _check_is_new(description: Description) -> None:
    existing = ModelVersion.objects.select_related("category")
    here = existing.filter(artifact_sha256=description.artifact_sha256).first()
    if here:
        raise Conflict(
            f"This version is here already, as {here} (version {here.pk}). Nothing was changed.",
            code="version_exists",
            model_version=here.pk,
        )


def _install(
    unpacked: Path,
    description: Description,
    evaluation: dict[str, Any],
    contents: Contents,
    *,
    category: str,
    actor: Actor,
) -> ModelVersion:
    """The artifact at its place, then all rows in one transaction; where those fail, the artifact goes again."""
    with write_folder(unpacked / _ARTIFACT) as target:
        for name in (package.MANIFEST, package.TENSORS):
            shutil.move(unpacked / name, target / name)
    with stored_artifact(unpacked / _ARTIFACT, description.artifact_sha256) as artifact:
        return _register(artifact, description, evaluation, contents, category=category, actor=actor)


@transaction.atomic
def _register(
    artifact: str,
    description: Description,
    evaluation: dict[str, Any],
    contents: Contents,
    *,
    category: str,
    actor: Actor,
) -> ModelVersion:
    given_name = description.given_name if category == description.category else ""
    version = services.register_version(
        category=services.ensure_category(name=category, given_name=given_name),
        actor=actor,
        artifact=artifact,
        metrics=evaluation["metrics"],
        origin=_origin(description, evaluation, contents),
        **{name: getattr(description, name) for name in COLUMNS},
    )
    threshold = description.threshold
    services.append_threshold(
        version=version,
        value=threshold["value"],
        method=threshold["method"],
        parameters=threshold["parameters"],
        evidence=threshold["evidence"],
        reason=f"as where it came from (revision {threshold['revision']}): {threshold['reason']}"[:500],
        actor=actor,
    )
    audit(
        kind="model_version.imported",
        subject=version,
        actor=actor,
        after={
            "category": category,
            "artifact_sha256": version.artifact_sha256,
            "package_sha256": hashlib.sha256(contents.text()).hexdigest(),
            "key_id": contents.key_id,
            "was": f"{description.category} v{description.number}",
        },
    )
    return version


def _origin(description: Description, evaluation: dict[str, Any], contents: Contents) -> dict[str, Any]:
    return {
        "category": description.category,
        "number": description.number,
        "id": description.id,
        "created_at": description.created_at,
        "created_by": description.created_by,
        "threshold_revision": description.threshold["revision"],
        "key_id": contents.key_id,
        "fingerprint": fingerprint(_public_key(contents)),
        "package_sha256": hashlib.sha256(contents.text()).hexdigest(),
        "data": description.data,
        "robustness": evaluation["robustness"],
        "before": description.origin,
    }


@transaction.atomic
def _audit_refusal(path: Path, error: UserError, actor: Actor) -> None:
    audit(
        kind="model_version.import_refused",
        subject=(ModelVersion._meta.label_lower, ""),
        actor=actor,
        after={"file": path.name[:200], "error": error.detail[:500]},
    )
