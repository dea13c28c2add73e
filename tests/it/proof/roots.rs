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

/// Leaves of a CSV file without quotes: its header; of the lines below it those with the same scope and app, 64 at most.
fn leaves_of(csv: &str) -> Vec<String> {
    let mut lines = csv.lines();
    let header = lines.next().unwrap();
    let names: Vec<&str> = header.split(',').collect();
    let mut leaves = vec![header.to_string()];
    let mut open: Option<(Vec<&str>, usize)> = None;
    for line in lines {
        let cells = names.iter().zip(line.split(','));
        let own = cells.filter(|(name, _)| ["scope", "app_id"].contains(name));
        let own: Vec<&str> = own.map(|(_, cell)| cell).collect();
        match &mut open {
            Some((of, lines)) if *of == own && *lines < 64 => {
                *lines += 1;
                *leaves.last_mut().unwrap() += &format!("\n{line}");
            }
            _ => {
                open = Some((own, 1));
                leaves.push(line.to_string());
            }
        }
    }
    leaves
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
            let all = leaves_of(&csv);
            assert_eq!(all.len() as u64, leaves, "{name}");
            assert_eq!(part["root"], root_of(&all), "{name}");
        }
    }
    assert_eq!(manifest["merkle"]["root"], root_of(&lines));
}

/// More days of an app than a leaf has records.
fn call_for_many_days(lake: &Lake) {
    for (month, days) in [(7, 31), (8, 31), (9, 30)] {
        for day in 4..=days {
            let date = format!("2019-{month:02}-{day:02}");
            let call = crate::lake::call(&format!("{date}T08:00:00Z"), "app-1", 1);
            lake.log(&format!("logs/dt={date}/part-1.parquet"), &[call]);
        }
    }
}

#[test]
fn many_days_of_an_app_are_some_leaves_and_its_evidence_holds_them() {
    let lake = Lake::standard();
    call_for_many_days(&lake);
    lake.publishes(&["--as-of", "2019-11-01"]);
    let name = "tables/daily_timeline.csv";
    let csv = fs::read_to_string(run_folder(&lake).join(name)).unwrap();
    let leaves = leaves_of(&csv);
    let records = |leaf: &String| leaf.lines().count();
    assert_eq!(leaves.iter().map(records).max(), Some(64));
    let parts = manifest(&lake)["merkle"]["parts"].clone();
    let part = parts.as_array().unwrap().iter().find(|part| part["part"] == name).unwrap();
    assert_eq!(part["leaves"], leaves.len());
    assert_eq!(part["root"], root_of(&leaves));
    super::holds(&lake, &["out"]);

    lake.afterscope(&["evidence", "out", "--app", "app-1", "--out", "e.json"]).succeeds();
    let evidence = lake.json("e.json");
    let tables = evidence["tables"].as_array().unwrap();
    let days = tables.iter().find(|table| table["part"] == name).unwrap();
    let of_app = |leaf: &&String| leaf.contains(",app-1,");
    let expected: Vec<Vec<&str>> =
        leaves.iter().filter(of_app).map(|leaf| leaf.lines().collect()).collect();
    let found: Vec<Vec<&str>> = days["rows"]
        .as_array()
        .unwrap()
        .iter()
        .map(|leaf| leaf["records"].as_array().unwrap())
        .map(|records| records.iter().map(|record| record.as_str().unwrap()).collect())
        .collect();
    assert_eq!(found, expected);
    assert!(found.len() >= 4 && found.iter().any(|leaf| leaf.len() == 64), "{}", found.len());
    for args in
        [&["verify", "--evidence", "e.json"][..], &["verify", "--evidence", "e.json", "out"]]
    {
        let rows = lake.afterscope(args).succeeds().json()["rows"].as_u64().unwrap();
        let lines = csv.lines().filter(|line| line.contains(",app-1,")).count() as u64;
        assert!(rows > lines && lines > 128, "{rows} {lines}");
    }
}

#[test]
fn a_line_end_in_a_cell_ends_no_record() {
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
    // No two rows of this table have the same scope and app.
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
    call_for_many_days(&lake);
    lake.publishes(&["--as-of", "2019-11-01"]);
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
