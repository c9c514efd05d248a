"""Messages travel over SMTP, and each Message-ID is kept once."""

import smtplib

import pytest
from aiosmtpd.controller import Controller
from django.db import OperationalError

from shop import effects
from shop.models import Email
from shop.tasks import send_email


def deliver(key: str, subject: str = "Grüße") -> str:
    """Send one message by the task and return its id."""
    message_id: str = send_email.apply(("a@b.example", subject, key), {"run": "run"}).get()
    return message_id


@pytest.mark.usefixtures("mail_server")
def test_a_message_arrives_with_its_run_and_task() -> None:
    message_id = deliver("run.1")
    email = Email.objects.get()
    assert (email.message_id, email.recipient, email.run) == (message_id, "a@b.example", "run")
    assert email.task_id
    assert b"Thank you for your order." in bytes(email.content)


@pytest.mark.usefixtures("mail_server")
def test_a_message_sent_twice_is_kept_once_and_counted() -> None:
    deliver("run.1")
    deliver("run.1")
    deliver("run.2")
    duplicates = dict(Email.objects.values_list("message_id", "duplicates"))
    assert duplicates == {"<run.1@shop.example>": 1, "<run.2@shop.example>": 0}


def refusal(mail_server: Controller, message: str) -> int:
    """Send a raw message, which must be refused, and return the SMTP code."""
    with smtplib.SMTP("127.0.0.1", mail_server.port, timeout=5) as client:
        try:
            client.sendmail("a@b.example", ["c@d.example"], message)
        except smtplib.SMTPDataError as error:
            return error.smtp_code
    pytest.fail("the message was accepted")


def test_a_message_without_an_id_is_refused(mail_server: Controller) -> None:
    assert refusal(mail_server, "Subject: x\r\n\r\nx") == 550


def test_without_its_database_the_sink_asks_to_try_again(
    mail_server: Controller, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: object, **__: object) -> None:
        raise OperationalError

    monkeypatch.setattr(effects, "record", away)
    assert refusal(mail_server, "Message-ID: <1@b>\r\n\r\nx") == 451
