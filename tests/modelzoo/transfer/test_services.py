"""Versions out of an installation and into another one: what is taken, and what is refused."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from django.conf import settings as django_settings
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.test import Client
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from common.errors import Conflict
from common.rights import Forbidden
from modelzoo.card.documents import card_document, find_for_card
from modelzoo.models import ModelVersion, Threshold
from modelzoo.services import set_threshold
from modelzoo.transfer import package, services
from modelzoo.transfer.description import read_description, read_evaluation, spelled
from modelzoo.transfer.package import Contents, PackageRefused
from modelzoo.transfer.services import PackageNotAccepted, export_version, import_version, make_package
from records.audit.chain import signing
from records.audit.selectors import verify_chain
from records.models import AuditEvent
from tests.triggers import without_any_triggers

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _own_key(tmp_path: Path, settings: Any) -> None:
    settings.VAR_DIR = tmp_path / "var"
    settings.AUDIT_SIGNING_KEY = settings.VAR_DIR / "audit_key.pem"


@pytest.fixture
def exported(version: ModelVersion, tmp_path: Path) -> Path:
    export_version(version=version, output=tmp_path / "disc.zip", actor=None)
    return tmp_path / "disc.zip"


@pytest.fixture
def elsewhere(exported: Path, settings: Any, tmp_path: Path) -> Path:
    """The package, where nothing is known of the version nor of the key that signed it."""
    forget_versions()
    settings.VAR_DIR = tmp_path / "elsewhere"
    settings.AUDIT_SIGNING_KEY = settings.VAR_DIR / "audit_key.pem"
    settings.MODEL_PATH = settings.VAR_DIR / "artifacts"
    return exported


def forget_versions() -> None:
    with without_any_triggers():
        Threshold.objects.all().delete()
        ModelVersion.objects.all().delete()


def contents_of(path: Path) -> dict[str, Any]:
    with zipfile.ZipFile(path) as archive:
        contents: dict[str, Any] = json.loads(archive.read("package.json"))
    return contents


def fingerprint_in(path: Path) -> str:
    return services.fingerprint(signing.public_from(contents_of(path)["public_key"].encode()))


def repacked(path: Path, change: Callable[[dict[str, bytes]], None], target: Path) -> tuple[Path, str]:
    """The same package with other members, signed anew with a key of its own; that key's fingerprint."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()[2:]}
    change(members)
    key = Ed25519PrivateKey.generate()
    public = key.public_key()
    listed = {name: package.hash_of(data) for name, data in members.items()}
    text = Contents(listed, signing.pem(public), signing.key_id(public), {}).text()
    head = {package.CONTENTS: text, package.SIGNATURE: base64.b64encode(key.sign(text))}
    target.write_bytes(b"".join(package.chunks(head | members)))
    return target, services.fingerprint(public)


def nothing_is_kept() -> None:
    assert not ModelVersion.objects.exists()
    root = Path(django_settings.MODEL_PATH)
    assert not list(root.rglob("*.safetensors"))
    assert not list(root.glob(".import*"))


# ---------------------------------------------------------------- out and in
def test_a_version_arrives_as_a_candidate_with_its_threshold_and_where_it_comes_from(
    version: ModelVersion, elsewhere: Path
) -> None:
    before = {name: getattr(version, name) for name in ("config", "held_out_scores", "artifact_sha256", "seed")}
    made = import_version(path=elsewhere, fingerprints=[fingerprint_in(elsewhere)], actor=None)
    made.refresh_from_db()
    assert {name: getattr(made, name) for name in before} == before
    assert (made.category.name, made.number, made.stage) == ("disc", 1, "candidate")
    assert made.origin is not None
    assert (made.origin["category"], made.origin["number"]) == ("disc", version.number)
    assert made.origin["fingerprint"] == fingerprint_in(elsewhere)
    [threshold] = made.thresholds.all()
    assert threshold.value == max(made.held_out_scores) * 1.2
    assert threshold.reason == "as where it came from (revision 1): test"
    event = AuditEvent.objects.get(kind="model_version.imported")
    assert json.loads(event.after)["was"] == f"disc v{version.number}"
    assert AuditEvent.objects.filter(kind="model_version.exported").count() == 1
    assert verify_chain().broken_at is None
    card = card_document(find_for_card(made.pk))
    assert card["origin"]["number"] == version.number


def test_the_same_version_is_the_same_bytes_until_something_of_it_changes(version: ModelVersion) -> None:
    first, second = (b"".join(make_package(version).chunks()) for _ in range(2))
    assert first == second
    assert len(first) == make_package(version).size_bytes
    set_threshold(version=version, value=3.0, method="manual", reason="test", actor=None)
    assert make_package(version).identity != make_package(version).identity[::-1]
    assert b"".join(make_package(version).chunks()) != first


def test_an_own_package_needs_no_fingerprint(exported: Path) -> None:
    forget_versions()
    shutil.rmtree(django_settings.MODEL_PATH)
    assert import_version(path=exported, actor=None).number == 1


def test_a_key_that_was_filed_or_named_is_known(elsewhere: Path, tmp_path: Path) -> None:
    pem = contents_of(elsewhere)["public_key"]
    (tmp_path / "theirs.pem").write_text(pem)
    made = import_version(path=elsewhere, public_keys=[tmp_path / "theirs.pem"], actor=None, category="ring")
    assert made.category.name == "ring"
    forget_versions()
    shutil.rmtree(django_settings.MODEL_PATH)
    folder = Path(django_settings.VAR_DIR) / "model_public_keys"
    folder.mkdir(parents=True)
    (folder / "theirs.pem").write_text(pem)
    assert import_version(path=elsewhere, actor=None).category.name == "disc"


def test_the_signer_must_be_known(elsewhere: Path) -> None:
    for trusted in ([], ["0" * 64], [fingerprint_in(elsewhere)[:16]]):
        with pytest.raises(PackageNotAccepted, match="key that is not known here") as refused:
            import_version(path=elsewhere, fingerprints=trusted, actor=None)
        assert refused.value.extra["fingerprint"] == fingerprint_in(elsewhere)
    nothing_is_kept()
    event = AuditEvent.objects.filter(kind="model_version.import_refused").first()
    assert event is not None
    assert "not known here" in json.loads(event.after)["error"]


def test_a_version_that_is_here_stays_as_it_is(version: ModelVersion, exported: Path) -> None:
    with pytest.raises(Conflict, match="is here already, as disc v1"):
        import_version(path=exported, actor=None)
    assert ModelVersion.objects.count() == 1


def test_moving_needs_the_right_to_deploy(version: ModelVersion, exported: Path, operator: User) -> None:
    with pytest.raises(Forbidden):
        import_version(path=exported, actor=operator)
    with pytest.raises(Forbidden):
        export_version(version=version, output=exported.with_name("b.zip"), actor=operator)
    assert not exported.with_name("b.zip").exists()


def test_a_file_that_is_there_is_not_written_over(version: ModelVersion, exported: Path) -> None:
    with pytest.raises(Conflict, match="exists already"):
        export_version(version=version, output=exported, actor=None)


# ---------------------------------------------------------------- refused
MEMBERS = (
    "manifest.json",
    "model.safetensors",
    "version.json",
    "evaluation.json",
    "model_card.json",
    "model_card.html",
)


@pytest.mark.parametrize("member", MEMBERS)
def test_one_flipped_byte_is_refused_with_the_name_of_the_member(elsewhere: Path, member: str) -> None:
    data = bytearray(elsewhere.read_bytes())
    data[data.index(b"\0\0" + member.encode()) + len(member) + 40] ^= 1
    elsewhere.write_bytes(data)
    with pytest.raises(PackageNotAccepted, match=f"disc[.]zip was not imported: {member}: it was changed") as refused:
        import_version(path=elsewhere, fingerprints=[fingerprint_in(elsewhere)], actor=None)
    assert refused.value.extra["member"] == member
    nothing_is_kept()


def _without(name: str) -> Callable[[dict[str, Any]], None]:
    return lambda document: document.pop(name)


def _with(name: str, value: Any) -> Callable[[dict[str, Any]], None]:
    return lambda document: document.__setitem__(name, value)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (_without("seed"), "'seed' is missing or unknown"),
        (_with("more", 1), "'more' is missing or unknown"),
        (_with("category", "../../etc"), "the value of category"),
        (_with("category", ["x"]), "the value of category"),
        (_with("algorithm", "pickle"), "the value of algorithm"),
        (_with("held_out_scores", [1.0, "2"]), "the value of held_out_scores"),
        (_with("artifact_bytes", -1), "the value of artifact_bytes"),
        (_with("artifact_bytes", 17), "size of its artifact"),
        (_with("artifact_sha256", "0" * 64), "manifest.json was changed"),
        (_with("algorithm", "patchcore"), "manifest.json: it is of another algorithm"),
        (_with("threshold", {}), "'evidence' is missing or unknown"),
        (_with("seed", 2**70), "the value of seed"),
    ],
)
def test_a_description_that_no_version_has_is_refused(
    elsewhere: Path, tmp_path: Path, change: Callable[[dict[str, Any]], None], words: str
) -> None:
    def changed(members: dict[str, bytes]) -> None:
        document = json.loads(members["version.json"])
        change(document)
        members["version.json"] = spelled(document)

    path, signer = repacked(elsewhere, changed, tmp_path / "other.zip")
    with pytest.raises(PackageNotAccepted, match=words):
        import_version(path=path, fingerprints=[signer], actor=None)
    nothing_is_kept()


def test_tensors_of_another_shape_than_the_manifest_says_are_refused(elsewhere: Path, tmp_path: Path) -> None:
    def changed(members: dict[str, bytes]) -> None:
        manifest = json.loads(members["manifest.json"])
        name = sorted(manifest["tensors"])[0]
        manifest["tensors"][name]["shape"] = [7, *manifest["tensors"][name]["shape"]]
        members["manifest.json"] = json.dumps(manifest, indent=2, sort_keys=True).encode()
        description = json.loads(members["version.json"])
        description["artifact_sha256"] = hashlib.sha256(members["manifest.json"]).hexdigest()
        description["artifact_bytes"] = len(members["manifest.json"]) + len(members["model.safetensors"])
        members["version.json"] = spelled(description)

    path, signer = repacked(elsewhere, changed, tmp_path / "other.zip")
    with pytest.raises(PackageNotAccepted, match="does not hold the tensors that"):
        import_version(path=path, fingerprints=[signer], actor=None)
    nothing_is_kept()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
)


@given(st.data())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=100)
def test_a_description_is_read_or_refused_whatever_is_in_it(version: ModelVersion, data: st.DataObject) -> None:
    document = services.describe(version)
    for name in data.draw(st.lists(st.sampled_from(sorted(document)), min_size=1, max_size=3)):
        document[name] = data.draw(JSON)
    text = json.dumps(document).encode()
    try:
        read = read_description(text)
    except PackageRefused:
        return
    assert read.category == read.category.strip("/.")


@given(st.binary(max_size=60) | JSON.map(lambda value: json.dumps(value).encode()))
def test_an_evaluation_is_read_or_refused_whatever_is_in_it(text: bytes) -> None:
    for read in (read_description, read_evaluation):
        try:
            read(text)
        except PackageRefused:
            continue


# ---------------------------------------------------------------- commands, API
def test_commands_say_what_was_done(version: ModelVersion, tmp_path: Path, settings: Any) -> None:
    out, target = io.StringIO(), tmp_path / "a.zip"
    call_command("export_model", str(version.pk), output=target, json=True, stdout=out)
    told = json.loads(out.getvalue())
    assert told["size_bytes"] == target.stat().st_size
    assert told["fingerprint"] == services.own_fingerprint()
    forget_versions()
    shutil.rmtree(settings.MODEL_PATH)
    out = io.StringIO()
    call_command("import_model", str(target), json=True, stdout=out)
    assert json.loads(out.getvalue())["origin"]["number"] == 1


def test_a_model_that_does_not_fit_together_is_refused_by_the_command(elsewhere: Path, tmp_path: Path) -> None:
    """Signed, whole, and yet no model: the hashes cannot tell that."""

    def changed(members: dict[str, bytes]) -> None:
        manifest = json.loads(members["manifest.json"])
        manifest["detector"] = {}
        members["manifest.json"] = json.dumps(manifest).encode()
        description = json.loads(members["version.json"])
        description["artifact_sha256"] = hashlib.sha256(members["manifest.json"]).hexdigest()
        description["artifact_bytes"] = len(members["manifest.json"]) + len(members["model.safetensors"])
        members["version.json"] = spelled(description)

    path, signer = repacked(elsewhere, changed, tmp_path / "other.zip")
    with pytest.raises(CommandError, match="its model cannot be loaded here"):
        call_command("import_model", str(path), fingerprint=[signer])
    nothing_is_kept()


def test_the_card_is_a_page_a_document_and_part_of_the_package(signed_in: Client, version: ModelVersion) -> None:
    card = signed_in.get(f"/api/model-versions/{version.pk}/card").json()
    assert card["model"]["artifact_sha256"] == version.artifact_sha256
    assert "how many escape is not known" in " ".join(card["limits"])
    page = signed_in.get(f"/models/{version.pk}/card/").content.decode()
    for sentence in (*card["intended_use"], *card["limits"]):
        assert sentence in page
    assert signed_in.get("/models/99/card/").status_code == 404
    made = make_package(version)
    assert json.loads(bytes(made.members["model_card.json"]))["limits"] == card["limits"]
    assert card["limits"][0].encode() in bytes(made.members["model_card.html"])
