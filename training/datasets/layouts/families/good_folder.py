"""Images of good parts and nothing else, as a camera writes them: a folder without folders that say what they are."""

from __future__ import annotations

from records.assets.images import UploadLimits
from training.datasets.layouts.entries import LabelNames, RecognisedLayout
from training.datasets.layouts.families.listing import LabelledFile, Listing, plural
from training.datasets.layouts.families.roles import Role
from training.datasets.layouts.labels import BAD_WORDS, normal_form
from training.datasets.layouts.tree import FileTree

LAYOUTS = {"good-folder": "images of good parts directly in the folder, and no folders of classes"}


def read_good_folder(tree: FileTree, labels: LabelNames, limits: UploadLimits) -> Listing | None:
    """None where no image lies directly in the folder, or its name says that they are defective."""
    listing = Listing(tree)
    if normal_form(tree.folder.name) in BAD_WORDS:
        return None
    for file in tree.images:
        if len(tree.relative(file)) > 1:
            listing.skip(file, "no_label", "Its folder says neither good nor defective.")
        elif BAD_WORDS & set(normal_form(file.stem).split()):
            listing.skip(file, "no_label", "Its name says that it is defective, and no folder says so.")
        else:
            listing.images.append(LabelledFile(file, Role.TRAIN))
    if not listing.images:
        return None
    sentence = (
        f"One folder without classes: its {plural(len(listing.images), 'image')} are taken for good parts, all of them "
        "for training."
    )
    listing.layouts = (RecognisedLayout("good-folder", sentence),)
    return listing
