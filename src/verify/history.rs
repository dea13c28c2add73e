//! What lies in `history/` of a run, where it was put there.

use super::{Place, Report, VerifyError};
use crate::moment::Moment;
use crate::publish::{Manifest, history_path, merkle, sha256};

/// Whether it is what the run published: all of it, or nothing.
///
/// # Errors
/// Storage failures.
pub fn check_history(
    place: &Place,
    manifest: &Manifest,
    report: &mut Report,
) -> Result<(), VerifyError> {
    let as_of = Moment::parse_rfc3339(merkle::as_of(&manifest.details));
    let Some(as_of) = as_of.filter(|_| !place.run.is_empty()) else { return Ok(()) };
    let (mut some, mut missing) = (false, Vec::new());
    for (table, output) in manifest.parquet_tables() {
        let path = history_path(table, as_of, &manifest.run_id);
        let shown = place.store.shown(&path);
        match place.store.read(&path)? {
            None => missing.push(shown),
            Some((bytes, _)) => {
                some = true;
                if sha256(&bytes) != output.sha256 {
                    report.differs(format!(
                        "{shown} is not {} of run {}",
                        output.path, manifest.run_id
                    ));
                }
            }
        }
    }
    for shown in missing.iter().filter(|_| some) {
        report.differs(format!("{shown} is missing, and other tables of the run are there"));
    }
    Ok(())
}
