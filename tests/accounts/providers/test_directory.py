"""Sign-in by a directory: a real slapd on loopback, in a folder of its own."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from accounts.models import ExternalIdentity, FailedSignIns
from accounts.services import create_user
from records.models import AuditEvent
from tests.mvtec_site.test_settings import manage

pytest.importorskip("django_auth_ldap", reason="requirements-ldap.txt is not installed")
SLAPD = shutil.which("slapd", path=f"{os.environ.get('PATH', '')}:/usr/sbin") or ""
SCHEMAS = Path("/etc/ldap/schema")
pytestmark = [
    pytest.mark.django_db,
    pytest.mark.sqlite_is_enough,
    pytest.mark.skipif(not SLAPD or not SCHEMAS.is_dir(), reason="slapd is not installed"),
]

_CONF = """
include {schemas}/core.schema
include {schemas}/cosine.schema
include {schemas}/inetorgperson.schema
modulepath /usr/lib/ldap
moduleload back_mdb
pidfile {folder}/slapd.pid
TLSCACertificateFile {folder}/cert.pem
TLSCertificateFile {folder}/cert.pem
TLSCertificateKeyFile {folder}/key.pem
database mdb
suffix "dc=plant"
rootdn "cn=admin,dc=plant"
rootpw admin-secret
directory {folder}/data
maxsize 10485760
"""
_ENTRIES = """
dn: dc=plant
objectClass: dcObject
objectClass: organization
dc: plant
o: plant

dn: uid=olga,dc=plant
objectClass: inetOrgPerson
uid: olga
cn: Olga Meier
givenName: Olga
sn: Meier
mail: olga@plant.example
userPassword: olgas-password

dn: uid=otto,dc=plant
objectClass: inetOrgPerson
uid: otto
cn: Otto
sn: Otto
userPassword: ottos-password

dn: cn=plant-qa,dc=plant
objectClass: groupOfNames
cn: plant-qa
member: uid=olga,dc=plant
"""


def _certificate(folder: Path) -> None:
    from datetime import UTC, datetime, timedelta

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
    from cryptography.x509.oid import NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(datetime.now(UTC) - timedelta(days=1))
        .not_valid_after(datetime.now(UTC) + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    (folder / "cert.pem").write_bytes(certificate.public_bytes(Encoding.PEM))
    (folder / "key.pem").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    import ldap

    folder = tmp_path_factory.mktemp("slapd")
    (folder / "data").mkdir()
    _certificate(folder)
    (folder / "slapd.conf").write_text(_CONF.format(folder=folder, schemas=SCHEMAS))
    added = subprocess.run(
        [SLAPD, "-T", "add", "-f", folder / "slapd.conf"], input=_ENTRIES, text=True, capture_output=True, timeout=60
    )
    assert added.returncode == 0, added.stderr
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"ldap://127.0.0.1:{free.getsockname()[1]}"
    process = subprocess.Popen(
        [SLAPD, "-d", "0", "-f", folder / "slapd.conf", "-h", url], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        for _ in range(200):
            try:
                ldap.initialize(url).simple_bind_s()
                break
            except ldap.SERVER_DOWN:
                assert process.poll() is None, "slapd ended"
                time.sleep(0.1)
        yield url, folder
    finally:
        process.terminate()
        process.wait(30)


@pytest.fixture
def directory(server: tuple[str, Path], settings: Any) -> str:
    url, folder = server
    settings.LDAP_URL, settings.LDAP_START_TLS, settings.LDAP_CA_BUNDLE = url, True, str(folder / "cert.pem")
    settings.LDAP_USER_BASE, settings.LDAP_ROLES = "dc=plant", {"plant-qa": "engineer"}
    settings.LDAP_BIND_DN, settings.LDAP_BIND_PASSWORD = "cn=admin,dc=plant", "admin-secret"
    settings.LDAP_NAME, settings.LDAP_TIMEOUT = "Plant directory", 60.0
    return url


def sign_in(client: Client, username: str, password: str) -> Any:
    return client.post("/login/", {"username": username, "password": password})


def events(kind: str) -> list[dict[str, Any]]:
    return [json.loads(event.after) for event in AuditEvent.objects.filter(kind=kind).order_by("sequence")]


def test_a_person_of_the_directory_comes_in_over_tls_with_the_roles_of_their_groups(
    directory: str, client: Client
) -> None:
    assert sign_in(client, "olga", "olgas-password").status_code == 302
    user = User.objects.get(username="olga")
    assert (user.get_full_name(), user.email) == ("Olga Meier", "olga@plant.example")
    assert [group.name for group in user.groups.all()] == ["engineer"]
    assert not user.has_usable_password()
    assert events("sign_in.succeeded")[0]["provider"] == "Plant directory"
    assert not FailedSignIns.objects.exists()
    assert sign_in(Client(), "olga", "olgas-password").status_code == 302, "again, as the same user"
    assert User.objects.count() == 1


@pytest.mark.parametrize(
    ("username", "password"),
    [
        ("olga", "wrong"),
        ("nobody", "olgas-password"),
        ("*", "olgas-password"),
        ("olga)(uid=*", "olgas-password"),
        ("o*", "olgas-password"),
        ("olga\\2a", "olgas-password"),
    ],
)
def test_a_wrong_password_or_a_name_that_is_a_filter_is_a_failed_try(
    directory: str, client: Client, username: str, password: str
) -> None:
    answer = sign_in(client, username, password)
    assert answer.status_code == 200
    assert "do not match" in answer.content.decode()
    assert not User.objects.exists()
    assert FailedSignIns.objects.filter(kind="user").get().failures == 1


def test_an_empty_password_is_nobodys(directory: str, client: Client) -> None:
    from accounts.providers.directory import person_of

    assert person_of(username="olga", password="", request=None) is None
    assert sign_in(client, "olga", "").status_code == 200
    assert not User.objects.exists()


def test_without_a_role_nobody_comes_in_and_it_is_no_failed_try(directory: str, client: Client) -> None:
    answer = sign_in(client, "otto", "ottos-password")
    assert "none of your groups there has a role here" in answer.content.decode()
    assert not User.objects.exists()
    assert events("sign_in.refused")[0]["username"] == "otto"
    assert not FailedSignIns.objects.filter(kind="user").exists()


def test_a_local_account_of_the_same_name_is_not_taken_over(directory: str, client: Client) -> None:
    local = create_user(username="olga", password="correct horse battery", roles=["admin"], actor=None)
    answer = sign_in(client, "olga", "olgas-password")
    assert "do not match" in answer.content.decode(), "the directory is not asked about a local account"
    assert sign_in(client, "olga", "correct horse battery").status_code == 302, "its own password is as good as ever"
    local.set_unusable_password()
    local.save()
    assert "does not belong to your sign-in" in sign_in(Client(), "olga", "olgas-password").content.decode()


def test_local_passwords_cannot_be_guessed_while_the_directory_is_down(
    directory: str, client: Client, settings: Any
) -> None:
    create_user(username="local", password="correct horse battery", roles=["operator"], actor=None)
    both = create_user(username="both", password="correct horse battery", roles=["operator"], actor=None)
    ExternalIdentity.objects.create(user=both, kind="ldap", issuer=directory, subject="x")
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        settings.LDAP_URL = f"ldap://127.0.0.1:{unused.getsockname()[1]}"
    for name in ("local", "both"):
        for _ in range(settings.LOGIN_FAILURES):
            sign_in(client, name, "wrong")
        assert "Too many failed attempts" in sign_in(client, name, "correct horse battery").content.decode()


def test_local_accounts_come_in_while_the_directory_is_down(directory: str, client: Client, settings: Any) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        settings.LDAP_URL = f"ldap://127.0.0.1:{unused.getsockname()[1]}"
    answer = sign_in(client, "olga", "olgas-password")
    assert "does not answer" in answer.content.decode()
    assert not FailedSignIns.objects.filter(kind="user").exists()
    create_user(username="local", password="correct horse battery", roles=["operator"], actor=None)
    assert sign_in(client, "local", "correct horse battery").status_code == 302


def test_a_directory_that_says_nothing_is_not_waited_for(directory: str, client: Client, settings: Any) -> None:
    settings.LDAP_TIMEOUT = 0.3
    with socket.create_server(("127.0.0.1", 0)) as silent:
        settings.LDAP_URL = f"ldap://127.0.0.1:{silent.getsockname()[1]}"
        assert "does not answer" in sign_in(client, "olga", "olgas-password").content.decode()


def test_a_certificate_that_nobody_vouches_for_is_refused(directory: str, client: Client, settings: Any) -> None:
    settings.LDAP_CA_BUNDLE = ""
    assert "does not answer" in sign_in(client, "olga", "olgas-password").content.decode()
    assert not User.objects.exists()


def test_passwords_are_not_sent_in_the_clear_unless_somebody_says_so() -> None:
    plain = {"LDAP_URL": "ldap://localhost", "LDAP_START_TLS": "0", "LDAP_USER_BASE": "dc=plant"}
    refused = manage("check", **plain)
    assert refused.returncode != 0
    assert "LDAP_ALLOW_PLAIN" in refused.stderr
