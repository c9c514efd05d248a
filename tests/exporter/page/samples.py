"""Deployments to look at: one as an afternoon leaves it, one that is large, one that is hostile."""

import math
from collections.abc import Callable
from dataclasses import replace

from celery_exporter.overview import (
    GroupSample,
    GroupStatus,
    Overview,
    QueueSample,
    QueueStatus,
    ScaleEvent,
)

NOW = 1_795_271_525.0  # 2026-11-21 14:32:05 UTC
EVERY_SECONDS = 15
MOMENTS = [NOW - seconds for seconds in range(3600 - EVERY_SECONDS, -1, -EVERY_SECONDS)]
#: Of one thing over the hour: from how many minutes ago to a number.
Shape = Callable[[float], float]


def queue(name: str, **more: object) -> QueueStatus:
    plain = QueueStatus(
        name=name,
        waiting=0,
        oldest_seconds=None,
        running=0,
        dead_letters=0,
        promised_seconds=10,
    )
    return replace(plain, **more)  # type: ignore[arg-type]


def group(name: str, **more: object) -> GroupStatus:
    plain = GroupStatus(
        name=name,
        queues=("default",),
        replicas=2,
        ready=2,
        idle=1,
        running=3,
        desired=2,
        reason="arrivals",
        sentence="0.0 slots for 0 waiting messages, 1.4 for 0.40 arrivals a second, "
        "0 for long tasks.",
        min_replicas=0,
        max_replicas=20,
        promised_seconds=10,
    )
    return replace(plain, **more)  # type: ignore[arg-type]


def queue_samples(waiting: Shape, oldest: Shape) -> list[QueueSample]:
    return [
        QueueSample(
            at=at,
            waiting=max(0, round(waiting((NOW - at) / 60))),
            oldest_seconds=max(0.0, oldest((NOW - at) / 60)),
        )
        for at in MOMENTS
    ]


def group_samples(replicas: Shape, *, lead_minutes: float = 0.6) -> list[GroupSample]:
    return [
        GroupSample(
            at=at,
            replicas=round(replicas((NOW - at) / 60)),
            running=None,
            desired=round(replicas((NOW - at) / 60 - lead_minutes)),
        )
        for at in MOMENTS
    ]


def wave(height: float, *, at_minutes: float, width_minutes: float) -> Shape:
    return lambda ago: height * math.exp(-(((ago - at_minutes) / width_minutes) ** 2))


def ripple(height: float) -> Shape:
    return lambda ago: height * (1 + math.sin(ago * 1.7) * 0.5 + math.sin(ago * 0.43 + 1) * 0.4)


def stairs(*steps: tuple[float, int]) -> Shape:
    """From so many minutes ago on, so many; the oldest first."""

    def at(ago: float) -> float:
        return next((count for since, count in reversed(steps) if ago <= since), steps[0][1])

    return at


def empty() -> Overview:
    return Overview(
        at=NOW, queues=(), groups=(), events=(), queue_samples={}, group_samples={}, problems=()
    )


def afternoon() -> Overview:
    """A shop: mail goes out, a batch of photographs has come, one promise is broken."""
    burst = wave(38, at_minutes=22, width_minutes=3)
    return Overview(
        at=NOW,
        queues=(
            queue("default", waiting=4, oldest_seconds=1.3, running=112),
            queue("email", waiting=31, oldest_seconds=3.8, running=58, dead_letters=2),
            queue("high_priority", running=6, promised_seconds=2),
            queue("thumbnails", waiting=1_284, oldest_seconds=83, running=16, promised_seconds=30),
            queue("reports", waiting=None, running=None, dead_letters=None),
        ),
        groups=(
            group(
                "io",
                queues=("default", "email", "high_priority"),
                replicas=3,
                ready=3,
                idle=0,
                running=176,
                desired=3,
                sentence="1.2 slots for 35 waiting messages, 181.6 for 24.31 arrivals a second, "
                "12 for long tasks.",
                promised_seconds=2,
            ),
            group(
                "cpu",
                queues=("thumbnails",),
                replicas=8,
                ready=8,
                idle=0,
                running=16,
                desired=12,
                reason="maximum",
                sentence="21.4 slots for 1284 waiting messages, 9.2 for 3.10 arrivals a second, "
                "2 for long tasks. 17 would be needed.",
                max_replicas=12,
                promised_seconds=30,
            ),
            group(
                "reports",
                queues=("reports",),
                replicas=2,
                ready=1,
                idle=None,
                running=None,
                desired=2,
                reason="unknown",
                sentence="Unknown: backlog, running tasks. Nothing is scaled in until it is known.",
                min_replicas=1,
                max_replicas=4,
            ),
            group(
                "legacy",
                queues=("sync",),
                replicas=1,
                ready=1,
                idle=1,
                running=0,
                desired=None,
                reason="",
                sentence="",
                min_replicas=None,
                max_replicas=None,
                promised_seconds=None,
            ),
        ),
        events=tuple(_events()),
        queue_samples={
            "default": queue_samples(ripple(5), ripple(0.9)),
            "email": queue_samples(
                lambda ago: ripple(14)(ago) + burst(ago) * 6,
                lambda ago: ripple(1.4)(ago) + burst(ago) / 5,
            ),
            "high_priority": queue_samples(ripple(0.4), ripple(0.3)),
            "thumbnails": queue_samples(
                wave(1290, at_minutes=0.5, width_minutes=6),
                wave(84, at_minutes=0, width_minutes=4),
            ),
            "reports": [
                replace(each, waiting=None, oldest_seconds=None) if each.at > NOW - 540 else each
                for each in queue_samples(ripple(2), ripple(3))
            ],
        },
        group_samples={
            "io": group_samples(stairs((60, 2), (24, 5), (19, 4), (13, 3))),
            "cpu": group_samples(stairs((60, 0), (43, 1), (31, 0), (7, 2), (5, 5), (2, 8))),
            "reports": group_samples(stairs((60, 1), (35, 2))),
            "legacy": [replace(each, desired=None) for each in group_samples(stairs((60, 1)))],
        },
        problems=("The queue reports cannot be read: NOT_FOUND - no queue 'reports' in '/'.",),
    )


def _events() -> list[ScaleEvent]:
    steps = (
        (0.6, "cpu", 8, 12, "maximum", "17 would be needed."),
        (2.5, "cpu", 5, 8, "backlog", "9.8 slots for 612 waiting messages."),
        (5.4, "cpu", 2, 5, "backlog", "6.1 slots for 240 waiting messages."),
        (7.5, "cpu", 0, 2, "backlog", "2.9 slots for 31 waiting messages."),
        (13.5, "io", 4, 3, "arrivals", "181.6 slots for 24.31 arrivals a second."),
        (19.4, "io", 5, 4, "arrivals", "302.0 slots for 40.12 arrivals a second."),
        (24.5, "io", 2, 5, "burst", "417.3 slots for 63.70 arrivals a second."),
        (31.0, "cpu", 1, 0, "idle", "Nothing waits, runs or is due."),
    )
    return [
        ScaleEvent(
            at=NOW - minutes * 60,
            group=name,
            before=before,
            after=after,
            reason=reason,
            sentence=sentence,
        )
        for minutes, name, before, after, reason, sentence in steps
    ]


def large() -> Overview:
    """50 queues and 20 groups, each with a full hour."""
    calm = afternoon()
    queues = [replace(calm.queues[at % 4], name=f"queue_{at}") for at in range(50)]
    groups = [replace(calm.groups[at % 4], name=f"group_{at}") for at in range(20)]
    return replace(
        calm,
        queues=queues,
        groups=groups,
        queue_samples={each.name: queue_samples(ripple(900), ripple(30)) for each in queues},
        group_samples={each.name: group_samples(ripple(9)) for each in groups},
    )


HOSTILE_NAMES = (
    "<script>document.title = 'taken'</script>",
    "\"quoted\" 'twice' onload=alert(1) & &amp; </table><h1>",
    "n" * 255,
    "שלום \u202eedisrever مرحبا",
    "🚀 " * 20,
    "half \ud83d a pair, a bell \x07 and {{ 7 * 7 }}",
    "",
)


def hostile() -> Overview:
    """Names, reasons and problems as an enemy would choose them."""
    calm = afternoon()
    return replace(
        calm,
        queues=[replace(calm.queues[at % 5], name=name) for at, name in enumerate(HOSTILE_NAMES)],
        groups=[
            group(name, queues=HOSTILE_NAMES, reason=name[:40], sentence=name)
            for name in HOSTILE_NAMES
        ],
        events=[
            replace(calm.events[0], group=name, reason=name[:40], sentence=name)
            for name in HOSTILE_NAMES
        ],
        problems=HOSTILE_NAMES,
    )
