"""An example: a report for every day, and a task that comes after each."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING

from airflow.sdk import DAG, Asset, CronDataIntervalTimetable, task

from afterscope_airflow import AfterscopeOperator

if TYPE_CHECKING:
    from airflow.sdk.execution_time.comms import AssetEventResult

REPORT = Asset("afterscope_report")

with DAG(
    dag_id="afterscope_daily",
    # At three, so that the day's last log files are there. `@daily` would give an interval of no length.
    schedule=CronDataIntervalTimetable("0 3 * * *", timezone="UTC"),
    start_date=datetime(2019, 10, 1, tzinfo=timezone.utc),
    catchup=False,
    # The first run reads the whole log; days side by side would each read it again.
    max_active_runs=1,
):
    AfterscopeOperator(
        task_id="report",
        program=os.environ.get("AFTERSCOPE_PROGRAM", "afterscope"),
        config=os.environ.get("AFTERSCOPE_CONFIG", "/etc/afterscope/afterscope.toml"),
        # The midnight before the interval's end: the report holds whole days.
        as_of="{{ data_interval_end | ds }}",
        connections=os.environ.get("AFTERSCOPE_CONNECTIONS", "").split(),
        report_url=os.environ.get("AFTERSCOPE_REPORT_URL"),
        outlets=[REPORT],
        retries=4,
        retry_delay=timedelta(minutes=5),
        retry_exponential_backoff=True,
        execution_timeout=timedelta(hours=6),
    )

with DAG(dag_id="afterscope_after", schedule=[REPORT], start_date=datetime(2019, 10, 1, tzinfo=timezone.utc)):

    @task
    def told(triggering_asset_events: Mapping[Asset, Sequence[AssetEventResult]] | None = None) -> list[str]:
        """Ids of the runs that the events tell of."""
        told_of = (triggering_asset_events or {}).values()
        return [str((event.extra or {}).get("run_id")) for events in told_of for event in events]

    told()
