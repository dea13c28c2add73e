//! Members of groups, where people live, and who must be told, by figures that follow by hand.

use std::fs;

use crate::lake::{AS_OF, Call, Lake, call};

const BOUNDS: [&str; 4] =
    ["subjects_observed", "subjects_upper_bound", "upper_bound_complete", "subjects_unknown_rows"];

#[test]
fn members_at_the_moment_of_a_read_are_in_the_upper_bound_and_nobody_else() {
    let lake = Lake::with_people();
    let published = lake.publishes(&[]);
    let summary = published.table("scope_summary");
    let of = |scope| summary.row(&[("scope", scope)], &BOUNDS);
    // 1, 2, 3; and 20, who left at nine and had been there at eight.
    assert_eq!(of("read_members"), ["3", "4", "true", "0"]);
    // 1, 5; and 21, who came at half past ten.
    assert_eq!(of("write_posts"), ["2", "3", "true", "0"]);
    // 20 was in two groups that were read, and counts once.
    assert_eq!(of("(all)"), ["4", "6", "true", "0"]);
    let exposure = published.table("app_scope_exposure");
    let app = exposure.row(&[("grain", "app"), ("app_id", "app-1")], &BOUNDS);
    assert_eq!(app, ["3", "4", "true", "0"]);
    let developers = published.table("developer_exposure");
    let both = developers.row(&[("grain", "developer"), ("developer_id", "dev-1")], &BOUNDS);
    assert_eq!(both, ["4", "6", "true", "0"]);
    let groups = published.table("groups_exposed");
    let members = |scope, group| {
        let key = [("scope", scope), ("group_id", group)];
        groups.row(&key, &["members_then", "subjects_observed"])
    };
    assert_eq!(members("read_members", "10"), ["2", "3"]);
    assert_eq!(members("read_members", "11"), ["1", "1"]);
    assert_eq!(members("write_posts", "10"), ["2", "1"]);
    // Its only member came a day later.
    assert_eq!(members("write_posts", "12"), ["0", "1"]);
}

#[test]
fn a_call_that_names_nobody_is_known_where_its_group_had_members_then() {
    let lake = Lake::with_people();
    let nobody =
        |time: &str, group: Option<i64>| Call { user: None, group, ..call(time, "app-1", 0) };
    lake.log("logs/dt=2019-07-05/part-0.parquet", &[nobody("2019-07-05T08:00:00Z", Some(13))]);
    let published = lake.publishes(&[]);
    let of = |published: &crate::lake::Published| -> Vec<String> {
        let row = published.table("scope_summary");
        row.row(&[("scope", "read_members")], &BOUNDS).into_iter().map(str::to_string).collect()
    };
    // 23 is the only member of group 13.
    assert_eq!(of(&published), ["3", "5", "true", "0"]);
    lake.log(
        "logs/dt=2019-07-06/part-0.parquet",
        // A group that had no member yet, one that nobody knows, and none at all.
        &[
            nobody("2019-07-03T23:00:00Z", Some(12)),
            nobody("2019-07-06T08:00:00Z", Some(99)),
            nobody("2019-07-06T09:00:00Z", None),
        ],
    );
    assert_eq!(of(&lake.publishes(&[])), ["3", "5", "false", "3"]);
}

#[test]
fn people_count_where_they_lived_as_far_as_was_known_by_as_of() {
    let lake = Lake::with_people();
    let published = lake.publishes(&[]);
    let table = published.table("subjects_by_jurisdiction");
    let names = ["is_known", "subjects_observed", "subjects_upper_bound", "residency_from"];
    let of = |country| table.row(&[("grain", "all"), ("country", country)], &names);
    // 1 and 2, who moved there in June and, as became known in October, away again; and 20.
    assert_eq!(of("DE"), ["true", "2", "3", "2019-06-01T00:00:00Z"]);
    assert_eq!(of("FR"), ["true", "0", "1", "null"]);
    // 3 and 5.
    assert_eq!(of("null"), ["false", "2", "2", "null"]);
    let countries = table.column("grain").into_iter().zip(table.column("country"));
    assert_eq!(countries.filter(|(grain, _)| *grain == "all").count(), 3);
    let app = [("grain", "scope_app"), ("app_id", "app-2"), ("country", "DE")];
    assert_eq!(table.row(&app, &names[1..3]), ["1", "1"]);
}

#[test]
fn findings_and_promises_have_an_upper_bound_too() {
    let lake = Lake::with_all();
    let published = lake.publishes(&[]);
    let findings = published.table("findings");
    let bounds = ["subjects_observed", "subjects_upper_bound", "subjects_unknown_rows"];
    let of = |finding| {
        let key = [("finding", finding), ("scope", "read_members"), ("app_id", "app-1")];
        findings.row(&key, &bounds)
    };
    // Group 10 was read while 20 was a member, until 9 o'clock; group 11 a day later, with 20 again.
    assert_eq!(of("after_grace"), ["3", "4", "0"]);
    assert_eq!(of("after_attestation"), ["1", "2", "0"]);
    let bounds = ["subjects_after", "subjects_upper_bound_after", "subjects_unknown_rows_after"];
    let promises = published.table("deletion_verification");
    assert_eq!(promises.row(&[("app_id", "app-1")], &bounds), ["1", "2", "0"]);
    // A promise after which nothing came, and none.
    assert_eq!(promises.row(&[("app_id", "app-3")], &bounds), ["0", "0", "0"]);
    assert_eq!(promises.row(&[("app_id", "app-2")], &bounds), ["null", "null", "null"]);
}

#[test]
fn two_residences_of_one_moment_are_believed_neither_and_told_of() {
    let lake = Lake::with_people();
    lake.residency(&[(1, Some("DE"), None), (1, Some("FR"), None), (2, Some("DE"), None)]);
    let outcome = lake.run(&[]).succeeds();
    assert!(outcome.stderr.contains("two residences at one moment"), "{}", outcome.stderr);
    let published = outcome.published();
    let table = published.table("subjects_by_jurisdiction");
    let of = |country| {
        table.row(&[("grain", "all"), ("country", country)], &["is_known", "subjects_observed"])
    };
    assert_eq!(of("DE"), ["true", "1"]);
    assert_eq!(of("null"), ["false", "3"]);
}

#[test]
fn memberships_that_overlap_count_as_one_and_are_told_of() {
    let lake = Lake::with_people();
    lake.memberships(&[
        (10, 20, None, Some("2019-07-01T08:30:00Z")),
        (10, 20, Some("2019-07-01T08:00:00Z"), Some("2019-07-01T09:30:00Z")),
        (10, 20, Some("2019-07-01T09:30:00Z"), None),
        (10, 21, Some("2019-07-01T09:00:00Z"), Some("2019-07-01T09:00:00Z")),
    ]);
    let outcome = lake.run(&[]).succeeds();
    for told in
        ["1 rows of registry.memberships overlap", "1 rows of registry.memberships end where"]
    {
        assert!(outcome.stderr.contains(told), "{}", outcome.stderr);
    }
    let published = outcome.published();
    let summary = published.table("scope_summary");
    assert_eq!(summary.row(&[("scope", "read_members")], &BOUNDS)[..2], ["3", "4"]);
    let groups = published.table("groups_exposed");
    let key = [("scope", "read_members"), ("group_id", "10")];
    assert_eq!(groups.row(&key, &["members_then"]), ["1"]);
}

#[test]
fn without_tables_of_people_their_columns_are_null_and_not_zero() {
    let lake = Lake::standard();
    let published = lake.publishes(&[]);
    let summary = published.table("scope_summary");
    assert_eq!(summary.row(&[("scope", "(all)")], &BOUNDS), ["4", "null", "null", "0"]);
    let groups = published.table("groups_exposed");
    assert!(groups.column("members_then").iter().all(|members| *members == "null"));
    for table in ["subjects_by_jurisdiction", "thresholds", "deadlines"] {
        assert!(published.table(table).rows.is_empty(), "{table}");
    }
}

#[test]
fn packs_of_people_are_made_once_and_removed_when_their_tables_change() {
    let lake = Lake::with_people();
    let expected = lake.publishes(&[]).bytes();
    let packs = || {
        let mut names: Vec<(String, std::time::SystemTime)> =
            fs::read_dir(lake.path("out/state/people"))
                .unwrap()
                .map(|e| e.unwrap())
                .map(|e| {
                    let written = e.metadata().unwrap().modified().unwrap();
                    (e.file_name().into_string().unwrap(), written)
                })
                .collect();
        names.sort();
        names
    };
    let first = packs();
    // Groups and people of the memberships, and the residences.
    assert_eq!(first.len(), 3);
    assert_eq!(lake.publishes(&["--output", "again", "--state", "out/state"]).bytes(), expected);
    assert_eq!(packs(), first);
    lake.residency(&[(1, Some("FR"), None)]);
    lake.publishes(&[]);
    assert_eq!(packs().len(), 4);
    let gc = |more: &[&str]| {
        let args = ["state", "gc", "--config", "afterscope.toml", "--as-of", AS_OF];
        lake.afterscope(&[args.as_slice(), more].concat()).succeeds().stdout
    };
    assert!(gc(&[]).contains("1 more are unused and too young"));
    assert!(gc(&["--keep", "0s"]).contains("-residency.parquet"));
    let left = packs();
    assert_eq!(left.len(), 3);
    assert!(left.iter().filter(|pack| first.contains(pack)).count() == 2);
}

#[test]
fn a_damaged_pack_of_people_is_named_and_made_anew_once_it_is_gone() {
    let lake = Lake::with_people();
    let expected = lake.publishes(&[]).bytes();
    let people = lake.path("out/state/people");
    let pack = fs::read_dir(&people)
        .unwrap()
        .map(|e| e.unwrap().path())
        .find(|path| path.to_str().unwrap().ends_with("-people.parquet"))
        .unwrap();
    let mut bytes = fs::read(&pack).unwrap();
    bytes[40] ^= 1;
    fs::write(&pack, bytes).unwrap();
    let args = ["--output", "again", "--state", "out/state"];
    lake.run(&args)
        .fails(3, &["-people.parquet", "does not match its checksum", "delete that file"]);
    fs::remove_file(&pack).unwrap();
    assert_eq!(lake.publishes(&args).bytes(), expected);
}

/// The lake with people, whole from the restriction of both scopes to the end of the report.
fn whole(thresholds: &str) -> Lake {
    let lake = Lake::with_people();
    lake.edit("scopes.csv", "2019-06-01", "2019-07-01");
    let expected = "expected = { every = \"1d\", from = \"2019-07-01\" }\n";
    lake.edit("afterscope.toml", "\n[source.columns]", &format!("{expected}\n[source.columns]"));
    lake.edit("afterscope.toml", "\n[report]", "thresholds = \"thresholds.csv\"\n\n[report]");
    let header = "regime,jurisdiction,operator,number,counted,clock,limit,unit,source\n";
    lake.write("thresholds.csv", &format!("{header}{thresholds}"));
    lake
}

const AT_END: [&str; 2] = ["--as-of", "2019-07-04"];

fn state(lake: &Lake, args: &[&str], regime: &str) -> String {
    let table = lake.publishes(args).table("thresholds");
    table.row(&[("grain", "all"), ("regime", regime)], &["state"])[0].to_string()
}

#[test]
fn thresholds_that_what_is_not_known_could_decide_are_undecided() {
    let lake = whole(
        "two,DE,>=,2,subjects,,,,
three,DE,>=,3,subjects,,,,
five,DE,>=,5,subjects,,,,
six,DE,>=,6,subjects,,,,
both,DE;FR,>,3,subjects,,,,
world,all,>,6,,,,,
",
    );
    let published = lake.publishes(&AT_END);
    let table = published.table("thresholds");
    let state = |regime| table.row(&[("grain", "all"), ("regime", regime)], &["state"])[0];
    // In Germany live 2 to 3 people; of 2 it is not known where they live.
    assert_eq!(state("two"), "met");
    assert_eq!(state("three"), "met_by_upper_bound");
    assert_eq!(state("five"), "undecided");
    assert_eq!(state("six"), "not_met");
    assert_eq!(state("both"), "met_by_upper_bound");
    assert_eq!(state("world"), "not_met");
}

#[test]
fn nothing_is_not_met_where_a_call_may_be_missing() {
    let lake = whole("six,DE,>=,6,subjects,,,,\n");
    assert_eq!(state(&lake, &AT_END, "six"), "not_met");
    // A day later nothing says what happened on the fourth.
    assert_eq!(state(&lake, &["--as-of", "2019-07-05"], "six"), "undecided");
    lake.edit("afterscope.toml", "expected = ", "# expected = ");
    assert_eq!(state(&lake, &AT_END, "six"), "undecided");
}

#[test]
fn people_of_whom_only_the_country_is_known_may_live_in_any_part_of_it() {
    let lake = whole("bavaria,DE-BY,>=,1,subjects,,,,\nparis,FR-75,>=,4,subjects,,,,\n");
    let table = lake.publishes(&AT_END).table("thresholds");
    let row = |regime| {
        let names = ["subjects_observed", "subjects_observed_unplaced", "state"];
        table.row(&[("grain", "all"), ("regime", regime)], &names)
    };
    // 1 and 2 live in Germany, of 3 and 5 nothing is known.
    assert_eq!(row("bavaria"), ["0", "4", "undecided"]);
    // Those two, and 21, a member, who lives in France: three may.
    assert_eq!(row("paris"), ["0", "2", "not_met"]);
}

#[test]
fn a_place_that_is_no_code_may_be_anywhere_and_is_told() {
    let lake = whole("six,DE,>=,6,subjects,,,,\ntwo,DE,>=,2,subjects,,,,\n");
    assert_eq!(state(&lake, &AT_END, "two"), "met");
    // The same people, written in another way: nobody knows that they do not live in Germany.
    let as_of = Some("2019-06-01T00:00:00Z");
    let people = [1, 2, 3, 4, 5, 20, 21, 22, 23];
    let places = |code: &'static str| people.map(|person| (person, Some(code), as_of));
    for code in ["de", "Germany", "UK"] {
        lake.residency(&places(code));
        let outcome = lake.run(&AT_END).succeeds();
        let says = format!("1 place written otherwise than by codes of ISO 3166 (`{code}`)");
        assert!(outcome.stderr.contains(&says), "{}", outcome.stderr);
        let published = outcome.published();
        let table = published.table("thresholds");
        let names = ["subjects_observed", "subjects_observed_unplaced", "state"];
        let row = table.row(&[("grain", "all"), ("regime", "two")], &names);
        assert_eq!(row, ["0", "4", "undecided"], "{code}");
    }
    lake.residency(&places("FR"));
    let outcome = lake.run(&AT_END).succeeds();
    assert!(!outcome.stderr.contains("otherwise than by codes"), "{}", outcome.stderr);
    let published = outcome.published();
    let table = published.table("thresholds");
    assert_eq!(table.row(&[("grain", "all"), ("regime", "six")], &["state"]), ["not_met"]);
}

#[test]
fn days_since_the_restriction_that_nobody_declares_are_told() {
    let lake = whole("six,DE,>=,6,subjects,,,,\n");
    let told = |text: &str| {
        let outcome = lake.run(&AT_END).succeeds();
        let folder = outcome.published().folder;
        let page = fs::read_to_string(folder.parent().unwrap().join("report.html")).unwrap();
        assert_eq!(outcome.stderr.contains(text), page.contains(text), "{}", outcome.stderr);
        outcome.stderr.contains(text)
    };
    assert!(!told("coverage says nothing"));
    // One scope two days earlier than the first day that the log must hold.
    lake.edit("scopes.csv", "2019-07-01", "2019-06-29");
    let says = "source `access` declares 3 of the 5 days since the first restriction (2019-06-29): coverage says nothing of the other 2,";
    assert!(told(says));
}

#[test]
fn a_duty_is_done_for_its_own_regime_only() {
    let lake = whole(
        "a,all,>=,1,,aware,48,hours,\nb,all,>=,1,,aware,48,hours,\nc,all,>=,1,,notified,1,hours,\n",
    );
    let incident = "[incident]\naware = \"2019-07-01\"\nnotified = \"2019-07-02\"\n\n[incident.reported]\na = \"2019-07-02T23:00:00Z\"\n";
    lake.edit("afterscope.toml", "[report]", &format!("{incident}\n[report]"));
    let table = lake.publishes(&AT_END).table("deadlines");
    let state = |regime| table.row(&[("regime", regime)], &["state"])[0];
    assert_eq!([state("a"), state("b"), state("c")], ["kept", "passed", "passed"]);
}

#[test]
fn a_group_with_more_cuts_than_a_row_group_holds_is_sorted_and_read() {
    let lake = Lake::with_people();
    let texts: Vec<String> = (0..140_000i64)
        .map(|second| {
            let at = crate::lake::micros("2019-06-01T00:00:00Z") / 1_000_000 + second;
            chrono::DateTime::from_timestamp(at, 0).unwrap().to_rfc3339()
        })
        .collect();
    // One joins every second from June 1st on; all were there in July.
    let rows: Vec<_> = (0..140_000i64)
        .zip(&texts)
        .map(|(i, at)| (10, 1_000 + i, Some(at.as_str()), None))
        .collect();
    lake.memberships(&rows);
    let table = lake.publishes(&[]).table("groups_exposed");
    let key = [("scope", "read_members"), ("group_id", "10")];
    assert_eq!(table.row(&key, &["members_then"]), ["140000"]);
}

#[test]
fn a_row_without_a_country_says_that_nobody_knows() {
    let lake = Lake::with_people();
    lake.residency(&[(1, Some("DE"), None), (1, None, Some("2019-06-01T00:00:00Z"))]);
    let table = lake.publishes(&[]).table("subjects_by_jurisdiction");
    let all = table.column("grain").into_iter().filter(|grain| *grain == "all").count();
    assert_eq!(all, 1);
    let row =
        table.row(&[("grain", "all"), ("country", "null")], &["is_known", "subjects_observed"]);
    assert_eq!(row, ["false", "4"]);
}

#[test]
fn every_visible_file_of_a_folder_of_memberships_counts() {
    let lake = Lake::with_people();
    fs::create_dir(lake.path("members")).unwrap();
    fs::rename(lake.path("memberships.parquet"), lake.path("members/part-0001")).unwrap();
    lake.memberships(&[(12, 24, None, None)]);
    fs::rename(lake.path("memberships.parquet"), lake.path("members/b.parq")).unwrap();
    lake.edit("afterscope.toml", "memberships.parquet", "members/");
    let summary = lake.publishes(&[]).table("scope_summary");
    assert_eq!(summary.row(&[("scope", "(all)")], &BOUNDS[..2]), ["4", "7"]);
    lake.write("members/notes.txt", "of whom?");
    lake.run(&[]).fails(1, &["members/notes.txt", "registry.memberships"]);
    lake.write("members/_delta_log/00000000000000000000.json", "{}");
    lake.run(&[]).fails(1, &["Delta", "_delta_log", "registry.memberships"]);
}
