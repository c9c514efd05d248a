"""KEDA's external push scaler: https://keda.sh/docs/latest/concepts/external-scalers/."""

from celery_exporter.scaler.server import Scaler

__all__ = ["Scaler"]
