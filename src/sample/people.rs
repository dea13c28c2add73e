//! Who belongs to the groups of the story and where everybody lives, beside those whom the log names.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, StringArray, TimestampMicrosecondArray};
use arrow::datatypes::{DataType, Field, Schema, TimeUnit};
use arrow::record_batch::RecordBatch;
use parquet::arrow::ArrowWriter;
use parquet::basic::Compression;
use parquet::file::properties::WriterProperties;

use crate::moment::Moment;

const GROUPS: i64 = 997;
/// Members whom no row of the log names.
const SILENT: i64 = 10_000_000;
const JOINED: &str = "2019-01-01T00:00:00Z";
const LEFT: &str = "2018-12-01T00:00:00Z";

/// [from, to) in microseconds; none where it has no end on that side.
#[derive(Clone, Copy, Debug)]
pub struct Membership {
    pub group: i64,
    pub subject: i64,
    pub from: Option<i64>,
    pub to: Option<i64>,
}

impl Membership {
    pub fn holds(&self, micros: i64) -> bool {
        self.from.is_none_or(|from| from <= micros) && self.to.is_none_or(|to| micros < to)
    }
}

/// The group of a person's call.
pub fn group_of(person: i64) -> i64 {
    group(person % GROUPS)
}

fn group(number: i64) -> i64 {
    5_000 + number * 31
}

/// One group in a hundred has no known member.
fn has_members(number: i64) -> bool {
    number % 100 != 99
}

fn micros(text: &str) -> Option<i64> {
    Moment::parse_rfc3339(text).map(|at| at.micros)
}

pub fn memberships() -> Vec<Membership> {
    let mut all = Vec::new();
    for number in (0..GROUPS).filter(|number| has_members(*number)) {
        for k in 0..8 + number % 13 {
            // Some of the members are people whom the log names, too.
            let subject = if k == 2 { 100_000 + number * 7 } else { SILENT + number * 50 + k };
            let from = if k % 5 == 0 { micros(JOINED) } else { None };
            let to = if k % 5 == 1 { micros(LEFT) } else { None };
            all.push(Membership { group: group(number), subject, from, to });
            // Somebody in two groups counts once.
            let next = (number + 1) % GROUPS;
            if k == 7 && has_members(next) {
                all.push(Membership { group: group(next), subject, from: None, to: None });
            }
        }
    }
    all
}

/// Country and subdivision, where the registry knows them.
pub type Home = (&'static str, Option<&'static str>);

/// Where somebody lives at the end of the story.
pub fn home(person: i64) -> Option<Home> {
    const STATES: [&str; 5] = ["CA", "TX", "FL", "ME", "NY"];
    match person % 10 {
        9 => None,
        _ if person >= SILENT => Some(("IE", None)),
        6 => Some(("DE", None)),
        7 => Some(("FR", None)),
        8 => Some(("GB", None)),
        _ => {
            let state = usize::try_from(person / 10 % 5).ok().and_then(|i| STATES.get(i));
            Some(("US", state.copied()))
        }
    }
}

/// Rows of the residency table: what was known of people, and when.
fn residency(people: &BTreeSet<i64>) -> Vec<(i64, Home, Option<i64>)> {
    let elsewhere = ("XX", None);
    let mut rows = Vec::new();
    for person in people {
        let Some(home) = home(*person) else { continue };
        // What was known before, and what became known after the report's end, does not count.
        if person % 50 == 0 {
            rows.push((*person, elsewhere, micros("2017-01-01T00:00:00Z")));
        }
        if person % 50 == 1 {
            rows.push((*person, elsewhere, micros("2019-12-01T00:00:00Z")));
        }
        let dated = person % 3 != 0 || person % 50 == 0;
        rows.push((*person, home, micros("2019-10-01T00:00:00Z").filter(|_| dated)));
    }
    rows
}

type Written = Result<(), Box<dyn std::error::Error>>;

/// Writes both tables; `named` are the people of the log.
pub fn write(out: &Path, named: impl Iterator<Item = i64>) -> Written {
    let members = memberships();
    let mut people: BTreeSet<i64> = named.collect();
    people.extend(members.iter().map(|m| m.subject));
    let ints = |values: Vec<i64>| Arc::new(Int64Array::from(values)) as ArrayRef;
    let times = |values: Vec<Option<i64>>| {
        Arc::new(TimestampMicrosecondArray::from(values).with_timezone("UTC")) as ArrayRef
    };
    write_table(
        &out.join("memberships.parquet"),
        vec![
            ("group_id", ints(members.iter().map(|m| m.group).collect())),
            ("subject", ints(members.iter().map(|m| m.subject).collect())),
            ("from", times(members.iter().map(|m| m.from).collect())),
            ("to", times(members.iter().map(|m| m.to).collect())),
        ],
    )?;
    let rows = residency(&people);
    let homes = rows.iter().map(|r| r.1);
    write_table(
        &out.join("residency.parquet"),
        vec![
            ("subject", ints(rows.iter().map(|r| r.0).collect())),
            ("country", Arc::new(homes.clone().map(|h| Some(h.0)).collect::<StringArray>())),
            ("subdivision", Arc::new(homes.map(|h| h.1).collect::<StringArray>())),
            ("as_of", times(rows.iter().map(|r| r.2).collect())),
        ],
    )
}

fn write_table(path: &Path, columns: Vec<(&str, ArrayRef)>) -> Written {
    let fields: Vec<Field> = columns
        .iter()
        .map(|(name, array)| {
            let data_type = match array.data_type() {
                DataType::Timestamp(..) => {
                    DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
                }
                other => other.clone(),
            };
            Field::new(*name, data_type, true)
        })
        .collect();
    let arrays = columns.into_iter().map(|(_, array)| array).collect();
    let batch = RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays)?;
    let properties = WriterProperties::builder()
        .set_compression(Compression::SNAPPY)
        .set_created_by("afterscope sample".into())
        .build();
    let mut writer =
        ArrowWriter::try_new(std::fs::File::create(path)?, batch.schema(), Some(properties))?;
    writer.write(&batch)?;
    writer.close()?;
    Ok(())
}

/// Memberships by group.
pub fn by_group() -> BTreeMap<i64, Vec<Membership>> {
    let mut groups: BTreeMap<i64, Vec<Membership>> = BTreeMap::new();
    for membership in memberships() {
        groups.entry(membership.group).or_default().push(membership);
    }
    groups
}

/// The starter rules, and one that only the upper bound reaches: nobody whom the log names lives there.
pub fn thresholds() -> String {
    let mut text = include_str!("../../data-samples/thresholds.csv").to_string();
    text.push_str("example,IE,>=,1,subjects,,,,\"Made up for this sample: only the upper bound reaches it\"\n");
    text
}

/// A rule of [`thresholds`], as its line says it.
#[derive(Clone, Debug)]
pub struct Rule {
    pub regime: String,
    pub jurisdiction: String,
    /// More than the number, not the number itself.
    pub is_above: bool,
    pub number: Option<u64>,
    pub clock: String,
    pub limit: Option<i64>,
    pub unit: String,
}

/// The rules of [`thresholds`]. Read by commas: only the last column, which nobody needs here, has any
/// within.
pub fn rules() -> Vec<Rule> {
    let text = thresholds();
    let rule = |line: &str| {
        let mut cells = line.split(',').map(str::to_string);
        let mut next = || cells.next().unwrap_or_default();
        let (regime, jurisdiction, operator, number) = (next(), next(), next(), next());
        let (_, clock, limit, unit) = (next(), next(), next(), next());
        let is_above = operator == ">";
        let (number, limit) = (number.parse().ok(), limit.parse().ok());
        Rule { regime, jurisdiction, is_above, number, clock, limit, unit }
    };
    text.lines().skip(1).map(rule).collect()
}
