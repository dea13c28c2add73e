//! Rows of groups that were read.

use std::collections::BTreeSet;

use uuid::Uuid;

use super::super::prepare::Prepared;
use super::cells::CellRow;
use super::conditions::{Asking, unescaped};
use super::row::{Narrowed, Row};
use super::tables::REQUESTS_AND_PEOPLE;
use crate::error::Error;
use crate::exposure::SourceRows;
use crate::impact::escaped;
use crate::key::{IdKind, Key, Keyer};

/// A group, whose kind of ids is not known yet.
pub struct GroupAsked {
    namespace: String,
    /// As the table shows it.
    id: String,
}

/// A row of `groups_exposed`.
pub fn group(asking: &Asking<'_>) -> Result<Row, Error> {
    let row = CellRow::of_scope(asking, &REQUESTS_AND_PEOPLE)?;
    row.one_scope(asking)?;
    let sources = &asking.prepared.sources;
    let spaces: BTreeSet<&str> = sources.iter().map(|s| s.plan.group_namespace.as_str()).collect();
    let only = spaces.first().filter(|_| spaces.len() == 1).copied();
    let space = asking.of.get("namespace").or(only);
    let Some(space) = space.filter(|space| spaces.contains(space)) else {
        let names: Vec<&str> = spaces.into_iter().collect();
        return Err(Error::argument(
            format!("--where namespace={}", space.unwrap_or_default()),
            format!("groups are of the namespaces {}; name one of them", names.join(", ")),
        ));
    };
    let id = asking.of.named("group_id")?;
    if id == "(rest)" {
        return Err(Error::argument(
            "--where group_id=(rest)",
            "it stands for all groups that are not listed; name one group",
        ));
    }
    let asked = GroupAsked { namespace: space.to_string(), id: id.to_string() };
    let row = row.keyed("namespace", escaped(space).into_owned()).keyed("group_id", id.to_string());
    Ok(row.narrowed(Narrowed::Group(asked)))
}

impl GroupAsked {
    /// Looks the group up among the rows, whose kind of ids says what its text means: its namespace and
    /// key.
    ///
    /// # Errors
    /// A text that is no id of that kind.
    pub fn find(
        &self,
        prepared: &Prepared<'_>,
        rows: &[SourceRows],
        keyer: &Keyer,
    ) -> Result<(usize, Key), Error> {
        let of_space = prepared
            .sources
            .iter()
            .zip(rows)
            .filter(|(source, _)| source.plan.group_namespace == self.namespace);
        let of_space: Vec<&SourceRows> = of_space.map(|(_, rows)| rows).collect();
        let kinds = of_space.iter().flat_map(|rows| &rows.packs);
        let kind = kinds.filter_map(|pack| pack.pack.footer.kinds.group).next();
        let Some((kind, first)) = kind.zip(of_space.first()) else {
            return Err(Error::argument("--where group_id", "no row of the ledger names a group"));
        };
        let bare = unescaped(&self.id);
        let key = match kind {
            IdKind::Int => bare.parse().ok().map(|id| keyer.int(id)),
            IdKind::Uuid => Uuid::parse_str(&bare).ok().map(|id| keyer.uuid(id.as_u128())),
            IdKind::Text => Some(keyer.text(bare.as_bytes())),
        };
        let key = key.ok_or_else(|| {
            let argument = format!("--where group_id={}", self.id);
            Error::argument(argument, format!("groups are named by {kind}"))
        })?;
        Ok((first.group_space, key))
    }
}
