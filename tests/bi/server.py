"""A Superset of its own in a scratch folder, on loopback, and what is asked of its API."""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import requests

#: Seconds until the server must answer; it takes 10 on two idle cores.
PATIENCE = 300

#: Who reaches the port, on loopback, may see all charts, so that a browser needs no login. What is answered to the
#: browser's charts is written down.
CONFIG = """
import json, pathlib
from flask import request

SECRET_KEY = {secret!r}
SQLALCHEMY_DATABASE_URI = {database!r}
PUBLIC_ROLE_LIKE = "Alpha"
TALISMAN_ENABLED = False
RECORDED = pathlib.Path({recorded!r})

def record(response):
    if request.method == "POST" and request.path == "/api/v1/chart/data":
        asked = request.get_json(silent=True)
        given = response.get_json(silent=True)
        path = RECORDED / f"{{len(list(RECORDED.iterdir())):03}}.json"
        path.write_text(json.dumps({{"status": response.status_code, "asked": asked, "given": given}}))
    return response

def FLASK_APP_MUTATOR(app):
    app.after_request(record)
"""


class Failed(Exception):
    """What differs, or does not work."""


class Superset:
    """A server that answers, as its administrator sees it."""

    def __init__(self, url: str, home: Path, password: str) -> None:
        self.url = url
        self.recorded = home / "recorded"
        self.session = requests.Session()
        # A token of the API would not do: where everybody may see everything it is not looked at.
        login = {"username": "admin", "password": password, "csrf_token": self.csrf_token()}
        self.session.post(f"{url}/login/", data=login, timeout=120).raise_for_status()
        self.session.headers["X-CSRFToken"] = self.csrf_token()
        found = self.call("GET", "/api/v1/me/")["result"]["username"]
        if found != "admin":
            raise Failed(f"Superset: the login of its administrator is that of {found}")

    def csrf_token(self) -> str:
        return str(self.call("GET", "/api/v1/security/csrf_token/")["result"])

    def call(self, method: str, path: str, **given: Any) -> dict[str, Any]:
        """What the API answers. Raises `Failed` with its words where it refuses."""
        answer = self.session.request(method, self.url + path, timeout=120, **given)
        if answer.status_code != 200:
            raise Failed(f"Superset: {method} {path}: {answer.status_code}: {answer.text[:2000]}")
        found: dict[str, Any] = answer.json()
        return found

    def add(self, bundle: Path) -> None:
        """Imports a dashboard, as its page does it."""
        with bundle.open("rb") as opened:
            files = {"formData": (bundle.name, opened, "application/zip")}
            self.call("POST", "/api/v1/dashboard/import/", files=files, data={"overwrite": "true"})

    def ids(self, kind: str) -> dict[str, int]:
        """Number of each dashboard or chart, by its uuid."""
        answer = self.call("GET", f"/api/v1/{kind}/?q=(page_size:100,columns:!(id,uuid))")
        return {found["uuid"]: found["id"] for found in answer["result"]}

    def rows(self, chart: int) -> list[dict[str, Any]]:
        """The rows of a chart as it was saved, read anew."""
        answer = self.call("GET", f"/api/v1/chart/{chart}/data/?force=true")
        return only_result(answer)


def only_result(answer: dict[str, Any]) -> list[dict[str, Any]]:
    """The rows of an answer to one question."""
    (result,) = answer["result"]
    if result.get("error") or result["status"] != "success":
        raise Failed(f"Superset answers without rows: {result}")
    rows: list[dict[str, Any]] = result["data"]
    return rows


def free() -> int:
    """A port on loopback that nobody listens at."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@contextmanager
def superset(home: Path) -> Iterator[Superset]:
    """A new Superset under this folder; it is ended in any case."""
    recorded = home / "recorded"
    recorded.mkdir(parents=True)
    config = home / "superset_config.py"
    config.write_text(
        CONFIG.format(
            secret=secrets.token_urlsafe(42), database=f"sqlite:///{home}/superset.db", recorded=str(recorded)
        )
    )
    # Of the caller's environment only what programs need anyway: no settings of another Superset, no proxy.
    env = {name: os.environ[name] for name in ("HOME", "LANG", "TMPDIR") if name in os.environ}
    env |= {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "FLASK_APP": "superset"}
    env |= {"SUPERSET_HOME": str(home), "SUPERSET_CONFIG_PATH": str(config)}
    password = secrets.token_urlsafe(24)
    admin = ["--username", "admin", "--firstname", "A", "--lastname", "B", "--email", "admin@localhost"]
    with (home / "log").open("wb") as log:
        for arguments in (["db", "upgrade"], ["fab", "create-admin", *admin, "--password", password], ["init"]):
            done = subprocess.run(
                ["superset", *arguments], env=env, stdout=log, stderr=log, stdin=subprocess.DEVNULL
            )
            if done.returncode != 0:
                raise Failed(f"superset {arguments[0]} ended with {done.returncode}:\n{tail(home / 'log')}")
        port = free()
        command = ["superset", "run", "--host", "127.0.0.1", "--port", str(port), "--with-threads"]
        server = subprocess.Popen(command, env=env, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
    try:
        wait(server, f"http://127.0.0.1:{port}", home / "log")
        yield Superset(f"http://127.0.0.1:{port}", home, password)
    finally:
        server.terminate()
        try:
            server.wait(20)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


def wait(server: subprocess.Popen[bytes], url: str, log: Path) -> None:
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        if server.poll() is not None:
            raise Failed(f"Superset ended with {server.returncode} before it answered:\n{tail(log)}")
        try:
            if requests.get(f"{url}/health", timeout=5).status_code == 200:
                return
        except requests.ConnectionError:
            time.sleep(1)
    raise Failed(f"Superset did not answer within {PATIENCE} seconds:\n{tail(log)}")


def tail(log: Path) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-15:])


def browse(url: str, home: Path, screenshot: Path) -> bool:
    """Opens a page in Chromium and keeps a picture; whether there is a Chromium."""
    program = shutil.which("chromium")
    if program is None:
        return False
    command = [program, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--no-first-run"]
    command += [f"--user-data-dir={home / 'chromium'}", "--window-size=1400,1900", "--virtual-time-budget=60000"]
    done = subprocess.run([*command, f"--screenshot={screenshot}", url], capture_output=True, timeout=240)
    if done.returncode != 0 or not screenshot.exists():
        raise Failed(f"Chromium ended with {done.returncode}: {done.stderr.decode(errors='replace')[-2000:]}")
    return True
