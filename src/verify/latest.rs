//! A run among the others: the one that it supersedes, and what `latest` points to.

use chrono::NaiveDateTime;

use super::check::read;
use super::{Place, Report, VerifyError};
use crate::config::is_run_id;
use crate::moment::{Moment, Zone};
use crate::publish::{
    LATEST_FOLDER, Latest, MANIFEST, Manifest, OWNER, OWNER_BYTES, POINTER, Publisher, merkle,
    sha256,
};

/// The ids of the runs of an output, those with a manifest.
fn runs(place: &Place) -> Result<Vec<String>, VerifyError> {
    Ok(Publisher::look(place.store.clone()).runs()?)
}

/// Whether the superseded manifest is among the other runs.
///
/// # Errors
/// Storage failures.
pub fn check_chain(
    place: &Place,
    manifest: &Manifest,
    report: &mut Report,
) -> Result<(), VerifyError> {
    let Some(superseded) = &manifest.supersedes else { return Ok(()) };
    if place.run.is_empty() {
        report.warnings.push(format!(
            "the run supersedes the manifest with SHA-256 {superseded}; the other runs are not here, so that it was not looked for"
        ));
        return Ok(());
    }
    // The one before is mostly the nearest by name.
    for run in runs(place)?.iter().rev().filter(|run| **run != manifest.run_id) {
        let path = format!("runs/{run}/{MANIFEST}");
        if place.store.read(&path)?.is_some_and(|(bytes, _)| sha256(&bytes) == *superseded) {
            return Ok(());
        }
    }
    report.warnings.push(format!(
        "no other run here has the manifest with SHA-256 {superseded} that this one supersedes: it was removed, changed, or published anew"
    ));
    Ok(())
}

/// Whether the report that the run follows still is what it was.
///
/// # Errors
/// Storage failures.
pub fn check_followed(
    place: &Place,
    manifest: &Manifest,
    report: &mut Report,
) -> Result<(), VerifyError> {
    let follows = manifest.details.pointer("/report/follows");
    let text = |key: &str| follows.and_then(|f| f.get(key)).and_then(|v| v.as_str());
    let (Some(run_id), Some(hash)) = (text("run_id"), text("manifest_sha256")) else {
        return Ok(());
    };
    let found = match is_run_id(run_id) && !place.run.is_empty() {
        true => place.store.read(&format!("runs/{run_id}/{MANIFEST}"))?,
        false => None,
    };
    match found {
        Some((bytes, _)) if sha256(&bytes) == hash => {}
        Some(_) => report.warnings.push(format!(
            "the manifest of {run_id}, which the run follows, is another than then: what changed since cannot be looked at"
        )),
        None => report.warnings.push(format!(
            "the run follows {run_id}, which is not here: what changed since cannot be looked at"
        )),
    }
    Ok(())
}

/// Whether `latest.json`, `latest/` and the owner's mark are those of the run that is the latest.
///
/// # Errors
/// Storage failures.
pub fn check_latest(
    place: &Place,
    manifest: &Manifest,
    report: &mut Report,
) -> Result<(), VerifyError> {
    let store = &place.store;
    match store.read(OWNER)? {
        Some((bytes, _)) if bytes == OWNER_BYTES => {}
        Some(_) => report.differs(format!("{} was changed", store.shown(OWNER))),
        None => report.differs(format!("{} is missing", store.shown(OWNER))),
    }
    let as_of = merkle::as_of(&manifest.details);
    let expected = Latest {
        run_id: manifest.run_id.clone(),
        as_of: as_of.to_string(),
        manifest: place.path(MANIFEST),
        manifest_sha256: report.manifest_sha256.clone(),
    };
    if store.read(POINTER)?.is_none_or(|(bytes, _)| bytes != expected.render()) {
        report.differs(format!(
            "{} does not name this manifest, its hash and its as_of: one of them was changed",
            store.shown(POINTER)
        ));
    }
    if let Some(own) = Moment::parse_rfc3339(as_of) {
        for run in runs(place)? {
            if as_of_in(&run).is_some_and(|other| other > own) {
                report.differs(format!(
                    "{} names run {}, and run {run} has a later as_of",
                    store.shown(POINTER),
                    manifest.run_id
                ));
            }
        }
    }
    let mut known = Vec::new();
    for output in manifest.outputs.iter().filter(|o| o.path.ends_with(".parquet")) {
        let name = output.path.rsplit('/').next().unwrap_or_default();
        let path = format!("{LATEST_FOLDER}/{name}");
        let shown = store.shown(&path);
        match store.read(&path)? {
            None => report.differs(format!("{shown} is missing")),
            Some((bytes, _)) if sha256(&bytes) != output.sha256 => {
                report.differs(format!("{shown} is not {} of run {}", output.path, manifest.run_id))
            }
            Some(_) => {}
        }
        known.push(path);
    }
    for listed in store.list(LATEST_FOLDER)? {
        if !known.contains(&listed.path) {
            report.differs(format!(
                "{} is no table of run {}",
                store.shown(&listed.path),
                manifest.run_id
            ));
        }
    }
    // It is read again: who publishes meanwhile moves it.
    if read(place, MANIFEST)?.is_none_or(|bytes| sha256(&bytes) != report.manifest_sha256) {
        report.differs(format!("{} changed while it was looked at", place.shown(MANIFEST)));
    }
    Ok(())
}

/// The `as_of` that a run's id begins with.
fn as_of_in(run_id: &str) -> Option<Moment> {
    let (as_of, _) = run_id.rsplit_once('-')?;
    let naive = NaiveDateTime::parse_from_str(as_of, "%Y%m%dT%H%M%S%.fZ").ok()?;
    Zone::UTC.resolve(naive)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_id_tells_its_as_of() {
        for text in ["2019-11-06T00:00:00Z", "2019-11-06T01:02:03.000000001Z"] {
            let at = Moment::parse_rfc3339(text).unwrap();
            assert_eq!(as_of_in(&format!("{}-0123456789ab", at.to_compact())), Some(at));
        }
    }
}
