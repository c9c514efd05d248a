"""The WSGI entry point of the shop and, with another `ROOT_URLCONF`, of its gateway."""

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "shop.settings")
application = get_wsgi_application()
