from tests.brokers import no_broker, real_broker, valkey

__all__ = ["no_broker", "real_broker", "valkey"]
