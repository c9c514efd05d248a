"""What a worker does differently from Celery's own."""
