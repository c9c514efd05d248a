"""Django settings of the shop, read from the environment.

Required: ``DATABASE_URL``. With defaults for a laptop: ``GATEWAY_URL``, ``SMTP_HOST``,
``SMTP_PORT``, ``CHARGE_RETRY_DELAY_SECONDS``, ``PHOTOS_DIR``, ``ALLOWED_HOSTS``, ``ROOT_URLCONF``.
"""

import os
import secrets
from pathlib import Path

from shop.environment import database_from_url, whole_number

DATABASES = {"default": database_from_url(os.environ.get("DATABASE_URL", ""))}
GATEWAY_URL = os.environ.get("GATEWAY_URL", "http://localhost:8000")
SMTP_HOST = os.environ.get("SMTP_HOST", "localhost")
SMTP_PORT = whole_number("SMTP_PORT", default=8025)
CHARGE_RETRY_DELAY_SECONDS = whole_number("CHARGE_RETRY_DELAY_SECONDS", default=60)
PHOTOS_DIR = Path(os.environ.get("PHOTOS_DIR", "photos"))

# The same image serves the shop (`shop.urls`) and the payment gateway (`shop.gateway`).
ROOT_URLCONF = os.environ.get("ROOT_URLCONF", "shop.urls")
ALLOWED_HOSTS = os.environ.get("ALLOWED_HOSTS", "localhost,127.0.0.1,shop-web,shop-gateway").split(
    ","
)

INSTALLED_APPS = ("shop.apps.ShopConfig",)
MIDDLEWARE = ("django.middleware.common.CommonMiddleware",)
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True
TIME_ZONE = "UTC"

# Nothing is signed that must outlive the process: no sessions, no cookies.
SECRET_KEY = secrets.token_urlsafe(32)

# In a worker the log's form belongs to the runtime; Django would replace it. In the web
# servers warnings and errors reach stderr through logging's last resort.
LOGGING_CONFIG = None
