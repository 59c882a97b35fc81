from tests.brokers import no_broker

__all__ = ["no_broker"]
