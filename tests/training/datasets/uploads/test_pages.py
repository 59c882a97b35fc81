"""From an upload over its preview to a data set: what is shown, decided, kept and dropped, and to whom."""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import zipfile
from collections.abc import Callable, Iterator
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.contrib.auth.models import User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from mvtec_site.tasks import sweep
from records.models import Asset
from tests import parts
from tests.conftest import person
from tests.training.datasets.test_near_duplicates import saved_again, scene
from training.datasets.uploads.pending import KEPT
from training.models import Dataset

pytestmark = pytest.mark.django_db
HTMX = {"HX-Request": "true"}
Files = dict[str, bytes]


def client_of(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture(autouse=True)
def _nothing_waits() -> Iterator[None]:
    yield
    for place in waiting():
        shutil.rmtree(place)


@pytest.fixture
def colleague(db: None) -> User:
    return person("cora", "engineer")


def words(response: Any) -> str:
    """What stands on the page, without tags and line ends."""
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", unescape(response.content.decode())))


def disc(**more: bytes) -> Files:
    good = {f"disc/train/good/{seed}.png": parts.encode(scene(seed)) for seed in range(6)}
    test = {f"disc/test/good/{seed}.png": parts.encode(scene(seed)) for seed in (20, 21)}
    return good | test | {"disc/test/dent/30.png": parts.encode(scene(30))} | more


def packed(files: Files) -> SimpleUploadedFile:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return SimpleUploadedFile("disc.zip", out.getvalue(), "application/zip")


def send_archive(client: Client, files: Files | None = None, **fields: Any) -> Any:
    return client.post("/datasets/", {"archive": packed(disc() if files is None else files), **fields})


def send_images(client: Client, files: Files, *, paths: str | None = None, **fields: Any) -> Any:
    sent = [SimpleUploadedFile(name.rpartition("/")[2], data) for name, data in files.items()]
    return client.post(
        "/datasets/", {"images": sent, "paths": json.dumps(list(files)) if paths is None else paths, **fields}
    )


def images(*names: str) -> Files:
    return {
        name: parts.encode(scene(seed)) if name.endswith(".png") else b"no image" for seed, name in enumerate(names)
    }


def waiting() -> list[Path]:
    return [*settings.VAR_DIR.glob("import-*")]


def look(client: Client, address: str) -> str:
    return words(client.get(address, {"now": "1"}))


# ---------------------------------------------------------------- the whole way
def test_an_archive_is_previewed_and_imported_on_a_click(signed_in: Client) -> None:
    address = send_archive(signed_in)["Location"]
    first = signed_in.get(address)
    assert "Looking for images" in words(first), "the page is there before the images were looked at"
    assert "no-store" in first["Cache-Control"]
    preview = look(signed_in, address)
    assert "training good 6" in preview
    assert "test good 2" in preview
    assert "test dent 1 0" in preview
    assert "nothing is imported yet" in preview
    assert not Dataset.objects.exists()
    assert not Asset.objects.exists()
    assert len(waiting()) == 1
    made = signed_in.post(address, {"act": "import"})
    dataset = Dataset.objects.get()
    assert made["Location"] == f"/datasets/{dataset.pk}/"
    assert (dataset.name, dataset.source, dataset.images.count()) == ("disc", "disc.zip", 9)
    assert f"{dataset} was imported" in words(signed_in.get(made["Location"]))
    assert waiting() == []
    again = signed_in.post(address, {"act": "import"})
    assert again.status_code == 404
    assert "Nothing waits here any more" in words(again)
    assert Dataset.objects.count() == 1


def test_dropped_it_leaves_nothing(signed_in: Client) -> None:
    address = send_archive(signed_in)["Location"]
    assert signed_in.post(address, {"act": "drop"})["Location"] == "/datasets/"
    assert "disc.zip was dropped" in words(signed_in.get("/datasets/"))
    assert waiting() == []
    assert not Asset.objects.exists()


def test_the_same_content_is_the_same_data_set(signed_in: Client) -> None:
    for _ in range(2):
        address = send_archive(signed_in)["Location"]
        made = signed_in.post(address, {"act": "import"}, headers=HTMX)
    assert made["HX-Redirect"] == f"/datasets/{Dataset.objects.get().pk}/"
    assert "Nothing was added" in words(signed_in.get("/datasets/"))


def test_htmx_gets_the_preview_alone_and_the_progress(signed_in: Client) -> None:
    address = send_archive(signed_in)["Location"]
    part = signed_in.get(address, {"now": "1"}, headers=HTMX)
    assert b"<html" not in part.content
    assert "training good 6" in words(part)
    progress = signed_in.get(f"{address}progress", headers=HTMX)
    assert re.search(r"\d of 9 images looked at|Looking for images", words(progress))
    signed_in.post(address, {"act": "drop"})
    assert signed_in.get(f"{address}progress", headers=HTMX).status_code == 286


# ---------------------------------------------------------------- reading it differently
def test_folders_may_be_said_to_be_good_or_defective(signed_in: Client) -> None:
    files = {name.replace("/dent/", "/lot 7/"): data for name, data in disc().items()}
    address = send_archive(signed_in, files)["Location"]
    signed_in.post(address, {"act": "read", "good": "lot 7", "name": "Ring 7"})
    assert "test good 3" in look(signed_in, address)
    signed_in.post(address, {"act": "import"})
    assert Dataset.objects.get().name == "ring-7"


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"good": "nowhere"}, "no folder 'nowhere'"),
        ({"layout": "../../etc"}, "There is no layout '../../etc'"),
        ({"good": "dent", "defect": "dent"}, "both good and defect"),
    ],
)
def test_what_cannot_be_read_like_this_waits_for_another_word(
    signed_in: Client, fields: dict[str, str], said: str
) -> None:
    address = send_archive(signed_in)["Location"]
    signed_in.post(address, {"act": "read", **fields})
    refused = signed_in.get(address, {"now": "1"})
    assert refused.status_code == 422
    assert said in words(refused)
    assert str(settings.VAR_DIR) not in refused.content.decode(), "no path of the server"
    kept = signed_in.post(address, {"act": "import"}, follow=True)
    assert said in words(kept)
    assert not Dataset.objects.exists()
    signed_in.post(address, {"act": "read"})
    assert "training good 6" in look(signed_in, address)


def test_a_name_that_no_data_set_can_have_changes_nothing(signed_in: Client) -> None:
    address = send_archive(signed_in)["Location"]
    answer = signed_in.post(address, {"act": "read", "name": "///"}, follow=True)
    assert "cannot name a data set" in words(answer)
    signed_in.post(address, {"act": "import"})
    assert Dataset.objects.get().name == "disc"


def test_duplicates_are_shown_and_kept_out_unless_somebody_wants_them(signed_in: Client) -> None:
    again = parts.encode(saved_again(85)(scene(3)))
    address = send_archive(signed_in, disc(**{"disc/test/good/again.png": again}))["Location"]
    preview = look(signed_in, address)
    assert "2 images are the same as another one or nearly so; 1 is kept out of the test" in preview
    assert "It is nearly identical to the training image train/good/3.png." in preview
    signed_in.post(address, {"act": "read", "keep_duplicates": "on"})
    assert "its figures are better than the model is" in look(signed_in, address)
    signed_in.post(address, {"act": "read"})
    made = signed_in.post(address, {"act": "import"}, follow=True)
    assert "test/good/again.png (left out)" in words(made)
    assert Dataset.objects.get().images.count() == 9


# ---------------------------------------------------------------- loose images and folders
def test_loose_images_are_good_parts(signed_in: Client) -> None:
    files = images("a.png", "b.png", "c.png", "notes.txt", "Thumbs.db")
    address = send_images(signed_in, files, paths="", name="Ring 7")["Location"]
    assert "training good 3" in look(signed_in, address)
    signed_in.post(address, {"act": "import"})
    dataset = Dataset.objects.get()
    assert dataset.name == "ring-7"
    assert {(image.split, image.is_defective) for image in dataset.images.all()} == {("train", False)}
    assert dataset.images.count() == 3


def test_a_folder_of_good_parts_names_the_data_set(signed_in: Client) -> None:
    files = {"cell/good/a.png": 0, "cell/a.png": 1, "cell/ok/a.png": 2}
    address = send_images(signed_in, {name: parts.encode(scene(seed)) for name, seed in files.items()})["Location"]
    assert "training good 3" in look(signed_in, address)
    signed_in.post(address, {"act": "import"})
    assert Dataset.objects.get().name == "cell"


def test_a_folder_with_defects_is_read_by_its_sub_folders(signed_in: Client) -> None:
    address = send_images(signed_in, disc())["Location"]
    preview = look(signed_in, address)
    assert "training good 6" in preview
    assert "test dent 1" in preview
    signed_in.post(address, {"act": "import"})
    assert Dataset.objects.get().name == "disc"


@pytest.mark.parametrize(
    ("files", "fields", "said"),
    [
        ((), {"name": "ring"}, "Choose images or a folder first"),
        (("a.png", "b.png"), {}, "Give the data set a name"),
        (("a.png", "b.png"), {"name": "///"}, "cannot name a data set"),
        (("a.png", "b.png"), {"paths": "[1]"}, "Give the data set a name"),
        (("a.png", "b.png"), {"paths": "[" * 50_000}, "Give the data set a name"),
    ],
)
@pytest.mark.parametrize("headers", [{}, HTMX], ids=["page", "htmx"])
def test_images_that_are_no_data_set_are_refused_in_a_sentence(
    signed_in: Client, files: tuple[str, ...], fields: dict[str, str], said: str, headers: dict[str, str]
) -> None:
    sent = [SimpleUploadedFile(name, data) for name, data in images(*files).items()]
    answer = signed_in.post("/datasets/", {"paths": "", "images": sent, **fields}, headers=headers)
    assert answer.status_code == (200 if headers else 400)
    assert said in words(answer)
    assert waiting() == []


@pytest.mark.parametrize("files", [("a.txt", "b.txt"), ("a.png", "b.txt")])
def test_too_few_images_are_said_on_the_page_of_the_upload(signed_in: Client, files: tuple[str, ...]) -> None:
    address = send_images(signed_in, images(*files), paths="", name="ring")["Location"]
    refused = signed_in.get(address, {"now": "1"})
    assert refused.status_code == 422
    assert "It cannot be imported like this" in words(refused)


@pytest.mark.parametrize("headers", [{}, HTMX], ids=["page", "htmx"])
def test_what_is_no_archive_is_a_sentence(signed_in: Client, headers: dict[str, str]) -> None:
    broken = SimpleUploadedFile("broken.zip", b"not an archive")
    response = signed_in.post("/datasets/", {"archive": broken}, headers=headers)
    assert response.status_code == (200 if headers else 415)
    assert "broken.zip was not imported" in words(response)
    assert "is not a .zip, .tar, .tar.gz or .tar.xz archive" in words(response)
    assert "Choose an archive first" in words(signed_in.post("/datasets/", {}, headers=headers))
    assert waiting() == []


# ---------------------------------------------------------------- names of files
@pytest.mark.parametrize(
    "path",
    [
        "../../../../etc/cron.d/x.png",
        "/etc/x.png",
        "..\\..\\x.png",
        "cell/../../x.png",
        "cell/" + "d/" * 200 + "x.png",
        "cell/" + "n" * 2000 + ".png",
        "cell/\u202egnp.exe\0.png",
        "cell//./x.png",
    ],
)
def test_no_name_leads_out_of_the_place(signed_in: Client, path: str) -> None:
    files = {"cell/a.png": parts.encode(scene(1)), "cell/b.png": parts.encode(scene(2)), path: parts.encode(scene(3))}
    address = send_images(signed_in, files, name="cell")["Location"]
    signed_in.get(address, {"now": "1"})
    [place] = waiting()
    assert len([*place.rglob("*.png")]) == 3
    assert len([*Path(settings.VAR_DIR).rglob("*.png")]) == 3


def test_files_of_one_name_stay_apart(signed_in: Client) -> None:
    names = [f"cell/{folder}/a.png" for folder in ("", "ok", "good", "fine")] + ["cell/a-2.png"]
    files = {name.replace("//", "/"): parts.encode(scene(seed)) for seed, name in enumerate(names)}
    address = send_images(signed_in, files, name="cell")["Location"]
    [place] = waiting()
    assert len({file.read_bytes() for file in place.rglob("*.png")}) == 5
    assert signed_in.post(address, {"act": "drop"}).status_code == 302


def test_a_file_that_is_called_as_a_folder_is_costs_itself(signed_in: Client) -> None:
    files = disc() | {"disc/test": b"x", "disc/train/good": b"x"}
    address = send_images(signed_in, files)["Location"]
    assert "called as a folder is and were left out" in look(signed_in, address)


# ---------------------------------------------------------------- whose it is, and for how long
def test_the_token_of_somebody_else_opens_nothing(
    signed_in: Client, colleague: User, operator: User, auditor: User
) -> None:
    address = send_archive(signed_in)["Location"]
    for method, data in (("get", {}), ("get", {"now": "1"}), ("post", {"act": "import"}), ("post", {"act": "drop"})):
        other = getattr(client_of(colleague), method)(address, data)
        assert other.status_code == 404
        assert "disc.zip" not in words(other)
        for user in (operator, auditor):
            assert getattr(client_of(user), method)(address, data).status_code == 403
        assert getattr(Client(), method)(address, data).status_code in (302, 403)
    assert client_of(colleague).get(f"{address}progress").status_code == 286
    assert "training good 6" in look(signed_in, address), "it waits on"


@pytest.mark.parametrize("token", ["x", "a" * 5000, "-", "import-waiting-1-00"])
@pytest.mark.parametrize("act", ["import", "drop", "read", "", "../x"])
def test_no_token_but_the_right_one(signed_in: Client, token: str, act: str) -> None:
    send_archive(signed_in)
    assert signed_in.post(f"/datasets/uploads/{token}/", {"act": act}).status_code == 404
    assert signed_in.get(f"/datasets/uploads/{token}/").status_code == 404
    assert len(waiting()) == 1


def test_a_later_upload_takes_the_place_of_an_earlier_one_of_the_same_person(
    signed_in: Client, colleague: User
) -> None:
    other = client_of(colleague)
    of_other = send_archive(other)["Location"]
    first, second = (send_archive(signed_in)["Location"] for _ in range(2))
    assert signed_in.get(first).status_code == 404
    assert signed_in.get(second).status_code == 200
    assert other.get(of_other).status_code == 200
    assert len(waiting()) == 2


@pytest.mark.parametrize("clean", [lambda client, address: client.get(address), lambda client, address: sweep()])
def test_what_nobody_decides_about_is_removed(signed_in: Client, clean: Callable[..., Any]) -> None:
    address = send_archive(signed_in)["Location"]
    sweep()
    assert len(waiting()) == 1
    [place] = waiting()
    long_ago = (place / "upload.json").stat().st_mtime - KEPT.total_seconds() - 1
    os.utime(place / "upload.json", (long_ago, long_ago))
    clean(signed_in, address)
    assert waiting() == []
    assert signed_in.post(address, {"act": "import"}).status_code == 404


def test_a_name_that_is_taken_is_said_and_the_files_wait_on(signed_in: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    from common.errors import Conflict
    from training.datasets.uploads import services

    def taken(*args: Any, **kwargs: Any) -> Any:
        raise Conflict("The data set disc is of another category. Nothing was saved.", code="name_taken")

    address = send_archive(signed_in)["Location"]
    monkeypatch.setattr(services, "import_scans", taken)
    assert "of another category" in words(signed_in.post(address, {"act": "import"}, follow=True))
    monkeypatch.undo()
    signed_in.post(address, {"act": "import"})
    assert Dataset.objects.get().name == "disc"
    assert waiting() == []
