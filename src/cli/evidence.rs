//! `afterscope evidence`.

use super::args::{EvidenceArgs, Global};
use super::run::Runtime;
use super::verify::{find, look};
use super::{Failure, print_bytes};
use crate::error::Error;
use crate::verify::{self, Demands, VerifyError};

pub fn run(args: &EvidenceArgs, global: &Global) -> Result<(), Failure> {
    let named = [("--app", "app", Some(&args.app)), ("--scope", "scope", args.scope.as_ref())];
    let empty = |id: &Option<&String>| id.is_some_and(|id| id.is_empty());
    if let Some((argument, what, _)) = named.iter().find(|(.., id)| empty(id)) {
        let reason = format!("it is empty; name the {what} as the log does");
        return Err(Error::Argument { argument: (*argument).into(), reason }.into());
    }
    let runtime = Runtime::new()?;
    let place = find(&args.run, &runtime.io)?;
    let (report, manifest) = look(&place, &Demands::default(), global)?;
    let Some(manifest) = manifest.filter(|_| report.holds()) else {
        return Err(VerifyError::Differs(report.shown()).into());
    };
    let evidence = verify::extract(&place, &manifest, &args.app, args.scope.as_deref())?;
    let text = evidence.render();
    match &args.out {
        None => print_bytes(text.as_bytes()),
        Some(path) => Ok(std::fs::write(path, text).map_err(|e| {
            let reason = format!("the evidence cannot be written there: {e}");
            Error::unwritable(path.display().to_string(), reason, &e)
        })?),
    }
}
