"""A signed POST to an address outside: nothing but HTTPS, and private hosts only where ALARM_WEBHOOK_PRIVATE_HOSTS
names them (see `common.web.outgoing`)."""

from __future__ import annotations

from collections.abc import Collection

from common.web import outgoing
from jobs.outbox import NotDelivered

_SETTING = "ALARM_WEBHOOK_PRIVATE_HOSTS"


class WebhookRefused(NotDelivered):
    """The address is not one that messages may go to, or it did not take this one."""


def post(url: str, *, body: bytes, headers: dict[str, str], private_hosts: Collection[str] = ()) -> int:
    """The status that the receiver answered, 2xx. Raises `WebhookRefused` for all else."""
    try:
        answer = outgoing.post(url, body=body, headers=headers, private_hosts=private_hosts, setting=_SETTING)
    except (outgoing.NotReached, outgoing.NoAnswer) as error:
        raise WebhookRefused(str(error)) from error
    if not 200 <= answer.status < 300:
        raise WebhookRefused(f"The receiver answered {answer.status}.")
    return answer.status
