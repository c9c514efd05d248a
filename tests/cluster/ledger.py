"""The shop's database, asked from outside the cluster."""

from contextlib import suppress
from functools import cached_property

import psycopg

from ci.demo import Target
from tests.cluster.forward import Forward

CONNECT_SECONDS = 10


class Ledger:
    """PostgreSQL behind a forwarded port; opened by the first question, and again when lost."""

    def __init__(self, target: Target, url: str) -> None:
        self._forward = Forward(target, "statefulset/shop-postgres", 5432)
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
        self._forward.close()

    def _ask(self, query: str) -> list[list[str]]:
        rows = self._connection.execute(query.encode()).fetchall()
        return [["" if value is None else str(value) for value in row] for row in rows]

    @cached_property
    def _connection(self) -> psycopg.Connection:
        url = self._url.replace("@shop-postgres:5432/", f"@127.0.0.1:{self._forward.port}/")
        return psycopg.connect(url, autocommit=True, connect_timeout=CONNECT_SECONDS)
