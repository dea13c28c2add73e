//! Where the registry says that a person lives.

use super::reach::{NOWHERE, PeopleOf};
use super::{Job, Settings};
use crate::key::Key;
use crate::ledger::LedgerError;
use crate::moment::Moment;
use crate::people::{Found, ResidencyCursor};

/// Where a person lives, as far as it is known by the end of the report.
#[derive(Clone, Copy, Debug)]
pub struct Home {
    /// Index into the residences, or [`NOWHERE`].
    pub residence: u32,
    /// When that was known, in microseconds, where the registry says.
    pub known: Option<i64>,
    /// Two residences at one moment: neither is believed.
    pub contradicted: bool,
}

impl Home {
    const UNKNOWN: Self = Self { residence: NOWHERE, known: None, contradicted: false };

    /// The residences of a stretch of people; `None` where the registry's table is not about them.
    pub fn cursor<'a>(of: PeopleOf<'a>, job: &Job, as_of: Moment) -> Option<ResidencyCursor<'a>> {
        let pack = of.people.residency.as_ref();
        pack.filter(|_| job.person_space == of.person_space)
            .map(|pack| pack.people(&job.range, as_of.micros))
    }

    /// Asked for in the order of people.
    ///
    /// # Errors
    /// Storage failures and damaged packs.
    pub fn of(
        of: PeopleOf<'_>,
        residency: &mut Option<ResidencyCursor<'_>>,
        person: Key,
    ) -> Result<Self, LedgerError> {
        let Some(residency) = residency else { return Ok(Self::UNKNOWN) };
        Ok(match residency.find(person)? {
            // A row that names no country says that nobody knows.
            Found::Resident(resident) if names_country(of, resident.residence) => Self {
                residence: resident.residence,
                known: Some(resident.as_of).filter(|at| *at != i64::MIN),
                contradicted: false,
            },
            Found::Resident(_) | Found::Nothing => Self::UNKNOWN,
            Found::Contradiction => Self { contradicted: true, ..Self::UNKNOWN },
        })
    }
}

/// The residences of one stretch of people, asked for once for each, in their order.
pub struct Residences<'a> {
    of: Option<PeopleOf<'a>>,
    cursor: Option<ResidencyCursor<'a>>,
}

impl<'a> Residences<'a> {
    pub fn of(settings: &Settings<'a>, job: &Job) -> Self {
        let of = settings.people;
        Self { of, cursor: of.and_then(|of| Home::cursor(of, job, settings.rules.as_of)) }
    }

    /// Index into the residences, or [`NOWHERE`].
    ///
    /// # Errors
    /// Storage failures and damaged packs.
    pub fn find(&mut self, person: Key) -> Result<u32, LedgerError> {
        match self.of {
            Some(of) => Ok(Home::of(of, &mut self.cursor, person)?.residence),
            None => Ok(NOWHERE),
        }
    }
}

/// Whether a residence names a country.
fn names_country(of: PeopleOf<'_>, residence: u32) -> bool {
    let pack = of.people.residency.as_ref();
    let residence = usize::try_from(residence).ok().zip(pack);
    residence.is_some_and(|(i, pack)| pack.residences.get(i).is_some_and(|r| r.country.is_some()))
}
