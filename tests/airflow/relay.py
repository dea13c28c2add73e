"""A store that takes its time: a relay on loopback that waits before it hands each piece of a request on."""

from __future__ import annotations

import contextlib
import socket
import socketserver
import threading
import time


class Relay(socketserver.ThreadingTCPServer):
    """Listens at `port` and hands on to `to`; `delay` is in seconds and may be changed while it runs."""

    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 100

    def __init__(self, port: int, to: int) -> None:
        super().__init__(("127.0.0.1", port), Handler)
        self.to = to
        self.delay = 0.0
        threading.Thread(target=self.serve_forever, daemon=True).start()


class Handler(socketserver.BaseRequestHandler):
    server: Relay

    def handle(self) -> None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.server.to)) as store:
            threading.Thread(target=self.answer, args=(store,), daemon=True).start()
            while data := self.request.recv(1 << 16):
                time.sleep(self.server.delay)
                store.sendall(data)

    def answer(self, store: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := store.recv(1 << 16):
                self.request.sendall(data)
            self.request.shutdown(socket.SHUT_WR)
