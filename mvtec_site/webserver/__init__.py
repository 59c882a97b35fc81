"""The web server: waitress' buffering event loop in gunicorn's worker processes, with limits (docs/adr/0009)."""
