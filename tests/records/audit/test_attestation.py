"""The table of attestation: every model of every app has an entry, and what an entry says is done."""

from __future__ import annotations

from django.apps import apps

from records.audit.attestation import ATTESTATION, Attested, Derived, NotAttested, OwnEvent, Part
from records.audit.chain import audited_rows, derived_rows
from tests.environment import ROOT

_CHAIN_ITSELF = {"records.auditevent", "records.auditcheckpoint"}


def test_every_model_has_an_entry() -> None:
    models = {model._meta.label_lower for model in apps.get_models(include_auto_created=True)}
    assert models - ATTESTATION.keys() == set(), "say in records.audit.attestation what vouches for their rows"
    assert ATTESTATION.keys() - models == set()


def test_every_entry_is_carried_out() -> None:
    own = {audited.rows().model._meta.label_lower for audited in audited_rows.registered()}
    parts = {part.model for entry in ATTESTATION.values() if isinstance(entry, Attested) for part in entry.rows.parts}
    for label, entry in ATTESTATION.items():
        if isinstance(entry, OwnEvent):
            assert label in own | _CHAIN_ITSELF, label
        elif isinstance(entry, Attested):
            columns = {field.attname for field in apps.get_model(label)._meta.concrete_fields}
            assert {*entry.rows.fields, *entry.rows.final_fields} <= columns, label
        elif isinstance(entry, Derived):
            assert derived_rows.is_derived(label), label
        elif isinstance(entry, Part):
            assert entry.of in ATTESTATION, label
            assert label in parts or label in {"auth.group", "rollout.challengerresult"}, label


def test_what_is_not_attested_stands_in_the_threat_model() -> None:
    text = " ".join((ROOT / "THREAT_MODEL.md").read_text().split())
    for label, entry in ATTESTATION.items():
        if isinstance(entry, NotAttested):
            assert f"`{label}`: {entry.reason}" in text, label
