"""A new Airflow in a scratch folder, once for all tests."""

from __future__ import annotations

import json
import os
import shutil
import socket
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from slow_store import SlowStore

HERE = Path(__file__).resolve().parent
INTEGRATION = HERE.parents[1] / "integrations" / "airflow"
HOME = Path(tempfile.mkdtemp(prefix="afterscope-airflow-"))
PROGRAM = os.environ.get("AFTERSCOPE_PROGRAM", "afterscope")
LAKES = {
    name: HOME / name.lower()
    for name in ("TEST_LAKE", "TEST_SECOND", "TEST_BACKFILL", "TEST_DAMAGED", "TEST_SLOW")
}
SECRET = "a-secret-that-no-log-shows"


def free() -> int:
    """A port on loopback that nobody listens at."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def store_at(port: int) -> str:
    """A connection to an S3 service on loopback."""
    extra = {"endpoint_url": f"http://127.0.0.1:{port}", "region_name": "eu-1"}
    return json.dumps({"conn_type": "aws", "login": "key-id", "password": SECRET, "extra": extra})


STORE, SLOW = free(), free()

# Airflow reads these when it is imported.
os.environ.update(
    {
        "AIRFLOW_HOME": str(HOME),
        "AIRFLOW__CORE__DAGS_FOLDER": str(HOME / "dags"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
        "AIRFLOW__CORE__PARALLELISM": "2",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
        "AIRFLOW__API_AUTH__JWT_SECRET": "only-for-this-test-" + "x" * 48,
        "AIRFLOW__SCHEDULER__USE_JOB_SCHEDULE": "True",
        "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL": "5",
        "AIRFLOW__OPENLINEAGE__DISABLED": "False",
        "AIRFLOW__OPENLINEAGE__NAMESPACE": "reports",
        "AIRFLOW__OPENLINEAGE__TRANSPORT": json.dumps({"type": "console"}),
        "AIRFLOW_CONN_STORE": store_at(STORE),
        "AIRFLOW_CONN_SLOW": store_at(SLOW),
        "AIRFLOW_CONN_DOWN": store_at(1),
        "AIRFLOW_VAR_PASTED": SECRET,
        "AWS_SESSION_TOKEN": "of the worker, not of the connection",
        "PYTHONPATH": str(INTEGRATION),
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "FAKE_DIR": str(HOME / "fake"),
        "TEST_FAKE": str(HERE / "fake"),
        "TEST_PROGRAM": PROGRAM,
        "AFTERSCOPE_CONFIG": str(LAKES["TEST_LAKE"] / "afterscope.toml"),
        **{name: str(folder) for name, folder in LAKES.items()},
    }
)
os.environ["AFTERSCOPE_PROGRAM"] = PROGRAM
sys.path.insert(0, str(INTEGRATION))


@dataclass
class Tried:
    """How a run of a DAG ended, as its database has it."""

    dag_id: str
    run_id: str
    log: str

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        return rows(query, self.dag_id, self.run_id)

    def states(self, task: str = "report") -> list[tuple[str, int]]:
        """State and number of tries of each of a task's instances."""
        query = "SELECT state, try_number FROM task_instance WHERE dag_id = ? AND run_id = ?"
        return self.rows(f"{query} AND task_id = '{task}' ORDER BY map_index")

    def xcom(self, key: str = "return_value") -> Any:
        found = self.rows(
            f"SELECT value FROM xcom WHERE dag_id = ? AND run_id = ? AND key = '{key}' ORDER BY map_index"
        )
        values = [json.loads(value) for (value,) in found]
        return values[0] if len(values) == 1 else values

    def asset_events(self) -> list[dict[str, Any]]:
        found = self.rows(
            "SELECT extra FROM asset_event WHERE source_dag_id = ? AND source_run_id = ? ORDER BY id"
        )
        return [json.loads(extra) for (extra,) in found]


def rows(query: str, *values: str) -> list[tuple[Any, ...]]:
    with sqlite3.connect(f"file:{HOME}/airflow.db?mode=ro", uri=True, timeout=60) as database:
        return database.execute(query, values).fetchall()


@pytest.fixture(scope="session", autouse=True)
def home() -> Iterator[Path]:
    (HOME / "fake").mkdir()
    (HOME / "dags").mkdir()
    shutil.copy(HERE / "dags" / "cases.py", HOME / "dags")
    shutil.copy(INTEGRATION / "afterscope_daily.py", HOME / "dags")
    for folder in LAKES.values():
        subprocess.run(
            [PROGRAM, "sample", "groups-2019", folder, "--rows", "20000"], check=True, capture_output=True
        )
    file = sorted((LAKES["TEST_DAMAGED"] / "logs").rglob("*.parquet"))[-1]
    file.write_bytes(file.read_bytes()[:-100])
    subprocess.run(["airflow", "db", "migrate"], check=True, capture_output=True)
    yield HOME
    shutil.rmtree(HOME)


@pytest.fixture
def dags_test(capfd: pytest.CaptureFixture[str]) -> Any:
    """`airflow dags test DAG DATE`, by the command's own code in this process: a new one takes 15 seconds."""

    def run(dag_id: str, date: str = "2019-11-06") -> Tried:
        from airflow.cli import cli_parser

        arguments = cli_parser.get_parser().parse_args(["dags", "test", dag_id, date])
        try:
            arguments.func(arguments)
        except SystemExit as end:
            assert end.code, f"{dag_id} ended with {end.code!r}"
        out, err = capfd.readouterr()
        ((run_id,),) = rows("SELECT run_id FROM dag_run WHERE dag_id = ? ORDER BY id DESC LIMIT 1", dag_id)
        return Tried(dag_id, run_id, out + err)

    return run


@pytest.fixture
def free_port() -> int:
    return free()


def put(path: str, body: bytes | None = None) -> None:
    """Makes a bucket or an object of the service that the connection `store` names."""
    kind = {"Content-Type": "application/octet-stream"}
    request = urllib.request.Request(f"http://127.0.0.1:{STORE}/{path}", body, kind, method="PUT")
    urllib.request.urlopen(request, timeout=30).close()


@pytest.fixture
def store() -> Iterator[None]:
    """An S3 service where the connection `store` says, with the buckets `reports` and `lake`."""
    server = Path(os.environ.get("AFTERSCOPE_PYTHON", "python3")).parent / "moto_server"
    if not server.exists():
        missing = f"{server} is missing; AFTERSCOPE_PYTHON names the Python of the fast tests"
        pytest.fail(missing) if os.environ.get("AFTERSCOPE_NO_SKIPS") else pytest.skip(missing)
    process = subprocess.Popen([server, "-H", "127.0.0.1", "-p", str(STORE)], stderr=subprocess.DEVNULL)
    try:
        end = time.monotonic() + 60
        while socket.socket().connect_ex(("127.0.0.1", STORE)) != 0:
            assert time.monotonic() < end, "moto did not start within a minute"
            time.sleep(0.2)
        put("reports")
        put("lake")
        yield
    finally:
        process.terminate()
        process.wait()


@pytest.fixture
def slow_store(store: None) -> Iterator[SlowStore]:
    """The same service where the connection `slow` says, late if told to; `lake/logs/` is TEST_SLOW's log."""
    logs = LAKES["TEST_SLOW"] / "logs"
    for file in sorted(logs.rglob("*.parquet")):
        put(f"lake/logs/{file.relative_to(logs)}", file.read_bytes())
    with SlowStore(SLOW, STORE) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()
