"""Forms of connections, made from what their kinds say."""

from __future__ import annotations

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from edge.connections.kinds import Kind, Setting
from edge.connections.models import MAX_NAME, Connection
from modelzoo.models import Category
from modelzoo.selectors import find_category

SETTING, SECRET = "setting_", "secret_"  # what the names of their fields begin with
_PLAIN = {"autocomplete": "off"}


class ConnectionForm(forms.Form):
    """All of a connection but its kind; secrets when it is made, later they have a form of their own."""

    name = forms.CharField(label=_("Name"), max_length=MAX_NAME, widget=forms.TextInput(_PLAIN))
    station = forms.CharField(
        label=_("Station"),
        required=False,
        max_length=100,
        widget=forms.TextInput(_PLAIN),
        help_text=_("empty: all stations"),
    )
    category = forms.ChoiceField(label=_("Category"), required=False)
    line_time_ms = forms.IntegerField(
        label=_("Line's time in ms"),
        required=False,
        min_value=10,
        max_value=3_600_000,
        help_text=_("After it the line is told that there is no verdict, never that a part is good. Empty: no limit."),
    )
    is_enabled = forms.BooleanField(label=_("Enabled"), required=False, initial=True)

    def __init__(self, *args: Any, kind: Kind, connection: Connection | None = None, **more: Any) -> None:
        if connection is not None:
            more["initial"] = _initial(connection)
        super().__init__(*args, **more)
        self.kind = kind
        names = Category.objects.order_by("name").values_list("name", flat=True)[:200]
        category = self.fields["category"]
        assert isinstance(category, forms.ChoiceField)
        category.choices = [("", _("all")), *((name, name) for name in names)]
        for setting in kind.settings:
            self.fields[SETTING + setting.name] = _field(setting)
        for secret in kind.secrets if connection is None else ():
            self.fields[SECRET + secret.name] = forms.CharField(
                label=secret.label,
                required=secret.is_required,
                min_length=secret.min_length if secret.min_length > 1 else None,
                max_length=500,
                strip=False,
                help_text=secret.help,
                widget=forms.PasswordInput({"autocomplete": "new-password"}),
            )

    @property
    def groups(self) -> list[tuple[Any, list[forms.BoundField]]]:
        """Its fields with headings: which verdicts, then the other side."""
        common = [self[name] for name in ("name", "station", "category", "line_time_ms", "is_enabled")]
        own = [self[name] for name in self.fields if name.startswith((SETTING, SECRET))]
        return [(_("Verdicts"), common), (self.kind.title, own)]

    def values(self) -> dict[str, Any]:
        """As the services take them, with all settings; `secrets` only when it is made."""
        fields = self.cleaned_data
        values: dict[str, Any] = {
            "name": fields["name"],
            "station": fields["station"],
            "category": find_category(fields["category"]) if fields["category"] else None,
            "line_time_ms": fields["line_time_ms"],
            "is_enabled": fields["is_enabled"],
            "settings": {setting.name: fields[SETTING + setting.name] for setting in self.kind.settings},
        }
        secrets = {name.removeprefix(SECRET): value for name, value in fields.items() if name.startswith(SECRET)}
        return values | {"secrets": secrets} if secrets else values


def _initial(connection: Connection) -> dict[str, Any]:
    own = {SETTING + name: value for name, value in connection.settings.items()}
    return own | {
        "name": connection.name,
        "station": connection.station,
        "category": connection.category.name if connection.category else "",
        "line_time_ms": connection.line_time_ms,
        "is_enabled": connection.is_enabled,
    }


def _field(setting: Setting) -> forms.Field:
    options: dict[str, Any] = {
        "label": setting.label,
        "required": setting.is_required,
        "initial": setting.default,
        "help_text": setting.help,
    }
    if setting.form is bool:
        return forms.BooleanField(**options | {"required": False})
    if setting.choices:
        return forms.ChoiceField(choices=setting.choices, **options)
    if setting.form is int:
        return forms.IntegerField(min_value=_whole(setting.low), max_value=_whole(setting.high), **options)
    if setting.form is float:
        return forms.FloatField(
            min_value=setting.low, max_value=setting.high, widget=forms.NumberInput({"step": "any"}), **options
        )
    widget = forms.Textarea({"rows": 4, "spellcheck": "false"}) if setting.is_long else forms.TextInput(_PLAIN)
    return forms.CharField(max_length=setting.max_length, widget=widget, **options)


def _whole(number: float | None) -> int | None:
    return None if number is None else int(number)


class SecretForm(forms.Form):
    """One secret, under a new name or in place of the one in force."""

    def __init__(self, *args: Any, kind: Kind, **more: Any) -> None:
        super().__init__(*args, **more)
        self.fields["name"] = forms.ChoiceField(
            label=_("Secret"), choices=[(secret.name, secret.label) for secret in kind.secrets]
        )
        self.fields["value"] = forms.CharField(
            label=_("New value"),
            max_length=500,
            strip=False,
            help_text=_("It is stored encrypted and never shown again."),
            widget=forms.PasswordInput({"autocomplete": "new-password"}),
        )
