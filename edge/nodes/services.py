"""Writes: edge nodes, their tokens, signs of life, and the states of their audit chains."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from datetime import datetime
from http import HTTPStatus
from typing import Any

from django.contrib.auth.models import User
from django.db import IntegrityError, transaction
from django.utils import timezone

from accounts.services import issue_token, report_user, revoke_token
from common.errors import Conflict, UserError
from common.rights import Forbidden, Right, Scope, require
from edge.nodes.chain import ChainRefused, State, follow, read_event
from edge.nodes.models import EdgeNode, ForwardedRecord, NodeAnchor
from edge.nodes.selectors import anchoring_event, chain_state, last_anchor
from edge.nodes.wire import receipt_text
from modelzoo.services import actor_id
from records.audit.chain import signing
from records.audit.services import Actor, audit, lock_audit_chain

_TOKEN = "edge node"


class NodeNameDiffers(UserError):
    code = "node_name_differs"
    status = HTTPStatus.CONFLICT


@transaction.atomic
def create_node(*, name: str, actor: Actor, station: str = "") -> tuple[EdgeNode, str]:
    """A node with an account of its own, and its token, which is shown this once.

    Raises `Forbidden`, `UserError` for a name that is none, and `Conflict` where the name is in use.
    """
    require(actor, Right.ADMINISTER)
    taken = Conflict(
        f"There is an edge node or an account named {name} already. Nothing was changed. Choose another name.",
        code="edge_node_name_taken",
    )
    username = f"node-{name}"
    if EdgeNode.objects.filter(name=name).exists() or User.objects.filter(username__iexact=username).exists():
        raise taken
    user = User(username=username, last_name=name)
    user.set_unusable_password()
    try:
        with transaction.atomic():
            user.save(force_insert=True)
            node = EdgeNode.objects.create(name=name, station=station.strip(), user=user, created_by_id=actor_id(actor))
    except IntegrityError as error:  # somebody was faster with the same name
        raise taken from error
    report_user(user=user, before=None, actor=actor)
    _, secret = issue_token(user=user, name=_TOKEN, scopes=[Scope.INSPECT], actor=actor)
    audit(kind="edge_node.created", subject=node, actor=actor, after=_said(node))
    return node, secret


@transaction.atomic
def change_node(
    *, node: EdgeNode, actor: Actor, station: str | None = None, is_enabled: bool | None = None
) -> EdgeNode:
    """Where nothing differs, nothing is written. A disabled node is refused; what it has waits on it."""
    require(actor, Right.ADMINISTER)
    node = EdgeNode.objects.select_for_update(no_key=True, of=("self",)).get(pk=node.pk)
    before = _said(node)
    node.station = node.station if station is None else station.strip()
    node.is_enabled = node.is_enabled if is_enabled is None else is_enabled
    after = _said(node)
    if after == before:
        return node
    node.save(update_fields=["station", "is_enabled"])
    kind = "edge_node.changed"
    if before["is_enabled"] != after["is_enabled"]:
        kind = "edge_node.enabled" if node.is_enabled else "edge_node.disabled"
    audit(kind=kind, subject=node, actor=actor, before=before, after=after)
    return node


@transaction.atomic
def renew_token(*, node: EdgeNode, actor: Actor) -> str:
    """Another token, shown this once; the one before it is revoked at once, as after a theft."""
    require(actor, Right.ADMINISTER)
    for token in node.user.api_tokens.filter(revoked_at__isnull=True):
        revoke_token(token=token, actor=actor, reason="another token for the edge node")
    _, secret = issue_token(user=node.user, name=_TOKEN, scopes=[Scope.INSPECT], actor=actor)
    audit(kind="edge_node.token_renewed", subject=node, actor=actor, after={"name": node.name}, changes_subject=False)
    return secret


def _said(node: EdgeNode) -> dict[str, Any]:
    return {"name": node.name, "station": node.station, "is_enabled": node.is_enabled}


# ---------------------------------------------------------------- what a node calls
def require_node(node: EdgeNode | None) -> EdgeNode:
    """Raises `Forbidden` where who calls is no node, and for one that is disabled."""
    if node is None:
        raise Forbidden(
            "This is for edge nodes: it needs the token of one. Nothing was changed.", right=str(Right.FORWARD)
        )
    if not node.is_enabled:
        raise Forbidden(
            f"The edge node {node.name} is disabled here. Nothing was kept. Its records wait on it. Enable it on the "
            "page Edge nodes.",
            code="node_disabled",
        )
    return node


def note_contact(
    *, node: EdgeNode, name: str, waiting: int | None, oldest_waiting_at: datetime | None
) -> dict[str, Any] | None:
    """Note that a node is there; the receipt of its last anchor, should it have got lost on its way.

    Raises `NodeNameDiffers` for another node's token.
    """
    if name != node.name:
        raise NodeNameDiffers(
            f"This is the token of the edge node {node.name}, and {name} sent it. Nothing was kept. Give each node its "
            "own token, and EDGE_NODE_NAME as it is named here."
        )
    how: dict[str, Any] = {} if waiting is None else {"waiting": waiting, "oldest_waiting_at": oldest_waiting_at}
    EdgeNode.objects.filter(pk=node.pk).update(last_contact_at=timezone.now(), **how)
    anchor = last_anchor(node)
    return _receipt(anchor) if anchor else None


def note_refusal(node: EdgeNode, error: UserError) -> None:
    """What a person has to know who asks why a node has records waiting."""
    EdgeNode.objects.filter(pk=node.pk).update(
        refusal_code=error.code[:64], refusal=error.detail[:500], refused_at=timezone.now()
    )


def anchor_chain(*, node: EdgeNode, events: Sequence[Any], actor: Actor) -> dict[str, Any]:
    """Take the node's events since its last anchor into account, and sign that its chain stood there.

    Of the events their hashes are kept, each computed here from its content. A repeat of the last ones gets the same
    word again. Raises `UserError` for what is no event, and `ChainRefused` for what does not go on from the last anchor
    or contradicts a record that is here: that is an audit event of ours.
    """
    require_node(node)
    read = [read_event(values) for values in events]
    try:
        with transaction.atomic():
            lock_audit_chain()
            known = chain_state(node)
            if read[-1].sequence <= known.sequence:
                anchor = _same_again(node, State(read[-1].sequence, read[-1].hash))
                return _receipt(anchor)
            state = follow(read, known)
            _require_records(node, {event.sequence: event.hash for event in read})
            anchor = NodeAnchor.objects.create(
                node=node,
                first=known.sequence + 1,
                sequence=state.sequence,
                head=state.head,
                hashes="\n".join(event.hash for event in read),
                created_at=timezone.now(),
            )
            audit(
                kind="edge_node.anchored",
                subject=anchor,
                actor=actor,
                after={"node": node.name, "first": anchor.first, "sequence": anchor.sequence, "head": anchor.head},
            )
            return _receipt(anchor)
    except ChainRefused as error:
        report_refusal(node=node, error=error, after={"sequence": read[0].sequence}, actor=actor)
        raise


def _same_again(node: EdgeNode, state: State) -> NodeAnchor:
    anchor = NodeAnchor.objects.filter(node=node, sequence=state.sequence, head=state.head).first()
    if anchor is None:
        raise ChainRefused(
            f"Event {state.sequence} of this node's audit chain is not the one that was anchored here. Nothing was "
            "kept."
        )
    return anchor


def _require_records(node: EdgeNode, hashes: dict[int, str]) -> None:
    records = ForwardedRecord.objects.filter(node=node, sequence__in=list(hashes))
    for sequence, event_hash in records.values_list("sequence", "event_sha256"):
        if hashes[sequence] != event_hash:
            raise ChainRefused(
                f"Event {sequence} of this node's audit chain is another one than the one that came with its record. "
                "Nothing was kept. Verify the node (manage.py edge --verify)."
            )


def _receipt(anchor: NodeAnchor) -> dict[str, Any]:
    private = signing.own_key()
    said: dict[str, Any] = {
        "node": anchor.node.name,
        "sequence": anchor.sequence,
        "head": anchor.head,
        "at": anchor.created_at.isoformat(timespec="microseconds"),
        "centre_event": anchoring_event(anchor),
    }
    return said | {
        "key_id": signing.key_id(private.public_key()),
        "signature": base64.b64encode(private.sign(receipt_text(**said))).decode(),
        "public_key": signing.pem(private.public_key()),
    }


@transaction.atomic
def report_refusal(*, node: EdgeNode, error: UserError, after: dict[str, Any], actor: Actor) -> None:
    """Audit what a node sent and nobody here can believe."""
    note_refusal(node, error)
    audit(
        kind="edge_node.refused",
        subject=node,
        actor=actor,
        after={"name": node.name, "code": error.code, "sentence": error.detail[:500], **after},
        changes_subject=False,
    )
