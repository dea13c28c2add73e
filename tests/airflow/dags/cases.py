"""One DAG for each thing that the tests look at."""

from __future__ import annotations

import os
from datetime import datetime, timedelta, timezone
from typing import Any

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, Asset, AssetAlias, CronDataIntervalTimetable, task

from afterscope_airflow import AfterscopeOperator

FAKE = os.environ["TEST_FAKE"]
AGAIN: dict[str, Any] = {"retries": 2, "retry_delay": timedelta(0)}


def dag(dag_id: str, **options: Any) -> DAG:
    return DAG(
        dag_id=dag_id,
        schedule=CronDataIntervalTimetable("0 0 * * *", timezone="UTC"),
        start_date=datetime(2019, 10, 1, tzinfo=timezone.utc),
        catchup=False,
        **options,
    )


def fake(dag_id: str, config: str, **options: Any) -> None:
    with dag(dag_id):
        report = AfterscopeOperator(task_id="report", config=config, **{"program": FAKE, **AGAIN, **options})
        report >> EmptyOperator(task_id="after")


for case in ("new", "incomplete", "stood", "flaky", "mute", "none", "chatty"):
    fake(case, case)
for code in (1, 2, 3, 4, 77, 101, 130, 143):
    fake(f"exit-{code}", f"exit-{code}")
for name in ("KILL", "SEGV"):
    fake(f"signal-{name}", f"signal-{name}")
fake("told", "new", outlets=[Asset("told")], report_url="https://reports.test/runs/{run_id}/report.html")
fake("alias", "new", outlets=[AssetAlias("alias")])
fake("skipped", "stood", skip_if_reused=True)
fake("flaky-skipped", "flaky", skip_if_reused=True)
fake("own-codes", "exit-3", retry_on={3})
fake("no-program", "new", program="/nonexistent/afterscope")
fake("no-as-of", "new", as_of="{{ none | ts }}")
fake("slow", "slow", execution_timeout=timedelta(seconds=2), retries=1)
fake("killed", "slow-killed", retries=0)
fake("deaf", "deaf", execution_timeout=timedelta(seconds=1), retries=0, stop_grace=timedelta(seconds=1))
fake("environment", "environment", connections=["store"], env={"AWS_REGION": "eu-test-1"})
fake("no-connection", "new", connections=["nowhere"])
fake("leak", "new", connections=["store"], arguments=["--set", "source.0.url={{ var.value.pasted }}"])

REAL: dict[str, Any] = {"program": os.environ["TEST_PROGRAM"], **AGAIN}
CONFIG = os.environ["TEST_LAKE"] + "/afterscope.toml"
with dag("real"):
    AfterscopeOperator(task_id="report", config=CONFIG, skip_if_reused=True, outlets=[Asset("real")], **REAL)
with dag("real-configuration"):
    AfterscopeOperator(task_id="report", config=CONFIG, arguments=["--set", "report.lookbak_days=3"], **REAL)
with dag("real-arguments"):
    AfterscopeOperator(task_id="report", config=CONFIG, arguments=["--no-such"], **REAL)
with dag("real-damaged"):
    damaged = os.environ["TEST_DAMAGED"] + "/afterscope.toml"
    AfterscopeOperator(task_id="report", config=damaged, **REAL)
for name, store in (("real-store", "store"), ("real-store-down", "down")):
    with dag(name):
        arguments = ["--output", "s3://reports/out/", "--threads", "1"]
        AfterscopeOperator(task_id="report", config=CONFIG, connections=[store], arguments=arguments, **REAL)
with dag("real-slow"):
    slow = os.environ["TEST_SLOW"] + "/afterscope.toml"
    AfterscopeOperator(
        task_id="report",
        config=slow,
        connections=["slow"],
        arguments=["--set", "source.0.url=s3://lake/logs/"],
        outlets=[Asset("slow")],
        execution_timeout=timedelta(seconds=12),
        program=REAL["program"],
    )
with dag("real-mapped"):
    AfterscopeOperator.partial(task_id="report", outlets=[AssetAlias("mapped")], **REAL).expand(
        config=[CONFIG, os.environ["TEST_SECOND"] + "/afterscope.toml"]
    )
with dag("backfilled", end_date=datetime(2019, 11, 30, tzinfo=timezone.utc)):
    filled = os.environ["TEST_BACKFILL"] + "/afterscope.toml"
    AfterscopeOperator(task_id="report", config=filled, outlets=[Asset("filled")], **REAL)
with DAG("after_backfilled", schedule=[Asset("filled")]):

    @task
    def told(triggering_asset_events: Any = None) -> list[str]:
        """Scheduled by the asset: which runs its events tell of."""
        return [event.extra["run_id"] for events in triggering_asset_events.values() for event in events]

    told()
    # A run that an asset starts has no interval, and this task no `as_of`.
    AfterscopeOperator(task_id="report", config="new", program=FAKE, **AGAIN)
