"""A small shop whose slow work is done by Celery."""

from shop.celery import app as celery_app

__all__ = ("celery_app",)
