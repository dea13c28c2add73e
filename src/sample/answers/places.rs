//! Where the people live whom it reached, and who must be told because of that.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{ALL, Row, is_in, scopes, used};
use crate::sample::people::{self, Home, Rule};
use crate::sample::truth::{Cell, Truth};

/// People observed and the upper bound by where they live.
fn by_home(cell: &Cell) -> BTreeMap<Option<Home>, (u64, u64)> {
    let mut homes: BTreeMap<Option<Home>, (u64, u64)> = BTreeMap::new();
    for person in &cell.all.reached {
        let count = homes.entry(people::home(*person)).or_default();
        count.0 += u64::from(cell.all.people.contains(person));
        count.1 += 1;
    }
    homes
}

pub fn subjects_by_jurisdiction(truth: &Truth) -> Vec<Row> {
    let row = |grain: &str, scope: &str, app: &str, cell: &Cell| -> Vec<Row> {
        let place = |(home, (observed, upper)): (Option<Home>, (u64, u64))| {
            vec![
                ("grain", json!(grain)),
                ("scope", json!(scope)),
                ("app_id", json!(app)),
                ("is_known", json!(home.is_some())),
                ("country", json!(home.map(|home| home.0))),
                ("subdivision", json!(home.and_then(|home| home.1))),
                ("category", Value::Null),
                ("subjects_observed", json!(observed)),
                ("subjects_upper_bound", json!(upper)),
            ]
        };
        by_home(cell).into_iter().map(place).collect()
    };
    let mut rows = Vec::new();
    for scope in scopes(&truth.facts) {
        let grain = if scope == ALL { "all" } else { "scope" };
        rows.extend(row(grain, scope, ALL, &truth.union(|own, _| is_in(scope, own))));
    }
    for app in used(truth, ALL, false) {
        rows.extend(row("app", ALL, app, &truth.union(|_, own| own == app)));
    }
    rows
}

/// How many people live in the rule's places and how many may, of those observed and of the upper bound.
fn residents(rule: &Rule, homes: &BTreeMap<Option<Home>, (u64, u64)>) -> [(u64, u64); 2] {
    let codes: Vec<&str> = rule.jurisdiction.split(';').collect();
    let mut count = [(0, 0); 2];
    for (home, (observed, upper)) in homes {
        let lives_there = match home {
            _ if codes == ["all"] => Some(true),
            None => None,
            Some((country, _)) if codes.contains(country) => Some(true),
            Some((country, Some(part))) => {
                Some(codes.contains(&format!("{country}-{part}").as_str()))
            }
            // The country alone does not tell which part of it.
            Some((country, None)) => {
                let any = codes.iter().any(|code| code.starts_with(&format!("{country}-")));
                if any { None } else { Some(false) }
            }
        };
        let [there, perhaps] = &mut count;
        let places = match lives_there {
            Some(true) => there,
            None => perhaps,
            Some(false) => continue,
        };
        places.0 += observed;
        places.1 += upper;
    }
    count
}

pub fn thresholds(truth: &Truth) -> Vec<Row> {
    let facts = &truth.facts;
    let mut rows = Vec::new();
    for scope in scopes(facts) {
        let homes = by_home(&truth.union(|own, _| is_in(scope, own)));
        for rule in &facts.rules {
            let [(observed, upper), (unplaced, upper_unplaced)] = residents(rule, &homes);
            let meets = |people: u64| {
                rule.number
                    .map(|number| if rule.is_above { people > number } else { people >= number })
            };
            let state = match (meets(observed), meets(upper)) {
                (None, _) => "no_number",
                (Some(true), _) => "met",
                (_, Some(true)) => "met_by_upper_bound",
                // A day of the log is lost: nobody can say that the number was not reached.
                _ => "undecided",
            };
            rows.push(vec![
                ("grain", json!(if scope == ALL { "all" } else { "scope" })),
                ("scope", json!(scope)),
                ("regime", json!(rule.regime)),
                ("jurisdiction", json!(rule.jurisdiction)),
                ("operator", json!(rule.number.map(|_| if rule.is_above { ">" } else { ">=" }))),
                ("number", json!(rule.number)),
                ("subjects_observed", json!(observed)),
                ("subjects_upper_bound", json!(upper)),
                ("subjects_observed_unplaced", json!(unplaced)),
                ("subjects_upper_bound_unplaced", json!(upper_unplaced)),
                ("met_by_observed", json!(meets(observed))),
                ("met_by_upper_bound", json!(meets(upper))),
                ("state", json!(state)),
            ]);
        }
    }
    rows
}
