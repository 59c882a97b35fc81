"""The rule by which a part's verdict follows from its views. It knows neither database nor request."""

from __future__ import annotations

from collections.abc import Iterable

from django.db import models
from django.utils.translation import gettext_noop as _

from inspection.judging.models import Inspection

Outcome = Inspection.Outcome


class ViewState(models.TextChoices):
    """What became of one view of a part."""

    GOOD = "good", _("view good")
    DEFECTIVE = "defective", _("view defective")
    NOT_COMPARABLE = "not_comparable", _("view not comparable")
    REFUSED = "refused", _("view refused")  # its image could not be judged: no image, damaged, or it ended the workers
    MISSING = "missing", _("view missing")  # nothing came in time, or nothing that was judged


JUDGED = (ViewState.GOOD, ViewState.DEFECTIVE, ViewState.NOT_COMPARABLE)


def decide_part(states: Iterable[str]) -> Inspection.Outcome:
    """Any defective view: defective. Else any view that is not good: not comparable. All good: good.

    What has no view is not comparable either: nothing was seen of it.
    """
    seen = {ViewState(state) for state in states}
    if ViewState.DEFECTIVE in seen:
        return Outcome.DEFECTIVE
    return Outcome.GOOD if seen == {ViewState.GOOD} else Outcome.NOT_COMPARABLE
