"""Celery's events, from the broker to the state."""
