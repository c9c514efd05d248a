"""Two TLS connections in one thread, of which one breaks: prints what reading the other raises.

Run with the texts of a certificate and its key.
"""

import socket
import ssl
import sys
import tempfile
import threading
from collections.abc import Callable

from celery_runtime import tls

Pair = tuple[ssl.SSLSocket, socket.socket]


def connected(server: ssl.SSLContext, client: ssl.SSLContext) -> Pair:
    """A client that does not wait, and the other end."""
    near, far = socket.socketpair()
    ends: list[ssl.SSLSocket] = []
    accept = threading.Thread(target=lambda: ends.append(server.wrap_socket(far, server_side=True)))
    accept.start()
    wrapped = client.wrap_socket(near)
    accept.join()
    wrapped.setblocking(False)
    # Until then the server's tickets are there to be read, and reading them tidies up.
    error(wrapped.read, 1)
    return wrapped, ends[0]


def error(act: Callable[..., object], *arguments: object) -> str:
    """What an act raises."""
    try:
        act(*arguments)
    except OSError as raised:
        return type(raised).__name__
    return "nothing"


tls.keep_connections_apart()
server, client = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
with tempfile.NamedTemporaryFile("w") as file:
    file.write("\n".join(sys.argv[1:]))
    file.flush()
    server.load_cert_chain(file.name)
client.check_hostname, client.verify_mode = False, ssl.CERT_NONE
(broken, gone), (good, other) = connected(server, client), connected(server, client)
# Not over TLS: as when the machine is gone.
socket.socket.close(gone)
print(error(broken.write, b"x"))
print(error(good.read, 1))
