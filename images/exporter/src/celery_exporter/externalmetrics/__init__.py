"""`external.metrics.k8s.io` as an aggregated API: an HPA without KEDA reads metrics of it."""

from celery_exporter.externalmetrics.server import Server

__all__ = ["Server"]
