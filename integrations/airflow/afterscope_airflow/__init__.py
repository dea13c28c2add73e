"""Runs `afterscope` as a task of Airflow 3. docs/airflow.md says how it is used and why it is as it is."""

from .operator import RETRIED, AfterscopeOperator, ReportLink

__all__ = ["RETRIED", "AfterscopeOperator", "ReportLink"]
