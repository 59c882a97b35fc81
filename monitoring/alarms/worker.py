"""What a worker does with messages about alarms: it sends them, and tries again later what was not taken."""

from __future__ import annotations

import json
import time

from django.conf import settings
from django.core.mail import EmailMessage

from common.web.outgoing import signature
from jobs.outbox import send_due
from monitoring.alarms.selectors import address_of, alarm_document
from monitoring.alarms.webhook import post
from monitoring.models import AlarmMessage


def send_due_messages() -> int:
    """How many were taken."""
    return send_due(AlarmMessage.objects.select_related("alarm__category"), _deliver)


def _deliver(message: AlarmMessage) -> None:
    if message.channel == AlarmMessage.Channel.EMAIL:
        _send_email(message)
    else:
        _send_webhook(message)


def _send_email(message: AlarmMessage) -> None:
    alarm = message.alarm
    place = f"{alarm.category.name}{f', station {alarm.station}' if alarm.station else ''}"
    lines = [alarm.sentence, "", f"Category: {alarm.category.name}", f"Station: {alarm.station or '-'}"]
    lines += [f"Since: {alarm.opened_at:%Y-%m-%d %H:%M:%S %Z}", f"Status: {alarm.status}"]
    lines += [f"Cause: {alarm.cause}"] if alarm.cause else []
    lines += ["", address_of(alarm)]
    mail = EmailMessage(f"[{message.event}] {place}: {alarm.kind}", "\n".join(lines), to=[message.target])
    mail.send()


def _send_webhook(message: AlarmMessage) -> None:
    document = alarm_document(message.alarm) | {"event": f"alarm.{message.event}", "address": address_of(message.alarm)}
    body = json.dumps(document, separators=(",", ":")).encode()
    timestamp = int(time.time())
    headers = {
        "Content-Type": "application/json",
        "X-Message-Id": str(message.pk),  # the same in every attempt: a receiver may have taken one already
        "X-Timestamp": str(timestamp),
        "X-Signature": f"sha256={signature(settings.ALARM_WEBHOOK_SECRET, timestamp, body)}",
    }
    post(message.target, body=body, headers=headers, private_hosts=settings.ALARM_WEBHOOK_PRIVATE_HOSTS)
