"""Loading a version so that it serves its category: called for in the web process, done in a worker."""

from __future__ import annotations

from django.conf import settings

from common.errors import UserError
from jobs import broker
from jobs.errors import NoWorker
from modelzoo.loading import scoring
from modelzoo.loading.reports import load_deployed
from modelzoo.models import Deployment
from modelzoo.services import activate, fail_deployment


# ---------------------------------------------------------------- loading a model
def await_deployment(*, deployment: Deployment, timeout: float | None = None) -> Deployment:
    """Call a worker to load the model and wait until it serves. What served before stays when this fails."""
    seconds = settings.LOAD_TIMEOUT if timeout is None else timeout
    broker.publish("inspection.tasks.load", deployment.pk)

    def is_loaded() -> bool:
        deployment.refresh_from_db()
        return deployment.status != Deployment.Status.LOADING

    if not broker.wait_until(is_loaded, topic=f"deployment-{deployment.pk}", timeout=seconds):
        fail_deployment(
            deployment=deployment,
            code=NoWorker.code,
            error=f"{deployment.model_version} was not loaded within {seconds:g} seconds. The current model stays "
            f"in production. {_what_next()}",
        )
        deployment.refresh_from_db()
    if deployment.status == Deployment.Status.FAILED:
        status = NoWorker.status if deployment.error_code == NoWorker.code else scoring.ModelUnusable.status
        raise UserError(deployment.error, code=deployment.error_code, status=status)
    return deployment


def _what_next() -> str:
    if broker.inference_workers():
        return (
            "The inspection service is running, but has not finished loading it. Try again in a minute; if that does "
            "not help, call support."
        )
    return "The inspection service is down: call support, then try again."


def load_deployment(*, deployment_id: int, worker: str) -> None:
    """Load a model because it was requested, then put it in force; in the worker."""
    deployment = Deployment.objects.select_related("model_version__category", "requested_by").get(pk=deployment_id)
    if deployment.status == Deployment.Status.LOADING:
        try:
            model = load_deployed(deployment)
        except UserError as error:
            fail_deployment(deployment=deployment, code=error.code, error=error.detail)
        else:
            activate(
                deployment=deployment,
                device=model.device,
                worker=worker,
                choice=model.scorer.choice | {"threads": model.scorer.threads.best},
            )
    broker.notify(f"deployment-{deployment_id}")
