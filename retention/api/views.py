"""How long files are kept, and the runs that remove them. For admins; auditors may look."""

from __future__ import annotations

from django.urls import reverse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from common.api.pagination import PAGE_PARAMETERS, page_response
from common.api.parsers import JSONParser
from common.api.schema import page_output, problems
from common.api.validation import parsed, parsed_query
from common.api.views import ApiView
from common.rights import Right
from modelzoo.selectors import find_category
from retention import selectors, services
from retention.api import serializers

_READ = (Right.ADMINISTER, Right.AUDIT)
_POLICY_ID = OpenApiParameter("policy_id", OpenApiTypes.INT64, OpenApiParameter.PATH)
_RUN_ID = OpenApiParameter("run_id", OpenApiTypes.INT64, OpenApiParameter.PATH)


class RetentionPoliciesView(ApiView):
    """Every revision of every policy; a new one is in force at once."""

    rights = {"GET": _READ, "POST": Right.ADMINISTER}
    hidden = True
    parser_classes = [JSONParser]

    @extend_schema(
        parameters=[serializers.RetentionPolicyQuery, *PAGE_PARAMETERS],
        responses={200: page_output(serializers.RetentionPolicyOutput), **problems()},
        operation_id="retention_policies",
    )
    def get(self, request: Request) -> Response:
        query = parsed_query(serializers.RetentionPolicyQuery, request)
        policies = selectors.policies_in_force() if query["in_force"] else selectors.policies()
        if query["category"]:
            policies = policies.filter(category__name=query["category"])
        return page_response(policies, request, selectors.policy_document)

    @extend_schema(
        request=serializers.RetentionPolicyInput,
        responses={201: serializers.RetentionPolicyOutput, **problems(409, 413, 415)},
        operation_id="set_retention_policy",
        examples=[
            OpenApiExample(
                "one good part in a hundred after 90 days",
                request_only=True,
                value={
                    "category": "screw",
                    "good_after_days": 90,
                    "good_keep_every": 100,
                    "reason": "storage; agreed with quality on 3 May",
                },
            )
        ],
    )
    def post(self, request: Request) -> Response:
        fields = parsed(serializers.RetentionPolicyInput, request.data)
        category = find_category(fields.pop("category"))
        policy = services.set_policy(category=category, actor=request.user, **fields)
        return Response(
            selectors.policy_document(selectors.find_policy(policy.pk)),
            status=201,
            headers={"Location": reverse("retention-policy", args=[policy.pk])},
        )


class RetentionPolicyView(ApiView):
    """One revision."""

    rights = {"GET": _READ}
    hidden = True

    @extend_schema(
        parameters=[_POLICY_ID],
        responses={200: serializers.RetentionPolicyOutput, **problems()},
        operation_id="retention_policy",
    )
    def get(self, request: Request, policy_id: str) -> Response:
        return Response(selectors.policy_document(selectors.find_policy(int(policy_id))))


class RetentionRunsView(ApiView):
    """What was removed, and what would be. A real run needs a dry run of the same revision before it."""

    rights = {"GET": _READ, "POST": Right.ADMINISTER}
    hidden = True
    parser_classes = [JSONParser]

    @extend_schema(
        parameters=[serializers.RetentionRunQuery, *PAGE_PARAMETERS],
        responses={200: page_output(serializers.RetentionRunOutput), **problems()},
        operation_id="retention_runs",
    )
    def get(self, request: Request) -> Response:
        query = parsed_query(serializers.RetentionRunQuery, request)
        runs = selectors.runs_that_took(query["sha256"]) if query["sha256"] else selectors.runs()
        if query["category"]:
            runs = runs.filter(policy__category__name=query["category"])
        if query["dry_run"] is not None:
            runs = runs.filter(dry_run=query["dry_run"])
        return page_response(runs, request, selectors.run_document)

    @extend_schema(
        request=serializers.RetentionRunInput,
        responses={202: serializers.RetentionRunOutput, **problems(409, 413, 415)},
        operation_id="start_retention_run",
        examples=[
            OpenApiExample("preview", request_only=True, value={"category": "screw", "dry_run": True}),
            OpenApiExample("orphaned files", request_only=True, value={"dry_run": True}),
        ],
    )
    def post(self, request: Request) -> Response:
        fields = parsed(serializers.RetentionRunInput, request.data)
        policy = selectors.policy_of(fields["category"]) if fields["category"] else None
        run = services.request_run(policy=policy, dry_run=fields["dry_run"], actor=request.user)
        return Response(
            selectors.run_document(selectors.find_run(run.pk)),
            status=202,
            headers={"Location": reverse("retention-run", args=[run.pk])},
        )


class RetentionRunView(ApiView):
    """Progress and result of a run."""

    rights = {"GET": _READ}
    hidden = True

    @extend_schema(
        parameters=[_RUN_ID],
        responses={200: serializers.RetentionRunOutput, **problems()},
        operation_id="retention_run",
    )
    def get(self, request: Request, run_id: str) -> Response:
        return Response(selectors.run_document(selectors.find_run(int(run_id))))
