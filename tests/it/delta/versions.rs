//! Which version of a table is read, what is said of it, and what is said where there is none.

use std::fs::{self, File};
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};

use super::{add, commit, protocol, remove, requests, table};
use crate::lake::{Lake, call, micros};
use crate::proof::holds;

fn log(version: u64) -> String {
    format!("logs/_delta_log/{version:020}.json")
}

/// Sets when a commit's file was written.
fn written(lake: &Lake, version: u64, at: &str) {
    let since = Duration::from_micros(u64::try_from(micros(at)).unwrap());
    let file = File::options().append(true).open(lake.path(&log(version))).unwrap();
    file.set_modified(SystemTime::UNIX_EPOCH + since).unwrap();
}

/// When a commit says that it was made.
pub fn made(at: &str) -> Value {
    json!({"commitInfo": {"timestamp": micros(at) / 1000, "operation": "WRITE"}})
}

/// The standard table, each commit with its own time in it; files of them were written then.
pub fn dated() -> Lake {
    let lake = table();
    for (version, at) in [(0, "2019-08-01T00:00:00Z"), (1, "2019-08-02T00:00:00Z")] {
        let text = fs::read_to_string(lake.path(&log(version))).unwrap();
        lake.write(&log(version), &format!("{}\n{text}", made(at)));
        written(&lake, version, at);
    }
    lake
}

fn at(moment: &str) -> String {
    format!("source.0.timestamp={moment}")
}

#[test]
fn a_commit_without_an_action_is_told() {
    let lake = table();
    assert!(!lake.run(&[]).succeeds().stderr.contains("no action"));
    for (version, text) in [(2, ""), (3, "\n \n"), (4, "{}\n")] {
        lake.write(&log(version), text);
        assert_eq!(lake.plan(&[])["sources"][0]["version"], version);
        let told = lake.run(&[]).succeeds().stderr;
        let name = format!("{version:020}.json");
        assert!(told.contains("hold no action") && told.contains(&name), "{told}");
    }
    assert_eq!(requests(&lake, &[]), "6");
    // It stands in the manifest, and so a run that is used again says it again.
    let told = lake.run(&[]).succeeds();
    assert_eq!(told.json()["reused"], true);
    assert!(told.stderr.contains("hold no action"), "{}", told.stderr);
    let before = lake.run(&["--set", "source.0.version=1"]).succeeds().stderr;
    assert!(!before.contains("no action"), "{before}");
}

#[test]
fn a_timestamp_takes_the_last_version_by_then() {
    let lake = dated();
    let read = |moment: &str| {
        let set = at(moment);
        let told = lake.run(&["--set", &set]).succeeds();
        (told.json()["totals"]["requests_allowed"].as_u64().unwrap(), told.stderr)
    };
    let (first, told) = read("2019-08-01T23:59:59Z");
    assert_eq!(first, 5);
    assert!(!told.contains("timestamp"), "{told}");
    // The moment itself: nothing is doubtful.
    let (second, told) = read("2019-08-02T00:00:00Z");
    assert_eq!(second, 6);
    assert!(!told.contains("timestamp"), "{told}");
    // Later than the latest: the run may have been too early.
    let (latest, told) = read("2019-08-03T00:00:00Z");
    assert_eq!(latest, 6);
    let says = "`timestamp` 2019-08-03T00:00:00Z is later than version 1, the latest, of 2019-08-02T00:00:00Z";
    assert!(told.contains(says) && told.contains("`version = 1`"), "{told}");
    let seen = lake.afterscope(&["inspect", "logs", "--timestamp", "2019-08-03"]).succeeds();
    assert!(seen.stdout.contains("is later than version 1"), "{}", seen.stdout);
    let set = at("2019-07-31");
    let says = ["the first version that its log still has is 0, of 2019-08-01T00:00:00Z"];
    lake.run(&["--set", &set]).fails(1, &[&says[..], &["/logs", "versions 0 to 1"]].concat());
}

#[test]
fn a_copy_whose_files_have_other_times_than_its_commits_is_told() {
    let lake = dated();
    written(&lake, 0, "2019-09-01T00:00:00Z");
    written(&lake, 1, "2019-09-02T00:00:00Z");
    let set = at("2019-09-01T12:00:00Z");
    let told = lake.run(&["--set", &set]).succeeds();
    assert_eq!(told.json()["totals"]["requests_allowed"], 5);
    let says = "chooses version 0 by the times of the log's files, and version 1 by the times that the commits";
    assert!(told.stderr.contains(says), "{}", told.stderr);
    // Commits that do not tell their times speak for no version.
    let silent = table();
    written(&silent, 0, "2019-09-01T00:00:00Z");
    written(&silent, 1, "2019-09-02T00:00:00Z");
    let told = silent.run(&["--set", &set]).succeeds();
    assert_eq!(told.json()["totals"]["requests_allowed"], 5);
    assert!(!told.stderr.contains("chooses version"), "{}", told.stderr);
    // A run that was warned is the same when it is made again, from the version that it names.
    let args = ["verify", "out", "--recompute", "--config", "afterscope.toml", "--set", &set];
    lake.run(&["--set", &set]).succeeds();
    assert_eq!(lake.afterscope(&args).succeeds().json()["recomputed"], true);
}

#[test]
fn a_run_without_a_file_that_is_gone_comes_out_again_when_the_table_has_a_later_version() {
    let lake = table();
    fs::remove_file(lake.path("logs/part-1.parquet")).unwrap();
    let told = lake.run(&["--allow-incomplete"]).succeeds();
    assert!(
        told.stderr.contains("part-1.parquet, which is not there, though version 1 is the latest")
    );
    let recompute = ["out", "--recompute", "--config", "afterscope.toml"];
    holds(&lake, &recompute);
    lake.log("logs/part-3.parquet", &[call("2019-07-04T08:00:00Z", "app-1", 1)]);
    commit(&lake, 2, &[add(&lake, "part-3.parquet", "2019-07-04", "dt")]);
    holds(&lake, &recompute);
    // By its number it is not the latest any more: another guess.
    let again = lake.run(&["--set", "source.0.version=1", "--allow-incomplete"]).succeeds();
    assert!(again.stderr.contains("part-1.parquet, which is not there any more; VACUUM"));
}

#[test]
fn versions_that_are_not_there_are_named_with_those_that_are() {
    let lake = table();
    let says = ["/logs at version 99", "version 99 is not there", "its log has versions 0 to 1"];
    lake.refuses(&["--set", "source.0.version=99"], 1, &says);
    let set = at("2019-07-31");
    lake.refuses(&["--set", &set], 1, &["/logs as of 2019-07-31", "versions 0 to 1"]);
    // A commit in the middle is gone.
    commit(&lake, 3, &[remove("part-0.parquet")]);
    lake.refuses(&[], 1, &["/logs", "version 2 is missing", "its log has versions 0 to 1"]);
}

#[test]
fn a_torn_commit_is_damage_with_the_name_of_its_file() {
    let lake = table();
    let whole = fs::read(lake.path(&log(1))).unwrap();
    fs::write(lake.path(&log(1)), &whole[..whole.len() / 2]).unwrap();
    let says = ["/logs", "is damaged", "00000000000000000001.json"];
    lake.refuses(&[], 3, &says);
    fs::write(lake.path(&log(1)), [&whole[..], b"{\"add\": 7}\n"].concat()).unwrap();
    lake.refuses(&[], 3, &says);
    // An earlier version does not need it.
    assert_eq!(requests(&lake, &["--set", "source.0.version=0"]), "5");
}

/// The committed sample's table, which has a checkpoint of its version 3 of 6.
fn sample() -> Lake {
    let lake = Lake::empty();
    let from = concat!(env!("CARGO_MANIFEST_DIR"), "/data-samples/groups-2019-delta/logs");
    let mut folders = vec![String::new()];
    while let Some(folder) = folders.pop() {
        fs::create_dir_all(lake.path("logs").join(&folder)).unwrap();
        for entry in fs::read_dir(format!("{from}/{folder}")).unwrap() {
            let entry = entry.unwrap();
            let name = entry.file_name().into_string().unwrap();
            let below = if folder.is_empty() { name } else { format!("{folder}/{name}") };
            if entry.file_type().unwrap().is_dir() {
                folders.push(below);
            } else {
                fs::copy(entry.path(), lake.path("logs").join(&below)).unwrap();
            }
        }
    }
    lake
}

#[test]
fn a_log_whose_commits_were_cleaned_begins_with_its_checkpoint() {
    let lake = sample();
    let seen =
        |args: &[&str]| lake.afterscope(&[&["inspect", "logs", "--json"][..], args].concat());
    let whole = seen(&["--version", "3"]).succeeds().stdout;
    (0..=3).for_each(|version| fs::remove_file(lake.path(&log(version))).unwrap());
    assert_eq!(seen(&[]).succeeds().json_of_all()["version"], 6);
    let says = ["version 1 is not there", "its log has versions 3 to 6"];
    seen(&["--version", "1"]).fails(1, &says);
    (4..=6).for_each(|version| fs::remove_file(lake.path(&log(version))).unwrap());
    // The checkpoint alone is a version still; when it was made only its commit told.
    let (mut whole, mut alone): (Value, Value) = (
        serde_json::from_str(&whole).unwrap(),
        serde_json::from_str(&seen(&[]).succeeds().stdout).unwrap(),
    );
    assert_ne!(whole["version_made_at"], alone["version_made_at"]);
    for seen in [&mut whole, &mut alone] {
        seen["version_made_at"] = Value::Null;
    }
    assert_eq!(whole["versions"]["last"].as_array().unwrap().len(), 4);
    assert_eq!(alone["versions"]["last"].as_array().unwrap().len(), 0);
    whole["versions"] = alone["versions"].clone();
    assert_eq!(whole, alone);
    let says = ["commits that tell when versions were made", "version 3", "`version`"];
    seen(&["--timestamp", "2019-11-07"]).fails(1, &says);
    // A checkpoint that cannot be read is damage.
    let path = lake.path("logs/_delta_log/00000000000000000003.checkpoint.parquet");
    let bytes = fs::read(&path).unwrap();
    fs::write(&path, &bytes[..bytes.len() - 9]).unwrap();
    seen(&[]).fails(3, &["is damaged", "00000000000000000003.checkpoint.parquet"]);
}

#[test]
fn the_version_is_said_before_and_while_it_is_read() {
    let lake = dated();
    let first = ["--set", "source.0.version=0"];
    let source = &lake.plan(&first)["sources"][0];
    assert_eq!(
        [&source["format"], &source["version"], &source["version_made_at"], &source["warnings"]],
        [&json!("delta"), &json!(0), &json!("2019-08-01T00:00:00Z"), &json!([])]
    );
    let shown = "Delta version 0 of 2019-08-01T00:00:00Z";
    let args = ["plan", "--config", "afterscope.toml", "--as-of", "2019-08-31", first[0], first[1]];
    let plan = lake.afterscope(&args).succeeds().stdout;
    assert!(plan.contains(&format!("\n  {shown}\n")), "{plan}");
    let told = lake.run(&["-v", first[0], first[1]]).succeeds().stderr;
    assert!(told.contains(&format!("source access ({shown}): 2 files to read")), "{told}");
    let plain = Lake::standard();
    assert_eq!(plain.plan(&[])["sources"][0]["format"], "parquet");
    assert_eq!(plain.plan(&[])["sources"][0]["version"], Value::Null);
}

/// Adds a second source, the same as the first but for some lines.
fn twice(lake: &Lake, edits: &[(&str, &str)]) {
    let text = fs::read_to_string(lake.path("afterscope.toml")).unwrap();
    let end = text.find("[registry]").unwrap();
    let begin = text.find("[[source]]").unwrap();
    let mut second = text[begin..end].replace("name = \"access\"", "name = \"again\"");
    for (from, to) in edits {
        assert!(second.contains(from), "{second}");
        second = second.replace(from, to);
    }
    let text = format!("{}{second}{}", &text[..end], &text[end..]);
    lake.write("afterscope.toml", &text);
}

#[test]
fn two_sources_of_one_table_read_one_version() {
    let lake = table();
    std::os::unix::fs::symlink(lake.path("logs"), lake.path("link")).unwrap();
    twice(&lake, &[("\"logs/\"", "\"link\"")]);
    // The same version is as the same files are: told.
    let told = lake.run(&[]).succeeds().stderr;
    assert!(told.contains("3 files are read by source `access` and by source `again`"), "{told}");
    let two = ["--set", "source.0.version=0", "--output", "another"];
    let says = ["sources `access` and `again`", "/logs", "Delta version 0 and Delta version 1"];
    lake.run(&two).fails(1, &says);
    let args = ["plan", "--config", "afterscope.toml", "--as-of", "2019-08-31"];
    lake.afterscope(&[&args[..], &two].concat()).fails(1, &says);
}

#[test]
fn a_file_of_the_latest_version_is_not_blamed_on_vacuum() {
    let lake = table();
    commit(&lake, 2, &[remove("part-1.parquet")]);
    fs::remove_file(lake.path("logs/part-1.parquet")).unwrap();
    assert_eq!(requests(&lake, &[]), "5");
    let says = ["version 1 of the Delta table", "part-1.parquet", "VACUUM"];
    lake.run(&["--set", "source.0.version=1"]).fails(3, &says);
    fs::remove_file(lake.path("logs/part-2.parquet")).unwrap();
    let says = ["version 2 of the Delta table", "part-2.parquet", "version 2 is the latest"];
    let told = lake.run(&[]).fails(3, &says);
    assert!(!told.stderr.contains("VACUUM"), "{}", told.stderr);
}

#[test]
fn a_folder_of_another_kind_of_table_is_named_as_what_it_is() {
    let lake = table();
    lake.edit("afterscope.toml", "format = \"delta\"", "format = \"iceberg\"");
    let says = ["is a Delta table (_delta_log/", "and no Iceberg table", "set format = \"delta\""];
    lake.refuses(&[], 1, &says);
}

#[test]
fn a_partition_time_that_is_no_partition_is_named() {
    let lake = table();
    lake.edit(
        "afterscope.toml",
        "\n[source.columns]",
        "partition_time = { column = \"event_time\", grain = \"1d\" }\n\n[source.columns]",
    );
    let says = ["partition_time: `event_time` is no partition column of the table"];
    lake.refuses(&[], 1, &says);
}

#[test]
fn a_version_that_only_restores_is_not_said_to_take_out_nothing() {
    let lake = table();
    let restore = json!({"commitInfo": {"timestamp": 0, "operation": "RESTORE"}});
    commit(&lake, 2, &[restore, protocol(&[]), add(&lake, "part-2.parquet", "2019-07-03", "dt")]);
    let told = lake.run(&[]).succeeds().stderr;
    assert!(told.contains("1 versions of the table") && told.contains("restored"), "{told}");
    assert!(!told.contains("0 files") && !told.contains("0 rows"), "{told}");
}
