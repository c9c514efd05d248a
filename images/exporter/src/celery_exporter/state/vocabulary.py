"""Text from outside that becomes a label: so many different ones, and no more."""

#: Stands for all that found no room.
OTHER = "other"
#: A sane name is shorter; a longer one is cut, and still counted.
MAX_CHARACTERS = 255


class ForeignError(ValueError):
    """A field that Celery would not write so."""


def readable(text: str) -> str:
    """The text as UTF-8 can say it: answers of workers may hold half a surrogate pair."""
    return text.encode(errors="replace").decode()


class Vocabulary:
    """The texts of one kind that have come, up to a cap."""

    def __init__(self, *, most: int) -> None:
        self._most = most
        self._known: dict[str, str] = {}
        #: How many events had a text that found no room.
        self.capped = 0

    def __len__(self) -> int:
        return len(self._known)

    def of(self, text: object) -> str:
        """The text itself, or `other` when there are too many.

        Raises:
            ForeignError: it is no text.

        """
        known = self._known.get(text)  # type: ignore[call-overload]  # anything hashable
        return known if known is not None else self._learn(text)

    def _learn(self, text: object) -> str:
        if not isinstance(text, str):
            raise ForeignError(f"{type(text).__name__} where a text was expected")
        cut = readable(text[:MAX_CHARACTERS])
        if cut not in self._known and len(self._known) >= self._most:
            self.capped += 1
            return OTHER
        return self._known.setdefault(cut, cut)
