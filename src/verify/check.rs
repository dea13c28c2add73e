//! A run's files against its manifest.

use std::collections::BTreeSet;
use std::path::Path;

use bytes::Bytes;

use super::history::check_history;
use super::latest::{check_chain, check_followed, check_latest};
use super::tables::{check_tables, other_trees, other_version};
use super::{Demands, Place, Report, VerifyError};
use crate::publish::{MANIFEST, Manifest, merkle, sha256};
use crate::signature;

/// Looks at everything that was published. What was changed is found by hashes alone; what the
/// manifest says of its tables is looked at, last, only where all of them hold.
///
/// `stage` is told what is looked at.
///
/// # Errors
/// Storage failures. What differs stands in the report.
pub fn check(
    place: &Place,
    demands: &Demands,
    stage: &mut dyn FnMut(&str),
) -> Result<(Report, Option<Manifest>), VerifyError> {
    let mut report = Report::default();
    stage("manifest");
    let Some(bytes) = read(place, MANIFEST)? else {
        report.differs(format!(
            "{} is missing: a run without a manifest is none",
            place.shown(MANIFEST)
        ));
        return Ok((report, None));
    };
    report.manifest_sha256 = sha256(&bytes);
    let manifest = match Manifest::parse(&bytes) {
        Ok(manifest) => manifest,
        Err(reason) => {
            report.differs(format!("{} was changed: {reason}", place.shown(MANIFEST)));
            return Ok((report, None));
        }
    };
    report.run_id = manifest.run_id.clone();
    report.root = manifest.merkle.root.clone();
    if let Some((_, folder)) = place.run.rsplit_once('/')
        && folder != manifest.run_id
    {
        report.differs(format!(
            "{} is the manifest of run {}, not of {folder}",
            place.shown(MANIFEST),
            manifest.run_id
        ));
    }
    check_signature(place, &bytes, demands, &mut report)?;
    stage("files");
    check_files(place, &manifest, &mut report)?;
    stage("other runs");
    check_chain(place, &manifest, &mut report)?;
    check_followed(place, &manifest, &mut report)?;
    check_history(place, &manifest, &mut report)?;
    if place.whole {
        check_latest(place, &manifest, &mut report)?;
    }
    if report.holds() {
        stage("tables");
        check_merkle(place, &manifest, &mut report);
        check_tables(place, &manifest, &mut report)?;
    }
    Ok((report, Some(manifest)))
}

pub(super) fn read(place: &Place, below: &str) -> Result<Option<Bytes>, VerifyError> {
    Ok(place.store.read(&place.path(below))?.map(|(bytes, _)| bytes))
}

fn check_signature(
    place: &Place,
    manifest: &[u8],
    demands: &Demands,
    report: &mut Report,
) -> Result<(), VerifyError> {
    let wanted = demands.public_key.as_ref();
    let shown = place.shown(signature::FILE);
    match (read(place, signature::FILE)?, wanted) {
        (None, None) => {}
        (None, Some(_)) => {
            report.differs(format!("{shown} is missing: the run is not signed"));
        }
        (Some(bytes), _) => match signature::check(&bytes, manifest) {
            Err(reason) => report.differs(format!("{shown} {reason}")),
            Ok(key) if wanted.is_some_and(|wanted| *wanted != key) => report.differs(format!(
                "{shown} is a signature by the key {}, not by the one that was asked for",
                key.to_hex()
            )),
            Ok(key) => report.signed_by = Some(key.to_hex()),
        },
    }
    Ok(())
}

/// Every file that the manifest names, and no other.
fn check_files(place: &Place, manifest: &Manifest, report: &mut Report) -> Result<(), VerifyError> {
    let mut known: BTreeSet<String> =
        [MANIFEST, signature::FILE].into_iter().map(|name| place.path(name)).collect();
    for output in &manifest.outputs {
        let shown = place.shown(&output.path);
        if !known.insert(place.path(&output.path)) {
            report.differs(format!("the manifest names {shown} twice"));
        }
        let Some(bytes) = read(place, &output.path)? else {
            report.differs(format!("{shown} is missing"));
            continue;
        };
        let found = bytes.len() as u64;
        if found != output.bytes {
            report.differs(format!(
                "{shown} was changed: it has {found} bytes and had {}",
                output.bytes
            ));
            continue;
        }
        let hash = sha256(&bytes);
        if hash != output.sha256 {
            report.differs(format!(
                "{shown} was changed: its SHA-256 is {hash} and was {}",
                output.sha256
            ));
            continue;
        }
        report.files += 1;
        report.bytes += found;
    }
    let mut others: BTreeSet<String> =
        place.store.list(&place.run)?.into_iter().map(|listed| listed.path).collect();
    let mut staged = BTreeSet::new();
    if let Some(root) = place.store.local_root() {
        for path in unlisted(root, &place.run, &others) {
            let left_behind = ends_like_staged(&path);
            if left_behind { &mut staged } else { &mut others }.insert(path);
        }
    }
    for path in others.difference(&known) {
        report.differs(format!(
            "{} is no file of this run: the manifest does not name it",
            place.store.shown(path)
        ));
    }
    for path in staged {
        report.warnings.push(format!(
            "{} is no file of this run: a run that was killed left it half written; remove it",
            place.store.shown(&path)
        ));
    }
    Ok(())
}

/// Names of a local folder that its listing does not show: those of files in the making, and of links
/// that lead nowhere.
fn unlisted(root: &Path, run: &str, listed: &BTreeSet<String>) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![root.join(run)];
    while let Some(folder) = folders.pop() {
        // What cannot be opened has failed the listing already.
        for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let below = path.strip_prefix(root).unwrap_or(&path).to_string_lossy().into_owned();
            if !listed.contains(&below) {
                found.push(below);
            }
        }
    }
    found
}

fn ends_like_staged(name: &str) -> bool {
    let tail = name.rsplit_once('#').map(|(_, tail)| tail);
    tail.is_some_and(|tail| !tail.is_empty() && tail.bytes().all(|b| b.is_ascii_digit()))
}

/// The parts that are made of the manifest itself; those of tables are made of their files.
fn check_merkle(place: &Place, manifest: &Manifest, report: &mut Report) {
    let shown = place.shown(MANIFEST);
    let stated = &manifest.merkle;
    if stated.algorithm != merkle::ALGORITHM {
        let other = other_trees(&stated.algorithm);
        report.differs(format!("{shown}: {other}{}", other_version(manifest)));
        return;
    }
    let as_of = merkle::as_of(&manifest.details);
    let over = merkle::Merkle::over(&manifest.run_id, as_of, stated.parts.clone());
    if over != *stated {
        report.differs(format!("{shown}: its merkle.root is not that of its parts"));
    }
    let tables = manifest.outputs.iter().filter(|o| o.is_csv_table()).map(|o| o.path.as_str());
    let expected: Vec<&str> = std::iter::once(merkle::INPUTS).chain(tables).collect();
    if !stated.parts.iter().map(|part| part.part.as_str()).eq(expected) {
        report.differs(format!("{shown}: its merkle.parts are not the inputs and the tables"));
    }
    if stated.parts.first() != Some(&merkle::inputs(&manifest.details)) {
        report.differs(format!("{shown}: the root over the inputs is not that of its files"));
    }
}
