//! What a run pins beside data files, and what `verify --inputs` says of it.

use std::fs;

use roaring::RoaringTreemap;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{add, base_85, commit, protocol, remove, requests, table};
use crate::lake::{Lake, Outcome};
use crate::trouble::holes::are_told_everywhere;

/// Writes a file with one deletion vector; gives its name, and what the log says of it.
fn vector(lake: &Lake, rows: &[u64]) -> (String, Value) {
    let uuid = Uuid::from_u128(0x0123_4567_89ab_cdef_0123_4567_89ab_cdef);
    let mut body = 1_681_511_377u32.to_le_bytes().to_vec();
    let bitmap: RoaringTreemap = rows.iter().copied().collect();
    bitmap.serialize_into(&mut body).unwrap();
    let (size, sum) = (u32::try_from(body.len()).unwrap(), crc32fast::hash(&body));
    let name = format!("deletion_vector_{uuid}.bin");
    let bytes = [&[1][..], &size.to_be_bytes(), &body, &sum.to_be_bytes()].concat();
    fs::write(lake.path("logs").join(&name), bytes).unwrap();
    let descriptor = json!({
        "storageType": "u", "pathOrInlineDv": base_85(uuid.as_bytes()), "offset": 1,
        "sizeInBytes": size, "cardinality": rows.len(),
    });
    (name, descriptor)
}

/// Writes a file anew: the same bytes, another version.
fn touch(lake: &Lake, path: &str) {
    let path = lake.path(path);
    let bytes = fs::read(&path).unwrap();
    fs::remove_file(&path).unwrap();
    fs::write(path.with_extension("other"), &bytes).unwrap();
    fs::rename(path.with_extension("other"), &path).unwrap();
}

/// Expects every text somewhere among the differences.
pub fn differs(outcome: &Outcome, says: &[&str]) {
    assert_eq!(outcome.code, 3, "{outcome:#?}");
    let found = outcome.json()["differences"].to_string();
    for text in says {
        assert!(found.contains(text), "nothing says {text:?} in\n{found}");
    }
}

#[test]
fn deletion_vectors_and_the_log_are_inputs() {
    let lake = table();
    let (name, descriptor) = vector(&lake, &[0, 3]);
    let mut with = add(&lake, "part-0.parquet", "2019-07-01", "dt");
    with["add"]["deletionVector"] = descriptor;
    commit(&lake, 2, &[protocol(&["deletionVectors"]), remove("part-0.parquet"), with]);
    assert_eq!(requests(&lake, &[]), "4");
    let verify = || lake.afterscope(&["verify", "out", "--inputs"]);
    // Three files of data, a vector, three commits, two files of the registry.
    let inputs = json!({"files": 9, "unchanged": 9, "changed": 0, "missing": 0});
    assert_eq!(verify().succeeds().json()["inputs"], inputs);
    let vector = format!("logs/{name}");
    touch(&lake, &vector);
    differs(&verify(), &["deletes in", &name, "was changed"]);
    let kept = fs::read(lake.path(&vector)).unwrap();
    fs::remove_file(lake.path(&vector)).unwrap();
    differs(&verify(), &["deletes in", &name, "is missing"]);
    // A version without all of its files is none, whatever the ledger holds.
    lake.run(&[]).fails(3, &["version 2 of the Delta table", &name, "the latest"]);
    fs::write(lake.path(&vector), kept).unwrap();
    lake.publishes(&[]);
    touch(&lake, "logs/_delta_log/00000000000000000001.json");
    differs(&verify(), &["metadata in", "00000000000000000001.json was changed"]);
    // A log forgets what a checkpoint holds since.
    fs::remove_file(lake.path("logs/_delta_log/00000000000000000001.json")).unwrap();
    let told = verify().succeeds().json();
    assert!(told["warnings"][0].as_str().unwrap().contains("is not there any more"), "{told}");
}

#[test]
fn a_file_that_is_lost_or_whose_vector_is_leaves_a_hole_and_no_row() {
    // Of the second and third day: a call of person 1 in group 11, one of person 5 in group 12.
    let without = json!({"requests_allowed": 2, "subjects_observed": 2, "groups": 2, "apps": 2});
    let lake = table();
    let file = lake.path("logs/part-0.parquet");
    let is_hole = |says: &[&str], output: &str| {
        let says = [says, &["--allow-incomplete"]].concat();
        lake.run(&["--output", output, "--state", "state"]).fails(3, &says);
        let args = ["--output", output, "--state", "state", "--allow-incomplete"];
        let outcome = lake.run(&args).succeeds();
        are_told_everywhere(&outcome, &["part-0.parquet"], &without);
        assert!(says[..1].iter().all(|text| outcome.stderr.contains(text)), "{outcome:#?}");
    };
    // The ledger has all of its rows.
    let state = ["--state", "state"];
    assert_eq!(requests(&lake, &state), "6");
    let kept = fs::read(&file).unwrap();
    fs::remove_file(&file).unwrap();
    is_hole(
        &["part-0.parquet", "version 1", "is not there, though version 1 is the latest"],
        "gone",
    );
    let verify = |output: &str| lake.afterscope(&["verify", output, "--inputs"]);
    differs(&verify("gone"), &["part-0.parquet is missing"]);
    fs::write(&file, b"PAR1 and no more").unwrap();
    is_hole(&["part-0.parquet", "has 16 bytes"], "other");
    verify("other").succeeds();
    fs::write(&file, kept).unwrap();
    differs(&verify("gone"), &["part-0.parquet is there again"]);
    differs(&verify("other"), &["part-0.parquet was changed: it has"]);

    let (name, descriptor) = vector(&lake, &[0, 3]);
    let mut with = add(&lake, "part-0.parquet", "2019-07-01", "dt");
    with["add"]["deletionVector"] = descriptor;
    commit(&lake, 2, &[protocol(&["deletionVectors"]), remove("part-0.parquet"), with]);
    assert_eq!(requests(&lake, &state), "4");
    let vector = lake.path("logs").join(&name);
    let kept = fs::read(&vector).unwrap();
    fs::remove_file(&vector).unwrap();
    is_hole(&[&name, "version 2"], "lost");
    differs(&verify("lost"), &["deletes in", &format!("{name} is missing")]);
    // Three files of data, a vector, three commits, two files of the registry.
    let inputs = json!({"files": 9, "unchanged": 8, "changed": 0, "missing": 1});
    assert_eq!(verify("lost").json()["inputs"], inputs);
    lake.afterscope(&["inspect", "logs"]).fails(3, &[&name, "restore the file"]);
    fs::write(&vector, kept).unwrap();
    differs(&verify("lost"), &["deletes in", &format!("{name} is there again")]);
    let inputs = json!({"files": 9, "unchanged": 8, "changed": 1, "missing": 0});
    assert_eq!(verify("lost").json()["inputs"], inputs);
    assert_eq!(requests(&lake, &[&state[..], &["--allow-incomplete"]].concat()), "4");
}
