"""What to tell an HPA so that it does what was decided."""

import math

#: The HPA leaves everything as it is where the metric is off by less.
TOLERANCE = 0.1


def metric_value(desired: int, *, replicas: int) -> int:
    """The metric, for a target of 1 a pod, that makes the HPA want so many replicas.

    From ten replicas on one more is within the HPA's tolerance, and it would let a backlog grow:
    it is told the first number that it listens to. (It keeps to its own maximum.) Fewer are never
    exaggerated, as they would take pods away that are needed.
    """
    if desired <= replicas or desired > replicas * (1 + TOLERANCE) + 1e-6:
        return desired
    return math.floor(replicas * (1 + TOLERANCE) + 1e-6) + 1
