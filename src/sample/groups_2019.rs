//! The story of November 2019: four scopes of a Groups API were restricted on 2018-04-04; a hundred
//! partner apps may have kept access, eleven used it in the last sixty days.
//!
//! Every number follows from the plan below; nothing is drawn at random.

use std::collections::BTreeMap;
use std::fs;

use super::delta::Delta;
use super::history::Lake;
use super::iceberg::Iceberg;
use super::plain::Plain;
use super::rows::Row;
use super::standing::{self, Standing};
use super::truth::{App, Call, Facts, Granted, Promise, Scope, Truth};
use super::{Failed, Format, Made, SampleError, Wanted, answers, people, unwritten, write};
use crate::key::mix;
use crate::moment::{DAY_MICROS, Moment};

const AS_OF: &str = "2019-11-06T00:00:00Z";
const RESTRICTED: &str = "2018-04-04T00:00:00Z";
/// 2018-05-06: eighteen months before `AS_OF`.
const FIRST_DAY: i64 = 17_657;
/// 2019-11-06.
const END_DAY: i64 = 18_206;
const LOOKBACK_DAYS: i64 = 60;
/// When what starts a deadline's clock happened; the configuration says the same.
const CLOCKS: [(&str, &str); 2] =
    [("discovered", "2019-10-31T16:00:00Z"), ("aware", "2019-11-01T09:00:00Z")];
/// 2019-07-10: the log of this day was lost.
const LOST_DAY: i64 = 18_087;
/// 2019-02-04: where the log is a table, what was written of the days up to here was put right before the
/// next day was written.
const HALF: i64 = 17_931;

const SCOPES: [(&str, &str); 4] = [
    ("groups_access_member_info", "name;profile_picture"),
    ("publish_to_groups", "posts"),
    ("user_managed_groups", "group_list"),
    ("groups_feed_members", "name;posts;comments"),
];
const LIVE: [&str; 6] =
    ["public_profile", "email", "pages_show_list", "user_posts", "user_photos", "pages_read"];

/// Apps whose grant was never taken back.
const CAPABLE: usize = 100;
/// Of them, those that called after the restriction, and those that still did in the last 60 days.
const USED: usize = 34;
const USED_LATELY: usize = 11;
const UNREGISTERED: usize = 3;
/// Apps that only use scopes which are not restricted.
const OTHERS: usize = 250;

/// One app's use of one scope.
struct Use {
    app: String,
    scope: usize,
    from_day: i64,
    /// Not included.
    to_day: i64,
    calls: u64,
    /// Every n-th call is denied; 0 for none.
    denied_every: u64,
    first_person: i64,
    people: i64,
    grace_until: Option<i64>,
    standing: Standing,
}

fn app_id(number: usize) -> String {
    format!("{}", 1_140_000_000_000 + number * 7_919)
}

fn grace_of(number: usize) -> Option<&'static str> {
    match number {
        0..12 => Some("2018-07-04T00:00:00Z"),
        12..17 => Some("2019-01-04T00:00:00Z"),
        17..19 => Some("2019-12-31T00:00:00Z"),
        _ => None,
    }
}

/// Makes the lake.
///
/// # Errors
/// A folder that is not empty, and files that cannot be written.
pub fn groups_2019(wanted: &Wanted) -> Result<Made, SampleError> {
    let out = &wanted.out;
    if fs::read_dir(out).is_ok_and(|mut entries| entries.next().is_some()) {
        return Err(SampleError::NotEmpty { folder: out.display().to_string() });
    }
    make(wanted).map_err(|error| match error.downcast::<SampleError>() {
        Ok(named) => *named,
        Err(other) => unwritten(out, &other),
    })
}

fn make(wanted: &Wanted) -> Result<Made, Failed> {
    let Wanted { out, rows, format, registry } = wanted;
    let uses = plan(rows / 8);
    let used: u64 = uses.iter().map(|u| u.calls).sum();
    // One use in 200 is written a second time.
    let noise = rows.saturating_sub(used + used / 200);
    let mut truth = Truth::new(facts());
    let logs = out.join("logs");
    let mut lake: Box<dyn Lake> = match format {
        Format::Parquet => Box::new(Plain { root: logs }),
        Format::Delta => Box::new(Delta::new(logs, FIRST_DAY)?),
        Format::Iceberg => Box::new(Iceberg::new(logs, FIRST_DAY)?),
    };
    let (mut written, mut days) = (0, 0);
    for day in (FIRST_DAY..END_DAY).filter(|day| *day != LOST_DAY) {
        let mut calls = Vec::new();
        for (number, of) in uses.iter().enumerate() {
            add_use(&mut calls, &mut truth, number as u64, of, day);
        }
        add_noise(&mut calls, &mut truth, day, noise);
        calls.sort();
        days += 1;
        written += calls.len() as u64;
        lake.day(day, calls, strangers(day))?;
        if day == HALF {
            lake.turn()?;
        }
    }
    lake.turn()?;
    write(&out.join("afterscope.toml"), configuration(*format, registry.as_deref()))?;
    if registry.is_none() {
        for (name, text) in self::registry() {
            write(&out.join(name), text)?;
        }
        let memberships = out.join("memberships.parquet");
        people::write(out, truth.people()).map_err(|e| unwritten(&memberships, &e))?;
        write(&out.join("truth.json"), answers::render(&truth, written, *format))?;
    }
    Ok(Made { rows: written, days, as_of: AS_OF.into() })
}

/// The configuration, with the log's format, and the registry's files in another folder where one is named.
fn configuration(format: Format, registry: Option<&str>) -> String {
    let text = include_str!("groups_2019.toml");
    let name = match format {
        Format::Parquet => "parquet",
        Format::Delta => "delta",
        Format::Iceberg => "iceberg",
    };
    let text = text.replace("format = \"parquet\"", &format!("format = \"{name}\""));
    let Some(folder) = registry else { return text };
    let text = text.replace("truth.json beside this file", &format!("{folder}/truth.json"));
    let is_file = |line: &str| line.ends_with(".csv\"") || line.ends_with(".parquet\"");
    text.lines()
        .map(|line| match line.split_once(" = \"") {
            Some((key, file)) if is_file(line) => format!("{key} = \"{folder}/{file}\n"),
            _ => format!("{line}\n"),
        })
        .collect()
}

/// Calls that were never made, of people who do not exist: where the log is a table they are written and
/// taken out again. Counted, each of them would change the answer.
fn strangers(day: i64) -> Vec<Row> {
    let scope = SCOPES.first().map_or("", |(name, _)| *name);
    let strangers = (0..3).map(|number| {
        let person = 900_000_000 + day * 10 + number;
        let call = Call {
            scope,
            app: &app_id(3),
            micros: day * DAY_MICROS + (number + 1) * DAY_MICROS / 4,
            person: Some(person),
            group: Some(people::group_of(person)),
            bytes: 1_000_000,
            allowed: true,
            in_grace: false,
            in_brownout: false,
            after_revocation: false,
            after_attestation: false,
        };
        Row::of(&call, &format!("stranger-{person}"))
    });
    strangers.collect()
}

/// Who uses what, when, and whom it reaches; `calls` in all, about.
fn plan(calls: u64) -> Vec<Use> {
    let mut uses = Vec::new();
    let lookback = END_DAY - LOOKBACK_DAYS;
    let weight = |number: usize| 1 + (number * 13 % 9) as u64;
    let share: u64 = (0..USED + 1 + UNREGISTERED).map(|n| weight(n) * (1 + n as u64 % 3)).sum();
    let unit = (calls / share).max(1);
    for number in 0..USED + 1 + UNREGISTERED {
        let scopes = 1 + number % 3;
        // Eleven go on to the end; all others stopped before the lookback begins.
        let to_day =
            if number < USED_LATELY { END_DAY } else { lookback - 7 * (number as i64 - 10) };
        let app = if number < USED {
            app_id(number)
        } else if number == USED {
            // Registered, without a grant.
            app_id(CAPABLE)
        } else {
            format!("unregistered-{}", number - USED)
        };
        let grace = grace_of(number).filter(|_| number < USED);
        let grace_until = grace.and_then(Moment::parse_rfc3339).map(|m| m.micros);
        for i in 0..scopes {
            let calls = unit * weight(number);
            let scope = (number + i) % SCOPES.len();
            uses.push(Use {
                app: app.clone(),
                scope,
                standing: standing::standing(
                    if number < USED { number } else { usize::MAX },
                    scope,
                ),
                from_day: FIRST_DAY + number as i64,
                to_day,
                calls,
                denied_every: if number % 4 == 3 { 5 } else { 0 },
                // Neighbouring apps reach some of the same people.
                first_person: 100_000 + (number * 700) as i64,
                people: i64::try_from(calls / 3 + 1).unwrap_or(i64::MAX),
                grace_until,
            });
        }
    }
    uses
}

/// Calls of a use on a day: numbers [from, to).
fn calls_on(of: &Use, day: i64) -> std::ops::Range<u64> {
    if day < of.from_day || day >= of.to_day {
        return 0..0;
    }
    let days = (of.to_day - of.from_day).unsigned_abs();
    let at = (day - of.from_day).unsigned_abs();
    let until = |n: u64| {
        u64::try_from(u128::from(n) * u128::from(of.calls) / u128::from(days)).unwrap_or(0)
    };
    until(at)..until(at + 1)
}

fn within(stretches: &[(i64, i64)], micros: i64) -> bool {
    stretches.iter().any(|(from, to)| *from <= micros && micros < *to)
}

fn add_use(rows: &mut Vec<Row>, truth: &mut Truth, number: u64, of: &Use, day: i64) {
    let Some((scope, _)) = SCOPES.get(of.scope) else { return };
    for call in calls_on(of, day) {
        let hash = mix(number << 40 | call);
        let micros = day * DAY_MICROS + i64::try_from(hash % DAY_MICROS as u64).unwrap_or(0);
        let person = of.first_person + i64::try_from(call).unwrap_or(0) % of.people;
        // Some calls name the group only.
        let named = (call % 97 != 7).then_some(person);
        let made = Call {
            scope,
            app: &of.app,
            micros,
            person: named,
            group: (call % 10 != 7).then_some(people::group_of(person)),
            bytes: 200 + i64::try_from(hash % 4_000).unwrap_or(0),
            allowed: of.denied_every == 0 || call % of.denied_every != 1,
            in_grace: of.grace_until.is_some_and(|until| micros < until),
            in_brownout: within(&of.standing.brownouts, micros),
            after_revocation: within(&of.standing.revoked, micros),
            after_attestation: of.standing.promised.is_some_and(|at| at <= micros),
        };
        truth.count(&made, day);
        let id = format!("{hash:016x}{number:04x}");
        rows.push(Row::of(&made, &id));
        // The collector delivers some events twice.
        if call % 200 == 50 {
            rows.push(Row::of(&made, &id));
            truth.repeat(day);
        }
    }
}

/// Calls of scopes that are not restricted.
fn add_noise(calls: &mut Vec<Row>, truth: &mut Truth, day: i64, rows: u64) {
    let days = (END_DAY - FIRST_DAY).unsigned_abs();
    let at = (day - FIRST_DAY).unsigned_abs();
    for call in rows * at / days..rows * (at + 1) / days {
        let hash = mix(call ^ 0x5eed << 48);
        let pick = |of: u64, shift: u32| (hash >> shift) % of;
        let scope = LIVE.get(usize::try_from(pick(LIVE.len() as u64, 3)).unwrap_or(0));
        let app = app_id(usize::try_from(pick((CAPABLE + 1 + OTHERS) as u64, 7)).unwrap_or(0));
        let person = i64::try_from(pick(2_000_000, 11)).unwrap_or(0);
        let micros = day * DAY_MICROS + i64::try_from(hash % DAY_MICROS as u64).unwrap_or(0);
        let made = Call {
            scope: scope.copied().unwrap_or("email"),
            app: &app,
            micros,
            person: Some(person),
            group: None,
            bytes: 100 + i64::try_from(pick(9_000, 20)).unwrap_or(0),
            allowed: pick(20, 30) != 0,
            in_grace: false,
            in_brownout: false,
            after_revocation: false,
            after_attestation: false,
        };
        calls.push(Row::of(&made, &format!("{hash:016x}ffff")));
        truth.outside(day);
    }
}

/// Which groups somebody is in can tell of health, faith or party.
fn special_of(fields: &'static str) -> &'static str {
    if fields == "group_list" { fields } else { "" }
}

/// An app of the registry.
fn app(number: usize) -> App {
    let (kind, developer) =
        if number <= CAPABLE { ("Group Tool", number % 63) } else { ("App", 63 + number % 140) };
    App {
        name: format!("{kind} {number}"),
        developer: format!("dev-{developer:03}"),
        developer_name: format!("Developer {developer}"),
    }
}

/// What the story says beside its calls; the registry's files say the same.
fn facts() -> Facts {
    let micros = |text: &str| Moment::parse_rfc3339(text).map_or(0, |at| at.micros);
    let list = |names: &'static str| names.split(';').filter(|name| !name.is_empty()).collect();
    let scope = |number: usize| SCOPES.get(number).map_or("", |(name, _)| *name);
    let grants = standing::given(CAPABLE, SCOPES.len()).into_iter().map(|grant| Granted {
        app: app_id(grant.app),
        scope: scope(grant.scope),
        from: micros(grant.from),
        to: grant.to.map(micros),
    });
    let promises = standing::promises().into_iter().map(|promise| Promise {
        app: app_id(promise.app),
        scope: promise.scope.map(scope),
        asked: promise.asked,
        given: promise.given,
        statement: promise.statement,
    });
    let graces =
        (0..CAPABLE).filter_map(|number| Some((app_id(number), micros(grace_of(number)?))));
    Facts {
        restricted: micros(RESTRICTED),
        as_of: micros(AS_OF),
        lookback_from: (END_DAY - LOOKBACK_DAYS) * DAY_MICROS,
        first_day: FIRST_DAY,
        end_day: END_DAY,
        lost_day: LOST_DAY,
        clocks: CLOCKS.into_iter().map(|(clock, at)| (clock, micros(at))).collect(),
        scopes: SCOPES
            .into_iter()
            .map(|(name, fields)| Scope {
                name,
                categories: list(fields),
                special: list(special_of(fields)),
            })
            .collect(),
        apps: (0..CAPABLE + 1 + OTHERS).map(|number| (app_id(number), app(number))).collect(),
        graces: graces.collect::<BTreeMap<_, _>>(),
        grants: grants.collect(),
        promises: promises.collect(),
        rules: people::rules(),
    }
}

fn registry() -> Vec<(&'static str, String)> {
    let mut scopes = String::from("scope,deprecated_at,data_fields,special_fields\n");
    for (scope, fields) in SCOPES {
        let special = special_of(fields);
        scopes.push_str(&format!("{scope},{RESTRICTED},{fields},{special}\n"));
    }
    let mut apps = String::from("app_id,app_name,developer_id,developer_name\n");
    for number in 0..CAPABLE + 1 + OTHERS {
        let App { name, developer, developer_name } = app(number);
        apps.push_str(&format!("{},{name},{developer},{developer_name}\n", app_id(number)));
    }
    let names = SCOPES.map(|(name, _)| name);
    let mut extensions = String::from("app_id,scope,grace_until\n");
    for (number, until) in (0..CAPABLE).filter_map(|n| Some((n, grace_of(n)?))) {
        for (scope, _) in SCOPES {
            extensions.push_str(&format!("{},{scope},{until}\n", app_id(number)));
        }
    }
    vec![
        ("scopes.csv", scopes),
        ("apps.csv", apps),
        ("grants.csv", standing::grants(CAPABLE, app_id, &names)),
        ("brownouts.csv", standing::brownouts(&names)),
        ("attestations.csv", standing::attestations(app_id, &names)),
        ("extensions.csv", extensions),
        ("thresholds.csv", people::thresholds()),
    ]
}
