"""Metrics of Celery, and how many workers keep a promised queue wait."""
