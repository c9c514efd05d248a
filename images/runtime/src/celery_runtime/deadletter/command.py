"""`celery dead-letter list | show | replay | purge`."""

import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import click
from celery import Celery
from celery.bin.base import CLIContext
from click.termui import progressbar
from kombu.exceptions import OperationalError

from celery_runtime import loading
from celery_runtime.deadletter.box import Box, Held
from celery_runtime.deadletter.selection import Selection, duration
from celery_runtime.errors import CeleryRuntimeError
from celery_runtime.queues import TaskQueue

DETAIL_CHARACTERS = 60


@click.group(name="dead-letter")
@click.pass_context
def dead_letter(context: click.Context) -> None:
    """Look at dead messages, put them back, or throw them away.

    The app is that of -A, or the one that CELERY_APP names.
    """
    command_line: CLIContext = context.obj
    try:
        context.obj = loading.prepare(_app(command_line))
    except CeleryRuntimeError as error:
        raise click.ClickException(str(error)) from error


def _app(command_line: CLIContext) -> Celery:
    name = os.environ.get(loading.APP_VARIABLE)
    # Without -A Celery hands over an app that nobody configured.
    return loading.load(name) if name else command_line.app


def _duration(_: click.Context, __: click.Parameter, text: str | None) -> object:
    try:
        return duration(text) if text else None
    except ValueError as error:
        raise click.BadParameter(str(error)) from error


def _selecting(command: Callable[..., None]) -> Callable[..., None]:
    options: tuple[Callable[..., Any], ...] = (
        click.argument("ids", nargs=-1),
        click.option("--queue", "-q", "queues", multiple=True, help="Only dead letters of it."),
        click.option("--task", help="Only this task, by its whole name."),
        click.option("--reason", help="Only those that died of it, such as delivery_limit."),
        click.option("--older-than", callback=_duration, help="As in 90s, 15m, 2h or 7d."),
        click.option("--newer-than", callback=_duration, help="As in 90s, 15m, 2h or 7d."),
        click.option("--limit", type=click.IntRange(min=1), help="At most so many."),
        click.option("--json", "as_json", is_flag=True, help="JSON, one object a line."),
    )
    for option in options:
        command = option(command)
    return click.pass_obj(command)


@dead_letter.command(name="list")
@_selecting
def list_(app: Celery, **options: Any) -> None:  # noqa: ANN401
    """List dead messages: when, queue, reason, task, id."""
    with _box(app, options) as box:
        for held in _selected(box, options):
            _print(held, as_json=options["as_json"])


@dead_letter.command()
@click.argument("message_id", metavar="ID")
@click.option("--queue", "-q", "queues", multiple=True, help="Where to look for it.")
@click.pass_obj
def show(app: Celery, message_id: str, queues: tuple[str, ...]) -> None:
    """Show a dead message with its headers and body, as JSON."""
    options = {"ids": (message_id,), "queues": queues}
    with _box(app, options) as box:
        for held in _selected(box, options):
            whole = {**held.dead.as_dict(), "headers": held.message.headers, "body": held.body()}
            click.echo(json.dumps(whole, indent=2, default=str))
            return
    raise click.ClickException(f"No dead message has the id {message_id}.")


@dead_letter.command()
@_selecting
@click.option("--all", "everything", is_flag=True, help="Every dead message.")
@click.option("--dry-run", is_flag=True, help="Only say which.")
@click.option("--to", "target", help="To another queue than the one that it came from.")
def replay(app: Celery, target: str | None, **options: Any) -> None:  # noqa: ANN401
    """Put dead messages back into their queues, as if they were new."""
    to = _queue(app, target) if target else None
    with _box(app, options) as box:
        _each(box, options, "replayed", lambda held: box.replay(held, to=to))


@dead_letter.command()
@_selecting
@click.option("--all", "everything", is_flag=True, help="Every dead message.")
@click.option("--dry-run", is_flag=True, help="Only say which.")
def purge(app: Celery, **options: Any) -> None:  # noqa: ANN401
    """Throw dead messages away for good."""
    with _box(app, options) as box:
        _each(box, options, "purged", box.purge)


def _each(box: Box, options: dict[str, Any], verb: str, act: Callable[[Held], None]) -> None:
    if not (_selection(options) or options["queues"] or options["everything"]):
        raise click.UsageError("Say which: ids, --queue, --task, --reason, an age, or --all.")
    done = 0
    try:
        for held in _with_progress(box, options):
            if not options["dry_run"]:
                act(held)
            done += 1
            if options["as_json"] or options["dry_run"]:
                _print(held, as_json=options["as_json"])
    finally:
        # Also after Ctrl-C or an error: what was done is done, the rest is where it was.
        dry = " would be" if options["dry_run"] else ""
        click.echo(f"{done} messages{dry} {verb}.", err=True)


def _with_progress(box: Box, options: dict[str, Any]) -> Iterator[Held]:
    if options["as_json"] or options["dry_run"]:
        yield from _selected(box, options)
        return
    # Counted over all that are looked at: how many match is known at the end.
    with progressbar(length=box.count(), label="Dead letters", file=sys.stderr) as progress:
        yield from _selected(box, options, looked_at=lambda: progress.update(1))


@contextmanager
def _box(app: Celery, options: dict[str, Any]) -> Iterator[Box]:
    names = options["queues"]
    queues = [_queue(app, name) for name in names] if names else _queues(app)
    try:
        with Box(app, queues) as box:
            yield box
    except OperationalError as error:
        raise click.ClickException(f"The broker is away: {error}") from error


def _queues(app: Celery) -> list[TaskQueue]:
    return [queue for queue in app.amqp.queues.values() if isinstance(queue, TaskQueue)]


def _queue(app: Celery, name: str) -> TaskQueue:
    known = {queue.name: queue for queue in _queues(app)}
    if name not in known:
        raise click.ClickException(f"{name} is no queue here. There are: {', '.join(known)}.")
    return known[name]


def _selection(options: dict[str, Any]) -> Selection:
    names = ("task", "reason", "older_than", "newer_than")
    return Selection(ids=frozenset(options["ids"]), **{name: options.get(name) for name in names})


def _selected(
    box: Box, options: dict[str, Any], *, looked_at: Callable[[], object] = lambda: None
) -> Iterator[Held]:
    selection, now, found = _selection(options), datetime.now(UTC), 0
    for held in box:
        looked_at()
        if selection.matches(held.dead, now):
            found += 1
            yield held
        if found == options.get("limit"):
            return


def _print(held: Held, *, as_json: bool) -> None:
    dead = held.dead
    if as_json:
        click.echo(json.dumps(dead.as_dict()))
        return
    at = dead.at.isoformat(timespec="seconds") if dead.at else "?"
    detail = dead.detail[:DETAIL_CHARACTERS]
    click.echo("  ".join([at, dead.queue, dead.reason, dead.task, dead.id, detail]).rstrip())
