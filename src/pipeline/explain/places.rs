//! Rows of places where people live, and of rules of who must be told.

use std::collections::BTreeSet;

use super::cells::CellRow;
use super::conditions::{Asking, Id};
use super::row::{Key, Narrowed, Row};
use super::sums::Measure;
use crate::error::Error;
use crate::exposure::NOWHERE;
use crate::impact::escaped;
use crate::people::Residence;
use crate::registry::{Place, Threshold};

/// Whose people are asked for; which residences there are is not known yet.
pub enum HomesAsked {
    /// Those of one row of `subjects_by_jurisdiction`.
    Place(PlaceAsked),
    /// Those who are this to a rule.
    Rule(Threshold, Place),
}

/// What is given of a place. `None` is not given, a place without such a part `Some(None)`.
#[derive(Clone, Debug, Default)]
pub struct PlaceAsked {
    is_known: Option<bool>,
    /// Country, subdivision, category.
    parts: [Option<Option<String>>; 3],
}

const PARTS: [&str; 3] = ["country", "subdivision", "category"];

/// A row of `subjects_by_jurisdiction`.
pub fn place(asking: &Asking<'_>) -> Result<Row, Error> {
    let row = CellRow::of_scope(asking, &[(Measure::People, "subjects_observed")])?;
    if !asking.prepared.registry.has_residency {
        return Err(Error::argument(
            "--table subjects_by_jurisdiction",
            "without registry.residency it has no rows",
        ));
    }
    let is_known = match asking.of.get("is_known") {
        None => None,
        Some("true") => Some(true),
        Some("false") => Some(false),
        Some(text) => {
            let argument = format!("--where is_known={text}");
            return Err(Error::argument(argument, "write true or false"));
        }
    };
    let [country, subdivision, category] = PARTS.map(|column| part(asking, column));
    let asked = PlaceAsked { is_known, parts: [country?, subdivision?, category?] };
    Ok(row.with_app(asking).narrowed(Narrowed::Homes(HomesAsked::Place(asked))))
}

/// One part of a place, where it is given.
fn part(asking: &Asking<'_>, column: &str) -> Result<Option<Option<String>>, Error> {
    match asking.of.get(column).map(|_| asking.of.id(column)) {
        None => Ok(None),
        Some(Id::All) => Err(Error::argument(
            format!("--where {column}=(all)"),
            "a row of subjects_by_jurisdiction is of one place; scope_summary and app_scope_exposure have people of all",
        )),
        Some(id) => Ok(Some(id.into_one())),
    }
}

/// A row of `thresholds`: the people who live where the rule is, or, with `people=unplaced`, those who may.
pub fn threshold(asking: &Asking<'_>) -> Result<Row, Error> {
    let (of, column) = match asking.of.get("people") {
        None => (Place::Covered, "subjects_observed"),
        Some("unplaced") => (Place::Unplaced, "subjects_observed_unplaced"),
        Some(text) => {
            return Err(Error::argument(
                format!("--where people={text}"),
                "give people=unplaced for those who may live there; without it, those who do",
            ));
        }
    };
    let row = CellRow::of_scope(asking, &[(Measure::People, column)])?;
    let rule = one_rule(asking)?;
    let mut row = row
        .keyed("regime", escaped(&rule.regime).into_owned())
        .keyed("jurisdiction", rule.jurisdiction.clone());
    if of == Place::Unplaced {
        row = row.keyed("people", "unplaced".into());
    }
    // A rule about everybody asks nobody where they live.
    if rule.places.is_none() {
        row.figure.residences = (of == Place::Unplaced).then(BTreeSet::new);
        return Ok(row.row());
    }
    if !asking.prepared.registry.has_residency {
        return Err(Error::argument(
            format!("--where jurisdiction={}", rule.jurisdiction),
            "without registry.residency nobody is known to live there, and the row has no figures",
        ));
    }
    Ok(row.narrowed(Narrowed::Homes(HomesAsked::Rule(rule.clone(), of))))
}

/// The only rule of the regime, or that of the jurisdiction.
fn one_rule<'a>(asking: &Asking<'a>) -> Result<&'a Threshold, Error> {
    asking.of.named("regime")?;
    let (regime, jurisdiction) = (asking.of.id("regime").into_one(), asking.of.get("jurisdiction"));
    let rules: Vec<&Threshold> = asking
        .prepared
        .registry
        .thresholds
        .iter()
        .flatten()
        .filter(|rule| Some(&rule.regime) == regime.as_ref())
        .filter(|rule| jurisdiction.is_none_or(|own| own == rule.jurisdiction))
        .collect();
    match rules.as_slice() {
        [rule] => Ok(*rule),
        rules => Err(Error::argument(
            "--where",
            format!(
                "{} rules of registry.thresholds are of this regime{}; name one with regime=… and jurisdiction=…, as the table shows them",
                rules.len(),
                if jurisdiction.is_some() { " and jurisdiction" } else { "" }
            ),
        )),
    }
}

impl HomesAsked {
    /// Which of the known residences are asked for, by index, and what that adds to the row's key.
    ///
    /// # Errors
    /// A place that is none of them, or may be several.
    pub fn find(&self, known: &[Residence]) -> Result<(BTreeSet<u32>, Key), Error> {
        match self {
            Self::Place(asked) => asked.find(known),
            Self::Rule(rule, of) => {
                let of_rule = |(_, place): &(u32, Option<&Residence>)| {
                    let country = place.and_then(|place| place.country.as_deref());
                    let subdivision = place.and_then(|place| place.subdivision.as_deref());
                    rule.place(country, subdivision) == *of
                };
                Ok((places(known).filter(of_rule).map(|(code, _)| code).collect(), Key::new()))
            }
        }
    }
}

/// Places with rows of their own: residences that name a country, and the one of those whose is not known.
fn places(known: &[Residence]) -> impl Iterator<Item = (u32, Option<&Residence>)> {
    let named = (0u32..).zip(known).filter(|(_, place)| place.country.is_some());
    named.map(|(code, place)| (code, Some(place))).chain([(NOWHERE, None)])
}

/// Country, subdivision and category.
fn parts(place: Option<&Residence>) -> [Option<&str>; 3] {
    place.map_or([None; 3], |place| {
        [&place.country, &place.subdivision, &place.category].map(|part| part.as_deref())
    })
}

impl PlaceAsked {
    fn holds(&self, place: Option<&Residence>) -> bool {
        let fits = |(asked, own): (&Option<Option<String>>, Option<&str>)| {
            asked.as_ref().is_none_or(|asked| asked.as_deref() == own)
        };
        self.is_known.is_none_or(|is_known| is_known == place.is_some())
            && self.parts.iter().zip(parts(place)).all(fits)
    }

    fn find(&self, known: &[Residence]) -> Result<(BTreeSet<u32>, Key), Error> {
        let fitting: Vec<_> = places(known).filter(|(_, place)| self.holds(*place)).collect();
        let [(code, place)] = fitting.as_slice() else {
            return Err(Error::argument(
                "--where",
                format!(
                    "{} places of registry.residency fit; name one with country=…, subdivision=… and category=… (with nothing behind = where it has none), or is_known=false",
                    fitting.len()
                ),
            ));
        };
        let mut key = Key::from([("is_known".into(), Some(place.is_some().to_string()))]);
        for (column, part) in PARTS.iter().zip(parts(*place)) {
            key.insert((*column).into(), part.map(|part| escaped(part).into_owned()));
        }
        Ok(([*code].into(), key))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(country: &str, subdivision: &str, category: &str) -> Residence {
        let part = |text: &str| (!text.is_empty()).then(|| text.to_string());
        Residence {
            country: part(country),
            subdivision: part(subdivision),
            category: part(category),
        }
    }

    #[test]
    fn a_place_is_named_as_far_as_it_must_be() {
        let known = [
            place("", "CA", ""),
            place("DE", "", ""),
            place("US", "", ""),
            place("US", "CA", ""),
            place("US", "CA", "minor"),
        ];
        let find = |is_known: Option<bool>, given: [Option<&str>; 3]| {
            let part = |text: &str| (!text.is_empty()).then(|| text.to_string());
            let asked = PlaceAsked { is_known, parts: given.map(|text| text.map(part)) };
            asked.find(&known).map(|(codes, _)| codes).map_err(|error| error.to_string())
        };
        let one = |code: u32| Ok(BTreeSet::from([code]));
        assert_eq!(find(None, [Some("DE"), None, None]), one(1));
        assert_eq!(find(None, [Some("US"), Some(""), None]), one(2));
        assert_eq!(find(None, [Some("US"), Some("CA"), Some("minor")]), one(4));
        assert_eq!(find(None, [Some("US"), Some("CA"), Some("")]), one(3));
        // Who lives in no known country has one row, whatever else is said of them.
        assert_eq!(find(Some(false), [None; 3]), one(NOWHERE));
        assert_eq!(find(None, [Some(""), None, None]), one(NOWHERE));
        for (given, count) in
            [([Some("US"), None, None], 3), ([None; 3], 5), ([Some("FR"), None, None], 0)]
        {
            let error = find(None, given).unwrap_err();
            assert!(
                error.contains(&format!("{count} places of registry.residency fit")),
                "{error}"
            );
        }
    }
}
