//! A forger who knows how runs are made: every hash fits, and yet.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use afterscope::impact::Table;
use afterscope::publish::{Manifest, merkle, sha256};
use arrow::array::{ArrayRef, AsArray, Int64Array};
use arrow::datatypes::Int64Type;

use super::{differs, holds, run_folder};
use crate::lake::Lake;

/// The table with every request, in `requests_allowed`, made one less.
fn fewer(table: &Table) -> Table {
    let batch = &table.batch;
    let columns: Vec<ArrayRef> = batch
        .schema()
        .fields()
        .iter()
        .zip(batch.columns())
        .map(|(field, column)| {
            if field.name() != "requests_allowed" {
                return column.clone();
            }
            let values = column.as_primitive::<Int64Type>();
            assert!(!values.is_empty());
            let less = values.iter().map(|v| v.map(|v| v - 1));
            Arc::new(Int64Array::from_iter(less)) as ArrayRef
        })
        .collect();
    let batch = arrow::array::RecordBatch::try_new(batch.schema(), columns).unwrap();
    Table { name: table.name.clone(), batch }
}

/// Writes files of a run, and a manifest that fits them.
fn rewrite(folder: &Path, files: &[(&str, Vec<u8>)]) {
    let path = folder.join("manifest.json");
    let mut manifest = Manifest::parse(&fs::read(&path).unwrap()).unwrap();
    for (name, bytes) in files {
        fs::write(folder.join(name), bytes).unwrap();
        let output = manifest.outputs.iter_mut().find(|o| o.path == *name).unwrap();
        output.bytes = bytes.len() as u64;
        output.sha256 = sha256(bytes);
        for part in manifest.merkle.parts.iter_mut().filter(|part| part.part == *name) {
            *part = merkle::table(name, bytes).0;
        }
    }
    let as_of = merkle::as_of(&manifest.details).to_string();
    manifest.merkle = merkle::Merkle::over(&manifest.run_id, &as_of, manifest.merkle.parts.clone());
    fs::write(&path, manifest.render()).unwrap();
}

/// Takes a request out of every row of `scope_summary`, in all places that say so, but for `latest`.
pub fn forge(lake: &Lake) {
    let folder = run_folder(lake);
    let name = "tables/scope_summary.parquet";
    let parquet = fs::read(folder.join(name)).unwrap();
    let table = fewer(&Table::read_back("scope_summary", parquet.into()).unwrap());
    let parquet = table.parquet().unwrap().bytes.to_vec();
    let csv = table.csv().unwrap();
    rewrite(&folder, &[(name, parquet), ("tables/scope_summary.csv", csv)]);
}

#[test]
fn a_forged_run_is_noticed_by_what_lies_outside_of_it() {
    let lake = Lake::standard();
    super::signature::write_keys(&lake);
    lake.publishes(&["--sign-key", "key.pem"]);
    forge(&lake);
    let folder = run_folder(&lake);
    let folder = folder.to_str().unwrap();
    // By the signature,
    differs(&lake.afterscope(&["verify", folder]), &["is no signature of this manifest"]);
    fs::remove_file(run_folder(&lake).join("manifest.json.sig")).unwrap();
    differs(&lake.afterscope(&["verify", folder, "--public-key", "public.pem"]), &["not signed"]);
    // by latest.json, which holds the manifest's hash,
    let found = differs(&lake.afterscope(&["verify", "out"]), &["latest.json does not name"]);
    assert!(found.iter().any(|d| d.contains("latest/scope_summary.parquet")), "{found:?}");
    // and by counting again. The run's folder alone cannot tell: everything in it fits.
    holds(&lake, &[folder]);
    let args = ["verify", folder, "--recompute", "--config", "afterscope.toml"];
    let found = differs(&lake.afterscope(&args), &["comes out with SHA-256"]);
    assert!(found[0].contains("tables/scope_summary.parquet"), "{found:?}");
    assert_eq!(found.len(), 2, "{found:?}");
}

#[test]
fn two_files_of_a_table_that_say_different_things_are_noticed() {
    let lake = Lake::standard();
    lake.publishes(&[]);
    let folder = run_folder(&lake);
    let csv = fs::read_to_string(folder.join("tables/findings.csv")).unwrap();
    assert!(csv.contains("app-1"), "{csv}");
    let other = csv.replacen("app-1", "app-7", 1).into_bytes();
    rewrite(&folder, &[("tables/findings.csv", other)]);
    let says = ["tables/findings.csv and", "hold different rows, from row 1 on"];
    differs(&lake.afterscope(&["verify", folder.to_str().unwrap()]), &says);
}

#[test]
fn a_manifest_that_says_other_things_than_its_tables_is_noticed() {
    let lake = Lake::standard();
    lake.publishes(&[]);
    let folder = run_folder(&lake);
    let path = folder.join("manifest.json");
    let good = fs::read(&path).unwrap();
    type Change = fn(&mut Manifest);
    let changes: [(Change, &str); 7] = [
        (|m| m.merkle.algorithm = "none\n".into(), "look with the build that made it"),
        (|m| m.outputs[0].rows += 1, "rows"),
        (|m| m.merkle.parts[1].leaves += 1, "merkle.root is not that of its parts"),
        (
            |m| m.merkle.root = m.merkle.parts[0].root.clone(),
            "merkle.root is not that of its parts",
        ),
        (|m| m.details["sources"][0]["files"][0]["rows"] = 5.into(), "root over the inputs"),
        (|m| m.run_id.push('0'), "is the manifest of run"),
        (|m| m.outputs.truncate(2), "is no file of this run"),
    ];
    for (change, says) in changes {
        let mut manifest = Manifest::parse(&good).unwrap();
        change(&mut manifest);
        fs::write(&path, manifest.render()).unwrap();
        differs(&lake.afterscope(&["verify", folder.to_str().unwrap()]), &[says]);
    }
}
