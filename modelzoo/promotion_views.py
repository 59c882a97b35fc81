"""What the pages of models ask of a worker: promoting a version, and going back to the one before."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.views.decorators.http import require_POST

from common.errors import UserError
from common.rights import Right
from common.web.decorators import needs
from modelzoo import services
from modelzoo.loading.deployments import await_deployment
from modelzoo.models import Deployment
from modelzoo.views import model_page, reason_of, version_or_404


@require_POST
@needs(Right.DEPLOY)
def promote(request: HttpRequest, version_id: int) -> HttpResponse:
    """Load a version and put it in production; answered once a worker holds it, or could not."""
    version = version_or_404(version_id)
    try:
        asked = services.request_promotion(version=version, reason=reason_of(request), actor=request.user)
        made = await_deployment(deployment=asked)
    except UserError as error:
        return model_page(request, version_id, failed=error)
    return _done(request, made)


@require_POST
@needs(Right.DEPLOY)
def roll_back(request: HttpRequest, version_id: int) -> HttpResponse:
    """Load the version that served before this one."""
    version = version_or_404(version_id)
    try:
        asked = services.request_rollback(category=version.category, reason=reason_of(request), actor=request.user)
        made = await_deployment(deployment=asked)
    except UserError as error:
        return model_page(request, version_id, failed=error)
    return _done(request, made)


def _done(request: HttpRequest, made: Deployment) -> HttpResponse:
    messages.success(
        request,
        f"{made.model_version} is in production, on {made.device} in {made.precision_chosen or made.precision}: it "
        "judges from the next image on.",
    )
    return redirect(reverse("model", args=[made.model_version_id]))
