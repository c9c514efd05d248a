"""The shop's Celery application: ``shop.celery:app``."""

import os

from celery import Celery

import celery_runtime
from shop.environment import TASKS_PER_CONNECTION, under_gevent

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "shop.settings")

app = Celery("shop")
app.autodiscover_tasks()
app.conf.task_routes = {
    "shop.tasks.charge_customer": {"queue": "high_priority"},
    "shop.tasks.combine_thumbnails": {"queue": "thumbnails"},
    "shop.tasks.fetch_social_metrics": {"queue": "default"},
    "shop.tasks.reconcile_orders": {"queue": "default"},
    "shop.tasks.report_chord_failure": {"queue": "default"},
    "shop.tasks.resize_image": {"queue": "thumbnails"},
    "shop.tasks.send_email": {"queue": "email"},
}

if not under_gevent():
    # The ledger replaces one that the database has closed. To a pool it must go back.
    app.conf.CELERY_DB_REUSE_MAX = TASKS_PER_CONNECTION

# Workers and beat get the mounted settings in any case; this line gives them to
# producers too, and does nothing where no settings are mounted.
celery_runtime.configure(app)
