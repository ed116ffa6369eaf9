"""gunicorn's threaded worker, with a time limit on reading a request and a short stay for the next one.

gunicorn 27 waits for a slow client's headers and body without end, and each of them holds a thread. Here the
receiving side of such a connection is shut: the reader sees the end of the stream, an answer can still be sent.

It also hands a connection back to its main loop after every answer. A store with a backlog sends its next event at
once, so here the thread waits a moment for it: that saves two changes of thread, a quarter of what a request costs.
"""

import select
import socket
import time
from contextlib import suppress

from gunicorn.workers.gthread import TConn, ThreadWorker  # type: ignore[import-untyped]

READ_SECONDS = 4.0  # from the start of a request to its last byte
LOOK_SECONDS = 0.5  # between two looks at the deadlines
STAY_MILLISECONDS = 20  # that a thread waits for its connection's next request


class TimedThreadWorker(ThreadWorker):  # type: ignore[misc]  # gunicorn has no types
    """`handle` runs in a thread of the pool, `murder_pending` once per turn of the main loop, at least each second."""

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)
        self._deadlines: dict[TConn, float] = {}
        self._next_look = 0.0

    def handle(self, conn: TConn) -> object:
        result = self._handle_once(conn)
        while result is True and self._next_is_here(conn):
            result = self._handle_once(conn)
        return result

    def _handle_once(self, conn: TConn) -> object:
        self._deadlines[conn] = time.monotonic() + READ_SECONDS
        try:
            return super().handle(conn)
        finally:
            self._deadlines.pop(conn, None)

    def _next_is_here(self, conn: TConn) -> bool:
        """Whether the next request starts to arrive within the moment. Nobody may have to wait for this thread."""
        if not self.alive or self.nr_conns > self.cfg.threads or conn.parser.unreader.buf.getvalue():
            return False
        poll = select.poll()
        poll.register(conn.sock, select.POLLIN)
        return bool(poll.poll(STAY_MILLISECONDS))

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
