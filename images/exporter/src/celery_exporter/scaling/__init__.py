"""From what broker, Kubernetes and workers say to the replicas that each worker group needs.

`Planner` is pure and remembers; `Board` takes what comes, and is where everyone looks.
"""

from celery_exporter.scaling.board import Board
from celery_exporter.scaling.planner import Plan, Planner

__all__ = ["Board", "Plan", "Planner"]
