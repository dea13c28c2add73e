//! `report.html` as bytes.

use std::fs;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, StringArray};
use base64::Engine;
use sha2::{Digest, Sha256};

use super::{HOSTILE, hostile, page, report};
use crate::lake::{Lake, times};

/// The text of the only element with these ends.
fn between<'a>(text: &'a str, start: &str, end: &str) -> &'a str {
    let (_, rest) = text.split_once(start).unwrap_or_else(|| panic!("no {start}"));
    rest.split_once(end).unwrap().0
}

#[test]
fn the_page_says_the_answer_first_with_three_counts_of_people_and_coverage() {
    let lake = Lake::with_standing();
    let text = page(&lake.publishes(&[]));
    let answer = between(&text, "<h2 id=\"answer\">", "</section>");
    // The lake's true answers stand at `standard_days`.
    // Grants of app-1, app-3 and app-9 hold after the restriction; app-2 called on July 3rd.
    let lead = "After the restriction, 2 apps used 2 restricted scopes, the last time on 3 July 2019, 08:00:00; 3 could call, 1 did in the last 60 days. They reached data of 4 people who were observed; how many more is not known. Coverage of the logs: not known.";
    assert!(answer.contains(lead), "{answer}");
    let members = between(answer, "<bdi>read_members</bdi></strong>", "</li>");
    assert_eq!(
        members,
        ", restricted on 1 June 2019, was used after that by 1 app, none of them in the last 60 days; 2 apps could call. \
         <b class=\"people\">People: 3 observed; an upper bound is not known; calls of which nobody can say whom they reached: 0.</b> \
         In the last 60 days: 0 observed; how many more is not known. Coverage of the logs: not known."
    );
    assert!(answer.contains("Coverage is not known: no log says which days it must hold"));
    let at = |heading: &str| text.find(&format!("<h2 id=\"{heading}\">")).unwrap();
    let order = ["answer", "findings", "timeline", "apps", "jurisdictions", "promises", "coverage"]
        .into_iter()
        .chain(["reading", "verify", "unknown"])
        .map(at);
    assert!(order.is_sorted());
}

#[test]
fn the_heaviest_finding_comes_first_and_promises_that_were_broken_too() {
    let lake = Lake::with_standing();
    let text = page(&lake.publishes(&[]));
    let findings = between(&text, "<table id=\"finding-rows\">", "</table>");
    let first = between(findings, "<tbody>\n<tr>", "</tr>");
    // app-1 promised on 2019-07-02 and reached person 1 at eight o'clock of that day.
    assert!(first.starts_with("<th scope=\"row\"><bdi>Used after a promise of deletion</bdi></th><td><bdi>read_members</bdi></td><td><bdi>Planner</bdi></td><td class=\"n\">1</td>"), "{first}");
    let promises = between(&text, "<table id=\"promise-rows\">", "</table>");
    assert!(between(promises, "<tbody>\n<tr>", "</tr>").contains("violated"));
}

#[test]
fn the_page_asks_no_network_and_its_policy_allows_only_what_it_holds() {
    let text = page(&hostile().publishes(&[]));
    let policy = between(&text, "<meta http-equiv=\"Content-Security-Policy\" content=\"", "\">");
    let policy = policy.replace("&#39;", "'");
    let hash = |content: &str| {
        let encoded = base64::engine::general_purpose::STANDARD.encode(Sha256::digest(content));
        format!("'sha256-{encoded}'")
    };
    let script = hash(between(&text, "<script>", "</script>"));
    let style = hash(between(&text, "<style>", "</style>"));
    assert_eq!(
        policy,
        format!(
            "default-src 'none'; script-src {script}; style-src {style}; base-uri 'none'; form-action 'none'; require-trusted-types-for 'script'"
        )
    );
    // The policy is met before anything that it forbids.
    assert!(text.find("Content-Security-Policy") < text.find("<style>"));
    let links = |name: &str| {
        let parts: Vec<&str> = text.split(&format!(" {name}=\"")).skip(1).collect();
        parts.into_iter().map(|part| part.split('"').next().unwrap()).collect::<Vec<_>>()
    };
    assert!(links("href").iter().all(|link| link.starts_with('#')), "{:?}", links("href"));
    assert_eq!(links("src"), Vec::<&str>::new());
    assert_eq!(links("style"), Vec::<&str>::new());
    for forbidden in ["url(", "@import", "https:", "innerHTML", "<link", "<iframe", " onclick"] {
        assert!(!text.contains(forbidden), "{forbidden}");
    }
    // A name for drawings, not an address that is asked.
    assert_eq!(text.matches("http:").count(), text.matches("http://www.w3.org/2000/svg").count());
}

#[test]
fn names_that_try_to_be_something_else_are_text_in_the_page() {
    let text = page(&hostile().publishes(&[]));
    for markup in ["<img", "<b>bold", "document.title='taken'</script>", "\u{202e}", "\u{1b}"] {
        assert!(!text.contains(markup), "{markup}");
    }
    let apps = between(&text, "<table id=\"app-rows\">", "</table>");
    for shown in [
        "&lt;img src=x onerror=alert(1)&gt;",
        "&lt;/script&gt;&lt;script&gt;document.title=&#39;taken&#39;&lt;/script&gt;",
        "invoice[U+202E]fdp.exe",
        "[U+001B][2Jcleared",
        "[U+0009]cmd",
        "&lt;b&gt;bold&lt;/b&gt;",
    ] {
        assert!(apps.contains(&format!("<bdi>{shown}</bdi>")), "{shown}\n{apps}");
    }
    // What the script shows later is the same: JSON that holds no markup.
    let data = between(&text, "id=\"app-rows-d\">", "</script>");
    assert!(!data.contains(['<', '>', '&']), "{data}");
    let parsed: serde_json::Value = serde_json::from_str(data).unwrap();
    let names: Vec<&str> =
        parsed["rows"].as_array().unwrap().iter().filter_map(|row| row[0].as_str()).collect();
    assert!(names.contains(&HOSTILE[1]) && names.contains(&"invoice[U+202E]fdp.exe"), "{names:?}");
}

#[test]
fn the_same_run_gives_the_same_reports() {
    let lake = Lake::with_standing();
    let (first, second) = (lake.publishes(&[]), lake.publishes(&["--output", "second"]));
    for name in ["report.html", "report.xlsx"] {
        let (a, b) = (fs::read(report(&first, name)), fs::read(report(&second, name)));
        assert!(a.unwrap() == b.unwrap(), "{name} differs");
    }
}

#[test]
fn reports_stand_in_the_manifest_and_one_that_was_altered_is_written_anew() {
    let lake = Lake::standard();
    let published = lake.publishes(&[]);
    let manifest = fs::read_to_string(report(&published, "manifest.json")).unwrap();
    let manifest: serde_json::Value = serde_json::from_str(&manifest).unwrap();
    for name in ["report.html", "report.xlsx"] {
        let path = report(&published, name);
        let bytes = fs::read(&path).unwrap();
        let outputs = manifest["outputs"].as_array().unwrap();
        let output = outputs.iter().find(|o| o["path"] == name).unwrap();
        let hash: String = Sha256::digest(&bytes).iter().map(|b| format!("{b:02x}")).collect();
        assert_eq!((&output["sha256"], &output["rows"]), (&hash.into(), &0.into()), "{name}");
        assert!(lake.run(&[]).succeeds().json()["reused"].as_bool().unwrap());
        fs::write(&path, b"altered").unwrap();
        assert!(!lake.run(&[]).succeeds().json()["reused"].as_bool().unwrap());
        assert!(fs::read(&path).unwrap() == bytes, "{name}");
    }
    let latest: Vec<String> =
        lake.files().into_keys().filter(|path| path.starts_with("out/latest/report")).collect();
    assert_eq!(latest, Vec::<String>::new());
}

#[test]
fn each_report_can_be_left_out() {
    let lake = Lake::standard();
    for (off, on) in [("html", "xlsx"), ("xlsx", "html")] {
        let published = lake.publishes(&["--set", &format!("report.{off}=false")]);
        assert!(!report(&published, &format!("report.{off}")).exists());
        assert!(report(&published, &format!("report.{on}")).exists());
    }
}

#[test]
fn what_the_page_leaves_out_it_says_and_where_it_is() {
    let lake = Lake::empty();
    // 2,100 groups of one person each; the page holds 2,000 of them.
    let calls: Vec<_> = (0..2_100)
        .map(|n| crate::lake::Call {
            group: Some(n),
            ..crate::lake::call("2019-07-01T08:00:00Z", "app-1", n)
        })
        .collect();
    lake.log("logs/part-0.parquet", &calls);
    let text = page(&lake.publishes(&[]));
    assert!(text.contains("This page holds the first 2,000 of 2,100 rows. 100 are left out here; all are in tables/groups_exposed.parquet."));
    let data = between(&text, "id=\"group-rows-d\">", "</script>");
    let parsed: serde_json::Value = serde_json::from_str(data).unwrap();
    assert_eq!(parsed["rows"].as_array().unwrap().len(), 2_000);
}

#[test]
fn missing_days_and_left_out_files_are_named() {
    let lake = Lake::standard();
    lake.edit(
        "afterscope.toml",
        "[source.columns]",
        "expected = { every = \"1d\", from = \"2019-06-30\", until = \"2019-07-06\" }\n[source.columns]",
    );
    lake.write("logs/broken.parquet", "this is no Parquet");
    let text = page(&lake.publishes(&["--allow-incomplete"]));
    assert!(text.contains("<b>Incomplete:</b>"));
    let coverage = between(&text, "<h2 id=\"coverage\">", "</section>");
    assert!(coverage.contains("6 days declared, 2019-06-30 to 2019-07-05; 3 days without a readable row: <b>2019-06-30, 2019-07-04 to 2019-07-05</b>"), "{coverage}");
    assert!(
        text.contains("1 file of log access could not be read; what they hold is in no figure.")
    );
    assert!(text.contains("Coverage of the logs: 50 %. Files were left out"));
}
#[test]
fn people_by_jurisdiction_stand_beside_thresholds_and_deadlines() {
    let lake = Lake::standard();
    let numbers = |values: Vec<i64>| -> ArrayRef { Arc::new(Int64Array::from(values)) };
    let countries: ArrayRef = Arc::new(StringArray::from(vec!["IE", "IE", "FR"]));
    lake.columns(
        "residency.parquet",
        vec![("subject", numbers(vec![1, 2, 3])), ("country", countries)],
    );
    // Person 20 is a member of group 10 and called nothing.
    let always = || times([None].into_iter());
    lake.columns(
        "memberships.parquet",
        vec![
            ("group_id", numbers(vec![10])),
            ("subject", numbers(vec![20])),
            ("from", always()),
            ("to", always()),
        ],
    );
    lake.write(
        "thresholds.csv",
        "regime,jurisdiction,operator,number,counted,clock,limit,unit,source
high,all,>,100,subjects,,,,test
low,all,>=,4,subjects,discovered,30,calendar_days,test
middle,all,>=,5,subjects,,,,test
",
    );
    let keys = "residency = \"residency.parquet\"\nmemberships = \"memberships.parquet\"\nthresholds = \"thresholds.csv\"\n";
    let incident = "\n[incident]\ndiscovered = \"2019-08-01\"\n";
    lake.edit("afterscope.toml", "\n[report]", &format!("{keys}{incident}\n[report]"));
    let text = page(&lake.publishes(&[]));
    assert!(text.contains(
        "People: 3 observed; at most 4; calls of which nobody can say whom they reached: 0."
    ));
    let thresholds = between(&text, "<table id=\"threshold-rows\">", "</table>");
    let rows: Vec<&str> = thresholds.split("<tr>").skip(2).collect();
    // The four people observed meet the lowest; person 20 makes five. No source declares its days: nothing
    // is sure to be missed by the highest.
    let of_all = |regime: &str| {
        let place = |row: &&str| {
            row.contains("<bdi>(all)</bdi>") && row.contains(&format!("<bdi>{regime}</bdi>"))
        };
        let at = rows.iter().position(place).unwrap();
        (at, rows[at])
    };
    let (met, by_bound, not) = (of_all("low"), of_all("middle"), of_all("high"));
    assert!(met.0 < by_bound.0 && by_bound.0 < not.0, "{thresholds}");
    for (row, state) in
        [(met.1, "met"), (by_bound.1, "met by the upper bound only"), (not.1, "undecided")]
    {
        assert!(row.contains(&format!("<td><bdi>{state}</bdi></td>")), "{row}");
        assert!(row.contains("<td class=\"n\">4</td><td class=\"n\">5</td>"), "{row}");
    }
    let people = between(&text, "<table id=\"jurisdiction-rows\">", "</table>");
    assert!(people.contains("<bdi>IE</bdi>") && people.contains("<bdi>FR</bdi>"), "{people}");
    let deadlines = between(&text, "<table id=\"deadline-rows\">", "</table>");
    // Thirty days from 2019-08-01 on; the report ends a day later.
    for shown in [
        "<td class=\"t\">2019-08-31 00:00:00</td>",
        "<bdi>passed</bdi>",
        "<bdi>calendar days</bdi>",
    ] {
        assert!(deadlines.contains(shown), "{shown}\n{deadlines}");
    }
}
