"""The page for people: what `Overview` says, as HTML that needs nothing from elsewhere."""

from celery_exporter.page.rendering import render
from celery_exporter.page.serving import pages

__all__ = ["pages", "render"]
