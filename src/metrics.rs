//! Metrics of a run as a Prometheus text file, for node_exporter's textfile collector (docs/lineage.md).
//!
//! All are gauges: they tell of one run, and the next one replaces them. Units are seconds, bytes and ratios.

use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::SystemTime;

use arrow::array::AsArray as _;
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float64Type};
use serde_json::Value;

use crate::effort::Told;
use crate::error::ExitCode;
use crate::impact::Table;
use crate::lineage::{Events, Published};
use crate::moment::Moment;
use crate::own_file;
use crate::pipeline::Summary;

/// What is told of the last run that did not fail, and kept where one does.
const LAST_SUCCESS: (&str, &str) = (
    "afterscope_last_success_timestamp_seconds",
    "When a run with exit code 0 ended last, as far as this file has known one.",
);
const LAST_AS_OF: (&str, &str) =
    ("afterscope_last_success_as_of_timestamp_seconds", "End of the report of that run.");

/// How a file of these metrics begins.
const BEGINS: &str = "# HELP afterscope_";

/// A file of these metrics is smaller by far; a larger one is somebody else's.
const LONGEST: u64 = 16 << 20;

/// What is known of a run; more and more as it goes on.
#[derive(Debug)]
pub struct Metrics {
    began: SystemTime,
    /// Whether they will be written.
    pub are_wanted: bool,
    pub as_of: Option<Moment>,
    pub effort: Option<Told>,
    pub summary: Option<Summary>,
    pub published: Option<Published>,
    /// `scope_summary`, of its Parquet file: a cell of CSV is not the scope where a spreadsheet would evaluate it.
    pub scopes: Option<Table>,
    pub events: Option<Events>,
}

impl Metrics {
    pub fn new(began: SystemTime, are_wanted: bool) -> Self {
        Self {
            began,
            are_wanted,
            as_of: None,
            effort: None,
            summary: None,
            published: None,
            scopes: None,
            events: None,
        }
    }

    /// Replaces `file` whole: whoever reads it sees the metrics of one run. What others have written stays.
    ///
    /// # Errors
    /// Why it is not written, in words.
    pub fn write(&self, file: &Path, code: ExitCode) -> Result<(), String> {
        is_replaceable(file)?;
        let text = self.render(code, SystemTime::now(), &before(file));
        let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty());
        // Not `.prom`: the collector would take it for another file of metrics.
        let new = tempfile::Builder::new()
            .prefix(".afterscope-metrics-")
            .suffix(".new")
            .permissions(PermissionsExt::from_mode(0o644))
            .tempfile_in(folder.unwrap_or(Path::new(".")));
        let put = || -> std::io::Result<()> {
            let mut new = new?;
            new.write_all(text.as_bytes())?;
            new.persist(file).map_err(|e| e.error)?;
            Ok(())
        };
        put().map_err(|e| e.to_string())
    }

    fn render(&self, code: ExitCode, ended: SystemTime, before: &str) -> String {
        let mut out = Text(String::new());
        let is_success = code == ExitCode::Complete;
        let end = seconds(ended);
        out.labelled(
            ("afterscope_build_info", "The program; always 1."),
            &[(&[("version", env!("CARGO_PKG_VERSION"))], 1.0)],
        );
        out.one(
            ("afterscope_run_exit_code", "Exit code of the run; 0 where it succeeded."),
            code as u8,
        );
        out.one(
            ("afterscope_run_success", "1 where the exit code is 0, else 0."),
            u8::from(is_success),
        );
        out.one(
            ("afterscope_run_start_timestamp_seconds", "When the run began."),
            seconds(self.began),
        );
        out.one(("afterscope_run_end_timestamp_seconds", "When the run ended."), end);
        let as_of = self.as_of.map(|at| at.micros as f64 / 1e6);
        out.maybe(
            ("afterscope_run_as_of_timestamp_seconds", "End of the report, not included."),
            as_of,
        );
        let kept = |name| kept(before, name);
        let (last, last_as_of) = if is_success {
            (Some(end), as_of)
        } else {
            (kept(LAST_SUCCESS.0), kept(LAST_AS_OF.0))
        };
        out.maybe(LAST_SUCCESS, last);
        out.maybe(LAST_AS_OF, last_as_of);
        self.published(&mut out);
        self.effort(&mut out);
        self.scopes(&mut out);
        if let Some(Events { sent, lost }) = self.events {
            out.labelled(
                (
                    "afterscope_lineage_events",
                    "OpenLineage events of the run, by what became of them.",
                ),
                &[(&[("outcome", "sent")], sent as f64), (&[("outcome", "lost")], lost as f64)],
            );
        }
        out.0
    }

    fn published(&self, out: &mut Text) {
        if let Some(summary) = &self.summary {
            let labels: Labels<'_> = &[("run_id", &summary.run_id), ("verdict", &summary.verdict)];
            out.labelled(("afterscope_run_info", "The report; always 1."), &[(labels, 1.0)]);
            let is = |is: bool| u8::from(is);
            out.one(
                (
                    "afterscope_run_complete",
                    "1 where the verdict is complete, 0 where files were left out.",
                ),
                is(summary.verdict == "complete"),
            );
            out.one(
                ("afterscope_run_reused", "1 where the same run stood published already."),
                is(summary.reused),
            );
        }
        let Some(published) = &self.published else { return };
        let sources = published.manifest.details.get("sources").and_then(Value::as_array);
        let each = || sources.into_iter().flatten();
        let length = |of: &Value, key: &str| {
            of.get(key).and_then(Value::as_array).map_or(0, Vec::len) as f64
        };
        out.one(
            (
                "afterscope_report_files",
                "Log files that the report rests on, those that cannot be read among them.",
            ),
            each().map(|of| length(of, "files")).sum::<f64>(),
        );
        out.one(
            (
                "afterscope_report_unreadable_files",
                "Log files that were left out because they cannot be read.",
            ),
            each().map(|of| length(of, "unreadable")).sum::<f64>(),
        );
        let rows = |of: &Value| of.pointer("/rows/in_metadata").and_then(Value::as_f64);
        out.one(
            ("afterscope_report_rows", "Rows of those files, counted or not."),
            each().filter_map(rows).sum::<f64>(),
        );
    }

    fn effort(&self, out: &mut Text) {
        let Some(effort) = &self.effort else { return };
        out.one(("afterscope_run_duration_seconds", "How long the run took."), effort.seconds);
        let stages: Vec<(&str, f64)> = effort
            .stages
            .iter()
            .filter_map(|(name, took)| Some((name.as_str(), took.as_f64()?)))
            .collect();
        let labels: Vec<[(&str, &str); 1]> =
            stages.iter().map(|(name, _)| [("stage", *name)]).collect();
        let stages: Vec<(Labels<'_>, f64)> = labels
            .iter()
            .zip(&stages)
            .map(|(labels, (_, took))| (labels.as_slice(), *took))
            .collect();
        out.labelled(("afterscope_stage_duration_seconds", "How long each stage took."), &stages);
        let read = &effort.read;
        for (what, count) in [
            (("afterscope_read_files", "Log files that this run read."), read.files),
            (
                ("afterscope_reused_files", "Log files that the ledger held already."),
                effort.files_reused,
            ),
            (("afterscope_read_bytes", "Bytes of log files that this run read."), read.bytes),
            (("afterscope_read_rows", "Rows of the files that this run read."), read.rows),
            (
                ("afterscope_matched_rows", "Of them, those that hold a restricted scope."),
                read.matched,
            ),
            (
                ("afterscope_decoded_bytes", "Bytes of decoded pages, decompressed."),
                effort.bytes_decoded,
            ),
            (
                ("afterscope_spilled_bytes", "Bytes written to temporary files."),
                effort.bytes_spilled,
            ),
            (
                ("afterscope_memory_limit_bytes", "Memory that the run was allowed."),
                effort.memory.limit,
            ),
            (
                (
                    "afterscope_memory_allocated_peak_bytes",
                    "The most that the allocator was seen to hold.",
                ),
                effort.memory.allocator_peak,
            ),
        ] {
            out.one(what, count as f64);
        }
        out.maybe(
            ("afterscope_memory_resident_peak_bytes", "The process at its largest, by the system."),
            effort.memory.system_peak.map(|bytes| bytes as f64),
        );
    }

    /// Figures by scope; those that the report masks are left out. No app and no person is named.
    fn scopes(&self, out: &mut Text) {
        let Some(table) = &self.scopes else { return };
        let (grains, scopes) = (texts(table, "grain"), texts(table, "scope"));
        for (column, divisor, all, of_scope, help) in [
            (
                "subjects_observed",
                1.0,
                "afterscope_people",
                "afterscope_scope_people",
                "Distinct people whose data was reached after the restriction",
            ),
            (
                "requests_allowed",
                1.0,
                "afterscope_requests",
                "afterscope_scope_requests",
                "Allowed requests after the restriction",
            ),
            (
                "coverage_pct",
                100.0,
                "afterscope_coverage_ratio",
                "afterscope_scope_coverage_ratio",
                "Share of the declared days of the logs that have rows",
            ),
        ] {
            let values = numbers(table, column);
            let of_grain = |grain: &'static str| {
                let rows = grains.iter().zip(&scopes).zip(&values);
                rows.filter(move |((of, _), _)| **of == Some(grain))
                    .filter_map(move |((_, scope), value)| Some(((*scope)?, (*value)? / divisor)))
            };
            let total = of_grain("all").next().map(|(_, value)| value);
            out.maybe((all, &format!("{help}: all scopes together.")), total);
            let each: Vec<(&str, f64)> = of_grain("scope").collect();
            let labels: Vec<[(&str, &str); 1]> =
                each.iter().map(|(scope, _)| [("scope", *scope)]).collect();
            let each: Vec<(Labels<'_>, f64)> = labels
                .iter()
                .zip(&each)
                .map(|(labels, (_, value))| (labels.as_slice(), *value))
                .collect();
            out.labelled((of_scope, &format!("{help}: by scope.")), &each);
        }
    }
}

/// Names and values of labels.
type Labels<'a> = &'a [(&'a str, &'a str)];

/// The text format of Prometheus, version 0.0.4.
struct Text(String);

impl Text {
    fn one(&mut self, what: (&str, &str), value: impl Into<f64>) {
        self.labelled(what, &[(&[], value.into())]);
    }

    fn maybe(&mut self, what: (&str, &str), value: Option<f64>) {
        if let Some(value) = value {
            self.one(what, value);
        }
    }

    /// A gauge and its series; nothing where it has none.
    fn labelled(&mut self, (name, help): (&str, &str), series: &[(Labels<'_>, f64)]) {
        if series.is_empty() {
            return;
        }
        let help = help.replace('\\', "\\\\").replace('\n', "\\n");
        // Writing to a String cannot fail.
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} gauge");
        for (labels, value) in series {
            let labels: Vec<String> =
                labels.iter().map(|(key, text)| format!("{key}=\"{}\"", escaped(text))).collect();
            let labels =
                if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
            let _ = writeln!(self.0, "{name}{labels} {value}");
        }
    }
}

fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

fn seconds(at: SystemTime) -> f64 {
    at.duration_since(SystemTime::UNIX_EPOCH).map_or(0.0, |since| since.as_millis() as f64 / 1e3)
}

/// Whether nothing but metrics of an earlier run gets lost.
///
/// # Errors
/// What is there instead, in words.
fn is_replaceable(file: &Path) -> Result<(), String> {
    let Some(found) = own_file::look(file)? else { return Ok(()) };
    let mut head = Vec::new();
    found.take(BEGINS.len() as u64).read_to_end(&mut head).map_err(|e| e.to_string())?;
    if head != BEGINS.as_bytes() {
        return Err(format!(
            "the file that is there holds no metrics of afterscope (it does not begin with `{BEGINS}`), and stays as it is; name another, or take it away"
        ));
    }
    Ok(())
}

/// A column of texts.
fn texts<'a>(table: &'a Table, column: &str) -> Vec<Option<&'a str>> {
    let array = table.batch.column_by_name(column).and_then(|array| array.as_string_opt::<i32>());
    array.map(|array| array.iter().collect()).unwrap_or_default()
}

/// A column of numbers; none where the report masks a figure or does not know it.
fn numbers(table: &Table, column: &str) -> Vec<Option<f64>> {
    let array = table.batch.column_by_name(column);
    let array = array.and_then(|array| cast(array, &DataType::Float64).ok());
    let array = array.as_ref().and_then(|array| array.as_primitive_opt::<Float64Type>());
    array.map(|array| array.iter().collect()).unwrap_or_default()
}

/// What stands in the file of an earlier run.
fn before(file: &Path) -> String {
    let is_short = std::fs::metadata(file).is_ok_and(|found| found.len() <= LONGEST);
    let text = is_short.then(|| std::fs::read_to_string(file).ok()).flatten();
    text.unwrap_or_default()
}

/// The value of a series without labels.
fn kept(text: &str, name: &str) -> Option<f64> {
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))?;
    value.trim().parse().ok().filter(|value: &f64| value.is_finite())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray};

    use super::*;

    #[test]
    fn labels_are_escaped_and_masked_figures_left_out() {
        let mut metrics = Metrics::new(SystemTime::UNIX_EPOCH, true);
        let texts = |of: [&str; 3]| Arc::new(StringArray::from_iter_values(of)) as ArrayRef;
        let counts = |of: [Option<i64>; 3]| Arc::new(Int64Array::from_iter(of)) as ArrayRef;
        let coverage = Arc::new(Float64Array::from(vec![Some(50.0), None, None])) as ArrayRef;
        let columns = [
            ("grain", texts(["all", "scope", "scope"])),
            ("scope", texts(["(all)", "a\"b\\", "c"])),
            ("subjects_observed", counts([None, None, Some(2)])),
            ("requests_allowed", counts([Some(7), Some(4), Some(3)])),
            ("coverage_pct", coverage),
        ];
        let batch = RecordBatch::try_from_iter(columns).unwrap();
        metrics.scopes = Some(Table { name: "scope_summary".into(), batch });
        let text = metrics.render(ExitCode::Input, SystemTime::UNIX_EPOCH, "");
        assert!(text.contains("\nafterscope_scope_requests{scope=\"a\\\"b\\\\\"} 4\n"), "{text}");
        assert!(text.contains("\nafterscope_scope_people{scope=\"c\"} 2\n"), "{text}");
        assert!(!text.contains("scope_people{scope=\"a"), "{text}");
        assert!(!text.contains("\nafterscope_people "), "{text}");
        assert!(text.contains("\nafterscope_coverage_ratio 0.5\n"), "{text}");
        assert!(text.contains("\nafterscope_run_exit_code 3\n"), "{text}");
        assert!(!text.contains("last_success"), "{text}");
    }

    #[test]
    fn the_last_success_is_kept_where_a_run_fails() {
        let metrics = Metrics::new(SystemTime::UNIX_EPOCH, true);
        let then = SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(50);
        let first = metrics.render(ExitCode::Complete, then, "");
        assert!(first.contains("\nafterscope_last_success_timestamp_seconds 50\n"), "{first}");
        let later = then + std::time::Duration::from_secs(50);
        let second = metrics.render(ExitCode::Transient, later, &first);
        assert!(second.contains("\nafterscope_last_success_timestamp_seconds 50\n"), "{second}");
        assert!(second.contains("\nafterscope_run_end_timestamp_seconds 100\n"), "{second}");
    }
}
