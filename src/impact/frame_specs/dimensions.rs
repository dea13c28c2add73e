//! What the registry and the days of the report are.

use super::FrameSpec;

pub(super) const CAPABLE: FrameSpec = FrameSpec {
    name: "capable",
    about: "Apps that could use a scope after its restriction (registry.grants). One row for each scope and app.",
    columns: &[&[
        ("scope", "string", "", ""),
        ("app_id", "string", "", ""),
        ("app_name", "string", "", "From the registry."),
        ("developer_id", "string", "", "Null: not known."),
        ("developer_name", "string", "", "From the registry."),
        (
            "granted_at",
            "timestamp",
            "UTC",
            "Begin of the first grant that holds then; null where it is not known.",
        ),
        ("revoked_at", "timestamp", "UTC", "End of the last one; null where one goes on."),
    ]],
};

pub(super) const SCOPES: FrameSpec = FrameSpec {
    name: "scopes",
    about: "The restricted scopes of the registry.",
    columns: &[&[
        ("scope", "string", "", ""),
        ("restricted_at", "timestamp", "UTC", ""),
        ("status", "string", "", "restricted, or not_yet_restricted: at or after as_of."),
    ]],
};

pub(super) const SCOPE_FIELDS: FrameSpec = FrameSpec {
    name: "scope_fields",
    about: "Data categories that a scope gives access to. One row for each scope and category.",
    columns: &[&[
        ("scope", "string", "", ""),
        ("data_category", "string", "", ""),
        (
            "special_category",
            "bool",
            "",
            "Whether the registry names it as special; null where it does not say (special_fields).",
        ),
        (
            "fields_returned",
            "string",
            "",
            "Fields that allowed, exercised calls of the scope returned, parted by ;. Null where no source maps fields.",
        ),
    ]],
};

pub(super) const APPS: FrameSpec = FrameSpec {
    name: "apps",
    about: "Apps of the registry, of events that count, and of promises of deletion. One row for each.",
    columns: &[&[
        ("app_id", "string", "", ""),
        ("app_name", "string", "", "From the registry."),
        ("developer_id", "string", "", "Null: not known."),
        ("developer_name", "string", "", "From the registry."),
        ("is_registered", "bool", "", "Whether the registry has a row of the app."),
    ]],
};

pub(super) const DATES: FrameSpec = FrameSpec {
    name: "dates",
    about: "Days from the first with an allowed, exercised event to the last, without a gap. One row for each.",
    columns: &[&[
        ("day", "date", "UTC day", ""),
        ("year", "int64", "years", ""),
        ("quarter", "int64", "quarters", "1 to 4."),
        ("month", "int64", "months", "1 to 12."),
        ("month_start", "date", "UTC day", "First day of the month."),
        ("week_start", "date", "UTC day", "Monday of the week."),
        ("weekday", "int64", "days", "1 for Monday to 7 for Sunday."),
        ("is_lookback", "bool", "", "Whether the day begins in the lookback before as_of."),
    ]],
};
