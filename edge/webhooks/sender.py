"""Posts verdicts, signed. What the receiver answers decides: taken, refused for good, or tried again."""

from __future__ import annotations

import json
import time

from django.conf import settings

from common.web.outgoing import AddressRefused, NoAnswer, NotReached, post, signature
from edge.connections.kinds import Message, Sender, Target
from jobs.outbox import NotDelivered, NotSent, Refused

SIGNATURE, TIMESTAMP, DELIVERY, ATTEMPT, DUPLICATE = (
    *("X-Signature", "X-Timestamp", "X-Delivery-Id", "X-Attempt", "X-Duplicate"),
)
_SETTING = "EDGE_PRIVATE_HOSTS"
# Another moment may bring another answer: too many requests, a time that ran out, and what the receiver itself is at.
_PASSING = {408, 409, 421, 423, 425, 429}


class WebhookSender(Sender):
    """One POST for each message; every one of them over a connection of its own."""

    def __init__(self, target: Target) -> None:
        self._target = target

    def open(self) -> None:
        if not self._target.secret("signing_secret"):
            raise NotSent("It has no signing secret. Set one on the page of the connection.")

    def send(self, message: Message) -> None:
        body = json.dumps(message.document, separators=(",", ":"), ensure_ascii=False).encode()
        timestamp = int(time.time())
        # During a change of the secret each of them signs, so that the receiver may change at any moment of it.
        signatures = [f"sha256={signature(secret, timestamp, body)}" for secret in self._secrets()]
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "mvtec-inspection",
            DELIVERY: message.delivery_id,
            ATTEMPT: str(message.attempt),
            DUPLICATE: "true" if message.is_duplicate else "false",
            TIMESTAMP: str(timestamp),
            SIGNATURE: ", ".join(signatures),
        }
        try:
            answer = post(
                self._target.settings["url"],
                body=body,
                headers=headers,
                private_hosts=settings.EDGE_PRIVATE_HOSTS,
                setting=_SETTING,
                is_plain_allowed=True,
                certificate=self._target.settings["ca_certificate"],
                timeout=self._target.settings["timeout_s"],
            )
        except (AddressRefused, NotReached) as error:
            raise NotSent(str(error)) from error
        except NoAnswer as error:
            raise NotDelivered(str(error)) from error
        if 200 <= answer.status < 300:
            return
        sentence = f"The receiver answered {answer.status}."
        if 300 <= answer.status < 500 and answer.status not in _PASSING:
            raise Refused(sentence)
        raise NotDelivered(sentence)

    def _secrets(self) -> tuple[str, ...]:
        return self._target.secrets.get("signing_secret", ())
