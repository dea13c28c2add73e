//! The two files of a table hold the same rows, and the roots over them.

use super::check::read;
use super::{Place, Report, VerifyError};
use crate::hidden::visible;
use crate::impact::{Block, ImpactError, Table};
use crate::publish::{Manifest, merkle, table_of};

/// Looks at every table; their files' hashes hold.
///
/// # Errors
/// Storage failures.
pub fn check_tables(
    place: &Place,
    manifest: &Manifest,
    report: &mut Report,
) -> Result<(), VerifyError> {
    for output in &manifest.outputs {
        let Some(name) = table_of(&output.path) else { continue };
        let shown = place.shown(&output.path);
        let Some(csv) = read(place, &output.path)? else { continue };
        let (part, records) = merkle::table(&output.path, &csv);
        let stated = manifest.merkle.parts.iter().find(|stated| stated.part == output.path);
        // Where trees are made in another way it is told once.
        if manifest.merkle.algorithm == merkle::ALGORITHM && stated != Some(&part) {
            report.differs(format!(
                "{shown}: the root over its rows is {}, and the manifest has another",
                part.root
            ));
        }
        let rows = records.saturating_sub(1) as u64;
        if rows != output.rows {
            let said = output.rows;
            report.differs(format!("{shown} has {rows} rows, and the manifest says {said}"));
        }
        let beside = format!("tables/{name}.parquet");
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
        let again =
            Table::read_back(name, parquet).and_then(|table| first_difference(&table, &csv));
        match again {
            Err(error) => report.differs(format!("{}: {error}", place.shown(&beside))),
            Ok(Some(row)) => {
                report.differs(format!(
                    "{shown} and {} hold different rows, from row {row} on{}",
                    place.shown(&beside),
                    other_version(manifest)
                ));
            }
            Ok(None) => {
                report.tables += 1;
                report.rows += output.rows;
            }
        }
    }
    Ok(())
}

/// The first record from which on the bytes of a table's CSV file are not those that the table gives, if there is one.
fn first_difference(table: &Table, csv: &[u8]) -> Result<Option<usize>, ImpactError> {
    let (mut rest, mut equal, mut differs) = (csv, 0, false);
    table.csv_blocks(true, |block| {
        if differs {
            return Ok(());
        }
        let Block { bytes: block, .. } = block;
        let behind = rest.strip_prefix(block.as_slice());
        let both = merkle::records(rest).zip(merkle::records(&block));
        equal += both.take_while(|(a, b)| a == b).count();
        differs = behind.is_none();
        rest = behind.unwrap_or(rest);
        Ok::<(), ImpactError>(())
    })?;
    Ok((differs || !rest.is_empty()).then_some(equal))
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

/// That trees are made otherwise than here: nothing can be said of them.
pub fn other_trees(algorithm: &str) -> String {
    format!(
        "its trees are made in another way (`{}`) than by this build (`{}`): look with the build that made it",
        visible(algorithm),
        merkle::ALGORITHM
    )
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, Int64Array};
    use arrow::record_batch::RecordBatch;

    use super::*;

    #[test]
    fn the_first_row_that_differs_is_told_in_whatever_block_it_lies() {
        let numbers: ArrayRef = Arc::new(Int64Array::from_iter_values(0..100_000));
        let batch = RecordBatch::try_from_iter([("n", numbers)]).unwrap();
        let table = Table { name: "t".into(), batch };
        let csv = table.csv().unwrap();
        let found = |csv: &[u8]| first_difference(&table, csv).unwrap();
        assert_eq!(found(&csv), None);
        // The names are record 0.
        let text = String::from_utf8(csv.clone()).unwrap();
        assert_eq!(found(text.replace("\n70000\n", "\n7000x\n").as_bytes()), Some(70_001));
        assert_eq!(found(text.replacen('n', "m", 1).as_bytes()), Some(0));
        assert_eq!(found(text.replace("\n99999\n", "\n").as_bytes()), Some(100_000));
        // Every record is the same, and the bytes are not.
        assert_eq!(found(text.trim_end().as_bytes()), Some(100_001));
        assert_eq!(found(format!("{text}x\n").as_bytes()), Some(100_001));
        assert_eq!(found(b""), Some(0));
    }
}
