"""Just enough of S3 for a lake to be listed and read: objects.py LISTEN FOLDER SECONDS

The Parquet files of FOLDER are the objects of every bucket, and each answer begins SECONDS after it was asked for.
Bytes go from the page cache to the socket within the kernel, so that the server takes hardly any processor time, as
one on another machine takes none of a reader's. A listing is one page. Nobody's signature is looked at: it is for
benchmarks on a loopback address, and for nothing else.
"""

import http.server
import os
import pathlib
import re
import sys
import time
import urllib.parse
from email.utils import formatdate
from xml.sax.saxutils import escape

FOLDER, DELAY = pathlib.Path(sys.argv[2]), float(sys.argv[3])
# Nothing else is given out, whatever is asked for; a lake does not change meanwhile.
OBJECTS = {str(path.relative_to(FOLDER)): path for path in sorted(FOLDER.glob("logs/**/*.parquet"))}


def etag(stat):
    return f'"{stat.st_mtime_ns:x}-{stat.st_size:x}"'


def listing(prefix, delimiter):
    """Keys and common prefixes under a prefix, as a page that is the last."""
    lines, seen = [], set()
    for key, path in OBJECTS.items():
        if not key.startswith(prefix):
            continue
        head, divided, _ = key[len(prefix):].partition(delimiter) if delimiter else (key, "", "")
        if divided and head in seen:
            continue
        if divided:
            seen.add(head)
            lines.append(f"<CommonPrefixes><Prefix>{escape(prefix + head + delimiter)}</Prefix></CommonPrefixes>")
            continue
        stat = path.stat()
        lines.append(
            f"<Contents><Key>{escape(key)}</Key><LastModified>2019-11-06T00:00:00.000Z</LastModified>"
            f"<ETag>{escape(etag(stat))}</ETag><Size>{stat.st_size}</Size></Contents>"
        )
    return f"<ListBucketResult><IsTruncated>false</IsTruncated>{''.join(lines)}</ListBucketResult>".encode()


class Objects(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, *_):
        pass

    def do_GET(self):
        time.sleep(DELAY)
        url = urllib.parse.urlsplit(self.path)
        _, _, key = urllib.parse.unquote(url.path).lstrip("/").partition("/")
        if not key:
            asked = {name: values[0] for name, values in urllib.parse.parse_qs(url.query).items()}
            return self.answer(200, listing(asked.get("prefix", ""), asked.get("delimiter", "")))
        if key not in OBJECTS:
            return self.answer(404, b"<Error><Code>NoSuchKey</Code></Error>")
        file = os.open(OBJECTS[key], os.O_RDONLY)
        try:
            self.object(file, os.fstat(file))
        finally:
            os.close(file)

    do_HEAD = do_GET

    def object(self, file, stat):
        if self.headers.get("If-Match", etag(stat)) != etag(stat):
            return self.answer(412, b"<Error><Code>PreconditionFailed</Code></Error>")
        asked = re.fullmatch(r"bytes=(\d*)-(\d*)", self.headers.get("Range", ""))
        first, end = 0, stat.st_size
        if asked and asked[1]:
            first, end = int(asked[1]), min(int(asked[2] or end) + 1, end)
        elif asked:
            first = max(0, end - int(asked[2] or 0))
        if asked and first >= end:
            return self.answer(416, b"<Error><Code>InvalidRange</Code></Error>")
        more = {
            "ETag": etag(stat),
            "Last-Modified": formatdate(stat.st_mtime, usegmt=True),
            "Content-Length": end - first,
            **({"Content-Range": f"bytes {first}-{end - 1}/{stat.st_size}"} if asked else {}),
        }
        self.head(206 if asked else 200, more)
        while first < end and self.command == "GET":
            sent = os.sendfile(self.connection.fileno(), file, first, end - first)
            if not sent:
                raise OSError("the file is shorter than it was")
            first += sent

    def answer(self, status, body):
        self.head(status, {"Content-Length": len(body), "Content-Type": "application/xml"})
        if self.command == "GET":
            self.wfile.write(body)

    def head(self, status, more):
        self.send_response_only(status)
        for name, value in more.items():
            self.send_header(name, value)
        self.end_headers()


class Server(http.server.ThreadingHTTPServer):
    request_queue_size = 256


Server(("127.0.0.1", int(sys.argv[1])), Objects).serve_forever()
