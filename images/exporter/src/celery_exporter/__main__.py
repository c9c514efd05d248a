"""`python -m celery_exporter`."""

from celery_exporter.app import main

main()
