//! A row that was asked for, and how its figures are found again.

use std::collections::BTreeMap;

use super::super::count::Opened;
use super::super::prepare::Prepared;
use super::files::FilesOf;
use super::groups::GroupAsked;
use super::places::HomesAsked;
use super::sums::Measure;
use crate::config::RunPlan;
use crate::error::Error;
use crate::exposure::Figure;

/// What names a row, by column, as its table shows it; null where the table does. A part of a row's figures
/// ([`super::tables::PARTS`]) is named beside.
pub type Key = BTreeMap<String, Option<String>>;

pub struct Row {
    pub key: Key,
    pub way: Way,
}

/// Where a row's figures come from.
pub enum Way {
    /// From events of a cell, which are followed one by one.
    Events(Box<Events>),
    /// From the accounts of whole files.
    Files(FilesOf),
}

/// Events of a cell, or a part of them.
pub struct Events {
    pub figure: Figure,
    /// What the ledger or the registry's packs must be asked for first.
    pub narrowed: Narrowed,
    /// What is followed, and the column in which it stands.
    pub columns: Vec<(Measure, String)>,
}

pub enum Narrowed {
    /// Nothing is left to be asked for.
    Known,
    Group(GroupAsked),
    Homes(HomesAsked),
}

/// A figure with nothing left to be asked for, and what that adds to the key.
pub struct Resolved {
    pub figure: Figure,
    pub key: Key,
}

impl Row {
    /// Whether it must be known where people live.
    pub fn asks_for_homes(&self) -> bool {
        match &self.way {
            Way::Events(events) => matches!(events.narrowed, Narrowed::Homes(_)),
            Way::Files(_) => false,
        }
    }
}

impl Events {
    /// Asks the ledger and the registry's packs.
    ///
    /// # Errors
    /// Groups and places that they do not have.
    pub fn resolve(
        &self,
        plan: &RunPlan,
        prepared: &Prepared<'_>,
        opened: &Opened,
    ) -> Result<Resolved, Error> {
        let mut resolved = Resolved { figure: self.figure.clone(), key: Key::new() };
        match &self.narrowed {
            Narrowed::Known => {}
            Narrowed::Group(group) => {
                resolved.figure.group = Some(group.find(prepared, &opened.rows, &plan.keyer)?);
            }
            Narrowed::Homes(homes) => {
                let pack = opened.people.residency.as_ref();
                let known = pack.map(|pack| pack.residences.as_slice()).unwrap_or_default();
                let (residences, key) = homes.find(known)?;
                (resolved.figure.residences, resolved.key) = (Some(residences), key);
            }
        }
        Ok(resolved)
    }
}
