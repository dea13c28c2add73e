//! What can end a run, and the exit code that it means.

use thiserror::Error;

use crate::changes::Unexplained;
use crate::config::ConfigError;
use crate::database::{DatabaseError, FailureKind};
use crate::exposure::ExposureError;
use crate::impact::ImpactError;
use crate::ledger::LedgerError;
use crate::people::PeopleError;
use crate::publish::PublishError;
use crate::query::QueryError;
use crate::registry::RegistryError;
use crate::report::ReportError;
use crate::sample::SampleError;
use crate::scan::ScanError;
use crate::snapshot::SnapshotError;
use crate::sorter::SortError;
use crate::store::{StoreError, StoreErrorKind, is_full};
use crate::verify::VerifyError;

/// Any failure of a run. Its text says what, which object, which numbers, and what to do.
#[derive(Debug, Error)]
pub enum Error {
    #[error("{0}")]
    Config(#[from] ConfigError),
    #[error("{0}")]
    Registry(#[from] RegistryError),
    #[error("{0}")]
    Snapshot(#[from] SnapshotError),
    #[error("{0}")]
    Scan(#[from] ScanError),
    #[error("{0}")]
    Ledger(#[from] LedgerError),
    #[error("{0}")]
    People(#[from] PeopleError),
    #[error("{0}")]
    Exposure(#[from] ExposureError),
    #[error("{0}")]
    Impact(#[from] ImpactError),
    #[error("{0}")]
    Report(#[from] ReportError),
    #[error("{0}")]
    Publish(#[from] PublishError),
    #[error("{0}")]
    Database(#[from] DatabaseError),
    #[error("{0}")]
    Verify(#[from] VerifyError),
    #[error("{0}")]
    Query(#[from] QueryError),
    #[error("{0}")]
    Unexplained(#[from] Unexplained),
    #[error("{0}")]
    Store(#[from] StoreError),
    #[error("{0}")]
    Sample(#[from] SampleError),

    #[error(
        "the memory limit is {limit} and at least {needed} are needed for {threads} threads\ngive more with --memory-limit, or use fewer threads with --threads"
    )]
    Memory { limit: String, needed: String, threads: usize },

    #[error(
        "{rejected} rows are rejected and {allowed} are allowed (report.max_rejected_rows)\n{shown}\nmend the files, or allow as many"
    )]
    Rejected { rejected: u64, allowed: u64, shown: String },

    #[error(
        "{role} ids of namespace \"{namespace}\" are of two kinds: {first} and {second}\nmap one of the columns with kind = \"text\", or give the sources namespaces of their own"
    )]
    MixedKinds { role: &'static str, namespace: String, first: String, second: String },

    #[error(
        "rows are not conserved in source `{source_name}`, file {file}: {rows} in its metadata, {found} accounted for\nthis is a bug in afterscope; please report it"
    )]
    Conservation { source_name: String, file: String, rows: u64, found: u64 },

    #[error("{argument}: {reason}")]
    Argument { argument: String, reason: String },

    #[error("{folder}: {reason}")]
    Folder { folder: String, reason: String },

    /// No space is left.
    #[error("{place}: {reason}")]
    Full { place: String, reason: String },

    #[error("interrupted; run the same command again to go on from here")]
    Interrupted,
}

/// Exit codes (docs/design.md).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExitCode {
    Complete = 0,
    User = 1,
    Usage = 2,
    Input = 3,
    Transient = 4,
    Bug = 101,
    Interrupted = 130,
    Terminated = 143,
}

/// A failure of storage, seen where nothing had been read before.
fn of_store(kind: StoreErrorKind) -> ExitCode {
    match kind {
        StoreErrorKind::Changed => ExitCode::Input,
        StoreErrorKind::Transient | StoreErrorKind::Full | StoreErrorKind::Conflict => {
            ExitCode::Transient
        }
        StoreErrorKind::NotFound | StoreErrorKind::Denied | StoreErrorKind::Settings => {
            ExitCode::User
        }
    }
}

impl Error {
    /// An argument that cannot be used.
    pub fn argument(argument: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::Argument { argument: argument.into(), reason: reason.into() }
    }

    /// A place that cannot be written to: for good, or until there is room.
    pub fn unwritable(
        place: impl Into<String>,
        reason: impl Into<String>,
        error: &std::io::Error,
    ) -> Self {
        let (place, reason) = (place.into(), reason.into());
        if is_full(error) {
            Self::Full { place, reason }
        } else {
            Self::Folder { folder: place, reason }
        }
    }

    pub fn exit_code(&self) -> ExitCode {
        match self {
            Self::Config(_)
            | Self::Sample(_)
            | Self::Memory { .. }
            | Self::Argument { .. }
            | Self::Folder { .. }
            | Self::MixedKinds { .. } => ExitCode::User,
            Self::Registry(e) => e.store_kind().map_or(ExitCode::User, of_store),
            Self::Snapshot(SnapshotError::Store { error, .. }) => of_store(error.kind),
            Self::Snapshot(
                SnapshotError::Unlisted { .. }
                | SnapshotError::Twice { .. }
                | SnapshotError::Damaged { .. }
                | SnapshotError::Gone { .. },
            ) => ExitCode::Input,
            Self::Snapshot(_) => ExitCode::User,
            Self::Scan(e) => of_scan(e),
            Self::Ledger(e) => of_ledger(e),
            Self::Exposure(ExposureError::Ledger(e)) => of_ledger(e),
            Self::Exposure(ExposureError::Sort(e)) => of_sort(e),
            Self::Exposure(ExposureError::Overflow) => ExitCode::Input,
            Self::Exposure(
                ExposureError::Memory { .. }
                | ExposureError::Leaves { .. }
                | ExposureError::Packs { .. }
                | ExposureError::Names { .. }
                | ExposureError::Repeats { .. }
                | ExposureError::Reads { .. },
            ) => ExitCode::User,
            Self::People(e) => match e {
                PeopleError::Ledger(e) => of_ledger(e),
                PeopleError::Sort(e) => of_sort(e),
                PeopleError::Unusable { .. }
                | PeopleError::BadValue { .. }
                | PeopleError::Lacking { .. } => ExitCode::User,
                PeopleError::Interrupted => ExitCode::Interrupted,
            },
            Self::Exposure(ExposureError::Interrupted) | Self::Interrupted => ExitCode::Interrupted,
            Self::Exposure(ExposureError::Internal { .. }) | Self::Conservation { .. } => {
                ExitCode::Bug
            }
            Self::Impact(e) => of_impact(e),
            Self::Report(ReportError::Temporary { .. }) => ExitCode::Transient,
            Self::Report(_) => ExitCode::Bug,
            Self::Publish(e) => of_publish(e),
            Self::Database(e) => of_database(e),
            Self::Store(e) => of_store(e.kind),
            Self::Full { .. } => ExitCode::Transient,
            Self::Verify(e) | Self::Query(QueryError::Run(e)) => of_verify(e),
            Self::Query(_) => ExitCode::User,
            Self::Rejected { .. } | Self::Unexplained(Unexplained::NoCause { .. }) => {
                ExitCode::Input
            }
            Self::Unexplained(_) => ExitCode::Bug,
        }
    }
}

fn of_impact(error: &ImpactError) -> ExitCode {
    match error {
        ImpactError::Repeated { .. } | ImpactError::TwoFigures { .. } => ExitCode::Bug,
        _ => ExitCode::User,
    }
}

fn of_publish(error: &PublishError) -> ExitCode {
    match error {
        PublishError::Store(e) => of_store(e.kind),
        PublishError::Table(e) => of_impact(e),
        PublishError::Damaged { .. } => ExitCode::Input,
        PublishError::Foreign { .. } => ExitCode::User,
    }
}

fn of_database(error: &DatabaseError) -> ExitCode {
    match error {
        DatabaseError::Publish(e) => of_publish(e),
        DatabaseError::Impact(_) | DatabaseError::Address(_) => ExitCode::User,
        DatabaseError::Failed { kind, .. } => match kind {
            FailureKind::Transient => ExitCode::Transient,
            FailureKind::Settings => ExitCode::User,
            FailureKind::Differs => ExitCode::Input,
        },
        DatabaseError::Interrupted => ExitCode::Interrupted,
    }
}

fn of_verify(error: &VerifyError) -> ExitCode {
    match error {
        VerifyError::Store(e) | VerifyError::Publish(PublishError::Store(e)) => of_store(e.kind),
        VerifyError::NoRun { .. } | VerifyError::User { .. } => ExitCode::User,
        _ => ExitCode::Input,
    }
}

fn of_scan(error: &ScanError) -> ExitCode {
    match error {
        ScanError::Store(e) if e.kind == StoreErrorKind::Denied => ExitCode::Input,
        ScanError::Store(e) => of_store(e.kind),
        ScanError::Unreadable { .. }
        | ScanError::Damaged { .. }
        | ScanError::PeopleGone { .. }
        | ScanError::OutsidePartition { .. }
        | ScanError::OutsideStatistics { .. }
        | ScanError::BadId { .. }
        | ScanError::BadJson { .. } => ExitCode::Input,
        ScanError::MissingColumn { .. }
        | ScanError::RenamedColumn { .. }
        | ScanError::WrongType { .. }
        | ScanError::Unsupported { .. }
        | ScanError::MixedKinds { .. }
        | ScanError::NoZone { .. }
        | ScanError::NoFormat { .. }
        | ScanError::NoMeaning { .. }
        | ScanError::Memory { .. }
        | ScanError::OtherLetters { .. }
        | ScanError::BadPartition { .. } => ExitCode::User,
        ScanError::Interrupted => ExitCode::Interrupted,
        ScanError::Internal { .. } => ExitCode::Bug,
    }
}

fn of_sort(error: &SortError) -> ExitCode {
    match error {
        SortError::Spill { .. } | SortError::Run { .. } => ExitCode::Transient,
        SortError::Record => ExitCode::Bug,
    }
}

fn of_ledger(error: &LedgerError) -> ExitCode {
    match error {
        LedgerError::Store(e) => of_store(e.kind),
        LedgerError::Damaged { .. } => ExitCode::Input,
        LedgerError::Foreign { .. } => ExitCode::User,
        LedgerError::Internal { .. } => ExitCode::Bug,
    }
}
