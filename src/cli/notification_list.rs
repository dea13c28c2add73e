//! `afterscope notification-list`.

use std::path::Path;

use super::args::{Global, NotificationListArgs};
use super::run::{Runtime, watched};
use super::terminal::{self, bytes, number};
use super::{Failure, print_line};
use crate::config::{self, Overrides};
use crate::error::Error;
use crate::exposure::Choice;
use crate::key::IdHash;
use crate::pipeline::{self, ListRequest};

pub fn run(args: &NotificationListArgs, global: &Global) -> Result<(), Failure> {
    let overrides = Overrides { unsigned: true, ..args.run.overrides() };
    let plan = config::load(&args.run.place.config, &overrides)?;
    let hash = match &args.hash_key {
        None => None,
        Some(reference) => {
            // A flag is relative to the working folder, like other paths of the command line.
            let env = |name: &str| std::env::var(name).ok();
            let secret = config::secret("hash key", reference, Path::new("."), &env)
                .map_err(|reason| Error::Argument { argument: "--hash-key".into(), reason })?;
            Some(IdHash::with_secret(&secret))
        }
    };
    let choice = Choice {
        scopes: args.scopes.iter().cloned().collect(),
        apps: args.apps.iter().cloned().collect(),
    };
    let request = ListRequest { out: args.out.clone(), choice, hash };
    let runtime = Runtime::new()?;
    let (summary, reread) = watched(&runtime, global, |progress, shown| {
        pipeline::notification_list(&plan, &request, &runtime.io, progress, shown)
    })?;
    terminal::info(
        &format!(
            "{} people; read again: {} of {} files, {} of {} row groups, {} of {}",
            number(summary.rows),
            number(reread.files),
            number(reread.of_files),
            number(reread.row_groups),
            number(reread.of_row_groups),
            bytes(reread.bytes),
            bytes(reread.of_bytes),
        ),
        global,
    );
    print_line(&summary)
}
