"""A TCP proxy that can lose a connection on one side and keep it on the other."""

import select
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field

from tests.runtime.conftest import free_port

LOOK_SECONDS = 0.5


@dataclass
class Proxy:
    """Connections from `port` to the broker's."""

    upstream_port: int
    port: int
    #: Connections that carry nothing more, and do not end either.
    dead: set[socket.socket] = field(default_factory=set)
    _pairs: list[tuple[socket.socket, socket.socket]] = field(default_factory=list)

    def lose_clients(self) -> None:
        """The clients see their connections end; the broker sees nothing."""
        for client, _ in self._pairs:
            with suppress(OSError):
                client.shutdown(socket.SHUT_RDWR)

    def reset_clients(self) -> None:
        """The clients are told that nobody is there, as when the broker's machine is gone."""
        for client, _ in self._pairs:
            with suppress(OSError):
                # What `pump` then closes, it resets: socket(7), SO_LINGER.
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.lose_clients()

    def fall_silent(self) -> None:
        """What is connected hears nothing more; who connects again is served."""
        self.dead.update(client for client, _ in self._pairs)

    def lose_brokers(self) -> None:
        """The broker sees the end of every connection whose client is gone."""
        for client, broker in self._pairs:
            if client.fileno() < 0:
                broker.close()

    def serve(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            broker = socket.create_connection(("127.0.0.1", self.upstream_port))
            self._pairs.append((client, broker))
            threading.Thread(target=self.pump, args=(client, broker), daemon=True).start()

    def pump(self, client: socket.socket, broker: socket.socket) -> None:
        """Carry bytes both ways until the client is gone; the broker's side stays open."""
        with closing(client), suppress(OSError, ValueError):
            while True:
                heard = [client] if client in self.dead else [client, broker]
                readable, _, _ = select.select(heard, [], [], LOOK_SECONDS)
                for source in readable:
                    data = source.recv(65536)
                    if not data:
                        return
                    if client not in self.dead:
                        (broker if source is client else client).sendall(data)


@contextmanager
def proxy(upstream_port: int, port: int | None = None) -> Iterator[Proxy]:
    running = Proxy(upstream_port, port or free_port())
    with socket.create_server(("127.0.0.1", running.port)) as listener:
        threading.Thread(target=running.serve, args=(listener,), daemon=True).start()
        yield running
        listener.shutdown(socket.SHUT_RDWR)
    running.lose_clients()
    for _, broker in running._pairs:
        broker.close()
