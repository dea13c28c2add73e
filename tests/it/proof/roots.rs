//! Merkle roots in the manifest, worked out again as RFC 9162 defines them and docs/verify.md says.

use std::fs;
use std::path::Path;
use std::process::Command;

use sha2::{Digest, Sha256};

use super::{manifest, run_folder};
use crate::lake::{Lake, skipped};

type Hash = Vec<u8>;

fn leaf(bytes: &[u8]) -> Hash {
    Sha256::digest([&[0], bytes].concat()).to_vec()
}

/// RFC 9162, 2.1.1.
fn root(leaves: &[Hash]) -> Hash {
    match leaves.len() {
        0 => Sha256::digest([]).to_vec(),
        1 => leaves[0].clone(),
        n => {
            let half = n.next_power_of_two() / 2;
            let (left, right) = (root(&leaves[..half]), root(&leaves[half..]));
            Sha256::digest([vec![1], left, right].concat()).to_vec()
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn root_of(lines: &[String]) -> String {
    hex(&root(&lines.iter().map(|line| leaf(line.as_bytes())).collect::<Vec<_>>()))
}

#[test]
fn roots_are_those_of_the_lines_that_the_manual_names() {
    let lake = Lake::standard();
    lake.publishes(&[]);
    let manifest = manifest(&lake);
    let parts = manifest["merkle"]["parts"].as_array().unwrap();
    // Ten tables or so, and the inputs before them.
    assert_eq!(parts[0]["part"], "inputs");
    let tables: Vec<&str> = parts[1..].iter().map(|p| p["part"].as_str().unwrap()).collect();
    let published: Vec<String> = fs::read_dir(run_folder(&lake).join("tables"))
        .unwrap()
        .map(|entry| format!("tables/{}", entry.unwrap().file_name().into_string().unwrap()))
        .filter(|name| name.ends_with(".csv"))
        .collect();
    let mut sorted = tables.clone();
    sorted.sort_unstable();
    let mut expected: Vec<&str> = published.iter().map(String::as_str).collect();
    expected.sort_unstable();
    assert_eq!(sorted, expected);

    let files = manifest["sources"][0]["files"].as_array().unwrap();
    let inputs: Vec<String> = files
        .iter()
        .map(|file| {
            format!(
                r#"{{"source":"access","url":{},"bytes":{},"e_tag":{},"version":{},"rows":{}}}"#,
                file["url"], file["bytes"], file["e_tag"], file["version"], file["rows"]
            )
        })
        .collect();
    assert_eq!(inputs.len(), 3);
    assert!(
        inputs[0].contains("2019-07-01") && inputs[0].ends_with("\"rows\":4}"),
        "{}",
        inputs[0]
    );
    let registry = manifest["registry"].as_array().unwrap().iter().map(|file| {
        format!(
            r#"{{"registry":{},"url":{},"bytes":{},"sha256":{},"e_tag":null,"version":null}}"#,
            file["role"], file["url"], file["size"], file["sha256"]
        )
    });
    let inputs: Vec<String> = inputs.into_iter().chain(registry).collect();
    assert_eq!(inputs.len(), 5);
    assert_eq!(parts[0]["root"], root_of(&inputs));

    let mut lines =
        vec![format!(r#"{{"run_id":{},"as_of":"2019-09-01T00:00:00Z"}}"#, manifest["run_id"])];
    for part in parts {
        let (name, leaves) = (part["part"].as_str().unwrap(), part["leaves"].as_u64().unwrap());
        lines.push(format!(r#"{{"part":"{name}","leaves":{leaves},"root":{}}}"#, part["root"]));
        if name.ends_with(".csv") {
            // No cell of the standard lake is quoted: records are lines.
            let csv = fs::read_to_string(run_folder(&lake).join(name)).unwrap();
            assert!(!csv.contains('"'), "{name}");
            let records: Vec<String> = csv.lines().map(str::to_string).collect();
            assert_eq!(records.len() as u64, leaves, "{name}");
            assert_eq!(part["root"], root_of(&records), "{name}");
        }
    }
    assert_eq!(manifest["merkle"]["root"], root_of(&lines));
}

#[test]
fn a_cell_with_a_line_end_is_one_leaf() {
    let lake = Lake::standard();
    lake.edit("apps.csv", "app-1,Planner,dev-1,Ada Ltd", "app-1,\"Plan\n\"\"ner\",dev-1,Ada Ltd");
    lake.publishes(&[]);
    let manifest = manifest(&lake);
    let parts = manifest["merkle"]["parts"].as_array().unwrap();
    let of = |name: &str| parts.iter().find(|p| p["part"] == name).unwrap();
    let part = of("tables/app_scope_exposure.csv");
    let csv = fs::read_to_string(run_folder(&lake).join("tables/app_scope_exposure.csv")).unwrap();
    let outputs = manifest["outputs"].as_array().unwrap();
    let rows = outputs.iter().find(|o| o["path"] == part["part"]).unwrap()["rows"].as_u64();
    assert_eq!(part["leaves"].as_u64(), rows.map(|rows| rows + 1));
    assert!(csv.lines().count() as u64 > rows.unwrap() + 1);
    super::holds(&lake, &["out"]);
}

/// The first command of docs/verify.md, as it stands there.
#[test]
fn the_manuals_command_finds_the_hash_on_the_last_line() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/verify.md");
    let page = fs::read_to_string(page).unwrap();
    let command = page.lines().find(|line| line.contains("| sha256sum     #")).unwrap();
    let lake = Lake::standard();
    lake.publishes(&[]);
    let folder = run_folder(&lake);
    let outcome =
        Command::new("sh").args(["-c", command.trim()]).current_dir(&folder).output().unwrap();
    let printed = String::from_utf8(outcome.stdout).unwrap();
    let (hash, _) = printed.split_once(' ').unwrap();
    assert_eq!(manifest(&lake)["sha256"], hash, "{command}");
}

/// The script of docs/verify.md, as it stands there.
#[test]
fn the_manuals_script_finds_the_same_roots() {
    let Some(python) = std::env::var_os("AFTERSCOPE_PYTHON") else {
        skipped("AFTERSCOPE_PYTHON is not set: nothing to run the script of docs/verify.md with");
        return;
    };
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/verify.md");
    let page = fs::read_to_string(page).unwrap();
    let (_, script) = page.split_once("```python\n").unwrap();
    let (script, _) = script.split_once("```").unwrap();
    let lake = Lake::standard();
    lake.edit("apps.csv", "Planner", "\"Plan\n,\"\"ner\"");
    lake.publishes(&[]);
    let run = |folder: &Path| {
        let mut command = Command::new(&python);
        command.args(["-c", script]).current_dir(folder).output().unwrap()
    };
    let folder = run_folder(&lake);
    let outcome = run(&folder);
    let printed = String::from_utf8_lossy(&outcome.stdout).into_owned();
    assert!(outcome.status.success(), "{}", String::from_utf8_lossy(&outcome.stderr));
    let parts = manifest(&lake)["merkle"]["parts"].as_array().unwrap().len();
    assert_eq!(printed.lines().filter(|line| line.starts_with("True ")).count(), parts + 1);
    assert_eq!(printed.lines().count(), parts + 1, "{printed}");
    // Of tables some files have deletes.
    for format in ["delta", "iceberg"] {
        let sample = concat!(env!("CARGO_MANIFEST_DIR"), "/data-samples/groups-2019");
        let config = format!("{sample}-{format}/afterscope.toml");
        let args = ["--as-of", "2019-11-06T00:00:00Z", "--output", format, "--state", "state"];
        lake.afterscope(&[&["run", "--quiet", "--config", &config][..], &args].concat()).succeeds();
        let mut runs = fs::read_dir(lake.path(format).join("runs")).unwrap();
        let printed = run(&runs.next().unwrap().unwrap().path()).stdout;
        let printed = String::from_utf8(printed).unwrap();
        assert!(printed.contains("True inputs") && !printed.contains("False"), "{printed}");
    }
    let table = folder.join("tables/findings.csv");
    let text = fs::read_to_string(&table).unwrap();
    assert!(text.contains(",app-1,"), "{text}");
    fs::write(&table, text.replacen(",app-1,", ",app-2,", 1)).unwrap();
    let printed = String::from_utf8_lossy(&run(&folder).stdout).into_owned();
    assert!(printed.contains("False tables/findings.csv"), "{printed}");
}
