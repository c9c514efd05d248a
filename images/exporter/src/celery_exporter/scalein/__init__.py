"""Idle pods go first: `controller.kubernetes.io/pod-deletion-cost` before a group shrinks."""

from celery_exporter.scalein.costs import changes
from celery_exporter.scalein.patching import ANNOTATION, Marker, Patch, patcher

__all__ = ["ANNOTATION", "Marker", "Patch", "changes", "patcher"]
