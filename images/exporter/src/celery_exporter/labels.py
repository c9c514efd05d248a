"""Labels as Prometheus reads them."""

_ESCAPED = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})


def labels(**texts: str) -> str:
    """The labels that are not empty, within braces: to Prometheus an empty one is none."""
    pairs = (f'{name}="{_escaped(text)}"' for name, text in texts.items() if text)
    return f"{{{','.join(pairs)}}}"


def _escaped(text: str) -> str:
    return text.translate(_ESCAPED)
