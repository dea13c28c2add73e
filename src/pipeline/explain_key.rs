//! Which row of a table is to be explained: `column=value` to a cell of the count.

use std::collections::{BTreeMap, BTreeSet};

use uuid::Uuid;

use super::explain::Explainable;
use super::prepare::Prepared;
use crate::error::Error;
use crate::exposure::{CellKey, Figure, Grain, SourceRows, Window};
use crate::impact::escaped;
use crate::key::{IdKind, Keyer};
use crate::moment::{Moment, Zone, day_to_date};

/// The row that is asked for.
pub struct Wanted {
    /// By column, as the table shows it; null for events that name no app.
    pub key: BTreeMap<String, Option<String>>,
    pub figure: Figure,
}

impl Wanted {
    /// # Errors
    /// Conditions that name no row of the table.
    pub fn read(
        of: &Explainable,
        conditions: &[String],
        prepared: &Prepared<'_>,
    ) -> Result<Self, Error> {
        let (table, columns) = (of.table, of.key);
        let mut given: BTreeMap<&str, &str> = BTreeMap::new();
        for condition in conditions {
            let argument = format!("--where {condition}");
            let Some((column, value)) = condition.split_once('=') else {
                return Err(Error::argument(argument, "write column=value"));
            };
            let column = column.trim();
            if !columns.contains(&column) {
                let names = columns.join(", ");
                return Err(Error::argument(
                    argument,
                    format!("a row of {table} is named by {names}"),
                ));
            }
            if given.insert(column, value).is_some() {
                return Err(Error::argument(argument, format!("{column} is given twice")));
            }
        }
        // A column that is not given is a total.
        let id = |column: &str| match given.get(column).copied().unwrap_or("(all)") {
            "(all)" => Id::All,
            "" => Id::None,
            text => Id::One(unescaped(text)),
        };
        let scope = match id("scope") {
            Id::One(scope) if !prepared.registry.scopes.contains_key(&scope) => {
                return Err(Error::argument(
                    format!("--where scope={scope}"),
                    "the registry names no such scope",
                ));
            }
            Id::None => return Err(Error::argument("--where scope=", "no row has an empty scope")),
            Id::One(scope) => Some(scope),
            Id::All => None,
        };
        let mut wanted = Self {
            key: BTreeMap::new(),
            figure: Figure {
                cell: CellKey {
                    grain: if scope.is_some() { Grain::Scope } else { Grain::All },
                    scope: scope.clone(),
                    app: None,
                    developer: None,
                    attested_at: None,
                },
                window: None,
                day: None,
                group: None,
            },
        };
        let cell = &mut wanted.figure.cell;
        let shown = |id: &Id| match id {
            Id::All => Some("(all)".to_string()),
            Id::None => None,
            Id::One(id) => Some(escaped(id).into_owned()),
        };
        wanted.key.insert("scope".into(), shown(&id("scope")));
        if columns.contains(&"app_id") {
            let app = id("app_id");
            wanted.key.insert("app_id".into(), shown(&app));
            if !matches!(app, Id::All) {
                let with_scope = scope.is_some();
                cell.grain = if with_scope { Grain::ScopeApp } else { Grain::App };
            }
            cell.app = app.into_one();
        }
        if columns.contains(&"developer_id") {
            let Id::One(developer) = id("developer_id") else {
                return Err(Error::argument(
                    "--where developer_id",
                    "a row of developer_exposure names a developer; give developer_id=…",
                ));
            };
            wanted.key.insert("developer_id".into(), Some(escaped(&developer).into_owned()));
            let with_scope = scope.is_some();
            cell.grain = if with_scope { Grain::ScopeDeveloper } else { Grain::Developer };
            cell.developer = Some(developer);
        }
        if columns.contains(&"day") {
            wanted.set_day(given.get("day").copied())?;
        }
        if columns.contains(&"attested_at") {
            wanted.set_promise(given.get("attested_at").copied(), prepared)?;
        }
        if let Some(window) = given.get("window") {
            wanted.set_window(table, window)?;
        }
        if columns.contains(&"finding") {
            wanted.set_finding(given.get("finding").copied())?;
        }
        if columns.contains(&"data_category") {
            let category = named(table, "data_category", &given)?;
            wanted.with_scope(table)?;
            wanted.key.insert("data_category".into(), Some(category));
        }
        if columns.contains(&"group_id") {
            wanted.with_scope(table)?;
            wanted.set_group(table, &given, prepared)?;
        }
        Ok(wanted)
    }

    fn set_day(&mut self, given: Option<&str>) -> Result<(), Error> {
        let Some(text) = given else {
            return Err(Error::argument(
                "--where",
                "a row of daily_timeline is of one day; give day=…",
            ));
        };
        let at = Moment::parse_setting(text, Zone::UTC)
            .map_err(|reason| Error::argument(format!("--where day={text}"), reason))?;
        self.key.insert("day".into(), Some(day_to_date(at.day())));
        self.figure.day = Some(at.day());
        Ok(())
    }

    fn set_window(&mut self, table: &str, name: &str) -> Result<(), Error> {
        let with_figures = |window: &Window| {
            *window != Window::AfterRestriction
                && (table != "scope_summary" || *window == Window::Lookback)
        };
        let windows: Vec<Window> = Window::ALL.into_iter().filter(with_figures).collect();
        let Some(window) = windows.iter().find(|window| window.name() == name) else {
            let names: Vec<&str> = windows.iter().map(|window| window.name()).collect();
            return Err(Error::argument(
                format!("--where window={name}"),
                format!("{table} has figures of the windows {}", names.join(", ")),
            ));
        };
        self.key.insert("window".into(), Some(name.into()));
        self.figure.window = Some(*window);
        Ok(())
    }

    /// Rows of the table are of one scope each.
    fn with_scope(&self, table: &str) -> Result<(), Error> {
        if self.figure.cell.scope.is_some() {
            return Ok(());
        }
        Err(Error::argument("--where", format!("a row of {table} is of one scope; give scope=…")))
    }

    fn set_group(
        &mut self,
        table: &str,
        given: &BTreeMap<&str, &str>,
        prepared: &Prepared<'_>,
    ) -> Result<(), Error> {
        let spaces: BTreeSet<&str> =
            prepared.sources.iter().map(|s| s.plan.group_namespace.as_str()).collect();
        let only = spaces.first().filter(|_| spaces.len() == 1).copied();
        let space = given.get("namespace").copied().or(only);
        let Some(space) = space.filter(|space| spaces.contains(space)) else {
            let names: Vec<&str> = spaces.into_iter().collect();
            return Err(Error::argument(
                format!("--where namespace={}", space.unwrap_or_default()),
                format!("groups are of the namespaces {}; name one of them", names.join(", ")),
            ));
        };
        self.key.insert("namespace".into(), Some(escaped(space).into_owned()));
        self.key.insert("group_id".into(), Some(named(table, "group_id", given)?));
        Ok(())
    }

    /// Looks the group up among the rows, whose kind of ids says what its text means.
    ///
    /// # Errors
    /// A text that is no id of that kind.
    pub fn find_group(
        &mut self,
        prepared: &Prepared<'_>,
        rows: &[SourceRows],
        keyer: &Keyer,
    ) -> Result<(), Error> {
        let shown = |column: &str| self.key.get(column).cloned().flatten();
        let Some((space, id)) = shown("namespace").zip(shown("group_id")) else { return Ok(()) };
        let of_space = prepared
            .sources
            .iter()
            .zip(rows)
            .filter(|(source, _)| escaped(&source.plan.group_namespace) == space);
        let of_space: Vec<&SourceRows> = of_space.map(|(_, rows)| rows).collect();
        let kinds = of_space.iter().flat_map(|rows| &rows.packs);
        let kind = kinds.filter_map(|pack| pack.pack.footer.kinds.group).next();
        let Some((kind, first)) = kind.zip(of_space.first()) else {
            return Err(Error::argument("--where group_id", "no row of the ledger names a group"));
        };
        let bare = unescaped(&id);
        let key = match kind {
            IdKind::Int => bare.parse().ok().map(|id| keyer.int(id)),
            IdKind::Uuid => Uuid::parse_str(&bare).ok().map(|id| keyer.uuid(id.as_u128())),
            IdKind::Text => Some(keyer.text(bare.as_bytes())),
        };
        let key = key.ok_or_else(|| {
            Error::argument(format!("--where group_id={id}"), format!("groups are named by {kind}"))
        })?;
        self.figure.group = Some((first.group_space, key));
        Ok(())
    }

    /// A finding is about one app, one scope and one of its windows; use without a grant about all that
    /// came after the restriction.
    fn set_finding(&mut self, given: Option<&str>) -> Result<(), Error> {
        let window = match given {
            Some("without_grant") => Some(Window::AfterRestriction),
            Some("in_grace" | "lookback" | "after_restriction") | None => None,
            Some(name) => Window::named(name),
        };
        let Some((window, name)) = window.zip(given) else {
            return Err(Error::argument(
                format!("--where finding={}", given.unwrap_or_default()),
                "a row of findings is of one kind; give finding=after_attestation, after_revocation, in_brownout, without_grant or after_grace",
            ));
        };
        if self.figure.cell.grain != Grain::ScopeApp {
            return Err(Error::argument(
                "--where",
                "a row of findings is of one scope and one app; give scope=… and app_id=…",
            ));
        }
        self.key.insert("finding".into(), Some(name.into()));
        self.figure.window = Some(window);
        Ok(())
    }

    /// The promise of the app: the only one, or that of the time that is given.
    fn set_promise(&mut self, given: Option<&str>, prepared: &Prepared<'_>) -> Result<(), Error> {
        let at = match given {
            None => None,
            Some(text) => Some(Moment::parse_setting(text, Zone::UTC).map_err(|reason| {
                Error::argument(format!("--where attested_at={text}"), reason)
            })?),
        };
        let all = prepared.registry.attestations.iter().flatten();
        let mut moments: Vec<Moment> = all
            .filter(|promise| Some(&promise.app) == self.figure.cell.app.as_ref())
            .filter(|promise| promise.scope == self.figure.cell.scope)
            .filter_map(|promise| promise.attested_at)
            .filter(|found| at.is_none_or(|at| at == *found))
            .collect();
        moments.dedup();
        let [at] = moments.as_slice() else {
            return Err(Error::argument(
                "--where",
                format!(
                    "{} promises of the registry are of this app_id and scope{}; name one with app_id=…, scope=… (none where it is about all scopes) and attested_at=…",
                    moments.len(),
                    if at.is_some() { ", given at that time" } else { "" }
                ),
            ));
        };
        let mut shown = String::new();
        at.write_rfc3339_micros(&mut shown);
        self.key.insert("attested_at".into(), Some(shown));
        self.figure.cell.grain = Grain::Attestation;
        self.figure.cell.attested_at = Some(*at);
        Ok(())
    }
}

/// The value of a column without which no row is named, as the table shows it.
fn named(table: &str, column: &str, given: &BTreeMap<&str, &str>) -> Result<String, Error> {
    given.get(column).map(|value| (*value).to_string()).ok_or_else(|| {
        Error::argument("--where", format!("a row of {table} names its {column}; give {column}=…"))
    })
}

/// A value that names a row.
enum Id {
    All,
    None,
    One(String),
}

impl Id {
    fn into_one(self) -> Option<String> {
        match self {
            Self::One(id) => Some(id),
            Self::All | Self::None => None,
        }
    }
}

/// The id that a table shows so: one that reads like a total has a backslash more.
fn unescaped(shown: &str) -> String {
    let bare = shown.trim_start_matches('\\');
    let is_total = bare == "(all)" || bare == "(rest)";
    shown.strip_prefix('\\').filter(|_| is_total).unwrap_or(shown).to_string()
}
