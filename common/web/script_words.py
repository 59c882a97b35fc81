"""What the scripts of static/js say: each sentence that they hand to `say`, with `{}` where a value stands.

A page in another language than English carries their translations, a page in English nothing: words.js says them as
they are. tests/test_translation.py holds the list and the scripts together.
"""

from __future__ import annotations

from django.utils.translation import get_language, gettext
from django.utils.translation import gettext_noop as _

SENTENCES = (
    _(", reviewed as {}"),
    _("1 image"),
    _("All show {}"),
    _("Another program holds the camera. Close it, then open this again."),
    _("Being judged."),
    _("Camera {}"),
    _("Close"),
    _("comment not sent"),
    _("Copied"),
    _("DEFECT"),
    _("good"),
    _("Hide"),
    _("Images cannot be inspected here yet. Nothing was sent."),
    _("It is sent when you have signed in."),
    _("More than {} files. Nothing was sent. Send them as an archive below."),
    _("NO ANSWER"),
    _("No newer part is waiting for a review."),
    _("not comparable"),
    _("NOT JUDGED"),
    _("not judged"),
    _("not sent"),
    _("NOT SENT"),
    _("NOT SHOWN"),
    _("Nothing is ignored yet"),
    _("Nothing selected"),
    _("Nothing to undo here."),
    _("Nothing to undo here. A review of {} is undone on its record: Open record, then U."),
    _("Nothing was kept of the image."),
    _("OPENING"),
    _("Paint away what is to be judged after all."),
    _("Paint what is not to be judged."),
    _("PENDING"),
    _("Press Ctrl C to copy"),
    _("preview"),
    _("Previous part:"),
    _("Send it as {}"),
    _("Sent by {}, who is signed out."),
    _("Set the corners one by one; Enter, a double click or the first corner closes the polygon."),
    _("Show"),
    _("Signed in as {}, before: {}. What is sent from now on is recorded as {}'s."),
    _("SKIPPED"),
    _("station, lot, numbers"),
    _("That was the last one to look at of these {} images."),
    _("That was the newest part."),
    _("The camera does not answer ({}). Choose a file instead."),
    _("The file is too large. Nothing was kept."),
    _("The inspection service is down. The image waits."),
    _("The review of {} was not recorded."),
    _("the server did not answer"),
    _("The server did not answer."),
    _("The server did not answer. Check the connection, then try again."),
    _("The server did not answer: look whether it was recorded."),
    _("The server refused it ({})."),
    _("The server refused it ({}). Nothing was kept."),
    _("There is no camera. Connect one and open this again, or choose a file."),
    _("There is no such record."),
    _("This browser cannot keep the images: drop them again."),
    _("This browser may not use the camera. Allow it beside the address above, then open the camera again."),
    _("Try again"),
    _("Viewer: + and - zoom, arrow keys move, 0 shows the whole image"),
    _("WAITING"),
    _("Whether it was judged is not known. Try again: it is not judged twice."),
    _("Whether it was judged is not known: look at the list."),
    _("You are signed in as {}. This was sent by {} and waits:"),
    # xgettext:no-python-format
    _("{} % of the image is ignored"),
    _("{} before it not reviewed."),
    _("{} has no verdict yet. Nothing was reviewed."),
    _("{} images"),
    _("{} images are chosen, and the serial number is {}."),
    _("{} images are kept and sent after the choice."),
    _("{} is kept and sent after the choice."),
    _("{} may not have been judged."),
    _("{} of {} images"),
    _("{} overruled"),
    _("{} selected"),
    _("{} still to be judged."),
    _("{}, by the model"),
    _("{}: nothing would be judged"),
)


def translations() -> dict[str, str]:
    """Of each sentence its translation; empty in English."""
    if (get_language() or "en").startswith("en"):
        return {}
    return {sentence: gettext(sentence) for sentence in SENTENCES}
