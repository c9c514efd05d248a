"""The shop's Celery application: ``shop.celery:app``."""

import os

from celery import Celery

import celery_runtime

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

# Workers and beat get the mounted settings in any case; this line gives them to
# producers too, and does nothing where no settings are mounted.
celery_runtime.configure(app)
