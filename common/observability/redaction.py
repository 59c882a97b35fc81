"""Takes secrets out of what is logged: by their names, by their form, and those of this installation by their value."""

from __future__ import annotations

import functools
import re
from urllib.parse import unquote_plus, urlsplit

from django.conf import settings

HIDDEN = "[hidden]"
_NAME = (
    r"pass(?:word|wd|phrase)s?|secret|token|signature|authorization|cookie|credential"
    r"|session[_-]?(?:id|key)|(?:api|private|access|signing)[_-]?key"
)
_SECRET_NAME = re.compile(rf"(?i){_NAME}")
_QUOTE = r"\\{0,3}[\"']"
_VALUE = (
    # What has no end is hidden to the end of the text, and no text is read twice.
    rf"(?:b?(?P<quote>{_QUOTE})(?:(?!(?P=quote)).)*(?:(?P=quote)|$)"  # "...", '...', also escaped
    r"|\[[^\]]*(?:\]|$)"  # a list, as Django shows forms
    r"|(?:(?:Bearer|Token|Basic|Digest)\s+)?[^\s&,;})\]\"']+)"
)
_BY_NAME = re.compile(rf"(?is)(?P<name>(?:{_NAME})[\w-]{{0,40}}(?:{_QUOTE})?\s{{0,9}}(?:=|:|%3D|%3A)\s*)" + _VALUE)
_BY_FORM = (
    (re.compile(r"(?i)\b(Bearer|Basic|Digest)\s+[A-Za-z0-9+/=_.~-]{6,}"), rf"\1 {HIDDEN}"),
    (re.compile(r"\bmvt_[A-Za-z0-9_-]{6,}"), HIDDEN),  # tokens of this product
    (re.compile(r"(://[^\s:/@'\"]{0,100}:)[^\s@'\"]{1,500}@"), rf"\1{HIDDEN}@"),  # addresses with a password
    (re.compile(r"(?s)-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|$)"), HIDDEN),
    (re.compile(r"\b(?:pbkdf2_\w+|argon2\w*|bcrypt\w*|scrypt)\$[^\s'\"]+"), HIDDEN),  # hashes of passwords
    (
        re.compile(
            rf"(?is)(name={_QUOTE}[^\"'\n]{{0,40}}(?:{_NAME})[^\"'\n]{{0,40}}{_QUOTE}(?:\\r|\\n|\s)+)[^\r\n\\]+"
        ),  # a form's part
        rf"\1{HIDDEN}",
    ),
)


def redact(text: str) -> str:
    for value in _own_secrets():
        text = text.replace(value, HIDDEN)
    text = _BY_NAME.sub(rf"\g<name>{HIDDEN}", text)
    for pattern, replacement in _BY_FORM:
        text = pattern.sub(replacement, text)
    return text


def redact_address(address: str) -> str:
    """An address with its query: what a parameter of a telling name holds is hidden, however the name is escaped."""
    path, mark, query = address.partition("?")
    pairs = [_redact_pair(pair) for pair in query.split("&")]
    return redact(path + mark + "&".join(pairs))


def _redact_pair(pair: str) -> str:
    name, equals, _ = pair.partition("=")
    return f"{name}={HIDDEN}" if equals and _SECRET_NAME.search(unquote_plus(name)) else pair


@functools.lru_cache(maxsize=1)
def _own_secrets() -> tuple[str, ...]:
    """The secrets among the settings, the longest first, and the passwords inside of addresses."""
    secrets = {settings.SECRET_KEY}
    for entry in settings.ENV.entries.values():
        if entry.secret and isinstance(entry.value, str):
            secrets |= {entry.value, _password_of(entry.value)}
    return tuple(sorted((secret for secret in secrets if len(secret) >= 6), key=len, reverse=True))


def _password_of(address: str) -> str:
    try:
        return urlsplit(address).password or ""
    except ValueError:
        return ""
