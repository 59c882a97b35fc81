"""WSGI entry point (mvtec_site.webserver)."""

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mvtec_site.settings")
application = get_wsgi_application()
