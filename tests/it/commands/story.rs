//! The sample: a story whose true answers are counted while its rows are made.

use std::collections::{HashMap, HashSet};
use std::fs;

use serde_json::Value;

use crate::lake::{Lake, Outcome, Published, Table};

const STORY_AS_OF: &str = "2019-11-06T00:00:00Z";

fn told(rows: &str) -> (Lake, Published) {
    let lake = Lake::empty();
    let made = lake.afterscope(&["sample", "groups-2019", "demo", "--rows", rows]).succeeds();
    assert!(made.stdout.contains("demo/afterscope.toml"), "{}", made.stdout);
    assert!(made.stdout.contains(STORY_AS_OF), "{}", made.stdout);
    let published = run(&lake).published();
    (lake, published)
}

fn run(lake: &Lake) -> Outcome {
    let args = ["run", "--config", "demo/afterscope.toml", "--as-of", STORY_AS_OF];
    lake.afterscope(&args).succeeds()
}

/// A value of the truth as a table shows it.
fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// What the truth knows of a table: columns, and rows of their values.
struct Known {
    columns: Vec<String>,
    rows: Vec<Vec<Value>>,
}

impl Known {
    fn of(truth: &Value, table: &str) -> Self {
        let known = &truth["tables"][table];
        let columns = known["columns"].as_array().unwrap_or_else(|| panic!("nothing of {table}"));
        let rows = known["rows"].as_array().unwrap();
        Self {
            columns: columns.iter().map(shown).collect(),
            rows: rows.iter().map(|row| row.as_array().unwrap().clone()).collect(),
        }
    }

    fn at(&self, column: &str) -> usize {
        self.columns.iter().position(|name| name == column).unwrap()
    }

    fn column(&self, column: &str) -> Vec<String> {
        self.rows.iter().map(|row| shown(&row[self.at(column)])).collect()
    }

    /// The one row that has all the values of `key`.
    fn row(&self, key: &[(&str, &str)], column: &str) -> &Value {
        let fits = |row: &&Vec<Value>| {
            key.iter().all(|(name, value)| shown(&row[self.at(name)]) == *value)
        };
        let found: Vec<&Vec<Value>> = self.rows.iter().filter(fits).collect();
        assert_eq!(found.len(), 1, "{key:?}");
        &found[0][self.at(column)]
    }

    /// Where the table says otherwise: each row that is known must stand there with these very values,
    /// and of the grains that are known there must be no other.
    fn difference(&self, table: &Table, key: &[&str]) -> Option<String> {
        let grains: HashSet<String> = self.column("grain").into_iter().collect();
        let rows = table.column("grain").into_iter().filter(|grain| grains.contains(*grain));
        let rows = rows.count();
        if rows != self.rows.len() {
            return Some(format!("{rows} rows, and {} in truth", self.rows.len()));
        }
        let columns: Vec<&str> = self.columns.iter().map(String::as_str).collect();
        for row in &self.rows {
            let key: Vec<(&str, String)> =
                key.iter().map(|column| (*column, shown(&row[self.at(column)]))).collect();
            let key: Vec<(&str, &str)> = key.iter().map(|(c, v)| (*c, v.as_str())).collect();
            let found = table.row(&key, &columns);
            for (found, (column, value)) in found.into_iter().zip(columns.iter().zip(row)) {
                let is_it = match value.as_f64().filter(|_| value.is_f64()) {
                    Some(value) => found.parse::<f64>().is_ok_and(|f| (f - value).abs() < 1e-9),
                    None => found == shown(value),
                };
                if !is_it {
                    return Some(format!("{key:?}: {column} is {found}, and {value} in truth"));
                }
            }
        }
        None
    }
}

/// Tables whose figures the truth knows, the key of each, and how many rows it must know at least.
const KNOWN: [(&str, &[&str], usize); 12] = [
    ("scope_summary", &["grain", "scope"], 5),
    ("app_scope_exposure", &["grain", "scope", "app_id"], 100),
    ("developer_exposure", &["grain", "scope", "developer_id"], 100),
    (
        "subjects_by_jurisdiction",
        &["grain", "scope", "app_id", "country", "subdivision"],
        5 * 8 + 38,
    ),
    ("data_categories", &["grain", "scope", "data_category"], 7),
    ("daily_timeline", &["grain", "scope", "day"], 1_000),
    ("groups_exposed", &["grain", "scope", "namespace", "group_id"], 800),
    ("deletion_verification", &["grain", "app_id", "scope"], 8),
    ("coverage", &["grain", "source", "file_day"], 550),
    ("deadlines", &["grain", "regime", "jurisdiction"], 7),
    ("findings", &["grain", "finding", "scope", "app_id"], 80),
    ("thresholds", &["grain", "scope", "regime", "jurisdiction"], 55),
];

#[test]
fn every_table_is_the_true_one() {
    for rows in ["20000", "120000"] {
        let (lake, published) = told(rows);
        let truth = lake.json("demo/truth.json");
        for (name, key, least) in KNOWN {
            let known = Known::of(&truth, name);
            assert!(known.rows.len() >= least, "{name}: {} rows", known.rows.len());
            assert_eq!(known.difference(&published.table(name), key), None, "{name}");
        }
        // This report follows none.
        assert!(published.table("change_log").rows.is_empty());
        let tables: HashSet<String> = published
            .bytes()
            .into_keys()
            .filter_map(|name| Some(name.strip_suffix(".parquet")?.to_string()))
            .collect();
        // Four hold names and days alone: what they are to hold is written beside the committed sample.
        let known = KNOWN.len() + 1 + tables.iter().filter(|t| t.starts_with("dim_")).count();
        assert_eq!(
            (tables.len(), known),
            (17, 17),
            "a table of which nothing is known: {tables:?}"
        );
    }
}

#[test]
fn a_figure_that_is_not_the_true_one_is_noticed() {
    let (lake, published) = told("20000");
    let truth = lake.json("demo/truth.json");
    for (name, key, _) in KNOWN {
        let table = published.table(name);
        let mut wrong = Known::of(&truth, name);
        for at in 0..wrong.columns.len() {
            let column = wrong.columns[at].clone();
            if key.contains(&column.as_str()) {
                continue;
            }
            let true_one = wrong.rows[0][at].clone();
            wrong.rows[0][at] = match &true_one {
                Value::Null => 0.into(),
                Value::Bool(is) => (!is).into(),
                Value::String(text) => format!("{text}.").into(),
                number if number.is_f64() => (number.as_f64().unwrap() + 0.001).into(),
                number => (number.as_i64().unwrap() + 1).into(),
            };
            let found = wrong.difference(&table, key).unwrap_or_default();
            assert!(found.contains(&format!(": {column} is ")), "{name}, {column}: {found:?}");
            wrong.rows[0][at] = true_one;
        }
        wrong.rows.push(wrong.rows[0].clone());
        assert!(wrong.difference(&table, key).is_some(), "{name}: a row too many");
    }
}

#[test]
fn finer_grains_of_the_timeline_end_where_the_exposure_does() {
    let (lake, published) = told("120000");
    let truth = lake.json("demo/truth.json");
    let exposure = Known::of(&truth, "app_scope_exposure");
    let timeline = published.table("daily_timeline");
    let columns = ["grain", "scope", "app_id", "requests_allowed", "subjects_new"];
    let columns = columns.map(|column| timeline.column(column));
    let cumulative = timeline.column("subjects_cumulative");
    let days = timeline.column("day");
    // Days, requests and new people of each, and who was seen up to the last day.
    let mut found: HashMap<[&str; 3], (u64, u64, u64, &str)> = HashMap::new();
    let mut last_day = HashMap::new();
    for row in 0..timeline.rows.len() {
        let [grain, scope, app, requests, new] = columns.each_ref().map(|column| column[row]);
        let key = [grain, scope, app];
        if let Some(before) = last_day.insert(key, days[row]) {
            assert!(before < days[row], "{key:?}: {before}, then {}", days[row]);
        }
        let sums = found.entry(key).or_default();
        sums.0 += 1;
        sums.1 += requests.parse::<u64>().unwrap();
        sums.2 += new.parse::<u64>().unwrap();
        sums.3 = cumulative[row];
    }
    assert_eq!(found.len(), exposure.rows.len());
    for ([grain, scope, app], (days, requests, new, last)) in found {
        let key = [("grain", grain), ("scope", scope), ("app_id", app)];
        let value = |column: &str| exposure.row(&key, column).as_u64().unwrap();
        let people = value("subjects_observed");
        assert_eq!((days, requests), (value("active_days"), value("requests_allowed")), "{key:?}");
        assert_eq!((new, last), (people, people.to_string().as_str()), "{key:?}");
    }
}

#[test]
fn the_story_is_told_in_full() {
    for rows in ["20000", "120000"] {
        let (lake, published) = told(rows);
        let truth = lake.json("demo/truth.json");
        let story = &truth["story"];
        // Not what the truth says of itself: whose grant was never taken back.
        let mut grants = csv::Reader::from_path(lake.path("demo/grants.csv")).unwrap();
        let capable: HashSet<String> = grants
            .records()
            .map(Result::unwrap)
            .filter(|grant| grant[2] < *STORY_AS_OF && grant[3].is_empty())
            .map(|grant| grant[0].to_string())
            .collect();
        assert_eq!((capable.len(), &story["apps_capable"]), (100, &100.into()));
        let exposure = published.table("app_scope_exposure");
        let grains = exposure.column("grain").into_iter().zip(exposure.column("app_id"));
        let late = grains.zip(exposure.column("requests_lookback"));
        let late: Vec<&str> = late
            .filter(|((grain, _), requests)| *grain == "app" && *requests != "0")
            .map(|((_, app), _)| app)
            .collect();
        assert_eq!((late.len(), &story["apps_used_lookback"]), (11, &11.into()));
        assert!(late.iter().all(|app| capable.contains(*app)));
        let summary = published.table("scope_summary");
        let names = ["apps_capable", "apps_used_after_restriction", "apps_used_lookback"];
        assert_eq!(summary.row(&[("scope", "(all)")], &names), ["100", "38", "11"]);
        let without = summary.row(&[("scope", "(all)")], &["apps_used_without_grant"]);
        assert_eq!((without, &story["apps_used_without_grant"]), (vec!["4"], &4.into()));
        // Three counts of people, and none is another.
        let people = ["people_lookback", "people_observed", "people_upper_bound"]
            .map(|name| story[name].as_u64().unwrap());
        assert!(people[0] > 0 && people[0] < people[1] && people[1] < people[2], "{people:?}");
        let names = ["subjects_lookback", "subjects_observed", "subjects_upper_bound"];
        let published_people = summary.row(&[("scope", "(all)")], &names);
        assert_eq!(published_people, people.map(|n| n.to_string()));
        // Every verdict, every kind of finding, a grant after a promise.
        let set = |table: &str, column: &str| -> HashSet<String> {
            published.table(table).column(column).into_iter().map(str::to_string).collect()
        };
        let all = |names: &[&str]| -> HashSet<String> {
            names.iter().map(|name| (*name).to_string()).collect()
        };
        assert_eq!(
            set("deletion_verification", "verdict"),
            all(&["violated", "clean", "inconclusive", "not_attested"])
        );
        let promises = published.table("deletion_verification");
        let of_all = |app: &str| promises.row(&[("app_id", app)], &["regrants", "verdict"]);
        // App 12 got its four grants again; app 20 had them all the time.
        assert_eq!(of_all("1140000095028"), ["4", "violated"]);
        assert_eq!(of_all("1140000158380"), ["0", "clean"]);
        let kinds = [
            "after_attestation",
            "after_revocation",
            "in_brownout",
            "without_grant",
            "after_grace",
        ];
        assert_eq!(set("findings", "finding"), all(&kinds));
        for breach in ["requests_in_brownout", "requests_after_revocation"] {
            assert!(story[breach].as_u64().unwrap() > 0, "{breach}");
        }
        let states = set("thresholds", "state");
        for state in ["met_by_upper_bound", "no_number", "undecided"] {
            assert!(states.contains(state), "{state}");
        }
        // In the small sample too few people were observed for that.
        assert_eq!(states.contains("met"), rows == "120000");
        assert_eq!(set("deadlines", "state"), all(&["passed", "running", "not_started"]));
        let metadata = published.table("coverage");
        let metadata = metadata.row(&[("grain", "all")], &["rows_in_metadata"]);
        assert_eq!(metadata, [shown(&story["rows"])]);
    }
}

#[test]
fn everybody_who_was_observed_is_listed() {
    let (lake, _) = told("20000");
    let args = ["notification-list", "--config", "demo/afterscope.toml", "--as-of", STORY_AS_OF];
    lake.afterscope(&[args.as_slice(), &["--out", "list"]].concat()).succeeds();
    let list = Table::read(&lake.path("list/notification_list.parquet"));
    let story = &lake.json("demo/truth.json")["story"];
    assert_eq!(list.rows.len() as u64, story["people_observed"].as_u64().unwrap());
    let requests = list.column("requests").into_iter().map(|n| n.parse::<u64>().unwrap());
    assert_eq!(requests.sum::<u64>(), story["requests_that_name_somebody"].as_u64().unwrap());
}

#[test]
fn the_same_sample_is_the_same_bytes() {
    let lake = Lake::empty();
    for folder in ["one", "two"] {
        lake.afterscope(&["sample", "groups-2019", folder, "--rows", "20000"]).succeeds();
    }
    let files = lake.files();
    let of = |folder: &str| -> Vec<String> {
        let names = files.keys().filter_map(|name| name.strip_prefix(folder));
        names.map(str::to_string).collect()
    };
    assert!(of("one/").len() > 500);
    assert_eq!(of("one/"), of("two/"));
    for name in of("one/") {
        let read = |folder: &str| fs::read(lake.path(&format!("{folder}/{name}"))).unwrap();
        assert!(read("one") == read("two"), "{name}");
    }
}

#[test]
fn a_sample_goes_into_a_new_folder_only() {
    let lake = Lake::empty();
    lake.write("taken/notes.txt", "mine");
    let args = ["sample", "groups-2019", "taken", "--rows", "20000"];
    lake.afterscope(&args).fails(1, &["taken", "not empty", "new folder"]);
    let left: Vec<String> =
        lake.files().into_keys().filter(|name| name.starts_with("taken")).collect();
    assert_eq!(left, ["taken/notes.txt"]);
}

#[test]
fn a_person_lives_in_one_place() {
    let (_lake, published) = told("60000");
    let table = published.table("subjects_by_jurisdiction");
    let columns = ["grain", "subjects_observed", "subjects_upper_bound"].map(|c| table.column(c));
    let (mut observed, mut upper) = (0, 0);
    for row in (0..table.rows.len()).filter(|row| columns[0][*row] == "all") {
        observed += columns[1][row].parse::<u64>().unwrap();
        upper += columns[2][row].parse::<u64>().unwrap();
    }
    // Places add up to all.
    let names = ["subjects_observed", "subjects_upper_bound", "upper_bound_complete"];
    let summary = published.table("scope_summary");
    let all = summary.row(&[("scope", "(all)")], &names);
    assert_eq!(all, [observed.to_string(), upper.to_string(), "false".into()]);
    assert!(upper > observed && observed > 1000, "{observed} to {upper}");
}

#[test]
fn thresholds_are_met_by_both_bounds_by_one_or_by_none_that_is_known() {
    let (_lake, published) = told("60000");
    let table = published.table("thresholds");
    let state = |regime: &str| {
        let names = ["met_by_observed", "met_by_upper_bound", "state"];
        table.row(&[("grain", "all"), ("regime", regime)], &names)
    };
    assert_eq!(state("maine"), ["true", "true", "met"]);
    // Members of groups live in Ireland; nobody whom the log names does.
    assert_eq!(state("example"), ["false", "true", "met_by_upper_bound"]);
    assert_eq!(state("gdpr_art_33"), ["null", "null", "no_number"]);
    let deadlines = published.table("deadlines");
    let due = |regime: &str| deadlines.row(&[("regime", regime)], &["due_at", "state"]);
    // Known on Friday, 1 November, at nine: 72 hours had passed on the 6th.
    assert_eq!(due("gdpr_art_33"), ["2019-11-04T09:00:00Z", "passed"]);
    assert_eq!(due("ftc_order_2019"), ["2019-11-30T16:00:00Z", "running"]);
    assert_eq!(due("sec_8k_1_05"), ["null", "not_started"]);
    assert_eq!(due("california_attorney_general"), ["null", "not_started"]);
}
