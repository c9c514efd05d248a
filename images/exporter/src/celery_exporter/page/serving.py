"""The page and its files, with what a browser may do with them."""

from collections.abc import Callable, Mapping
from importlib.resources import files

from celery_exporter.overview import Overview
from celery_exporter.page.rendering import render
from celery_runtime.health.server import Page, Response

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    # Neither an old state nor the script of an old version.
    "Cache-Control": "no-store",
}
KINDS = {
    "page.css": "text/css; charset=utf-8",
    "page.js": "text/javascript; charset=utf-8",
    "page.svg": "image/svg+xml",
}


def pages(overview: Callable[[], Overview]) -> Mapping[str, Page]:
    """What is served, by its path; the overview is asked for anew each time."""

    def front() -> Response:
        return _response("text/html; charset=utf-8", render(overview()))

    return {"/": front, **{f"/{name}": _static(name) for name in KINDS}}


def _static(name: str) -> Page:
    text = files(__package__).joinpath("static", name).read_text(encoding="utf-8")
    return lambda: _response(KINDS[name], text)


def _response(kind: str, body: str) -> Response:
    return Response(kind=kind, body=body, headers=HEADERS)
