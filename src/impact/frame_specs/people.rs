//! What the registry knows of people, and of what is due to them.

use super::FrameSpec;

pub(super) const RESIDENTS: FrameSpec = FrameSpec {
    name: "residents",
    about: "People after the restriction by where they live (registry.residency), for the grains scope_app, scope, app and all. One row for each cell and residence.",
    columns: &[&[
        ("grain", "string", "", "scope_app, scope, app or all."),
        ("scope", "string", "", "Scope, or (all)."),
        ("app_id", "string", "", "App, (all), or null: events that name no app."),
        ("app_name", "string", "", "From the registry."),
        ("country", "string", "", "Null: not known."),
        ("subdivision", "string", "", ""),
        ("category", "string", "", ""),
        (
            "is_known",
            "bool",
            "",
            "Whether the registry says where they live, without contradiction.",
        ),
        ("subjects_observed", "int64", "people", "Distinct; a person has one residence."),
        (
            "subjects_upper_bound",
            "int64",
            "people",
            "With members of groups that were read; null without registry.memberships.",
        ),
        (
            "residency_from",
            "timestamp",
            "UTC",
            "The earliest moment at which a residence of theirs was known; null where the registry gives none.",
        ),
        ("residency_to", "timestamp", "UTC", "The latest."),
    ]],
};

pub(super) const THRESHOLDS: FrameSpec = FrameSpec {
    name: "thresholds",
    about: "From how many people on somebody must be told (registry.thresholds), for each scope and all. One row for each scope, regime and jurisdiction.",
    columns: &[&[
        ("grain", "string", "", "scope or all."),
        ("scope", "string", "", "Scope, or (all)."),
        ("regime", "string", "", ""),
        ("jurisdiction", "string", "", "As the registry writes it."),
        ("operator", "string", "", ">= or >; null where the regime asks for no number."),
        ("number", "int64", "people", ""),
        (
            "subjects_observed",
            "int64",
            "people",
            "Of those who live there; null where a place is asked for and there is no registry.residency.",
        ),
        ("subjects_upper_bound", "int64", "people", "Null without registry.memberships, too."),
        (
            "subjects_observed_unplaced",
            "int64",
            "people",
            "Observed people who may live there: no country is known of them, or only that of a subdivision.",
        ),
        ("subjects_upper_bound_unplaced", "int64", "people", "The same of the upper bound."),
        ("met_by_observed", "bool", "", ""),
        ("met_by_upper_bound", "bool", "", ""),
        (
            "state",
            "string",
            "",
            "met; met_by_upper_bound; not_met; undecided, where what is not known could decide; no_number.",
        ),
        ("source", "string", "", "Where the rule stands."),
    ]],
};

pub(super) const DEADLINES: FrameSpec = FrameSpec {
    name: "deadlines",
    about: "Time limits of the regimes (registry.thresholds), from the dates of [incident]. One row for each regime and jurisdiction with a limit.",
    columns: &[&[
        ("regime", "string", "", ""),
        ("jurisdiction", "string", "", ""),
        ("starting_event", "string", "", "aware, discovered, materiality or notified."),
        ("started_at", "timestamp", "UTC", "Null where it has not happened by as_of."),
        ("time_limit", "int64", "", "Number of units."),
        (
            "unit",
            "string",
            "",
            "hours, calendar_days (of 24 hours) or business_days (Monday to Friday).",
        ),
        ("due_at", "timestamp", "UTC", ""),
        (
            "state",
            "string",
            "",
            "not_started; running; passed: as_of is after it; kept or missed: the duty was done by then, or later (incident.reported).",
        ),
        ("source", "string", "", "Where the rule stands."),
    ]],
};

pub(super) const ATTESTATIONS: FrameSpec = FrameSpec {
    name: "attestations",
    about: "Promises of deletion, and what came after them. One row for each.",
    columns: &[&[
        ("app_id", "string", "", ""),
        ("app_name", "string", "", "From the registry."),
        ("developer_id", "string", "", "Null: not known."),
        ("developer_name", "string", "", "From the registry."),
        ("scope", "string", "", "Scope, or (all)."),
        ("asked_at", "timestamp", "UTC", ""),
        ("attested_at", "timestamp", "UTC", ""),
        ("statement", "string", "", ""),
        (
            "events_after",
            "int64",
            "events",
            "Allowed, exercised events since; null without a promise before as_of. So are the next.",
        ),
        ("requests_after", "int64", "requests", "Their weights."),
        ("requests_denied_after", "int64", "requests", ""),
        ("requests_unknown_after", "int64", "requests", ""),
        (
            "events_unsettled_after",
            "int64",
            "events",
            "Events of unknown outcome, and allowed ones that exercised no covered scope.",
        ),
        ("subjects_after", "int64", "people", "Distinct."),
        (
            "subjects_upper_bound_after",
            "int64",
            "people",
            "Those, and members of groups that were read since, by membership at that moment; null without memberships.",
        ),
        (
            "subjects_unknown_rows_after",
            "int64",
            "events",
            "Of these events, those that name no subject and no group with a known member.",
        ),
        ("groups_after", "int64", "groups", "Distinct."),
        ("first_after", "timestamp", "UTC", ""),
        ("last_after", "timestamp", "UTC", ""),
        (
            "rows_late",
            "int64",
            "rows",
            "Rows of late files of days since the promise, or of no known day; null where no report is followed, and for own queries.",
        ),
        ("regrants", "int64", "grants", "Grants that begin since; null without grants."),
        ("periods_expected_after", "int64", "periods", "Declared days since."),
        ("periods_covered_after", "int64", "periods", "Of them, those with rows."),
        ("coverage_pct_after", "float64", "percent", "Null where no source declares any."),
        (
            "is_whole_after",
            "bool",
            "",
            "Whether a use would have been seen: scope and app are known, every source declares every day since, no file was left out, no row rejected, and no call without an app can have been the app's.",
        ),
    ]],
};
