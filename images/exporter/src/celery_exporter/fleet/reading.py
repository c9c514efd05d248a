"""The fleet, read: Kubernetes is asked for the pods, and each pod for its worker's work."""

import logging
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

from celery_exporter.fleet import page
from celery_exporter.fleet.asking import UnansweredError, ask
from celery_exporter.fleet.ledger import Clock, Ledger
from celery_exporter.fleet.listing import Listing, RawPod
from celery_exporter.fleet.page import Page
from celery_exporter.fleet.pods import ListedPod, listed
from celery_exporter.groups import Groups
from celery_exporter.readings import Pod, Work

INTERVAL_SECONDS = 2.0
#: So that a thousand workers cost no more than five hundred. From some 1,500 on a reading is so
#: old that nobody knows what arrives: inflow.OUTAGE_SECONDS.
MAX_QUESTIONS_PER_SECOND = 250
MAX_AT_ONCE = 16
#: Who has not been asked by then is asked next time: nodes that are lost answer nothing.
READ_SECONDS = 5.0

Ask = Callable[..., bytes]

logger = logging.getLogger(__name__)


class Pods(Protocol):
    """Whoever knows the pods."""

    def pods(self) -> list[RawPod]:
        """All worker pods; raises when that cannot be known."""

    def close(self) -> None:
        """Give the connection up."""


class Fleet:
    """The worker pods of a release; of one thread."""

    def __init__(
        self,
        groups: Groups,
        *,
        listing: Pods | None = None,
        ask: Ask = ask,
        clock: Clock = time.monotonic,
    ) -> None:
        self._groups = groups
        self._listing = listing or Listing(groups)
        self._ask = ask
        self._clock = clock
        self._ledger = Ledger(clock=clock)
        self._executor = ThreadPoolExecutor(MAX_AT_ONCE, thread_name_prefix="fleet")
        #: By the pod's uid: the worker in it, by its start.
        self._starts: dict[str, str] = {}
        #: Pods whose workers answered when they were asked last, and those of which it was said
        #: that they do not.
        self._answered: set[str] = set()
        self._told: set[str] = set()
        self._asked = 0
        self._start_seconds: dict[str, float | None] | None = None

    @property
    def interval_seconds(self) -> float:
        """How long to wait until the next reading."""
        return max(INTERVAL_SECONDS, self._asked / MAX_QUESTIONS_PER_SECOND)

    def read(self) -> Sequence[Pod]:
        """All pods that have not ended.

        Raises:
            KubernetesAwayError: nobody says which pods there are.

        """
        label = self._groups.group_label
        raw = self._listing.pods()
        pods = [pod for each in raw if (pod := listed(each, group_label=label))]
        self._remember_starts(pods)
        pages = self._pages(pods)
        self._forget(pods)
        return [self._pod(pod, pages.get(pod.uid)) for pod in pods]

    def close(self) -> None:
        """Ask nobody any more."""
        self._executor.shutdown()
        self._listing.close()

    def _pages(self, pods: Iterable[ListedPod]) -> dict[str, Page]:
        deadline = self._clock() + READ_SECONDS
        # Those that answered last time come first: the others may only answer with a timeout.
        asked = [pod for pod in pods if pod.address]
        asked.sort(key=lambda pod: pod.uid not in self._answered)
        self._asked = len(asked)
        answers = self._executor.map(lambda pod: self._page(pod, deadline), asked)
        pages: dict[str, Page] = {}
        seen = set[str]()
        for pod, answer in zip(asked, answers, strict=True):
            # An address that another pod had before, or has by now.
            if answer is not None and answer.start not in seen:
                seen.add(answer.start)
                pages[pod.uid] = answer
        return pages

    def _page(self, pod: ListedPod, deadline: float) -> Page | None:
        if self._clock() > deadline:
            return None
        after = self._ledger.last(self._starts.get(pod.uid))
        try:
            answer = page.parse(self._ask(pod.address, self._groups.port, after=after))
        except UnansweredError as error:
            self._answered.discard(pod.uid)
            self._tell(pod, error)
            return None
        self._answered.add(pod.uid)
        self._told.discard(pod.uid)
        return answer

    def _tell(self, pod: ListedPod, error: UnansweredError) -> None:
        # One that is about to start or to end does not answer, rightly.
        if pod.ready and not pod.deleting and pod.uid not in self._told:
            self._told.add(pod.uid)
            logger.warning("The worker in the pod %s does not answer: %s", pod.name, error)

    def _pod(self, pod: ListedPod, page: Page | None) -> Pod:
        work = self._work(pod, page) if page else None
        return Pod(
            name=pod.name,
            group=pod.group,
            ready=pod.ready,
            stopping=pod.deleting or (work is not None and work.draining),
            start_seconds=(self._start_seconds or {}).get(pod.uid),
            deletion_cost=pod.deletion_cost,
            work=work,
        )

    def _work(self, pod: ListedPod, page: Page) -> Work:
        news = self._ledger.enter(page)
        self._starts[pod.uid] = page.start
        return Work(
            worker=page.worker,
            start=page.start,
            slots=page.slots,
            draining=page.draining,
            queues=page.queues,
            running=page.running,
            fetched=page.fetched,
            ended=news.ended,
            counted=news.counted,
        )

    def _remember_starts(self, pods: Iterable[ListedPod]) -> None:
        """How long each took to become ready for the first time.

        Kubernetes tells of the last time only: a pod that was there before this process may have
        been ready before.
        """
        if self._start_seconds is None:
            self._start_seconds = dict.fromkeys(pod.uid for pod in pods)
        known = self._start_seconds
        self._start_seconds = {
            pod.uid: known.get(pod.uid, pod.ready_after_seconds)
            for pod in pods
            if pod.ready or pod.uid in known
        }

    def _forget(self, pods: Iterable[ListedPod]) -> None:
        here = {pod.uid for pod in pods}
        self._starts = {uid: start for uid, start in self._starts.items() if uid in here}
        self._answered &= here
        self._told &= here
        self._ledger.keep(set(self._starts.values()))
