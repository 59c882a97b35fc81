"""Settings, addresses, the Celery application, and what all apps share."""
