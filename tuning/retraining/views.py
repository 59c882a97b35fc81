"""Pages: training again with what was reviewed, and a comparison with production."""

from __future__ import annotations

import uuid

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_POST

from common.errors import NotFound, UserError
from common.rights import Right
from common.web.decorators import needs
from modelzoo.views import model_page, version_or_404
from tuning.retraining import pages, selectors, services


@require_POST
@needs(Right.TRAIN)
def retrain(request: HttpRequest, version_id: int) -> HttpResponse:
    """Train again with the reviewed images, from the page of the version in production."""
    version = version_or_404(version_id)
    try:
        made = services.retrain(category=version.category, actor=request.user)
    except UserError as error:
        return model_page(request, version_id, failed=error)
    messages.success(
        request,
        _(
            "Run %(run_id)s is queued. It learns %(added_good)s reviewed good parts more; "
            "%(added_test_good)s good parts and %(added_defective)s defects are new test images. Its "
            "version is compared with production."
        )
        % {
            "run_id": made.run_id,
            "added_good": made.added_good,
            "added_test_good": made.added_test_good,
            "added_defective": made.added_defective,
        },
    )
    return redirect("run", made.run_id)


@require_POST
@needs(Right.TUNE)
def start(request: HttpRequest, version_id: int) -> HttpResponse:
    """Compare a version with what is in production, on the same images."""
    version = version_or_404(version_id)
    try:
        made = services.request_comparison(candidate=version, actor=request.user)
    except UserError as error:
        return model_page(request, version_id, failed=error)
    return redirect("comparison", made.pk)


@require_GET
@needs(Right.READ)
def comparison(request: HttpRequest, comparison_id: uuid.UUID) -> HttpResponse:
    """One comparison: figures, the test, and the images about which the two versions differ."""
    try:
        shown = selectors.find_comparison(comparison_id)
    except NotFound as error:
        raise Http404(error.detail) from error
    return render(request, "models/comparison.html", pages.comparison_context(shown))
