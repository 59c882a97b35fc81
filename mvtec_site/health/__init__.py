"""How the installation does: /readyz, /metrics, and `manage.py doctor`."""
