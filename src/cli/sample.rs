//! `afterscope sample`.

use super::args::SampleArgs;
use super::terminal::number;
use super::{Failure, print_bytes};
use crate::sample;

pub fn run(args: &SampleArgs) -> Result<(), Failure> {
    let made = sample::groups_2019(&args.out, args.rows)?;
    let text = format!(
        "{} rows in {} files\nafterscope run --config {}/afterscope.toml --as-of {}\n",
        number(made.rows),
        made.files,
        args.out.display(),
        made.as_of
    );
    print_bytes(text.as_bytes())
}
