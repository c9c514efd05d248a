"""How many pods the worker groups have while the demonstration runs."""

import time
from collections.abc import Callable, Mapping

LOOK_SECONDS = 1.0

#: Asks for each worker group's pods, by the group's name.
Read = Callable[[], Mapping[str, int]]


class Replicas:
    """Each group's pods since the first look, as a person would tell it: 0 → 2 → 0."""

    def __init__(self, read: Read, *, tell: Callable[[str], None] = lambda _: None) -> None:
        self._read = read
        self._tell = tell
        self._began_at = time.monotonic()
        self._seen: dict[str, list[int]] = {}

    def look(self) -> None:
        """Ask now, and tell of what has changed."""
        before = str(self)
        for group, count in self._read().items():
            seen = self._seen.setdefault(group, [count])
            if seen[-1] != count:
                seen.append(count)
        if str(self) != before:
            self._tell(f"  {time.monotonic() - self._began_at:4.0f} s   {self}")

    def rests(self) -> bool:
        """Tell whether some group has no pods."""
        return any(seen[-1] == 0 for seen in self._seen.values())

    def came_and_went(self) -> bool:
        """Tell whether some group had none, then some, and has none again."""
        return any(seen[0] == seen[-1] == 0 and len(seen) > 1 for seen in self._seen.values())

    def wait(self, for_what: Callable[[], bool], *, within_seconds: float) -> bool:
        """Look once a second until something holds; False where it did not in time."""
        deadline = time.monotonic() + within_seconds
        self.look()
        while not for_what():
            if time.monotonic() >= deadline:
                return False
            time.sleep(LOOK_SECONDS)
            self.look()
        return True

    def __str__(self) -> str:
        """Return all groups, each with its pods from the first look to the last."""
        each = sorted(self._seen.items())
        return ", ".join(f"{group} {' → '.join(map(str, seen))}" for group, seen in each)


def parsed(text: str) -> dict[str, int]:
    """Read lines of a group, `=` and its pods; none is written as nothing."""
    pairs = (line.partition("=") for line in text.splitlines())
    return {group: int(count or 0) for group, _, count in pairs}
