"""From the mounted directory to Celery's configuration."""
