//! `report.html` in Chromium: what is rendered, what is asked of the network, and how long it takes.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use super::{HOSTILE, hostile, page, report};
use crate::lake::{Call, Lake, call, skipped};

/// What Chromium makes of a page: its document after the scripts, and its console.
struct Rendered {
    document: String,
    console: String,
    took: Duration,
}

/// Opens a page; `None` where there is no Chromium.
fn rendered(page: &Path, arguments: &[&str]) -> Option<Rendered> {
    let profile = tempfile::tempdir().unwrap();
    let started = Instant::now();
    let run = Command::new("chromium")
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run"])
        .args(["--disable-background-networking", "--disable-component-update", "--disable-sync"])
        .args(["--host-resolver-rules=MAP * ~NOTFOUND", "--enable-logging=stderr"])
        .arg(format!("--user-data-dir={}", profile.path().display()))
        .args(arguments)
        .arg("--dump-dom")
        .arg(format!("file://{}", page.display()))
        .output();
    let Ok(run) = run else {
        skipped("chromium is not there: no browser to open a report with");
        return None;
    };
    let took = started.elapsed();
    let stderr = String::from_utf8_lossy(&run.stderr);
    let console: Vec<&str> = stderr.lines().filter(|line| line.contains("CONSOLE")).collect();
    let document = String::from_utf8(run.stdout).unwrap();
    assert!(document.contains("</html>"), "{stderr}");
    Some(Rendered { document, console: console.join("\n"), took })
}

/// The page with a script of the test behind its own, and without the policy that forbids it.
fn driven(lake: &Lake, page: &str, script: &str) -> std::path::PathBuf {
    let (before, rest) = page.split_once("<meta http-equiv").unwrap();
    let (_, rest) = rest.split_once(">").unwrap();
    let (rest, end) = rest.rsplit_once("</body>").unwrap();
    let shown = "const say = (x) => { const p = document.createElement('pre'); p.className = 'said'; p.textContent = JSON.stringify(x); document.body.append(p); };";
    lake.write(
        "driven.html",
        &format!("{before}{rest}<script>\"use strict\";{shown}\n{script}</script></body>{end}"),
    )
}

/// What the script of [`driven`] said, one value for each call of `say`.
fn said(document: &str) -> Vec<serde_json::Value> {
    let parts = document.split("<pre class=\"said\">").skip(1);
    let text = |part: &str| {
        let text = part.split("</pre>").next().unwrap();
        text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
    };
    parts.map(|part| serde_json::from_str(&text(part)).unwrap()).collect()
}

#[test]
#[ignore = "slow"]
fn the_sample_s_page_shows_the_figures_and_asks_nobody() {
    let lake = Lake::empty();
    lake.afterscope(&["sample", "groups-2019", "made"]).succeeds();
    let args = ["run", "--config", "made/afterscope.toml", "--as-of", "2019-11-06T00:00:00Z"];
    let published = lake.afterscope(&args).succeeds().published();
    let log = lake.path("net.json");
    let argument = format!("--log-net-log={}", log.display());
    let path = report(&published, "report.html");
    let Some(seen) = rendered(&path, &[&argument]) else { return };
    assert_eq!(seen.console, "", "the console speaks of a script or a policy that failed");
    let truth: serde_json::Value = lake.json("made/truth.json");
    let story = &truth["story"];
    let figures = ["apps_used_after_restriction", "apps_used_lookback", "people_observed"];
    assert_eq!(figures.map(|name| story[name].as_u64()), [Some(38), Some(11), Some(17_897)]);
    for text in [
        "After the restriction, 38 apps used 4 restricted scopes, the last time on 5 November 2019",
        "100 could call, 11 did in the last 60 days. They reached data of 17,897 people who were observed, and of at most 31,086 as far as is known; of 153 calls nobody can say whom they reached. Coverage of the logs: 99.81 %.",
        "was used after that by 18 apps, 5 of them in the last 60 days; 100 apps could call.",
        "People: 9,733 observed; at most 23,319 as far as is known;",
        "1 day without a readable row: <b>2019-07-10</b>",
        // The page's script ran: lines below tables are its own, and headings can be sorted by.
        "Rows 1 to 25 of ",
        "Apps 1 to 38 of 38.",
        "aria-label=\"Sort by People observed\"",
        "aria-sort=\"none\"",
    ] {
        assert!(seen.document.contains(text), "{text}");
    }
    assert_eq!(asked(&log), BTreeSet::new());
    // A page that does ask is seen to ask.
    let asking = lake
        .write("asking.html", "<!DOCTYPE html><html><img src=\"http://example.invalid/x\"></html>");
    rendered(&asking, &[&argument]).unwrap();
    assert_eq!(asked(&log), BTreeSet::from(["http://example.invalid/x".to_string()]));
}

/// Addresses that a page asked for, by Chromium's log of the network. What the browser asks for itself
/// has no origin.
fn asked(log: &Path) -> BTreeSet<String> {
    let log: serde_json::Value = serde_json::from_slice(&fs::read(log).unwrap()).unwrap();
    log["events"]
        .as_array()
        .unwrap()
        .iter()
        .map(|event| &event["params"])
        .filter(|asked| asked["initiator"].as_str().is_some_and(|by| by != "not an origin"))
        .filter_map(|asked| Some(asked["url"].as_str()?.to_string()))
        .collect()
}

#[test]
#[ignore = "slow"]
fn names_that_try_to_be_something_else_are_text_in_the_browser() {
    let lake = hostile();
    let published = lake.publishes(&[]);
    let Some(seen) = rendered(&report(&published, "report.html"), &[]) else { return };
    assert_eq!(seen.console, "");
    assert!(!seen.document.contains("<img") && !seen.document.contains("<title>taken"));
    // Without the policy too: the page's own script makes text of them.
    let script = "const names = [...document.querySelectorAll('#app-rows tbody tr')].map((row) => row.cells[0].textContent);
        say(names); say(document.title); say(document.querySelectorAll('img, b b').length);
        say([...document.querySelectorAll('#heat text.app')].map((text) => text.textContent));";
    let open = driven(&lake, &page(&published), script);
    let said = said(&rendered(&open, &[]).unwrap().document);
    for names in [&said[0], &said[3]] {
        let names: Vec<&str> =
            names.as_array().unwrap().iter().map(|n| n.as_str().unwrap()).collect();
        assert!(names.contains(&HOSTILE[0]), "{names:?}");
        assert!(names.contains(&"invoice[U+202E]fdp.exe"), "{names:?}");
    }
    assert!(said[1].as_str().unwrap().starts_with("Use after restriction"));
    assert_eq!(said[2], 0);
}

#[test]
#[ignore = "slow"]
fn tables_are_sorted_filtered_and_turned_over() {
    let lake = Lake::empty();
    // App n of 60 has n + 1 people.
    let apps: Vec<String> =
        (0..60).map(|n| format!("app-{n:02},Tool {n:02},dev-1,Ada Ltd\n")).collect();
    lake.write(
        "apps.csv",
        &format!("app_id,app_name,developer_id,developer_name\n{}", apps.concat()),
    );
    let calls: Vec<Call> = (0..60_i64)
        .flat_map(|n| {
            (0..=n).map(move |person| call("2019-07-01T08:00:00Z", &format!("app-{n:02}"), person))
        })
        .collect();
    lake.log("logs/part-0.parquet", &calls);
    let published = lake.publishes(&[]);
    let script = "const box = document.querySelector('[data-for=app-rows]');
        const rows = () => [...box.querySelectorAll('tbody tr')].map((row) => row.cells[0].textContent + ' ' + row.cells[1].textContent);
        const state = () => say([rows().length, rows()[0], rows().at(-1), box.querySelector('.rows').textContent]);
        const heads = [...box.querySelectorAll('thead th')], [back, on] = box.querySelectorAll('.turn button');
        state();
        heads[1].querySelector('button').click(); state(); say(heads.map((head) => head.ariaSort).slice(0, 3));
        heads[1].querySelector('button').click(); state();
        on.click(); on.click(); state(); say([back.disabled, on.disabled]);
        const input = box.querySelector('input');
        input.value = 'TOOL 4'; input.dispatchEvent(new Event('input'));
        setTimeout(() => {
            state(); say(box.querySelector('.turn').hidden);
            input.value = 'app-07'; input.dispatchEvent(new Event('input'));
            setTimeout(state, 400);
        }, 400);";
    let open = driven(&lake, &page(&published), script);
    let Some(seen) = rendered(&open, &["--virtual-time-budget=5000"]) else { return };
    let said: Vec<String> = said(&seen.document).iter().map(ToString::to_string).collect();
    assert_eq!(
        said,
        [
            r#"[25,"Tool 59 60","Tool 35 36","Rows 1 to 25 of 60."]"#,
            r#"[25,"Tool 59 60","Tool 35 36","Rows 1 to 25 of 60."]"#,
            r#"["none","descending","none"]"#,
            r#"[25,"Tool 00 1","Tool 24 25","Rows 1 to 25 of 60."]"#,
            r#"[10,"Tool 50 51","Tool 59 60","Rows 51 to 60 of 60."]"#,
            "[false,true]",
            r#"[10,"Tool 40 41","Tool 49 50","Rows 1 to 10 of 10, chosen from 60."]"#,
            "true",
            r#"[1,"Tool 07 8","Tool 07 8","Rows 1 to 1 of 1, chosen from 60."]"#,
        ]
    );
}

#[test]
#[ignore = "slow"]
fn four_thousand_apps_open_within_ten_seconds_and_sort_within_one() {
    let lake = Lake::empty();
    let apps: Vec<String> =
        (0..4_000).map(|n| format!("app-{n},Tool {n},dev-{},Ada Ltd\n", n / 2)).collect();
    lake.write(
        "apps.csv",
        &format!("app_id,app_name,developer_id,developer_name\n{}", apps.concat()),
    );
    for week in 0..8 {
        let time = format!("2019-07-{:02}T08:00:00Z", 1 + week * 3);
        let calls: Vec<Call> = (0..4_000)
            .flat_map(|n| {
                let one = call(&time, &format!("app-{n}"), n % 997 + week);
                [Call { scope: "write_posts".into(), ..one.clone() }, one]
            })
            .collect();
        lake.log(&format!("logs/part-{week}.parquet"), &calls);
    }
    let published = lake.publishes(&[]);
    let script = "const begun = performance.now();
        for (const head of document.querySelectorAll('#app-scope-rows thead button')) head.click();
        say(performance.now() - begun); say(document.querySelectorAll('#app-scope-rows thead button').length);
        say(document.querySelector('[data-for=app-scope-rows] .rows').textContent);
        say(document.querySelector('.heat .rows').textContent);
        say(document.querySelectorAll('*').length);";
    let open = driven(&lake, &page(&published), script);
    let Some(seen) = rendered(&open, &[]) else { return };
    assert!(seen.took < Duration::from_secs(10), "{:?}", seen.took);
    let said = said(&seen.document);
    assert_eq!(said[2], "Rows 1 to 25 of 8,000.");
    assert_eq!(said[3], "Apps 1 to 40 of 4,000.");
    let each = said[0].as_f64().unwrap() / said[1].as_f64().unwrap();
    assert!(each < 1_000.0, "sorting 8,000 rows takes {each} ms");
    // Only what is seen is in the document.
    assert!(said[4].as_u64().unwrap() < 12_000, "{} elements", said[4]);
    let _ = writeln_took(&seen);
}

/// What a reader of the test's output learns.
fn writeln_took(seen: &Rendered) -> std::io::Result<()> {
    use std::io::Write;
    writeln!(std::io::stderr(), "4,000 apps: {:.1} s", seen.took.as_secs_f64())
}
