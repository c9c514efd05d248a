"""Metrics of Celery, and how many workers keep a promised queue wait.

`python -m celery_exporter` reads the same mounted directory as celery_runtime and answers on 9808.
"""

__version__ = "0.2.0"

__all__ = ["__version__"]
