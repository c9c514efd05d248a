"""The whole story of tasks that were lost, doubled or stuck, for whoever has to find out why."""

from tests.cluster.shop import Shop
from tests.faults.campaign import Outcome

#: Enough to find the cause by; the seed makes the others again.
MOST = 5


def tell_of(shop: Shop, outcome: Outcome) -> str:
    """The seed, the strikes, and each task: its ledger, and the lines of logs that name it."""
    verdict = outcome.verdict
    counts = f"lost {len(verdict.lost)}, doubled {len(verdict.doubled)}, stuck {len(verdict.stuck)}"
    told = [f"SEED={outcome.order.seed} repeats this run. Of the accepted tasks: {counts}."]
    told += [
        f"{strike.at:%H:%M:%S} to {strike.over_at:%H:%M:%S} {strike.name}"
        for strike in outcome.strikes
    ]
    logs = shop.diagnosis().splitlines()
    for task_id in verdict.broken[:MOST]:
        rows = shop.sql(f"SELECT row_to_json(t) FROM shop_taskrun t WHERE task_id = '{task_id}'")  # noqa: S608
        told += [f"\n{task_id}", *(row[0] for row in rows)]
        told += [line for line in logs if task_id in line]
    return "\n".join([*told, ""])
