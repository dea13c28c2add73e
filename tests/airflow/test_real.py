"""The real program on the sample lake, in a real Airflow."""

from __future__ import annotations

import json
import os
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from slow_store import SlowStore

from conftest import HOME, LAKES, SECRET, rows


def story() -> dict[str, Any]:
    """What the sample counts with plain sets while it makes its rows."""
    return dict(json.loads((LAKES["TEST_LAKE"] / "truth.json").read_text())["story"])


def effort(value: dict[str, Any]) -> tuple[int, int]:
    return value["effort"]["files_read"], value["effort"]["files_reused"]


def test_a_run_then_nothing_new_then_another_day_from_the_ledger(dags_test: Any) -> None:
    first = dags_test("real", "2019-11-06")
    assert first.states() == [("success", 1)]
    value = first.xcom()
    published = Path(value["tables"]).parent
    assert value["run_id"].startswith("20191106T000000Z-")
    assert effort(value) == (548, 0)
    assert value["totals"]["requests_allowed"] == story()["requests"]
    assert value["totals"]["subjects_observed"] == story()["people_observed"]
    assert first.asset_events()[0]["run_id"] == value["run_id"]
    assert first.xcom("_link_ReportLink") == f"file://{published}/report.html"
    assert (published / "report.html").is_file()

    again = dags_test("real", "2019-11-06")
    assert again.states() == [("skipped", 1)]
    assert again.xcom()["run_id"] == value["run_id"]
    assert again.asset_events() == []

    earlier = dags_test("real", "2019-11-05")
    assert earlier.states() == [("success", 1)]
    assert earlier.xcom()["run_id"].startswith("20191105T000000Z-")
    assert effort(earlier.xcom()) == (0, 548)


def test_the_example_reports_whole_days(dags_test: Any) -> None:
    tried = dags_test("afterscope_daily", "2019-11-04T03:00:00")
    assert tried.states() == [("success", 1)]
    assert tried.xcom()["run_id"].startswith("20191104T000000Z-")
    (event,) = tried.asset_events()
    assert event["run_id"] == tried.xcom()["run_id"]


@pytest.mark.parametrize(
    ("case", "code", "said"),
    [
        ("real-configuration", 1, "lookback_days"),
        ("real-arguments", 2, "--no-such"),
        ("real-damaged", 3, ".parquet"),
    ],
)
def test_failures_carry_the_programs_words(dags_test: Any, case: str, code: int, said: str) -> None:
    tried = dags_test(case)
    assert tried.states() == [("failed", 1)]
    _, failure = tried.log.split("AirflowFailException: ", 1)
    assert f"exit code {code} " in failure
    assert said in failure


def test_a_store_that_does_not_answer_is_tried_again(dags_test: Any) -> None:
    tried = dags_test("real-store-down")
    assert tried.states() == [("failed", 3)]
    assert "exit code 4 " in tried.log
    assert "Connection refused" in tried.log


def test_a_connections_store_takes_the_report(dags_test: Any, store: None) -> None:
    tried = dags_test("real-store", "2019-11-06")
    assert tried.states() == [("success", 1)]
    assert tried.xcom()["tables"] == f"s3://reports/out/runs/{tried.xcom()['run_id']}/tables"
    assert SECRET not in tried.log


def undisturbed(output: Path) -> dict[str, Any]:
    """The run of the DAG `real-slow`, by the program alone, into another output with a ledger of its own."""
    endpoint = json.loads(os.environ["AIRFLOW_CONN_SLOW"])["extra"]["endpoint_url"]
    keys = {"AWS_ACCESS_KEY_ID": "key-id", "AWS_SECRET_ACCESS_KEY": SECRET, "AWS_REGION": "eu-1"}
    config = LAKES["TEST_SLOW"] / "afterscope.toml"
    command = [os.environ["AFTERSCOPE_PROGRAM"], "run", "--config", str(config), "--output", str(output)]
    command += ["--as-of", "2019-11-06T00:00:00Z", "--set", "source.0.url=s3://lake/logs/"]
    env = {"PATH": os.environ["PATH"], "AWS_ENDPOINT_URL_S3": endpoint, **keys}
    done = subprocess.run(command, env=env, check=True, capture_output=True, text=True)
    return dict(json.loads(done.stdout.splitlines()[-1]))


def test_a_time_out_while_it_reads_leaves_nothing_half_done_and_the_next_run_is_right(
    dags_test: Any, slow_store: SlowStore, tmp_path: Path
) -> None:
    out = LAKES["TEST_SLOW"] / "out"
    # Of 548 files some come at once. The others take more than the task's 12 seconds, however many are asked for
    # together; one takes less than the 30 in which the program has to stop.
    slow_store.late_from(200, 9.0)
    tried = dags_test("real-slow", "2019-11-06")
    assert slow_store.reads > 200
    assert tried.states() == [("failed", 1)]
    assert "AirflowTaskTimeout" in tried.log
    # It ended by itself, and was not killed.
    assert "interrupted; run the same command again to go on from here" in tried.log
    assert "killing it" not in tried.log
    assert tried.asset_events() == []
    assert not (out / "latest.json").exists()
    assert list(out.glob("runs/*")) == []

    slow_store.late_from(0, 0.0)
    again = dags_test("real-slow", "2019-11-06")
    assert again.states() == [("success", 1)]
    value = again.xcom()
    read, reused = effort(value)
    assert read + reused == 548
    assert 0 < reused < 548
    assert value["reused"] is False
    assert value["totals"]["requests_allowed"] == story()["requests"]
    assert value["totals"]["subjects_observed"] == story()["people_observed"]

    alone = undisturbed(tmp_path / "out")
    assert effort(alone) == (548, 0)
    assert alone["run_id"] == value["run_id"]
    tables = Path(value["tables"])
    names = sorted(file.name for file in tables.iterdir())
    assert names == sorted(file.name for file in Path(alone["tables"]).iterdir())
    for name in names:
        assert (tables / name).read_bytes() == (Path(alone["tables"]) / name).read_bytes(), name


def test_mapped_over_two_configurations(dags_test: Any) -> None:
    tried = dags_test("real-mapped")
    assert tried.states() == [("success", 1), ("success", 1)]
    one, two = tried.xcom()
    assert Path(one["tables"]).is_relative_to(LAKES["TEST_LAKE"])
    assert Path(two["tables"]).is_relative_to(LAKES["TEST_SECOND"])
    assert one["totals"] == two["totals"]
    assert {event["run_id"] for event in tried.asset_events()} == {one["run_id"], two["run_id"]}


@contextmanager
def running(*services: tuple[str, ...]) -> Iterator[None]:
    """Airflow's services, each a process of its own; ended by SIGTERM, and killed if that does nothing."""
    started = []
    try:
        for service in services:
            log = (HOME / f"{service[0]}.log").open("w")
            started.append(subprocess.Popen(["airflow", *service], stdout=log, stderr=log))
        yield
    finally:
        for process in reversed(started):
            process.terminate()
        for process in started:
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()


def until(reached: Callable[[], bool], seconds: float, what: str) -> None:
    end = time.monotonic() + seconds
    while not reached():
        if time.monotonic() > end:
            logs = "\n".join(f"{log}:\n{log.read_text()[-3000:]}" for log in HOME.glob("*.log"))
            pytest.fail(f"{what} did not come within {seconds} s\n{logs}")
        time.sleep(1)


def test_a_backfill_of_seven_days_side_by_side_reads_the_log_once(free_port: int) -> None:
    """Scheduler, executor and API as in production; the days' runs share one output and one ledger."""
    api = f"http://127.0.0.1:{free_port}"
    os.environ["AIRFLOW__CORE__EXECUTION_API_SERVER_URL"] = f"{api}/execution/"
    states = "SELECT state, count(*) FROM dag_run WHERE dag_id = 'backfilled' GROUP BY state"

    unfinished = "SELECT 1 FROM backfill WHERE completed_at IS NULL"
    told = (
        "SELECT item.value FROM xcom, json_each(json(xcom.value)) item "
        "WHERE dag_id = 'after_backfilled' AND xcom.key = 'return_value' ORDER BY 1"
    )

    waiting = (
        "SELECT target_dag_id FROM asset_dag_run_queue UNION ALL "
        "SELECT state FROM dag_run WHERE dag_id = 'after_backfilled' AND state IN ('queued', 'running')"
    )

    def backfill(first: str, last: str) -> None:
        command = ["airflow", "backfill", "create", "--dag-id", "backfilled", "--max-active-runs", "2"]
        command += ["--from-date", first, "--to-date", last]
        for _ in range(5):
            done = subprocess.run(command, capture_output=True, text=True)
            if done.returncode == 0:
                return
            # The scheduler writes to the same SQLite, and may keep it busy.
            assert "database is locked" in done.stdout + done.stderr, done.stdout + done.stderr
            time.sleep(3)
        raise AssertionError("SQLite was busy five times")

    with running(
        ("api-server", "--host", "127.0.0.1", "--port", str(free_port), "--workers", "1"),
        ("dag-processor",),
        ("scheduler",),
    ):
        until(lambda: rows("SELECT 1 FROM serialized_dag WHERE dag_id = 'backfilled'") != [], 120, "the DAG")
        for dag in ("backfilled", "after_backfilled"):
            subprocess.run(["airflow", "dags", "unpause", dag], check=True, capture_output=True)
        # The first day alone: what it reads, the others need not.
        backfill("2019-10-30", "2019-10-30")
        until(lambda: rows(states) == [("success", 1)] and rows(unfinished) == [], 180, "the first day")
        backfill("2019-10-31", "2019-11-05")
        until(lambda: rows(states) == [("success", 7)], 300, "the other days")
        until(lambda: rows(waiting) == [], 120, "what comes after")
        link = linked(api, rows("SELECT run_id FROM dag_run WHERE dag_id = 'backfilled' ORDER BY id")[0][0])

    values = [
        json.loads(value)
        for (value,) in rows(
            "SELECT value FROM xcom x JOIN dag_run r ON r.id = x.dag_run_id "
            "WHERE r.dag_id = 'backfilled' AND key = 'return_value' ORDER BY r.logical_date"
        )
    ]
    days = ["20191031", "20191101", "20191102", "20191103", "20191104", "20191105", "20191106"]
    assert [value["run_id"][:8] for value in values] == days
    assert [effort(value) for value in values] == [(548, 0)] + [(0, 548)] * 6
    query = "SELECT DISTINCT state, try_number FROM task_instance WHERE dag_id = 'after_backfilled'"
    assert rows(f"{query} AND task_id = 'told'") == [("success", 1)]
    assert rows(f"{query} AND task_id = 'report'") == [("failed", 1)]
    # Of two events in one moment Airflow starts one run, and may tell it the second only with the next event.
    after = [run_id for (run_id,) in rows(told)]
    assert after[0] == values[0]["run_id"]
    assert len(after) == len(set(after)) >= 4
    assert set(after) <= {value["run_id"] for value in values}
    # However the days overtook each other, `latest` is the last one.
    out = LAKES["TEST_BACKFILL"] / "out"
    assert json.loads((out / "latest.json").read_text())["run_id"] == values[-1]["run_id"]
    assert link == {"Report": f"file://{out}/runs/{values[0]['run_id']}/report.html"}
    (events,) = rows("SELECT count(*) FROM asset_event WHERE source_dag_id = 'backfilled'")
    assert events == (7,)


def linked(api: str, run_id: str) -> dict[str, str]:
    """The links that the page of the task shows."""
    with urllib.request.urlopen(f"{api}/auth/token") as answer:
        token = json.load(answer)["access_token"]
    path = f"/api/v2/dags/backfilled/dagRuns/{run_id.replace('+', '%2B')}/taskInstances/report/links"
    request = urllib.request.Request(api + path, headers={"Authorization": f"Bearer {token}"})
    with urllib.request.urlopen(request) as answer:
        return dict(json.load(answer)["extra_links"])
