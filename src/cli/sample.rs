//! `afterscope sample`.

use super::args::{SampleArgs, SampleFormat};
use super::terminal::number;
use super::{Failure, print_bytes};
use crate::sample::{self, Format, Wanted};

pub fn run(args: &SampleArgs) -> Result<(), Failure> {
    let format = match args.format {
        SampleFormat::Parquet => Format::Parquet,
        SampleFormat::Delta => Format::Delta,
        SampleFormat::Iceberg => Format::Iceberg,
    };
    let (out, registry) = (args.out.clone(), args.registry.clone());
    let made = sample::groups_2019(&Wanted { out, rows: args.rows, format, registry })?;
    let text = format!(
        "{} rows in {} days\nafterscope run --config {}/afterscope.toml --as-of {}\n",
        number(made.rows),
        made.days,
        args.out.display(),
        made.as_of
    );
    print_bytes(text.as_bytes())
}
