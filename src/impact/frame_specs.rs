//! The frames' contract: names, columns, types, units and meaning (`afterscope schema frames`).

/// Version of the frames' names and columns.
pub const FRAMES_VERSION: u32 = 1;

/// A frame and what its columns hold.
#[derive(Clone, Copy, Debug)]
pub struct FrameSpec {
    pub name: &'static str,
    pub about: &'static str,
    /// Name, type, unit, meaning.
    pub columns: &'static [(&'static str, &'static str, &'static str, &'static str)],
}

/// All frames. Times are timestamps in microseconds, UTC.
pub const FRAMES: &[FrameSpec] = &[
    FrameSpec {
        name: "exposure",
        about: "Every measure for every grain and window. One row for each cell with an event and each window.",
        columns: &[
            (
                "cell",
                "int64",
                "",
                "Number of the cell: joins rows of one cell, also where its app is null.",
            ),
            ("grain", "string", "", "scope_app, scope_developer, scope, app, developer or all."),
            ("scope", "string", "", "Scope, or (all)."),
            ("app_id", "string", "", "App, (all), or null: events that name no app."),
            ("app_name", "string", "", "From the registry."),
            ("developer_id", "string", "", "Developer, (all), or null: not known."),
            ("developer_name", "string", "", "From the registry."),
            ("restricted_at", "timestamp", "UTC", "Null where the scope is (all)."),
            (
                "grace_until",
                "timestamp",
                "UTC",
                "End of the app's grace for the scope; null without one.",
            ),
            (
                "window",
                "string",
                "",
                "after_restriction, in_grace, after_grace, in_brownout, after_revocation, after_attestation or lookback.",
            ),
            ("events_allowed", "int64", "events", "Allowed, exercised events, unweighted."),
            (
                "requests_allowed",
                "int64",
                "requests",
                "Sum of weights of allowed, exercised events.",
            ),
            ("requests_denied", "int64", "requests", "Of denied events, whatever was exercised."),
            ("requests_unknown", "int64", "requests", "Of events whose outcome is unknown."),
            (
                "requests_held_only",
                "int64",
                "requests",
                "Of allowed events none of whose scopes was exercised.",
            ),
            ("subjects_observed", "int64", "people", "Distinct people whose data was reached."),
            (
                "subjects_unknown_rows",
                "int64",
                "events",
                "Events that name no subject and no group with a known member.",
            ),
            ("actors", "int64", "people", "Distinct holders of tokens."),
            ("groups", "int64", "groups", "Distinct groups read."),
            ("bytes", "int64", "bytes", "Sum of known values; null if none is known."),
            ("records", "int64", "records", "Sum of known values; null if none is known."),
            ("first_access", "timestamp", "UTC", "First allowed, exercised event."),
            ("last_access", "timestamp", "UTC", "Last allowed, exercised event."),
            ("active_days", "int64", "UTC days", "Days with such an event."),
        ],
    },
    FrameSpec {
        name: "exposure_days",
        about: "Figures by UTC day for the grains scope_app, scope, app and all. One row for each day with an allowed, exercised event.",
        columns: &[
            ("cell", "int64", "", "As in `exposure`."),
            ("grain", "string", "", ""),
            ("scope", "string", "", "Scope, or (all)."),
            ("app_id", "string", "", "App, (all), or null."),
            ("app_name", "string", "", "From the registry."),
            ("day", "date", "UTC day", ""),
            ("requests_allowed", "int64", "requests", "On that day."),
            ("subjects_observed", "int64", "people", "Distinct on that day."),
            ("subjects_new", "int64", "people", "Seen on that day and never before it."),
            ("subjects_cumulative", "int64", "people", "Distinct up to and with that day."),
        ],
    },
    FrameSpec {
        name: "exposure_groups",
        about: "Groups reached, for each scope the first by people (report.groups), and a row (rest).",
        columns: &[
            ("grain", "string", "", "scope_group, or scope_rest for what is not listed."),
            ("scope", "string", "", ""),
            ("namespace", "string", "", "Namespace of the group's id; (rest) on the rest row."),
            ("group_id", "string", "", "The group's own id; (rest) on the rest row."),
            ("groups", "int64", "groups", "1, or the number of groups in the rest."),
            ("apps", "int64", "apps", "Distinct apps that read it; null for the rest."),
            ("subjects_observed", "int64", "people", "Distinct; null for the rest."),
            ("requests_allowed", "int64", "requests", ""),
            ("first_access", "timestamp", "UTC", "Null for the rest."),
            ("last_access", "timestamp", "UTC", "Null for the rest."),
        ],
    },
    FrameSpec {
        name: "scopes",
        about: "The restricted scopes of the registry.",
        columns: &[
            ("scope", "string", "", ""),
            ("restricted_at", "timestamp", "UTC", ""),
            ("status", "string", "", "restricted, or not_yet_restricted: at or after as_of."),
        ],
    },
    FrameSpec {
        name: "scope_fields",
        about: "Data categories that a scope gives access to. One row for each scope and category.",
        columns: &[("scope", "string", "", ""), ("data_category", "string", "", "")],
    },
    FrameSpec {
        name: "coverage_days",
        about: "Where every row of the input went (docs/counting.md, rule 12). One row for each source and file day.",
        columns: &[
            ("source", "string", "", ""),
            (
                "file_day",
                "date",
                "UTC day",
                "Declared partition day, or the day that all of a file's times share, or null.",
            ),
            ("files_read", "int64", "files", ""),
            ("files_unreadable", "int64", "files", "Left out with --allow-incomplete."),
            ("rows_in_metadata", "int64", "rows", ""),
            (
                "rows_outside",
                "int64",
                "rows",
                "Pruned, without an asked scope, or before the restriction of all its scopes.",
            ),
            ("rows_deleted", "int64", "rows", "Deleted in the table format; 0 for plain files."),
            ("rows_rejected", "int64", "rows", ""),
            ("rows_deduplicated", "int64", "rows", ""),
            ("rows_after_as_of", "int64", "rows", ""),
            ("rows_denied", "int64", "rows", ""),
            ("rows_unknown", "int64", "rows", ""),
            ("rows_held_only", "int64", "rows", ""),
            ("rows_counted", "int64", "rows", ""),
        ],
    },
    FrameSpec {
        name: "coverage_sources",
        about: "Declared periods of each source, and one row (all).",
        columns: &[
            ("source", "string", "", "Source, or (all)."),
            ("periods_expected", "int64", "periods", "Null where the source declares none."),
            ("periods_covered", "int64", "periods", "Of them, those with rows in readable files."),
            ("coverage_pct", "float64", "percent", "Null where the source declares none."),
            ("event_id_conflicts", "int64", "event ids", "Ids whose rows contradict each other."),
            ("deduplicates", "bool", "", "Whether the source maps an event id."),
            (
                "has_status",
                "bool",
                "",
                "Whether the source maps a status; without one all is allowed.",
            ),
        ],
    },
    FrameSpec {
        name: "run",
        about: "The run, in one row.",
        columns: &[
            ("as_of", "timestamp", "UTC", ""),
            ("lookback_from", "timestamp", "UTC", ""),
            ("lookback_days", "int64", "days", ""),
            ("coverage_pct", "float64", "percent", "Over all sources that declare periods."),
            ("verdict", "string", "", "complete or incomplete."),
        ],
    },
];
