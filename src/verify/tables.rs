//! The two files of a table hold the same rows, and the roots over them.

use super::check::read;
use super::{Place, Report, VerifyError};
use crate::impact::{ImpactError, Table};
use crate::publish::{Manifest, merkle};

/// Looks at every table; their files' hashes hold.
///
/// # Errors
/// Storage failures.
pub fn check_tables(
    place: &Place,
    manifest: &Manifest,
    report: &mut Report,
) -> Result<(), VerifyError> {
    let tables = manifest.outputs.iter().filter(|o| o.is_csv_table());
    for output in tables {
        let shown = place.shown(&output.path);
        let Some(csv) = read(place, &output.path)? else { continue };
        let part = merkle::table(&output.path, &csv);
        let stated = manifest.merkle.parts.iter().find(|stated| stated.part == output.path);
        if stated != Some(&part) {
            report.differs(format!(
                "{shown}: the root over its rows is {}, and the manifest has another",
                part.root
            ));
        }
        if part.leaves != output.rows.saturating_add(1) {
            report.differs(format!(
                "{shown} has {} rows, and the manifest says {}",
                part.leaves.saturating_sub(1),
                output.rows
            ));
        }
        let name = output.path.trim_end_matches(".csv");
        let beside = format!("{name}.parquet");
        let Some(twin) = manifest.outputs.iter().find(|o| o.path == beside) else {
            report.differs(format!("{shown} has no {beside} beside it"));
            continue;
        };
        if twin.rows != output.rows {
            report.differs(format!(
                "the manifest says that {beside} has {} rows, and {} {}",
                twin.rows, output.path, output.rows
            ));
        }
        let Some(parquet) = read(place, &beside)? else { continue };
        // A CSV file is what its Parquet file reads as.
        let name = name.rsplit('/').next().unwrap_or(name);
        let (mut rest, mut equal, mut is_same) = (csv.as_ref(), 0, true);
        let again = Table::read_back(name, parquet).and_then(|table| {
            table.csv_blocks(true, |block| {
                match rest.strip_prefix(block.as_slice()).filter(|_| is_same) {
                    Some(behind) => {
                        equal += merkle::records(&block).count();
                        rest = behind;
                    }
                    None if is_same => {
                        is_same = false;
                        let both = merkle::records(rest).zip(merkle::records(&block));
                        equal += both.take_while(|(a, b)| a == b).count();
                    }
                    None => {}
                }
                Ok::<(), ImpactError>(())
            })
        });
        match again {
            Err(error) => report.differs(format!("{}: {error}", place.shown(&beside))),
            Ok(()) if !is_same || !rest.is_empty() => {
                report.differs(format!(
                    "{shown} and {} hold different rows, from row {equal} on{}",
                    place.shown(&beside),
                    other_version(manifest)
                ));
            }
            Ok(()) => {
                report.tables += 1;
                report.rows += output.rows;
            }
        }
    }
    Ok(())
}

/// Another version may write a value in another way.
pub fn other_version(manifest: &Manifest) -> String {
    let found = manifest.details.pointer("/program/version").and_then(|v| v.as_str());
    match found {
        Some(found) if found != env!("CARGO_PKG_VERSION") => format!(
            "; the run was made by version {found} and this is {}: look with that one",
            env!("CARGO_PKG_VERSION")
        ),
        _ => String::new(),
    }
}
