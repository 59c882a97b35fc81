"""`manage.py link_identity NAME SUBJECT`: whom a provider knows as SUBJECT signs in as this user."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.conf import settings

from accounts.models import ExternalIdentity
from accounts.providers.services import link_identity
from accounts.selectors import find_user
from common.commands import ProductCommand


class Command(ProductCommand):
    help = "Let a person of the OpenID provider (or, with --ldap, of the directory) sign in as a user that exists."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("name", help="user name here")
        parser.add_argument("subject", help="who it is there: the claim sub; with --ldap LDAP_ID_ATTRIBUTE, or the DN")
        parser.add_argument("--ldap", action="store_true", help="a person of the directory")

    def perform(self, **options: Any) -> None:
        kind = ExternalIdentity.Kind.LDAP if options["ldap"] else ExternalIdentity.Kind.OIDC
        issuer = settings.LDAP_URL if options["ldap"] else settings.OIDC_ISSUER
        linked = link_identity(
            user=find_user(options["name"]), kind=kind, issuer=issuer, subject=options["subject"], actor=None
        )
        self.say(f"{options['name']} is {linked.subject} at {linked.issuer} from now on.")
