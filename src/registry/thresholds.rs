//! From how many people on, and how soon, somebody must be told. Regimes differ and change: nothing of them
//! stands in code.

use std::collections::BTreeSet;

use super::RegistryError;
use super::table::{Row, Table, Unique};

pub(super) const COLUMNS: &[&str] = &[
    "regime",
    "jurisdiction",
    "operator",
    "number",
    "counted",
    "clock",
    "limit",
    "unit",
    "source",
];

/// How a count is compared with a threshold's number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operator {
    AtLeast,
    MoreThan,
}

impl Operator {
    pub fn sign(self) -> &'static str {
        match self {
            Self::AtLeast => ">=",
            Self::MoreThan => ">",
        }
    }

    pub fn holds(self, count: u64, number: u64) -> bool {
        match self {
            Self::AtLeast => count >= number,
            Self::MoreThan => count > number,
        }
    }
}

/// The event that starts a clock: a key of `[incident]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clock {
    Aware,
    Discovered,
    Materiality,
    Notified,
}

impl Clock {
    pub const ALL: [Self; 4] = [Self::Aware, Self::Discovered, Self::Materiality, Self::Notified];

    pub fn name(self) -> &'static str {
        match self {
            Self::Aware => "aware",
            Self::Discovered => "discovered",
            Self::Materiality => "materiality",
            Self::Notified => "notified",
        }
    }
}

/// What a time limit is told in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    Hours,
    CalendarDays,
    /// Monday to Friday; holidays are not known here.
    BusinessDays,
}

impl Unit {
    pub const ALL: [Self; 3] = [Self::Hours, Self::CalendarDays, Self::BusinessDays];

    pub fn name(self) -> &'static str {
        match self {
            Self::Hours => "hours",
            Self::CalendarDays => "calendar_days",
            Self::BusinessDays => "business_days",
        }
    }
}

/// One rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Threshold {
    pub regime: String,
    /// As written: `all`, or places parted by `;`.
    pub jurisdiction: String,
    /// Country, or country and subdivision; `None` for everybody, wherever they live.
    pub places: Option<BTreeSet<(String, Option<String>)>>,
    /// `None` where the regime asks for no number.
    pub number: Option<(Operator, u64)>,
    pub clock: Option<Clock>,
    /// Time limit; `None` where the regime gives none in numbers.
    pub limit: Option<(u32, Unit)>,
    /// Where the rule stands.
    pub source: Option<String>,
}

/// What a residence is to a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    Covered,
    /// People who live there may count: what is known of it does not say.
    Unplaced,
    Elsewhere,
}

impl Threshold {
    /// What a residence is to the rule.
    pub fn place(&self, country: Option<&str>, subdivision: Option<&str>) -> Place {
        if self.covers(country, subdivision) {
            Place::Covered
        } else if self.may_cover(country, subdivision) {
            Place::Unplaced
        } else {
            Place::Elsewhere
        }
    }

    /// Whether people who live there count.
    pub fn covers(&self, country: Option<&str>, subdivision: Option<&str>) -> bool {
        let Some(places) = &self.places else { return true };
        let Some(country) = country else { return false };
        let whole = (country.to_string(), None);
        // A registry may write `CA` or, as ISO 3166-2 does, `US-CA`.
        let code = |part: &str| match part.contains('-') {
            true => part.to_string(),
            false => format!("{country}-{part}"),
        };
        let part = subdivision.map(|part| (country.to_string(), Some(code(part))));
        places.contains(&whole) || part.is_some_and(|part| places.contains(&part))
    }
}

impl Threshold {
    /// Whether people may live there of whom only this is known. A country or subdivision that is no code
    /// says nothing: `us` is not known to be `US`, nor not to be.
    pub fn may_cover(&self, country: Option<&str>, subdivision: Option<&str>) -> bool {
        let Some(places) = &self.places else { return true };
        let Some(country) = country.filter(|country| is_country(country)) else { return true };
        match subdivision.filter(|part| is_subdivision(country, part)) {
            None => places.iter().any(|place| place.0 == country),
            _ => self.covers(Some(country), subdivision),
        }
    }
}

fn is_code(text: &str, least: usize, most: usize) -> bool {
    (least..=most).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit())
}

/// Codes that are used for a country and are not its code in ISO 3166-1.
const NOT_ASSIGNED: [(&str, &str); 2] = [("UK", "GB"), ("EL", "GR")];

/// Whether a text is written as ISO 3166-1 writes countries.
pub fn is_country(text: &str) -> bool {
    is_code(text, 2, 2) && !NOT_ASSIGNED.iter().any(|(wrong, _)| *wrong == text)
}

/// Whether a text is written as ISO 3166-2 writes subdivisions of the country, or as their last part.
pub fn is_subdivision(country: &str, text: &str) -> bool {
    let own = text.strip_prefix(country).and_then(|rest| rest.strip_prefix('-'));
    is_code(own.unwrap_or(text), 1, 3)
}

fn one_of<T: Copy>(
    table: &Table,
    row: &Row,
    column: &'static str,
    index: Option<usize>,
    all: &[(T, &str)],
) -> Result<Option<T>, RegistryError> {
    let Some(text) = table.text_or_none(row, index, column)? else { return Ok(None) };
    let found = all.iter().find(|(_, name)| *name == text).map(|(value, _)| *value);
    found.map(Some).ok_or_else(|| {
        let names: Vec<&str> = all.iter().map(|(_, name)| *name).collect();
        table.bad(row, column, format!("`{text}` is none of {}", names.join(", ")))
    })
}

fn whole_number<T: std::str::FromStr>(
    table: &Table,
    row: &Row,
    column: &'static str,
    index: Option<usize>,
) -> Result<Option<T>, RegistryError> {
    let Some(text) = table.text_or_none(row, index, column)? else { return Ok(None) };
    let number = text.parse().map(Some);
    number.map_err(|_| table.bad(row, column, format!("`{text}` is no whole number")))
}

fn both<A, B>(
    table: &Table,
    row: &Row,
    column: &'static str,
    other: &str,
    pair: (Option<A>, Option<B>),
) -> Result<Option<(A, B)>, RegistryError> {
    match pair {
        (Some(a), Some(b)) => Ok(Some((a, b))),
        (None, None) => Ok(None),
        _ => {
            Err(table.bad(row, column, format!("goes together with `{other}`: give both or none")))
        }
    }
}

pub(super) fn read(table: &Table) -> Result<Vec<Threshold>, RegistryError> {
    let (regime, jurisdiction) = (table.required("regime")?, table.required("jurisdiction")?);
    let column = |name: &str| table.optional(name);
    let (operator, number) = (column("operator"), column("number"));
    let (counted, clock) = (column("counted"), column("clock"));
    let (limit, unit, source) = (column("limit"), column("unit"), column("source"));
    let mut unique = Unique::new(table);
    table.each_row(|row| {
        let regime = table.text(row, regime, "regime")?;
        let jurisdiction = table.text(row, jurisdiction, "jurisdiction")?;
        let operators = [(Operator::AtLeast, ">="), (Operator::MoreThan, ">")];
        let operator = one_of(table, row, "operator", operator, &operators)?;
        let number = whole_number(table, row, "number", number)?;
        // People are all that is counted so far; another word would be silently taken for them.
        one_of(table, row, "counted", counted, &[((), "subjects")])?;
        let clocks = Clock::ALL.map(|clock| (clock, clock.name()));
        let clock = one_of(table, row, "clock", clock, &clocks)?;
        let limit = whole_number(table, row, "limit", limit)?;
        let units = Unit::ALL.map(|unit| (unit, unit.name()));
        let unit = one_of(table, row, "unit", unit, &units)?;
        let limit = both(table, row, "limit", "unit", (limit, unit))?;
        if limit.is_some() && clock.is_none() {
            return Err(table.bad(row, "clock", "is empty: nothing starts the limit"));
        }
        let threshold = Threshold {
            places: places(table, row, &jurisdiction)?,
            regime: regime.clone(),
            jurisdiction: jurisdiction.clone(),
            number: both(table, row, "number", "operator", (operator, number))?,
            clock,
            limit,
            source: source.and_then(|i| row.value(i)).map(str::to_string),
        };
        let what = format!("regime `{regime}` for `{jurisdiction}`");
        unique.insert(row, (regime, jurisdiction), threshold, &what)
    })?;
    Ok(unique.finish().into_values().collect())
}

type Places = BTreeSet<(String, Option<String>)>;

fn places(table: &Table, row: &Row, text: &str) -> Result<Option<Places>, RegistryError> {
    if text == "all" {
        return Ok(None);
    }
    let place = |part: &str| {
        let part = part.trim();
        // As ISO 3166-2 writes them: US-CA.
        let (country, subdivision) = match part.split_once('-') {
            Some((country, subdivision)) => (country, Some(subdivision)),
            None => (part, None),
        };
        if let Some((wrong, right)) = NOT_ASSIGNED.iter().find(|(wrong, _)| *wrong == country) {
            let reason = format!("the code of ISO 3166 for `{wrong}` is {right}");
            return Err(table.bad(row, "jurisdiction", reason));
        }
        if !is_code(country, 2, 2) || !subdivision.is_none_or(|s| is_code(s, 1, 3)) {
            let reason = format!(
                "`{part}` is no place; write all, or codes of ISO 3166 parted by `;`: DE, US-CA"
            );
            return Err(table.bad(row, "jurisdiction", reason));
        }
        Ok((country.to_string(), subdivision.map(|_| part.to_string())))
    };
    text.split(';').map(place).collect::<Result<Places, _>>().map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_code_may_be_anywhere() {
        let place =
            |country: &str, part: Option<&str>| (country.to_string(), part.map(str::to_string));
        let rule = Threshold {
            regime: "r".into(),
            jurisdiction: "US-CA;DE".into(),
            places: Some([place("US", Some("US-CA")), place("DE", None)].into()),
            number: None,
            clock: None,
            limit: None,
            source: None,
        };
        let may = |country, part| (rule.covers(country, part), rule.may_cover(country, part));
        assert_eq!(may(Some("US"), Some("CA")), (true, true));
        assert_eq!(may(Some("US"), Some("US-CA")), (true, true));
        assert_eq!(may(Some("DE"), Some("Bavaria")), (true, true));
        assert_eq!(may(Some("US"), Some("TX")), (false, false));
        assert_eq!(may(Some("FR"), None), (false, false));
        for (country, part) in [
            (None, None),
            (Some("us"), Some("ca")),
            (Some("USA"), Some("CA")),
            (Some("UK"), None),
            (Some("US"), None),
            (Some("US"), Some("California")),
            (Some("US"), Some("DE-BY")),
        ] {
            assert_eq!(may(country, part), (false, true), "{country:?} {part:?}");
        }
    }
}
