//! `afterscope explain` of people by place, and of rules of who must be told.

use std::fs;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, StringArray};
use serde_json::{Value, json};

use super::explain::{explain, files, shown};
use crate::lake::{Call, Lake, call};

/// Country, subdivision, and category of a person.
type Home<'a> = (i64, &'a str, Option<&'a str>, Option<&'a str>);

fn homes(lake: &Lake, rows: &[Home<'_>]) {
    let texts = |of: fn(&Home<'_>) -> Option<String>| -> ArrayRef {
        Arc::new(rows.iter().map(of).collect::<StringArray>())
    };
    lake.columns(
        "residency.parquet",
        vec![
            ("subject", Arc::new(Int64Array::from_iter_values(rows.iter().map(|row| row.0)))),
            ("country", texts(|row| Some(row.1.to_string()))),
            ("subdivision", texts(|row| row.2.map(str::to_string))),
            ("category", texts(|row| row.3.map(str::to_string))),
        ],
    );
}

/// Distinct people of each file, and of all.
fn people(line: &Value) -> (Vec<u64>, u64) {
    let of = |sums: &Value| sums["subjects_observed"].as_u64().unwrap();
    (line["files"].as_array().unwrap().iter().map(of).collect(), of(&line["sums"]))
}

#[test]
fn people_of_a_place_are_followed_to_the_files_that_name_them() {
    let lake = Lake::with_people();
    // A call that names nobody is of no place, nor of those whose place is not known.
    let nobody = Call { user: None, ..call("2019-07-05T08:00:00Z", "app-1", 0) };
    lake.log("logs/dt=2019-07-05/part-0.parquet", &[nobody]);
    lake.publishes(&[]);
    let of = |conditions: &[&str]| {
        explain(&lake, "subjects_by_jurisdiction", conditions).succeeds().json()
    };
    let (first, second, third) = ("2019-07-01", "2019-07-02", "2019-07-03");

    // Persons 1 and 2, who moved there in June and, as became known in October, away again: three calls of
    // theirs on the first day, one of person 1 on the second.
    let line = of(&["country=DE"]);
    assert_eq!(shown(&files(&line)), [(first, [3, 0, 0, 3]), (second, [1, 0, 0, 1])]);
    assert_eq!(people(&line), (vec![2, 1], 2));
    assert_eq!(line["published"], json!({"subjects_observed": 2}));
    let key = json!({
        "scope": "(all)", "app_id": "(all)", "is_known": "true",
        "country": "DE", "subdivision": null, "category": null,
    });
    assert_eq!(line["key"], key);
    assert_eq!(line["not_traced"], json!(["subjects_upper_bound"]));
    // One of the three was of app-2.
    let line = of(&["scope=read_members", "app_id=app-1", "country=DE"]);
    assert_eq!(shown(&files(&line)), [(first, [2, 0, 0, 2]), (second, [1, 0, 0, 1])]);
    assert_eq!(line["published"], json!({"subjects_observed": 2}));

    // Persons 3 and 5; not 4, whose call was denied.
    for unknown in ["is_known=false", "country="] {
        let line = of(&[unknown]);
        assert_eq!(shown(&files(&line)), [(first, [1, 0, 0, 1]), (third, [1, 0, 0, 1])]);
        assert_eq!(people(&line), (vec![1, 1], 2));
        assert_eq!(line["published"], json!({"subjects_observed": 2}));
        assert_eq!(
            (&line["key"]["is_known"], &line["key"]["country"]),
            (&"false".into(), &Value::Null)
        );
    }
    // A member of a group that was read lives there, and nobody who was observed.
    let line = of(&["country=FR"]);
    assert_eq!(
        (people(&line), &line["published"]),
        ((vec![], 0), &json!({"subjects_observed": 0}))
    );

    let refused = |condition: &str, says: &str| {
        explain(&lake, "subjects_by_jurisdiction", &[condition]).fails(1, &[says]);
    };
    refused("country=ZZ", "0 places of registry.residency fit");
    // Germany, France, the United States, and where nobody knows.
    refused("scope=read_members", "4 places of registry.residency fit");
    refused("country=(all)", "is of one place");
    refused("is_known=no", "write true or false");
}

#[test]
fn two_residences_of_one_moment_are_of_no_known_place() {
    let lake = Lake::with_people();
    lake.residency(&[(1, Some("DE"), None), (1, Some("FR"), None), (2, Some("DE"), None)]);
    lake.publishes(&[]);
    let of = |condition| explain(&lake, "subjects_by_jurisdiction", &[condition]).succeeds().json();
    // Person 2; and persons 1, 3 and 5.
    for (condition, expected) in [("country=DE", 1), ("is_known=false", 3)] {
        let line = of(condition);
        assert_eq!(line["sums"]["subjects_observed"], expected, "{condition}");
        assert_eq!(line["published"]["subjects_observed"], expected, "{condition}");
    }
}

/// Where the people of the standard lake live, and rules about that: person 5 is not known.
fn lake_with_rules() -> Lake {
    let lake = Lake::with_people();
    homes(
        &lake,
        &[(1, "US", Some("CA"), None), (2, "US", None, Some("minor")), (3, "US", Some("TX"), None)],
    );
    lake.edit("afterscope.toml", "\n[report]", "thresholds = \"thresholds.csv\"\n\n[report]");
    lake.write(
        "thresholds.csv",
        "regime,jurisdiction,operator,number
california,US-CA,>=,2
both,DE;US,>,2
both,US-TX,,
world,all,>=,4
",
    );
    lake
}

#[test]
fn a_place_with_parts_is_named_by_them() {
    let lake = lake_with_rules();
    lake.publishes(&[]);
    let of = |conditions: &[&str]| {
        explain(&lake, "subjects_by_jurisdiction", conditions).succeeds().json()
    };
    for (conditions, day) in [
        (&["country=US", "subdivision=TX"][..], "2019-07-01"),
        (&["country=US", "subdivision="], "2019-07-01"),
        (&["category=minor"], "2019-07-01"),
    ] {
        let line = of(conditions);
        assert_eq!(shown(&files(&line)), [(day, [1, 0, 0, 1])], "{conditions:?}");
        assert_eq!(line["published"], json!({"subjects_observed": 1}), "{conditions:?}");
    }
    let says = ["3 places of registry.residency fit", "subdivision=…"];
    explain(&lake, "subjects_by_jurisdiction", &["country=US"]).fails(1, &says);
}

#[test]
fn people_of_a_rule_are_followed_and_those_who_may_be() {
    let lake = lake_with_rules();
    lake.publishes(&[]);
    let of = |conditions: &[&str]| explain(&lake, "thresholds", conditions).succeeds().json();
    let (first, second, third) = ("2019-07-01", "2019-07-02", "2019-07-03");

    // Person 1: a call of each app on the first day, one on the second.
    let line = of(&["regime=california"]);
    assert_eq!(shown(&files(&line)), [(first, [2, 0, 0, 2]), (second, [1, 0, 0, 1])]);
    assert_eq!(people(&line), (vec![1, 1], 1));
    assert_eq!(line["published"], json!({"subjects_observed": 1}));
    let key = json!({"scope": "(all)", "regime": "california", "jurisdiction": "US-CA"});
    assert_eq!(line["key"], key);
    // The threshold's own number is one of those, as it comes from no log.
    let rest = [
        "number",
        "subjects_upper_bound",
        "subjects_observed_unplaced",
        "subjects_upper_bound_unplaced",
    ];
    assert_eq!(line["not_traced"], json!(rest));
    // Person 2, of whom the country alone is known, and person 5; not 3, who lives in Texas.
    let line = of(&["regime=california", "people=unplaced"]);
    assert_eq!(shown(&files(&line)), [(first, [1, 0, 0, 1]), (third, [1, 0, 0, 1])]);
    assert_eq!(line["published"], json!({"subjects_observed_unplaced": 2}));
    let line = of(&["scope=write_posts", "regime=california"]);
    assert_eq!(shown(&files(&line)), [(first, [1, 0, 0, 1])]);
    assert_eq!(line["published"], json!({"subjects_observed": 1}));

    // Persons 1, 2 and 3; person 5 may live there.
    let both = ["regime=both", "jurisdiction=DE;US"];
    assert_eq!(of(&both)["published"], json!({"subjects_observed": 3}));
    let line = of(&[&both[..], &["people=unplaced"]].concat());
    assert_eq!(shown(&files(&line)), [(third, [1, 0, 0, 1])]);
    assert_eq!(line["published"], json!({"subjects_observed_unplaced": 1}));
    // Everybody counts, wherever they live.
    let line = of(&["regime=world"]);
    assert_eq!(
        (line["sums"]["subjects_observed"].as_u64(), &line["published"]),
        (Some(4), &json!({"subjects_observed": 4}))
    );
    let line = of(&["regime=world", "people=unplaced"]);
    assert_eq!(
        (people(&line), &line["published"]),
        ((vec![], 0), &json!({"subjects_observed_unplaced": 0}))
    );

    let refused = |conditions: &[&str], says: &str| {
        explain(&lake, "thresholds", conditions).fails(1, &[says]);
    };
    refused(&[], "give regime=…");
    refused(&["regime=both"], "2 rules of registry.thresholds are of this regime;");
    refused(
        &["regime=both", "jurisdiction=FR"],
        "0 rules of registry.thresholds are of this regime and jurisdiction",
    );
    refused(&["regime=world", "people=all"], "give people=unplaced");
}

#[test]
fn without_residences_nobody_is_followed_to_a_place() {
    let lake = lake_with_rules();
    lake.edit("afterscope.toml", "residency = \"residency.parquet\"\n", "");
    lake.publishes(&[]);
    let says = ["without registry.residency"];
    explain(&lake, "subjects_by_jurisdiction", &["country=US"]).fails(1, &says);
    explain(&lake, "thresholds", &["regime=california"]).fails(1, &says);
    let line = explain(&lake, "thresholds", &["regime=world"]).succeeds().json();
    assert_eq!(line["published"], json!({"subjects_observed": 4}));
}

#[test]
fn the_pack_of_residences_is_read_and_never_made() {
    let lake = Lake::with_people();
    lake.publishes(&[]);
    lake.spoil_logs();
    crate::lake::spoil(&lake.path("residency.parquet"));
    let before = lake.files();
    explain(&lake, "subjects_by_jurisdiction", &["country=DE"]).succeeds();
    assert_eq!(before, lake.files());
    let packs = fs::read_dir(lake.path("out/state/people")).unwrap().map(|e| e.unwrap().path());
    let pack = packs.into_iter().find(|p| p.to_str().unwrap().ends_with("-residency.parquet"));
    fs::remove_file(pack.unwrap()).unwrap();
    let before = lake.files();
    let says = ["no sorted pack of registry.residency", "afterscope run"];
    explain(&lake, "subjects_by_jurisdiction", &["country=DE"]).fails(1, &says);
    assert_eq!(before, lake.files());
    // Other rows do without it.
    explain(&lake, "scope_summary", &[]).succeeds();
}

#[test]
fn masked_counts_of_places_are_followed_and_not_compared() {
    let lake = lake_with_rules();
    lake.edit("afterscope.toml", "[report]\n", "[report]\nsuppress_below = 5\n");
    lake.publishes(&[]);
    let line = explain(&lake, "thresholds", &["regime=california"]).succeeds().json();
    assert_eq!((&line["sums"]["subjects_observed"], &line["published"]), (&1.into(), &json!({})));
}
