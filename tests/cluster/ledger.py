"""The shop's database, asked from outside the cluster: a question costs no process."""

import subprocess
from contextlib import suppress
from functools import cached_property

import psycopg

from ci.demo import Target

CONNECT_SECONDS = 10


class Ledger:
    """PostgreSQL behind a forwarded port; opened by the first question, and again when lost."""

    def __init__(self, target: Target, url: str) -> None:
        self._target = target
        #: As the shop's own pods have it.
        self._url = url

    def rows(self, query: str) -> list[list[str]]:
        """Return the rows of a query, every value as text."""
        try:
            return self._ask(query)
        except psycopg.OperationalError:
            self.close()
            return self._ask(query)

    def close(self) -> None:
        """Let go of the port."""
        if "_connection" in self.__dict__:
            with suppress(psycopg.Error):
                self.__dict__.pop("_connection").close()
        if "_forward" in self.__dict__:
            forward = self.__dict__.pop("_forward")
            forward.kill()
            forward.communicate()

    def _ask(self, query: str) -> list[list[str]]:
        rows = self._connection.execute(query.encode()).fetchall()
        return [["" if value is None else str(value) for value in row] for row in rows]

    @cached_property
    def _connection(self) -> psycopg.Connection:
        assert self._forward.stdout
        # Forwarding from 127.0.0.1:40001 -> 5432
        told = self._forward.stdout.readline()
        port = int(told.partition(" -> ")[0].rpartition(":")[2])
        url = self._url.replace("@shop-postgres:5432/", f"@127.0.0.1:{port}/")
        return psycopg.connect(url, autocommit=True, connect_timeout=CONNECT_SECONDS)

    @cached_property
    def _forward(self) -> subprocess.Popen[str]:
        pod = ("port-forward", "statefulset/shop-postgres", "--address=127.0.0.1", ":5432")
        command = [str(word) for word in self._target.kubectl(*pod)]
        return subprocess.Popen(
            command,
            env=self._target.env,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
