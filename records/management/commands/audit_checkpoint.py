"""`manage.py audit_checkpoint`: seal the audit chain as it is now, and write the seal to be kept elsewhere."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from common.commands import ProductCommand
from records.audit.chain.checkpoints import checkpoint_of, write_checkpoint
from records.audit.chain.outside import write_qr
from records.audit.chain.signing import own_key, pem
from records.audit.services import make_checkpoint


class Command(ProductCommand):
    help = "Make a signed checkpoint of the audit chain, unless nothing happened since the last one."

    def add_arguments(self, parser: ArgumentParser) -> None:
        self.json_option(parser)
        parser.add_argument("--output", type=Path, help="file, or folder, to write the checkpoint to")
        parser.add_argument("--qr", type=Path, help="picture (.svg, .png or .pdf) of it as a QR code, to be printed")
        parser.add_argument(
            "--public-key",
            action="store_true",
            help="print the public key that checkpoints are checked with; only that",
        )

    def perform(self, **options: Any) -> None:
        if options["public_key"]:
            self.stdout.write(pem(own_key().public_key()), ending="")
            return
        row, is_new = make_checkpoint(actor=None)
        checkpoint = checkpoint_of(row)
        target: Path | None = options["output"]
        if target:
            path = target / checkpoint.filename if target.is_dir() else target
            write_checkpoint(checkpoint, path)
            self.say(f"Written to {path}.")
        if options["qr"]:
            write_qr(checkpoint, options["qr"])
            self.say(f"Written to {options['qr']}: print it, and keep it out of reach of who runs this system.")
        if options["json"]:
            self.answer(checkpoint.document() | {"made": is_new})
        self.say(
            f"Checkpoint at event {row.sequence}."
            if is_new
            else f"Nothing happened since the checkpoint at event {row.sequence}."
        )
