//! The run, and where every row of its input went.

use super::FrameSpec;

pub(super) const COVERAGE_DAYS: FrameSpec = FrameSpec {
    name: "coverage_days",
    about: "Where every row of the input went (docs/counting.md, rule 12). One row for each source and file day.",
    columns: &[&[
        ("source", "string", "", ""),
        (
            "file_day",
            "date",
            "UTC day",
            "Declared partition day, or the day that all of a file's times share, or null.",
        ),
        ("files_read", "int64", "files", ""),
        (
            "files_unverified",
            "int64",
            "files",
            "Files with rows that are not outside, read from pages without checksums, or whose deleted rows are told by such pages.",
        ),
        ("files_unreadable", "int64", "files", "Left out with --allow-incomplete."),
        (
            "files_changed",
            "int64",
            "files",
            "Files that the followed report had with another content; null where none is followed, and for own queries.",
        ),
        (
            "files_late",
            "int64",
            "files",
            "Files that it did not have and that may hold calls before its end; null likewise.",
        ),
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
    ]],
};

pub(super) const COVERAGE_SOURCES: FrameSpec = FrameSpec {
    name: "coverage_sources",
    about: "Declared periods of each source, and one row (all).",
    columns: &[&[
        ("source", "string", "", "Source, or (all)."),
        ("periods_expected", "int64", "periods", "Null where the source declares none."),
        ("periods_covered", "int64", "periods", "Of them, those with rows in readable files."),
        ("coverage_pct", "float64", "percent", "Null where the source declares none."),
        ("event_id_conflicts", "int64", "event ids", "Ids whose rows contradict each other."),
        ("deduplicates", "bool", "", "Whether the source maps an event id."),
        ("has_status", "bool", "", "Whether the source maps a status; without one all is allowed."),
        (
            "history_known_from",
            "timestamp",
            "UTC",
            "The earliest version that the table still tells of; null of plain files.",
        ),
        (
            "history_versions",
            "int64",
            "versions",
            "Versions that took out or rewrote rows of the report's days, restored or vacuumed.",
        ),
        ("history_files_removed", "int64", "files", "Files that they took out."),
        ("history_rows_removed", "int64", "rows", "Rows of these; null where not told."),
    ]],
};

pub(super) const RUN: FrameSpec = FrameSpec {
    name: "run",
    about: "The run, in one row.",
    columns: &[&[
        ("as_of", "timestamp", "UTC", ""),
        ("lookback_from", "timestamp", "UTC", ""),
        ("lookback_days", "int64", "days", ""),
        ("coverage_pct", "float64", "percent", "Over all sources that declare periods."),
        ("verdict", "string", "", "complete or incomplete."),
        ("has_grants", "bool", "", "Whether registry.grants is given."),
        ("has_brownouts", "bool", "", "Whether registry.brownouts is given."),
        ("has_attestations", "bool", "", "Whether registry.attestations is given."),
        ("has_memberships", "bool", "", "Whether registry.memberships is given."),
        ("has_residency", "bool", "", "Whether registry.residency is given."),
    ]],
};
