"""One broken TLS connection that must not break the others.

OpenSSL keeps a thread's errors in a queue. From 3.13.2 on Python raises the error of a broken
connection and leaves it there, and takes it for the answer to the next read of any other connection
that has nothing to read: https://github.com/python/cpython/issues/148594. Under gevent, where all
share a thread, a lost node of RabbitMQ so breaks the connections to Redis and to the other nodes.
"""

import ssl
from collections.abc import Callable
from contextlib import suppress
from functools import wraps
from typing import Any

_SPARE = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
_TALKING = ("do_handshake", "read", "send", "unwrap", "write")


def keep_connections_apart() -> None:
    """Let connections that are made from now on, in whatever library, leave no error behind."""
    base = ssl.SSLContext.sslsocket_class
    methods = {name: _tidy(getattr(base, name)) for name in _TALKING}
    ssl.SSLContext.sslsocket_class = type(base.__name__, (base,), methods)


def _tidy(method: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(method)
    def tidy(*arguments: object, **options: object) -> object:
        try:
            return method(*arguments, **options)
        except ssl.SSLError:
            # Python has taken these out of the queue.
            raise
        except OSError:
            _forget()
            raise

    return tidy


def _forget() -> None:
    """Empty the queue, as Python does after a list of ciphers that has none."""
    with suppress(ssl.SSLError):
        _SPARE.set_ciphers("none")
