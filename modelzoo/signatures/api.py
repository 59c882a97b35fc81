"""Which acts of a category need an electronic signature."""

from __future__ import annotations

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from common.api.parsers import JSONParser
from common.api.schema import problems
from common.api.validation import parsed
from common.api.views import ApiView
from common.rights import Right
from modelzoo.selectors import find_category
from modelzoo.signatures import documents, serializers, services
from modelzoo.signatures.selectors import Act, acts_to_sign

_CATEGORY = OpenApiParameter("name", OpenApiTypes.STR, OpenApiParameter.PATH)


class SignatureRulesView(ApiView):
    """Which acts of a category need the password again and a meaning (21 CFR 11)."""

    rights = {"GET": Right.READ, "PUT": Right.ADMINISTER}
    parser_classes = [JSONParser]

    @extend_schema(
        parameters=[_CATEGORY],
        responses={200: serializers.SignatureRulesOutput, **problems()},
        operation_id="signature_rules",
    )
    def get(self, request: Request, name: str) -> Response:
        return Response(documents.rules_document(find_category(name)))

    @extend_schema(
        parameters=[_CATEGORY],
        request=serializers.SignatureRulesInput,
        responses={200: serializers.SignatureRulesOutput, **problems(413, 415)},
        operation_id="set_signature_rules",
        examples=[
            OpenApiExample(
                "what decides about the model",
                value={"threshold": True, "approval": True, "promotion": True, "reason": "SOP 12, second edition"},
                request_only=True,
            )
        ],
    )
    def put(self, request: Request, name: str) -> Response:
        fields = parsed(serializers.SignatureRulesInput, request.data)
        category = find_category(name)
        before = acts_to_sign(category.pk)
        acts = frozenset(act for act in Act if fields.get(act, act in before))
        services.set_signature_rules(category=category, acts=acts, reason=fields["reason"], actor=request.user)
        return Response(documents.rules_document(category))
