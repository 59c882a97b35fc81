"""A session that is over: a script is told by a header, a plain form by the sign-in page."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse

pytestmark = [pytest.mark.django_db, pytest.mark.sqlite_is_enough]

SCRIPTS: list[dict[str, str]] = [{"HX-Request": "true"}, {"X-Requested-With": "fetch"}]


@pytest.mark.parametrize("headers", SCRIPTS)
def test_a_script_is_told_and_gets_no_sign_in_page(client: Client, headers: dict[str, str]) -> None:
    for answer in (client.get("/line/status", headers=headers), client.post("/inspect", {}, headers=headers)):
        assert answer.status_code == 401
        assert answer["X-Sign-In"] == "required"
        assert "<form" not in answer.content.decode()


def test_a_page_leads_back_to_itself(client: Client) -> None:
    answer = client.get("/inspections/", {"category": "disc"})
    assert answer["Location"] == "/login/?next=/inspections/%3Fcategory%3Ddisc"
    page = client.get(answer["Location"]).content.decode()
    assert "Password" in page
    assert 'role="alert"' not in page


@pytest.mark.parametrize(
    ("referrer", "leads_to"),
    [
        ("http://testserver/?category=disc", "/%3Fcategory%3Ddisc"),
        ("https://elsewhere.example/trap", "/"),
        ("no address", "/"),
        ("", "/"),
    ],
)
def test_a_plain_form_says_that_its_image_was_not_received(client: Client, referrer: str, leads_to: str) -> None:
    sent = {"image": SimpleUploadedFile("part.png", b"x")}
    answer = client.post("/inspect", sent, headers={"Referer": referrer} if referrer else {})
    assert answer["Location"] == f"/login/?next={leads_to}&unsent=file"
    page = client.get(answer["Location"]).content.decode()
    assert "The file was not received" in page
    assert "It was not judged" in page


def test_a_plain_form_without_a_file_says_that_nothing_was_changed(client: Client) -> None:
    answer = client.post("/settings/browser", "theme=dark", content_type="application/x-www-form-urlencoded")
    assert answer["Location"].endswith("&unsent=form")
    assert "Nothing was changed" in client.get(answer["Location"]).content.decode()


def test_the_dialog_signs_in_and_gets_a_token_that_holds(user: User) -> None:
    client = Client(enforce_csrf_checks=True)
    assert client.get(reverse("session")).json()["user"] is None
    token = client.get(reverse("session")).json()["csrf"]
    fetch = {"X-Requested-With": "fetch", "X-CSRFToken": token}
    wrong = client.post("/login/", {"username": "olga", "password": "guess"}, headers=fetch)
    assert wrong.status_code == 422
    assert wrong.json()["errors"] == ["User name and password do not match. Both are case-sensitive."]
    assert client.post("/login/", {}, headers=fetch).json()["errors"] == ["Enter user name and password."]
    done = client.post("/login/", {"username": "olga", "password": "a-long-password"}, headers=fetch)
    assert done.status_code == 200
    assert done.json()["user"] == "olga"
    renewed = {"X-Requested-With": "fetch", "X-CSRFToken": done.json()["csrf"]}
    assert client.post("/inspect", {}, headers=renewed).status_code != 403
    again = client.post("/login/", {"username": "x"}, headers=renewed)
    assert again.json()["user"] == "olga", "somebody is signed in already"


def test_a_token_that_is_out_of_date_is_said_to_the_script(user: User) -> None:
    client = Client(enforce_csrf_checks=True)
    nobody: Any = client.post("/inspect", {"image": SimpleUploadedFile("part.png", b"x")})
    assert nobody["Location"].endswith("&unsent=file"), "neither session nor token: signing in comes first"
    client.force_login(user)
    answer = client.post("/inspect", {}, headers={"HX-Request": "true"})
    assert answer.status_code == 403
    assert answer["X-Sign-In"] == "token"
    assert "Nothing was saved" in answer.content.decode()
