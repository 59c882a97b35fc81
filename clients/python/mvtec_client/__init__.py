"""Client of the inspection platform's REST API: `Client(base_url, token)`."""

from mvtec_client.client import Client
from mvtec_client.problems import ApiProblem, ClientError, TookTooLong, Unreachable
from mvtec_client.transport import Retry

__all__ = ["ApiProblem", "Client", "ClientError", "Retry", "TookTooLong", "Unreachable"]
