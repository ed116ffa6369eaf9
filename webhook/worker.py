"""gunicorn's threaded worker, with a time limit on reading a request.

gunicorn 27 waits for a slow client's headers and body without end, and each of them holds a thread. Here the
receiving side of such a connection is shut: the reader sees the end of the stream, an answer can still be sent.
"""

import socket
import time
from contextlib import suppress

from gunicorn.workers.gthread import TConn, ThreadWorker  # type: ignore[import-untyped]

READ_SECONDS = 4.0  # from the start of a request to its last byte
LOOK_SECONDS = 0.5  # between two looks at the deadlines


class TimedThreadWorker(ThreadWorker):  # type: ignore[misc]  # gunicorn has no types
    """`handle` runs in a thread of the pool, `murder_pending` once per turn of the main loop, at least each second."""

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)
        self._deadlines: dict[TConn, float] = {}
        self._next_look = 0.0

    def handle(self, conn: TConn) -> object:
        self._deadlines[conn] = time.monotonic() + READ_SECONDS
        try:
            return super().handle(conn)
        finally:
            self._deadlines.pop(conn, None)

    def murder_pending(self) -> None:
        super().murder_pending()
        now = time.monotonic()
        if now < self._next_look:
            return
        self._next_look = now + LOOK_SECONDS
        for conn, deadline in list(self._deadlines.items()):
            if deadline < now:
                with suppress(OSError):  # closed meanwhile
                    conn.sock.shutdown(socket.SHUT_RD)
