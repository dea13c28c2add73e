//! Words for names of columns and values, and sentences that stand in more than one place.

/// What a reader of the workbook must know.
pub const LIMITS_OF_THE_WORKBOOK: [&str; 7] = [
    "The Parquet files under tables/ are the record; this workbook shows the same values for reading. manifest.json holds the SHA-256 of each file.",
    "People are counted once in each row. Rows must not be added up: one person can be in several of them.",
    "An empty cell is not a zero: it is not known, or does not apply. What it means for a column is said below.",
    "Times are UTC and cut to the millisecond; the Parquet files hold microseconds. Times before March 1900 are text.",
    "Ids and all other texts are text and are never evaluated. Characters that are not seen, or that move others, are written as their number, such as [U+202E].",
    "Whole numbers of more than fifteen digits are text, because a spreadsheet would round them. A text longer than a cell holds is cut and says so.",
    "A sheet that cannot hold all rows of its table ends with a line that says how many are missing and where they are.",
];

/// That small counts of people are left out.
pub fn left_out(below: u32) -> String {
    format!(
        "Counts of fewer than {below} people are left out, and with them other counts from which they would follow. Their cells look empty; a zero is a zero."
    )
}

/// A count, where it is told.
pub fn told(count: Option<i64>) -> String {
    count.map_or_else(|| "left out".to_string(), super::text::number)
}

/// A column's heading.
pub fn heading(column: &str) -> String {
    let known = match column {
        "scope" => "Scope",
        "status" => "Status",
        "restricted_at" => "Restricted",
        "apps_capable" => "Apps that could call",
        "apps_used_after_restriction" => "Apps that called",
        "apps_used_lookback" => "Apps that called lately",
        "app_id" => "App id",
        "app_name" => "App",
        "developer_id" => "Developer id",
        "developer_name" => "Developer",
        "subjects_observed" => "People observed",
        "subjects_upper_bound" => "People at most",
        "upper_bound_complete" => "Upper bound is complete",
        "subjects_unknown_rows" => "Events naming nobody",
        "requests_allowed" => "Requests let through",
        "requests_denied" => "Requests refused",
        "requests_unknown" => "Requests, outcome unknown",
        "grace_until" => "Grace until",
        "subjects_in_grace" => "People in grace",
        "subjects_after_grace" => "People after grace",
        "subjects_after_revocation" => "People after revocation",
        "subjects_after_attestation" => "People after promise",
        "subjects_lookback" => "People lately",
        "subjects_upper_bound_lookback" => "People lately, at most",
        "subjects_in_brownout" => "People in brownouts",
        "developers_capable" => "Developers who could call",
        "developers_used_after_restriction" => "Developers who called",
        "developers_used_lookback" => "Developers who called lately",
        "first_access" => "First access",
        "last_access" => "Last access",
        "coverage_pct" => "Coverage in percent",
        "coverage_pct_after" => "Coverage since, in percent",
        "finding" => "Finding",
        "asked_at" => "Asked",
        "attested_at" => "Promised",
        "statement" => "The promise",
        "requests_after" => "Requests since",
        "requests_denied_after" => "Requests refused since",
        "requests_unknown_after" => "Requests since, outcome unknown",
        "subjects_after" => "People since",
        "subjects_upper_bound_after" => "People at most since",
        "subjects_unknown_rows_after" => "Events naming nobody since",
        "groups_after" => "Groups since",
        "first_after" => "First since",
        "last_after" => "Last since",
        "regrants" => "Granted again",
        "rows_late" => "Rows that came late",
        "file_day" => "Day of the files",
        "is_known" => "Residence known",
        "starting_event" => "Clock starts when",
        "started_at" => "Clock started",
        "due_at" => "Due",
        "subjects_observed_unplaced" => "Observed, residence unknown",
        "subjects_upper_bound_unplaced" => "At most, residence unknown",
        other => return capitalised(&other.replace('_', " ")),
    };
    known.to_string()
}

pub fn capitalised(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |c| c.to_uppercase().chain(chars).collect())
}

/// A value of a column that holds one of a few words; any other text is itself.
pub fn value<'a>(column: &str, text: &'a str) -> &'a str {
    match (column, text) {
        ("finding", _) => finding(text),
        ("verdict", "not_attested") => "no promise given",
        ("state", "met_by_upper_bound") => "met by the upper bound only",
        ("state", "not_met") => "not met",
        ("state", "no_number") => "asks for no number",
        ("state", "not_started") => "not started",
        ("unit", "calendar_days") => "calendar days",
        ("unit", "business_days") => "business days",
        ("status", "not_yet_restricted") => "not yet restricted",
        _ => text,
    }
}

/// A finding in words.
pub fn finding(name: &str) -> &str {
    match name {
        "after_attestation" => "Used after a promise of deletion",
        "after_revocation" => "Used after the grant was revoked",
        "in_brownout" => "Let through while calls had to fail",
        "without_grant" => "Used without a known grant",
        "after_grace" => "Used after the restriction and any grace",
        other => other,
    }
}

/// What a finding says, for the reader.
pub const FINDINGS: [(&str, &str); 5] = [
    (
        "after_attestation",
        "The developer had said that the data was deleted; the app reached data again.",
    ),
    (
        "after_revocation",
        "The app's grant had been withdrawn and not given again; calls still got through.",
    ),
    (
        "in_brownout",
        "A planned test of the restriction, in which every call must fail, let calls through.",
    ),
    (
        "without_grant",
        "No grant that held at any moment since the restriction is known; calls still got through.",
    ),
    (
        "after_grace",
        "Calls got through after the scope was restricted for this app, its extension included.",
    ),
];

/// A verdict on a promise of deletion, for the reader.
pub const VERDICTS: [(&str, &str); 4] = [
    ("violated", "At least one call got through after the promise. This is certain."),
    (
        "clean",
        "No call got through after the promise, and nothing that the logs say leaves one open: every day since is declared and has rows, and no event since is unclear. Rows that never reached the logs are seen by nobody.",
    ),
    (
        "inconclusive",
        "No call was seen after the promise, but one may have been missed: days are missing, or events do not say enough.",
    ),
    (
        "no promise given",
        "The developer was asked and has not promised before the end of this report.",
    ),
];

/// What the cause of a change says, for the reader.
pub fn reason_says(reason: &str) -> &'static str {
    match reason {
        "late file" => {
            "Log files that the report before did not have, of calls that it would have counted."
        }
        "table history" => {
            "A table tells of other versions before the one that was read: rows were deleted or rewritten, or old versions were removed."
        }
        "rewritten file" => "Log files with other content than they had then.",
        "missing file" => "Log files that were there then and are gone, or cannot be read now.",
        "policy change" => {
            "The registry (dates, grants, extensions, promises, members, residences, rules) or a setting of the report is another than then."
        }
        "mapping change" => "The rows of the logs are read in another way than then.",
        "later as_of" => "This report ends later: time went on, and the lookback with it.",
        "recount" => "Another version of the program counted.",
        _ => "More than one of these took part.",
    }
}
