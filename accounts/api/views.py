"""Who one is, and the tokens of one's programs. Each view parses, calls one service, answers."""

from __future__ import annotations

from django.contrib.auth.models import User
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from accounts import selectors, services
from accounts.api import serializers
from accounts.models import ApiToken
from common.api.pagination import PAGE_PARAMETERS, page_response
from common.api.schema import problems
from common.api.validation import parsed, parsed_query
from common.api.views import ApiView
from common.rights import Right

_ID = OpenApiParameter("token_id", OpenApiTypes.INT64, OpenApiParameter.PATH)


def signed_in(request: Request) -> User:
    """The user of a request that was let in."""
    user = request.user
    assert isinstance(user, User)
    return user


def presented_token(request: Request) -> ApiToken | None:
    """The token that the request came with; None in a session."""
    return request.auth if isinstance(request.auth, ApiToken) else None


class MeView(ApiView):
    """Who is asking, with which roles, rights and token."""

    rights = {"GET": tuple(Right)}

    @extend_schema(responses={200: serializers.MeOutput, **problems()}, operation_id="me")
    def get(self, request: Request) -> Response:
        return Response(selectors.me_document(signed_in(request), presented_token(request)))


class TokensView(ApiView):
    """API tokens, one's own; an admin sees and issues those of others too."""

    rights = {"GET": Right.READ, "POST": Right.ISSUE}

    @extend_schema(
        parameters=[serializers.TokenListInput, *PAGE_PARAMETERS],
        responses={200: serializers.TokenPageOutput, **problems()},
        operation_id="tokens",
    )
    def get(self, request: Request) -> Response:
        of = parsed_query(serializers.TokenListInput, request)["user"]
        return page_response(selectors.tokens_of(signed_in(request), of=of), request, selectors.token_document)

    @extend_schema(
        request=serializers.IssueTokenInput,
        responses={201: serializers.IssuedTokenOutput, **problems(409)},
        operation_id="issue_token",
        examples=[
            OpenApiExample(
                "a camera station, for a year",
                value={"name": "station 4", "scopes": ["inspect"], "expires_in_days": 365},
                request_only=True,
            )
        ],
    )
    def post(self, request: Request) -> Response:
        fields = parsed(serializers.IssueTokenInput, request.data)
        token, key = services.issue_token(
            user=selectors.token_owner(fields["user"], requested_by=signed_in(request)),
            name=fields["name"],
            scopes=fields["scopes"],
            expires_at=fields["expires_at"],
            actor=request.user,
            through=presented_token(request),
        )
        return Response({**selectors.token_document(token), "key": key}, status=201)


class TokenView(ApiView):
    """One token. Deleting revokes it: the row stays, the key is of no more use."""

    rights = {"GET": Right.READ, "DELETE": Right.ISSUE}

    @extend_schema(parameters=[_ID], responses={200: serializers.TokenOutput, **problems()}, operation_id="token")
    def get(self, request: Request, token_id: str) -> Response:
        return Response(selectors.token_document(selectors.find_token(int(token_id), visible_to=signed_in(request))))

    @extend_schema(parameters=[_ID], responses={204: None, **problems()}, operation_id="revoke_token")
    def delete(self, request: Request, token_id: str) -> Response:
        token = selectors.find_token(int(token_id), visible_to=signed_in(request))
        services.revoke_token(token=token, actor=request.user)
        return Response(status=204)
