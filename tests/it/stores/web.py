"""A web server of files with ETags, ranges and WebDAV listings.

web.py PORT FOLDER [--plain] [--weak] [--untagged] [--whole] [--token T]
"""
import os
import re
import sys
import urllib.parse
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from xml.sax.saxutils import escape

PORT, FOLDER, OPTIONS = int(sys.argv[1]), sys.argv[2], sys.argv[3:]
TOKEN = OPTIONS[OPTIONS.index("--token") + 1] if "--token" in OPTIONS else None


def tag_of(details):
    if "--untagged" in OPTIONS:
        return None
    weak = "W/" if "--weak" in OPTIONS else ""
    return f'{weak}"{details.st_ino:x}-{details.st_mtime_ns:x}-{details.st_size:x}"'


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def answer(self, status, headers=(), body=b""):
        self.send_response_only(status)
        for name, value in headers:
            if value is not None:
                self.send_header(name, value)
        if not any(name == "Content-Length" for name, _ in headers):
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def path_below(self):
        if TOKEN and self.headers.get("Authorization") != f"Bearer {TOKEN}":
            self.answer(401)
            return None
        return os.path.join(FOLDER, urllib.parse.unquote(self.path).lstrip("/"))

    def do_GET(self):
        path = self.path_below()
        if path is None:
            return
        try:
            with open(path, "rb") as file:
                details, body = os.fstat(file.fileno()), file.read()
        except OSError:
            return self.answer(404)
        tag = tag_of(details)
        asked = self.headers.get("If-Match")
        if asked and asked != tag:
            return self.answer(412)
        headers = [("ETag", tag), ("Last-Modified", formatdate(details.st_mtime, usegmt=True))]
        found = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", ""))
        if found and "--whole" not in OPTIONS:
            start, end = int(found[1]), min(int(found[2]) + 1, len(body))
            if start >= len(body):
                return self.answer(416)
            headers.append(("Content-Range", f"bytes {start}-{end - 1}/{len(body)}"))
            return self.answer(206, headers, body[start:end])
        if self.command == "HEAD":
            headers.append(("Content-Length", str(len(body))))
        self.answer(200, headers, body)

    do_HEAD = do_GET

    def do_PROPFIND(self):
        if "--plain" in OPTIONS:
            return self.answer(501)
        top = self.path_below()
        if top is None:
            return
        if not os.path.exists(top):
            return self.answer(404)
        found = []
        for folder, _, names in os.walk(top):
            found += [os.path.join(folder, name) for name in [""] + names]
        parts = []
        for path in found:
            details = os.stat(path)
            href = urllib.parse.quote("/" + os.path.relpath(path, FOLDER))
            kind = "<D:collection/>" if os.path.isdir(path) else ""
            tag = tag_of(details)
            parts.append(
                f"<D:response><D:href>{escape(href)}</D:href><D:propstat><D:prop>"
                f"<D:getlastmodified>{formatdate(details.st_mtime, usegmt=True)}</D:getlastmodified>"
                f"<D:getcontentlength>{details.st_size}</D:getcontentlength>"
                f"<D:resourcetype>{kind}</D:resourcetype>"
                + (f"<D:getetag>{escape(tag)}</D:getetag>" if tag else "")
                + "</D:prop><D:status>HTTP/1.1 200 OK</D:status></D:propstat></D:response>"
            )
        body = '<?xml version="1.0"?><D:multistatus xmlns:D="DAV:">' + "".join(parts) + "</D:multistatus>"
        self.answer(207, [("Content-Type", "application/xml")], body.encode())


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256


Server(("127.0.0.1", PORT), Handler).serve_forever()
