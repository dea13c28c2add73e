//! Arguments of what shows that figures hold, and where they come from.

use std::path::PathBuf;

use clap::Args;

use super::RunArgs;
use crate::config::Overrides;

impl VerifyArgs {
    /// What a recomputation takes from the command line; the rest stands in the run's manifest.
    pub fn overrides(&self) -> Overrides {
        Overrides {
            as_of: "1970-01-01".into(),
            set: self.set.clone(),
            id_key: self.id_key.clone(),
            memory_limit: self.memory_limit.clone(),
            threads: self.threads,
            unsigned: true,
            ..Default::default()
        }
    }
}

#[derive(Clone, Debug, Args)]
pub struct VerifyArgs {
    /// A run's folder (OUT/runs/<run_id>), or OUT for its latest run: a path or s3:// address.
    #[arg(required_unless_present = "evidence")]
    pub run: Option<String>,
    /// Check an evidence file, alone or against the run.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["inputs", "recompute"])]
    pub evidence: Option<PathBuf>,
    /// Check, too, that every input file still has its size, ETag and version.
    #[arg(long)]
    pub inputs: bool,
    /// Count everything again from the input files, in a temporary folder with an empty ledger: the
    /// files must have the same bytes.
    #[arg(long, requires = "config")]
    pub recompute: bool,
    /// The configuration of the run, for --recompute.
    #[arg(long, short, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// As for `run`, where it was given there.
    #[arg(long, value_name = "KEY=VALUE", requires = "recompute")]
    pub set: Vec<String>,
    /// As for `run`, where it was given there: env:NAME or file:PATH.
    #[arg(long, value_name = "REFERENCE", requires = "recompute", allow_hyphen_values = true)]
    pub id_key: Option<String>,
    /// Memory for --recompute: 512MB, 4GiB. Default: a quarter of the machine.
    #[arg(long, value_name = "BYTES", requires = "recompute")]
    pub memory_limit: Option<String>,
    /// Threads for --recompute. Default: the machine's cores.
    #[arg(long, value_name = "N", requires = "recompute")]
    pub threads: Option<u32>,
    /// Demand a signature by this Ed25519 public key (PEM).
    #[arg(long, value_name = "FILE")]
    pub public_key: Option<PathBuf>,
}

#[derive(Clone, Debug, Args)]
pub struct EvidenceArgs {
    /// A run's folder (OUT/runs/<run_id>), or OUT for its latest run: a path or s3:// address.
    pub run: String,
    /// The app, as the log and the registry name it.
    #[arg(long, value_name = "ID")]
    pub app: String,
    /// Only its rows of this scope.
    #[arg(long, value_name = "SCOPE")]
    pub scope: Option<String>,
    /// The file to write. Default: standard output.
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
}

#[derive(Clone, Debug, Args)]
pub struct ExplainArgs {
    #[command(flatten)]
    pub run: RunArgs,
    /// scope_summary, app_scope_exposure, developer_exposure, daily_timeline, findings,
    /// groups_exposed, data_categories, deletion_verification, subjects_by_jurisdiction, thresholds
    /// or coverage.
    #[arg(long, value_name = "TABLE")]
    pub table: String,
    /// What names the row: scope=…, app_id=…, developer_id=…, day=…, attested_at=…, finding=…,
    /// group_id=…, namespace=…, data_category=…, country=…, subdivision=…, category=…, is_known=…,
    /// regime=…, jurisdiction=…, source=…, file_day=…; and window=… for one of its windows,
    /// people=unplaced for the people of a rule who may live there.
    #[arg(long = "where", value_name = "COLUMN=VALUE")]
    pub conditions: Vec<String>,
}

#[derive(Clone, Debug, Args)]
pub struct DiffArgs {
    /// The earlier run: its folder or address, or an output, which means its latest run.
    #[arg(value_name = "RUN_A")]
    pub old: String,
    /// The later run.
    #[arg(value_name = "RUN_B")]
    pub new: String,
    /// Only this table.
    #[arg(long, value_name = "NAME")]
    pub table: Option<String>,
    /// Write every change to this CSV file: table, key, column, old, new, and the reason where RUN_B
    /// follows RUN_A.
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
}
