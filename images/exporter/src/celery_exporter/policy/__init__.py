"""How many replicas a worker group needs: pure functions of what was seen.

`decide` is the whole of it. `Arrivals` and `ServiceTimes` remember what it asks for, and
`metric_value` is how an HPA has to be told.
"""

from celery_exporter.policy.arrivals import Arrivals
from celery_exporter.policy.decision import Decision, Group, Observation, decide
from celery_exporter.policy.hpa import metric_value
from celery_exporter.policy.service import ServiceTimes

__all__ = ["Arrivals", "Decision", "Group", "Observation", "ServiceTimes", "decide", "metric_value"]
