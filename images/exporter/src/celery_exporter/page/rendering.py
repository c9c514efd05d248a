"""From an overview to HTML."""

from jinja2 import Environment, PackageLoader, StrictUndefined

from celery_exporter.overview import Overview
from celery_exporter.page import charts, words
from celery_exporter.page.view import Verdict, view


def _environment() -> Environment:
    made = Environment(
        loader=PackageLoader("celery_exporter.page"),
        autoescape=True,  # names come from outside
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    made.filters |= {
        "ago": words.ago,
        "clock": words.clock,
        "count": words.count,
        "duration": words.duration,
        "machine": words.machine,
    }
    made.globals |= {"Verdict": Verdict, "WIDTH": charts.WIDTH, "HEIGHT": charts.HEIGHT}
    return made


_PAGE = _environment().get_template("page.html")


def render(overview: Overview) -> str:
    """The whole page."""
    page = _PAGE.render(view=view(overview))
    # JSON may carry half a surrogate pair, which no encoding has.
    return page.encode(errors="replace").decode()
