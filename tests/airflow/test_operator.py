"""What the operator makes of each way in which a program can end, in a real Airflow with a fake program."""

from __future__ import annotations

import os
import re
import signal
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from conftest import SECRET

RUN = "20191106T000000Z-000000000001"
TABLES = f"s3://reports/out/runs/{RUN}/tables"


def calls(case: str) -> list[str]:
    return (Path(os.environ["FAKE_DIR"]) / f"{case}.calls").read_text().splitlines()


def test_the_line_of_json_is_the_tasks_value(dags_test: Any) -> None:
    tried = dags_test("new")
    assert tried.states() == [("success", 1)]
    assert tried.states("after") == [("success", 1)]
    assert tried.xcom() == {
        "run_id": RUN,
        "verdict": "complete",
        "tables": TABLES,
        "totals": {"apps": 38},
        "reused": False,
    }
    assert calls("new") == ["run --config new --as-of 2019-11-06T00:00:00+00:00 --log-format json"]
    assert tried.xcom("_link_ReportLink") == f"s3://reports/out/runs/{RUN}/report.html"


@pytest.mark.parametrize("code", [1, 2, 3, 77, 101])
def test_what_another_try_does_not_mend_fails_at_once(dags_test: Any, code: int) -> None:
    tried = dags_test(f"exit-{code}")
    assert tried.states() == [("failed", 1)]
    assert tried.states("after") == [("upstream_failed", 0)]
    assert len(calls(f"exit-{code}")) == 1
    assert re.search(rf"AirflowFailException: .*exit code {code} .*\n.*\n.*part 7 of the log is gone", tried.log)


@pytest.mark.parametrize("code", [4, 130, 143])
def test_what_may_pass_is_tried_again(dags_test: Any, code: int) -> None:
    tried = dags_test(f"exit-{code}")
    assert tried.states() == [("failed", 3)]
    assert len(calls(f"exit-{code}")) == 3


def test_a_program_killed_from_outside_is_tried_again_and_one_that_crashed_is_not(dags_test: Any) -> None:
    assert dags_test("signal-KILL").states() == [("failed", 3)]
    assert dags_test("signal-SEGV").states() == [("failed", 1)]


def test_codes_to_try_again_can_be_chosen(dags_test: Any) -> None:
    assert dags_test("own-codes").states() == [("failed", 3)]


def test_nothing_new_is_a_success_or_skipped_if_asked(dags_test: Any) -> None:
    assert dags_test("stood").states() == [("success", 1)]
    skipped = dags_test("skipped")
    assert skipped.states() == [("skipped", 1)]
    assert skipped.states("after") == [("skipped", 0)]
    assert skipped.xcom()["reused"] is True


def test_a_later_try_that_finds_what_an_earlier_one_published_is_no_skip(dags_test: Any) -> None:
    tried = dags_test("flaky-skipped")
    assert tried.states() == [("success", 3)]
    assert tried.states("after") == [("success", 1)]


@pytest.mark.parametrize("case", ["mute", "none"])
def test_exit_code_0_without_a_result_is_no_success(dags_test: Any, case: str) -> None:
    tried = dags_test(case)
    assert tried.states() == [("failed", 1)]
    assert "its last line is not a run's JSON" in tried.log


def test_an_incomplete_verdict_is_warned_of(dags_test: Any) -> None:
    tried = dags_test("incomplete")
    assert tried.states() == [("success", 1)]
    assert re.search(r"warning.*The verdict of .* is incomplete", tried.log)


def test_a_full_pipe_stops_nobody(dags_test: Any) -> None:
    assert dags_test("chatty").xcom()["run_id"] == RUN


@pytest.mark.parametrize(
    ("case", "said"),
    [
        ("no-program", "cannot start `/nonexistent/afterscope`"),
        ("no-as-of", "`as_of` is empty"),
        ("no-connection", "there is no connection `nowhere`"),
        ("leak", "an argument holds a secret"),
    ],
)
def test_what_cannot_be_started_fails_at_once(dags_test: Any, case: str, said: str) -> None:
    tried = dags_test(case)
    assert tried.states() == [("failed", 1)]
    assert said in tried.log
    assert SECRET not in tried.log


def test_assets_tell_which_run(dags_test: Any) -> None:
    told = dags_test("told")
    link = f"https://reports.test/runs/{RUN}/report.html"
    assert told.xcom("_link_ReportLink") == link
    extra = {
        "run_id": RUN,
        "verdict": "complete",
        "tables": TABLES,
        "reused": False,
        "as_of": "2019-11-06T00:00:00+00:00",
        "report": link,
    }
    assert told.asset_events() == [extra]
    alias = dags_test("alias")
    assert alias.asset_events() == [{**extra, "report": f"s3://reports/out/runs/{RUN}/report.html"}]
    query = "SELECT uri FROM asset a JOIN asset_event e ON e.asset_id = a.id"
    assert alias.rows(f"{query} WHERE source_dag_id = ? AND source_run_id = ?") == [("s3://reports/out",)]


def test_a_time_out_stops_the_program_cleanly_and_another_try_goes_on(dags_test: Any) -> None:
    tried = dags_test("slow")
    assert tried.states() == [("failed", 2)]
    # Told once each try: a second signal would end the program with what it has not written out.
    stopped = Path(os.environ["FAKE_DIR"]) / "slow.stopped"
    assert stopped.read_text().split() == ["TERM", "TERM"]
    assert "packs written" in tried.log


def test_a_task_that_is_ended_from_outside_stops_the_program_cleanly(dags_test: Any) -> None:
    folder = Path(os.environ["FAKE_DIR"])

    def end_it() -> None:
        while not (folder / "slow-killed.ready").exists():
            time.sleep(0.1)
        os.kill(os.getpid(), signal.SIGTERM)  # as Airflow's supervisor does to the task's process

    threading.Thread(target=end_it, daemon=True).start()
    tried = dags_test("killed")
    assert tried.states() == [("failed", 1)]
    assert (folder / "slow-killed.stopped").read_text().split() == ["TERM"]
    assert "exit code 143 (terminated; the next try goes on)" in tried.log


def test_a_program_that_does_not_stop_is_killed_after_its_grace(dags_test: Any) -> None:
    tried = dags_test("deaf")
    assert tried.states() == [("failed", 1)]
    assert "did not stop within 0:00:01; killing it" in tried.log
    pid = (Path(os.environ["FAKE_DIR"]) / "deaf.pid").read_text().strip()
    assert not Path(f"/proc/{pid}").exists()


def test_connections_and_the_parent_run_reach_the_program_and_airflows_own_settings_do_not(dags_test: Any) -> None:
    tried = dags_test("environment")
    lines = (Path(os.environ["FAKE_DIR"]) / "environment").read_text().splitlines()
    environment = dict(line.split("=", 1) for line in lines if "=" in line)
    assert environment["AWS_ACCESS_KEY_ID"] == "key-id"
    assert environment["AWS_SECRET_ACCESS_KEY"] == SECRET
    assert environment["AWS_REGION"] == "eu-test-1"
    assert "AWS_SESSION_TOKEN" not in environment
    assert not [name for name in environment if "AIRFLOW" in name]
    assert environment["OPENLINEAGE_NAMESPACE"] == "reports"
    run = r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"
    assert re.fullmatch(rf"reports/environment\.report/{run}", environment["OPENLINEAGE_PARENT_ID"])
    assert re.fullmatch(rf"reports/environment/{run}", environment["OPENLINEAGE_ROOT_PARENT_ID"])
    # The program printed the key; the log has stars in its place.
    assert "key ***" in tried.log
    assert SECRET not in tried.log


def test_a_template_that_would_paste_a_secret_is_refused_with_the_dag() -> None:
    from afterscope_airflow import AfterscopeOperator

    for template in ("{{ conn.store.password }}", "{{ conn.get('store').extra_dejson.token }}"):
        with pytest.raises(ValueError, match="would put a secret on the command line"):
            AfterscopeOperator(task_id="report", config="a.toml", arguments=["--set", f"a={template}"])
    AfterscopeOperator(task_id="report", config="a.toml", arguments=["--set", "a={{ conn.store.host }}"])
    with pytest.raises(ValueError, match="are lists"):
        AfterscopeOperator(task_id="report", config="a.toml", arguments="--verbose")
