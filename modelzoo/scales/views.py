"""The page of the calibrations of a category, the pictures that it shows, and the form of a size rule."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from django.contrib import messages
from django.forms import Form
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from common.api.views import immutable
from common.errors import NotFilledIn, UserError
from common.pixels.sixteen_bit import FULL_WINDOW
from common.rights import Right
from common.web.addresses import query_string
from common.web.decorators import needs
from modelzoo.models import ScaleCalibration
from modelzoo.scales import services
from modelzoo.scales.forms import FORMS, SizeRuleForm, WithdrawalForm
from modelzoo.scales.requests import calibrate
from modelzoo.scales.selectors import calibrations, newest_calibrations, stations_without_scale
from modelzoo.selectors import threshold_in_force
from modelzoo.signatures.requests import form_signature
from modelzoo.signatures.selectors import Act
from modelzoo.views import category_or_404, version_or_404
from records.assets.browser_picture import browser_picture
from records.assets.images import check_size
from records.assets.selectors import accepted_files, dataset_limits, fixed_window, upload_limits
from records.models import Asset

_REVISIONS = 50
_Method = ScaleCalibration.Method


@require_http_methods(["GET", "HEAD", "POST"])
def scales(request: HttpRequest, name: str) -> HttpResponseBase:
    """The calibrations of a category; `?station=&picture=`: what a new one begins with. POST sets or withdraws."""
    return _set_scale(request, name) if request.method == "POST" else _scales(request, name)


@needs(Right.READ)
def _scales(
    request: HttpRequest, name: str, *, failed: UserError | None = None, sent: Any = None, method: str = ""
) -> HttpResponse:
    """`sent`: the form of this method that was refused."""
    category = category_or_404(name)
    values = request.POST if request.method == "POST" else request.GET
    station = values.get("station", "")[:100]
    picture, problem = _picture_of(values.get("picture", ""))
    initial = {"station": station, "picture": picture.sha256 if picture else ""}
    forms = {key: form(initial=initial, prefix=None, auto_id=f"{key}_%s") for key, form in FORMS.items()}
    if sent is not None:
        forms[method] = sent
    newest = list(newest_calibrations(category.pk))
    context = {
        "category": category,
        "newest": newest,
        "withdrawable": [row.station for row in newest if row.mm_per_px is not None],
        "missing": stations_without_scale(category),
        "revisions": calibrations().filter(category=category)[:_REVISIONS],
        "in_force": {row.pk for row in newest if row.mm_per_px is not None},
        "station": station,
        "picture": picture,
        "accept": accepted_files(),
        "length_form": forms[_Method.KNOWN_LENGTH],
        "board_form": forms[_Method.CHECKERBOARD],
        "withdrawal_form": forms[_Method.WITHDRAWN],
        "is_board": method == _Method.CHECKERBOARD,
        "failed": failed or problem,
    }
    status = (failed or problem).status if failed or problem else HTTPStatus.OK  # type: ignore[union-attr]  # one is there
    return render(request, "scales/page.html", context, status=status)


def _picture_of(sha256: str) -> tuple[Asset | None, UserError | None]:
    if not sha256:
        return None, None
    try:
        return services.find_picture(sha256), None
    except UserError as error:
        return None, error


@needs(Right.TUNE)
def _set_scale(request: HttpRequest, name: str) -> HttpResponseBase:
    category, method = category_or_404(name), request.POST.get("method", "")
    form = FORMS.get(method, WithdrawalForm)(request.POST, auto_id=f"{method}_%s")
    try:
        if method not in FORMS or not form.is_valid():
            problems = _problems(form) or _("Unknown method.")
            raise NotFilledIn(f"{problems} {_('Nothing was changed.')}", code="invalid")
        row = calibrate(category=category, fields=form.fields_of_calibration(), actor=request.user)
    except UserError as error:
        return _scales(request, name, failed=error, sent=form if method in FORMS else None, method=method)
    station = row.station or _("images without a station")
    if row.mm_per_px is None:
        messages.success(request, _("The calibration of %(station)s was withdrawn.") % {"station": station})
    else:
        shown = {"station": station, "scale": f"{row.mm_per_px:.5g}", "percent": f"{row.uncertainty_percent:.2g}"}
        sentence = _(
            "%(station)s: %(scale)s mm per pixel, standard uncertainty %(percent)s %%. It applies from the next image "
            "on."
        )
        messages.success(request, sentence % shown)
    return redirect("scales", name=category.name)


def _problems(form: Form) -> str:
    """What is wrong with a form, field by field."""
    fields = {name: errors[0] for name, errors in form.errors.items() if name in form.fields}
    return "; ".join(f"{form[name].label}: {error}" for name, error in fields.items())


@require_POST
@needs(Right.TUNE)
def store_picture(request: HttpRequest, name: str) -> HttpResponseBase:
    """Keep a picture to calibrate with, and show it."""
    category, station = category_or_404(name), request.POST.get("station", "")[:100]
    try:
        file = request.FILES.get("image")
        if file is None:
            raise NotFilledIn(_("Choose a picture. Nothing was stored."), code="invalid")
        check_size(file.size or 0, upload_limits())
        asset = services.store_picture(data=file.read(), filename=file.name or "", actor=request.user)
    except UserError as error:
        return _scales(request, name, failed=error)
    address = reverse("scales", args=[category.name])
    return redirect(address + query_string({"station": station, "picture": asset.sha256}))


@require_GET
@needs(Right.READ)
def picture(request: HttpRequest, sha256: str) -> HttpResponseBase:
    """A stored picture, in a form that every browser shows."""
    try:
        asset = services.find_picture(sha256)
    except UserError as error:  # there is none, or retention removed it
        raise Http404(error.detail) from error
    window = fixed_window() or FULL_WINDOW

    def response() -> HttpResponse:
        data, media_type = browser_picture(asset.read(), dataset_limits(), window=window)
        return HttpResponse(data, content_type=media_type)

    return immutable(request, f"calibration picture {sha256}", response)


# ---------------------------------------------------------------- the size rule
@require_http_methods(["GET", "HEAD", "POST"])
def size_rule(request: HttpRequest, version_id: int) -> HttpResponseBase:
    """Which regions a version ignores, and how severe the others are; POST sets it as a revision of its threshold."""
    return _set_size_rule(request, version_id) if request.method == "POST" else _size_rule(request, version_id)


@needs(Right.READ)
def _size_rule(
    request: HttpRequest, version_id: int, *, form: SizeRuleForm | None = None, failed: UserError | None = None
) -> HttpResponse:
    version = version_or_404(version_id)
    threshold = threshold_in_force(version.pk)
    context = {
        "version": version,
        "threshold": threshold,
        "form": form or SizeRuleForm(rule=threshold.size_rule),
        "calibrated": [row for row in newest_calibrations(version.category_id) if row.mm_per_px is not None],
        "missing": stations_without_scale(version.category),
        "failed": failed,
    }
    return render(request, "scales/size_rule.html", context, status=failed.status if failed else HTTPStatus.OK)


@needs(Right.TUNE)
def _set_size_rule(request: HttpRequest, version_id: int) -> HttpResponseBase:
    version = version_or_404(version_id)
    form = SizeRuleForm(request.POST, rule=threshold_in_force(version.pk).size_rule)
    try:
        if not form.is_valid():
            raise NotFilledIn(f"{_problems(form)} {_('Nothing was changed.')}", code="invalid")
        revision = services.set_size_rule(
            version=version,
            rule=form.rule,
            reason=form.cleaned_data["reason"],
            actor=request.user,
            signature=form_signature(request, act=Act.THRESHOLD, about=version),
        )
    except UserError as error:
        return _size_rule(request, version_id, form=form, failed=error)
    sentence = _("The size rule is part of revision %(n)s of the threshold, from the next image on.")
    messages.success(request, sentence % {"n": revision.revision})
    return redirect("threshold", version_id=version.pk)
