"""An SMTP server that keeps every message in PostgreSQL, each Message-ID once."""

import asyncio
import signal
from email import message_from_bytes, policy

from aiosmtpd.smtp import SMTP, Envelope, Session
from django.db import Error, connections

from shop import effects
from shop.models import Email


class Sink:
    """The handler of aiosmtpd's server: accepts a message once it is stored."""

    async def handle_DATA(  # noqa: N802 (aiosmtpd names it)
        self, _server: SMTP, _session: Session, envelope: Envelope
    ) -> str:
        """Answer 250 when the message is in the database, 451 when the sender should retry."""
        try:
            return await asyncio.to_thread(store, envelope.original_content or b"")
        except Error:
            return "451 4.3.0 The mailbox is not available, try again later"


def store(content: bytes) -> str:
    """Store one message under its Message-ID and return the SMTP answer."""
    message = message_from_bytes(content, policy=policy.default)
    if not message["Message-ID"]:
        return "550 5.6.0 The message has no Message-ID"
    try:
        effects.record(
            Email,
            {"message_id": str(message["Message-ID"])},
            recipient=str(message["To"] or ""),
            content=content,
            run=str(message["X-Shop-Run"] or ""),
            task_id=str(message["X-Shop-Task"] or ""),
        )
    finally:
        # Threads come and go; each would keep its connection.
        connections.close_all()
    return "250 2.0.0 Stored"


async def serve(host: str, port: int) -> None:
    """Take messages until SIGTERM or SIGINT."""
    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    server = await loop.create_server(lambda: SMTP(Sink(), enable_SMTPUTF8=True), host, port)
    async with server:
        await stop.wait()
