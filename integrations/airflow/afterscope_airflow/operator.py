"""The operator: starts `afterscope run`, shows what it says, and tells Airflow how it ended."""

from __future__ import annotations

import json
import logging
import os
import re
import signal
import subprocess
import threading
from collections import deque
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import IO, TYPE_CHECKING, Any, ClassVar

from airflow.sdk import Asset, AssetAlias, BaseOperator, BaseOperatorLink
from airflow.sdk.exceptions import AirflowException, AirflowFailException, AirflowSkipException
from airflow.sdk.log import mask_secret

from .connections import SECRET_ENDS, connection, storage_variables

if TYPE_CHECKING:
    from airflow.sdk import Context
    from airflow.sdk.types import TaskInstanceKey

#: Exit codes after which the same command may end otherwise: what is transient, and what came from outside.
RETRIED = frozenset({4, 130, 137, 143})

#: What exit codes mean (docs/operations.md); a process that a signal ended counts as 128 and the signal.
EXITS: Mapping[int, str] = {
    1: "configuration or user error",
    2: "wrong arguments",
    3: "input incomplete, unreadable, or changed under the run",
    4: "transient: storage, network, no space",
    101: "a bug; please report it",
    130: "interrupted; the next try goes on",
    137: "killed, often for want of memory; the next try goes on",
    143: "terminated; the next try goes on",
}

#: Not there in a run without a logical date, and rendering would fail before the operator can say why.
INTERVAL_END = "{{ data_interval_end | default(none) | ts }}"

LAST_MESSAGES = 10
#: Airflow masks none that are shorter: too many harmless words would hold them.
SHORTEST_SECRET = 5
LEVELS: Mapping[str, int] = {"error": logging.ERROR, "warning": logging.WARNING}

#: A secret in a template of an argument would stand in the process list.
SECRET_TEMPLATE = re.compile(r"\bconn\b[^}]*\.\s*(password|extra\w*|get_extra\w*|get_uri|as_json)")


class ReportLink(BaseOperatorLink):
    """The run's report.html: under `report_url`, or else where the program wrote it."""

    @property
    def name(self) -> str:
        return "Report"

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:
        """Empty where the try published nothing. Airflow asks once, in the task's own process."""
        return operator.report_link() if isinstance(operator, AfterscopeOperator) else ""


class AfterscopeOperator(BaseOperator):
    """Runs `afterscope run` and returns its line of JSON as a dict.

    :param config: path or address of the configuration.
    :param as_of: end of the report, not included: RFC 3339, or a date for its midnight in UTC.
    :param arguments: further arguments of `afterscope run`. They stand in the process list: no secrets.
    :param program: the program, by its name or path on the worker.
    :param connections: ids of connections to storage, handed on as environment variables. A mapping gives
        each a prefix for its variables' names, to which `[source.store]` can refer (`env:LOGS_AWS_…`).
    :param env: further variables, over those of connections. The UI shows them: no secrets.
    :param skip_if_reused: mark the task skipped where the same run stood published already. Only at the
        first try: a later one may find what an earlier try of its own has published and never told.
    :param report_url: where people open reports, with `{run_id}` in it:
        `https://reports.example.com/runs/{run_id}/report.html`.
    :param retry_on: exit codes after which Airflow may try again; all others fail the task at once.
    :param stop_grace: how long a run that is to stop may take to write out what it has, before it is killed.
    """

    template_fields: Sequence[str] = ("config", "as_of", "arguments", "program", "env")
    template_fields_renderers: ClassVar[dict[str, str]] = {"env": "json"}
    operator_extra_links = (ReportLink(),)
    ui_color = "#dbe9e4"

    def __init__(
        self,
        *,
        config: str,
        as_of: str = INTERVAL_END,
        arguments: Sequence[str] = (),
        program: str = "afterscope",
        connections: Sequence[str] | Mapping[str, str] = (),
        env: Mapping[str, str] | None = None,
        skip_if_reused: bool = False,
        report_url: str | None = None,
        retry_on: Collection[int] = RETRIED,
        stop_grace: timedelta = timedelta(seconds=30),
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if isinstance(arguments, str) or isinstance(connections, str):
            raise ValueError("`arguments` and `connections` are lists, not texts")
        for argument in arguments:
            if SECRET_TEMPLATE.search(str(argument)):
                raise ValueError(f"{argument!r} would put a secret on the command line; use `connections`")
        self.config = config
        self.as_of = as_of
        self.arguments = arguments
        self.program = program
        self.connections = connections
        self.env = env
        self.skip_if_reused = skip_if_reused
        self.report_url = report_url
        self.retry_on = retry_on
        self.stop_grace = stop_grace
        self._process: subprocess.Popen[str] | None = None
        self._result: dict[str, Any] | None = None
        self._secrets: set[str] = set()

    def execute(self, context: Context) -> dict[str, Any]:
        """
        :raises AirflowException: exit codes of `retry_on`: Airflow tries again if `retries` allows it.
        :raises AirflowFailException: everything else that went wrong; another try would end alike.
        :raises AirflowSkipException: the run stood published, and `skip_if_reused` is set.
        """
        command = self._command()
        environment = self._environment(context, command)
        self.log.info("Running %s", " ".join(command))
        code, messages, last = self._run(command, environment)
        if code != 0:
            raise self._failure(code, messages)
        result = self._result = published(last)
        if result["verdict"] != "complete":
            self.log.warning("The verdict of %s is %s", result["run_id"], result["verdict"])
        ti = context["ti"]
        if result["reused"] and self.skip_if_reused and ti.try_number == 1:
            if self.do_xcom_push:
                ti.xcom_push(key="return_value", value=result)
            raise AirflowSkipException(f"{result['run_id']} stood published already: nothing is new")
        self._tell_assets(context, result)
        return result

    def on_kill(self) -> None:
        """Airflow calls this when the task is ended from outside or by `execution_timeout`."""
        self._stop()

    def report_link(self) -> str:
        """Where the report of this try is, or nothing."""
        if self._result is None:
            return ""
        if self.report_url is not None:
            return self.report_url.replace("{run_id}", self._result["run_id"])
        return address(self._result["tables"].removesuffix("/tables") + "/report.html")

    def _command(self) -> list[str]:
        # Templates write none as a word.
        if self.as_of in ("", "None"):
            raise AirflowFailException(
                "`as_of` is empty: this run has no data interval (it was started by hand without a logical "
                "date, or by an asset); give the task an `as_of` that does not need one"
            )
        words = [self.program, "run", "--config", self.config, "--as-of", self.as_of]
        return [*words, "--log-format", "json", *map(str, self.arguments)]

    def _environment(self, context: Context, command: Sequence[str]) -> dict[str, str]:
        ids = self.connections
        prefixes = ids if isinstance(ids, Mapping) else dict.fromkeys(ids, "")
        given: dict[str, str] = {}
        dropped = {"AIRFLOW", "_AIRFLOW", "__AIRFLOW"}  # Airflow's own settings and secrets
        for conn_id, prefix in prefixes.items():
            names, variables = storage_variables(connection(conn_id))
            if not prefix:
                # The worker's own session token must not go with a connection's key.
                dropped.update(names)
            for name, value in variables.items():
                if prefix + name in given:
                    raise AirflowFailException(
                        f"connection `{conn_id}` sets {prefix}{name}, which another one sets too; give one a "
                        "prefix and refer to its variables in [source.store]"
                    )
                given[prefix + name] = value
        self._secrets = {
            value for name, value in given.items() if name.endswith(SECRET_ENDS) and len(value) >= SHORTEST_SECRET
        }
        for secret in self._secrets:
            mask_secret(secret)
        if any(self._masked(word) != word for word in command):
            raise AirflowFailException("an argument holds a secret of a connection; take it out")
        inherited = {name: text for name, text in os.environ.items() if not name.startswith(tuple(dropped))}
        return inherited | lineage_variables(context, self.log) | given | dict(self.env or {})

    def _run(self, command: Sequence[str], env: Mapping[str, str]) -> tuple[int, deque[str], str]:
        """Runs to the end: exit code, last messages of stderr, last line of stdout."""
        messages: deque[str] = deque(maxlen=LAST_MESSAGES)
        with self._started(command, env) as process:
            assert process.stdout is not None and process.stderr is not None
            last = LastLine(process.stdout)
            try:
                for line in process.stderr:
                    self._show(line, messages)
                code = process.wait()
            finally:
                # After a time-out the program still has to stop, and what it says of that is worth logging.
                if self._stop():
                    for line in process.stderr:
                        self._show(line, messages)
                last.join()
        return (code if code >= 0 else 128 - code), messages, self._masked(last.text)

    @contextmanager
    def _started(self, command: Sequence[str], env: Mapping[str, str]) -> Iterator[subprocess.Popen[str]]:
        try:
            # In a session of its own: Airflow signals the task's whole group, and a second signal would end
            # the program at once, with what it has not written out yet.
            self._process = subprocess.Popen(
                command,
                env=dict(env),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                encoding="utf-8",
                errors="replace",
                start_new_session=True,
            )
        except OSError as error:
            raise AirflowFailException(f"cannot start `{self.program}` on this worker: {error}") from error
        with self._process as process:
            try:
                yield process
            finally:
                self._stop()

    def _stop(self) -> bool:
        """Ends the program if it runs: SIGTERM, `stop_grace`, SIGKILL. Whether it did run."""
        process = self._process
        if process is None or process.poll() is not None:
            return False
        self.log.info("Stopping process %s: it has %s to write out what it has", process.pid, self.stop_grace)
        # Its session is a group of its own: a wrapper's child is told as well.
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(self.stop_grace.total_seconds())
        except subprocess.TimeoutExpired:
            self.log.warning("Process %s did not stop within %s; killing it", process.pid, self.stop_grace)
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        return True

    def _show(self, line: str, messages: deque[str]) -> None:
        level, message = logging.INFO, line.rstrip()
        try:
            entry = json.loads(line)
            level, message = LEVELS.get(entry["level"], logging.INFO), str(entry["message"])
        except (ValueError, KeyError, TypeError):
            pass  # not the program's own words (a loader's, a panic's): shown as it came
        messages.append(self._masked(message))
        self.log.log(level, "%s", messages[-1])

    def _masked(self, text: str) -> str:
        """Airflow masks too, but not in every process that logs (`airflow dags test` does not)."""
        for secret in self._secrets:
            text = text.replace(secret, "***")
        return text

    def _failure(self, code: int, messages: Collection[str]) -> AirflowException:
        said = "\n".join(messages) or "(it said nothing on stderr)"
        text = f"afterscope ended with exit code {code} ({EXITS.get(code, 'unknown')}):\n{said}"
        return AirflowException(text) if code in self.retry_on else AirflowFailException(text)

    def _tell_assets(self, context: Context, result: Mapping[str, Any]) -> None:
        extra = {key: result[key] for key in ("run_id", "verdict", "tables", "reused")}
        extra |= {"as_of": self.as_of, "report": self.report_link()}
        for outlet in self.outlets:
            if isinstance(outlet, Asset):
                context["outlet_events"][outlet].extra.update(extra)
            elif isinstance(outlet, AssetAlias):
                output = address(result["tables"].removesuffix(f"/runs/{result['run_id']}/tables"))
                context["outlet_events"][outlet].add(Asset(name=output, uri=output), extra=extra)


class LastLine:
    """The last line of a stream, read beside, so that a program that fills its pipe never waits."""

    def __init__(self, stream: IO[str]) -> None:
        self.text = ""
        self._stream = stream
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        for line in self._stream:
            self.text = line.strip() or self.text

    def join(self) -> None:
        self._thread.join()


def published(line: str) -> dict[str, Any]:
    """The program's last line. An exit code 0 without it is no success."""
    kinds = {"run_id": str, "verdict": str, "tables": str, "reused": bool}
    try:
        result = json.loads(line)
        if all(isinstance(result[key], kind) for key, kind in kinds.items()):
            return dict(result)
    except (ValueError, KeyError, TypeError):
        pass
    raise AirflowFailException(
        f"the program ended with exit code 0, and its last line is not a run's JSON: {line[:200]!r}; "
        "is `program` afterscope, and nothing else on its stdout?"
    )


def address(place: str) -> str:
    """A path as an address; addresses as they are."""
    return f"file://{place}" if place.startswith("/") else place


def lineage_variables(context: Context, log: Any) -> dict[str, str]:
    """The task's run as the parent of the program's, where Airflow's OpenLineage provider is there to tell it."""
    try:
        from airflow.providers.openlineage.plugins import macros
    except ImportError:
        return {}
    try:
        ti = context["ti"]
        return {
            "OPENLINEAGE_NAMESPACE": macros.lineage_job_namespace(),  # type: ignore[no-untyped-call]
            "OPENLINEAGE_PARENT_ID": macros.lineage_parent_id(ti),
            "OPENLINEAGE_ROOT_PARENT_ID": macros.lineage_root_parent_id(ti),
        }
    except Exception as error:  # lineage never fails a run
        log.warning("No parent run is handed to the program for OpenLineage: %s", error)
        return {}
