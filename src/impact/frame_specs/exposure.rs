//! What was counted.

use super::{Column, FrameSpec};

const KEYS: &[Column] = &[
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
    ("grace_until", "timestamp", "UTC", "End of the app's grace for the scope; null without one."),
];

const MEASURES: &[Column] = &[
    ("events_allowed", "int64", "events", "Allowed, exercised events, unweighted."),
    ("requests_allowed", "int64", "requests", "Sum of weights of allowed, exercised events."),
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
        "subjects_upper_bound",
        "int64",
        "people",
        "Those, and every member of every group that was read, by membership at that moment; null without registry.memberships.",
    ),
    (
        "upper_bound_complete",
        "bool",
        "",
        "Whether every event named a subject or a group that had a member then; null without registry.memberships.",
    ),
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
];

/// Measures of a window, as columns of its cell; what they are null without.
macro_rules! of_window {
    ($window:literal, $when:literal, or $or:literal, null $null:literal) => {
        &[
            (
                concat!("events_", $window),
                "int64",
                "events",
                concat!("Allowed, exercised events ", $when, ", unweighted", $null, "."),
            ),
            (
                concat!("requests_", $window),
                "int64",
                "requests",
                concat!("Sum of weights of allowed, exercised events ", $when, $null, "."),
            ),
            (
                concat!("subjects_", $window),
                "int64",
                "people",
                concat!("Distinct people ", $when, $null, "."),
            ),
            (
                concat!("subjects_upper_bound_", $window),
                "int64",
                "people",
                concat!(
                    "Those, and members of groups that were read ",
                    $when,
                    "; null without registry.memberships",
                    $or,
                    "."
                ),
            ),
            (
                concat!("subjects_unknown_rows_", $window),
                "int64",
                "events",
                concat!(
                    "Events that name no subject and no group with a known member, ",
                    $when,
                    $null,
                    "."
                ),
            ),
            (
                concat!("groups_", $window),
                "int64",
                "groups",
                concat!("Distinct groups ", $when, $null, "."),
            ),
            (
                concat!("first_access_", $window),
                "timestamp",
                "UTC",
                concat!("First allowed, exercised event ", $when, "."),
            ),
            (concat!("last_access_", $window), "timestamp", "UTC", "Last such event."),
        ]
    };
    ($window:literal, $when:literal) => {
        of_window!($window, $when, or "", null "")
    };
}

pub(super) const EXPOSURE: FrameSpec = FrameSpec {
    name: "exposure",
    about: "Every measure for every grain and window. One row for each cell with an event and each window.",
    columns: &[
        KEYS,
        &[(
            "window",
            "string",
            "",
            "after_restriction, in_grace, after_grace, in_brownout, after_revocation, after_attestation or lookback.",
        )],
        MEASURES,
    ],
};

pub(super) const EXPOSURE_CELLS: FrameSpec = FrameSpec {
    name: "exposure_cells",
    about: "What `exposure` says of a cell, in one row: its measures after the restriction, and some of those in each other window. One row for each cell with an event.",
    columns: &[
        KEYS,
        MEASURES,
        of_window!("in_grace", "within the grace of the app"),
        of_window!(
            "after_grace",
            "at or after the end of the grace, or of the restriction without one"
        ),
        of_window!(
            "in_brownout",
            "in windows in which calls must fail",
            or " or registry.brownouts",
            null "; null without registry.brownouts"
        ),
        of_window!(
            "after_revocation",
            "after the grant was revoked and before it was given again",
            or " or registry.grants",
            null "; null without registry.grants"
        ),
        of_window!(
            "after_attestation",
            "at or after a promise of deletion",
            or " or registry.attestations",
            null "; null without registry.attestations"
        ),
        of_window!("lookback", "in the lookback before as_of"),
        &[
            ("coverage_pct", "float64", "percent", "As in `run`."),
            ("verdict", "string", "", "As in `run`."),
        ],
    ],
};

pub(super) const EXPOSURE_DAYS: FrameSpec = FrameSpec {
    name: "exposure_days",
    about: "Figures by UTC day for the grains scope_app, scope, app and all. One row for each day with an allowed, exercised event.",
    columns: &[&[
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
    ]],
};

pub(super) const EXPOSURE_GROUPS: FrameSpec = FrameSpec {
    name: "exposure_groups",
    about: "Groups reached, for each scope the first by people (report.groups), and a row (rest).",
    columns: &[&[
        ("grain", "string", "", "scope_group, or scope_rest for what is not listed."),
        ("scope", "string", "", ""),
        ("namespace", "string", "", "Namespace of the group's id; (rest) on the rest row."),
        ("group_id", "string", "", "The group's own id; (rest) on the rest row."),
        ("groups", "int64", "groups", "1, or the number of groups in the rest."),
        ("apps", "int64", "apps", "Distinct apps that read it; null for the rest."),
        (
            "members_then",
            "int64",
            "people",
            "Members at a moment at which it was read; null for the rest, and without registry.memberships.",
        ),
        ("subjects_observed", "int64", "people", "Distinct; null for the rest."),
        ("requests_allowed", "int64", "requests", ""),
        ("first_access", "timestamp", "UTC", "Null for the rest."),
        ("last_access", "timestamp", "UTC", "Null for the rest."),
    ]],
};
