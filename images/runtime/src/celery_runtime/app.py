"""The app for `celery -A celery_runtime.app worker` and `… beat`."""

from celery_runtime.loading import start

app = start()
