"""A service on loopback that hands requests on to another, and takes its time with them."""

from __future__ import annotations

import http.client
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

HOP_BY_HOP = {"connection", "transfer-encoding", "keep-alive"}


class SlowStore(ThreadingHTTPServer):
    """Answers `prompt` requests at once, and each that follows `wait` seconds late."""

    daemon_threads = True

    def __init__(self, port: int, behind: int) -> None:
        super().__init__(("127.0.0.1", port), HandOn)
        self.behind = behind
        self.prompt = 0
        self.wait = 0.0
        self.reads = 0
        self._lock = threading.Lock()

    def late_from(self, prompt: int, wait: float) -> None:
        """From now on."""
        with self._lock:
            self.reads, self.prompt, self.wait = 0, prompt, wait

    def pause(self) -> float:
        with self._lock:
            self.reads += 1
            return self.wait if self.reads > self.prompt else 0.0


class HandOn(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: SlowStore

    def hand_on(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        time.sleep(self.server.pause())
        connection = http.client.HTTPConnection("127.0.0.1", self.server.behind, timeout=60)
        try:
            connection.request(self.command, self.path, body, dict(self.headers))
            answer = connection.getresponse()
            content = answer.read()
        finally:
            connection.close()
        self.send_response_only(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in HOP_BY_HOP | {"content-length"}:
                self.send_header(name, value)
        # Of what is asked for by HEAD the length is told and nothing sent.
        length = answer.getheader("Content-Length") if self.command == "HEAD" else len(content)
        self.send_header("Content-Length", str(length or 0))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = hand_on

    def log_message(self, format: str, *args: object) -> None:
        pass
