//! Rows of scopes, apps and developers, of their windows and days.

use super::conditions::{Asking, Id};
use super::row::{Events, Key, Narrowed, Row, Way};
use super::sums::Measure;
use super::tables::{ALL, REQUESTS_AND_PEOPLE};
use crate::error::Error;
use crate::exposure::{CellKey, Figure, Grain, Window};
use crate::moment::day_to_date;

/// A row of `scope_summary`.
pub fn scope(asking: &Asking<'_>) -> Result<Row, Error> {
    CellRow::of_scope(asking, &ALL)?.with_window(asking, &[Window::Lookback]).map(CellRow::row)
}

/// A row of `app_scope_exposure`.
pub fn app(asking: &Asking<'_>) -> Result<Row, Error> {
    CellRow::of_scope(asking, &ALL)?
        .with_app(asking)
        .with_window(asking, &BUT_FIRST)
        .map(CellRow::row)
}

/// A row of `developer_exposure`.
pub fn developer(asking: &Asking<'_>) -> Result<Row, Error> {
    CellRow::of_scope(asking, &ALL)?
        .with_developer(asking)?
        .with_window(asking, &BUT_FIRST)
        .map(CellRow::row)
}

/// A row of `daily_timeline`.
pub fn day(asking: &Asking<'_>) -> Result<Row, Error> {
    let row = CellRow::of_scope(asking, &REQUESTS_AND_PEOPLE)?.with_app(asking);
    let Some(at) = asking.of.moment("day")? else {
        return Err(Error::argument(
            "--where",
            "a row of daily_timeline is of one day; give day=…",
        ));
    };
    let mut row = row.keyed("day", day_to_date(at.day()));
    row.figure.day = Some(at.day());
    Ok(row.row())
}

/// A row of `data_categories`: the people of its scope, whatever the call returned.
pub fn data_category(asking: &Asking<'_>) -> Result<Row, Error> {
    let row = CellRow::of_scope(asking, &[(Measure::People, "subjects_observed")])?;
    let shown = asking.of.named("data_category")?;
    let scope = row.one_scope(asking)?;
    let known = asking.prepared.registry.scopes.get(scope);
    let Id::One(name) = asking.of.id("data_category") else {
        return Err(Error::argument(
            format!("--where data_category={shown}"),
            "a row of data_categories is of one category",
        ));
    };
    if !known.is_some_and(|scope| scope.data_fields.contains(&name)) {
        return Err(Error::argument(
            format!("--where data_category={shown}"),
            format!("the registry gives scope {scope} no such data field"),
        ));
    }
    Ok(row.keyed("data_category", shown.to_string()).row())
}

/// Windows that have figures beside those of the whole row, which is the first.
const BUT_FIRST: [Window; Window::COUNT - 1] = [
    Window::InGrace,
    Window::AfterGrace,
    Window::InBrownout,
    Window::AfterRevocation,
    Window::AfterAttestation,
    Window::Lookback,
];

/// A row of a cell, in the making.
pub struct CellRow {
    pub key: Key,
    pub figure: Figure,
    columns: Vec<(Measure, String)>,
}

impl CellRow {
    /// The row of a scope, or of all.
    ///
    /// # Errors
    /// Scopes that the registry does not name.
    pub fn of_scope(asking: &Asking<'_>, columns: &[(Measure, &str)]) -> Result<Self, Error> {
        let row = Self::of_any_scope(asking, columns)?;
        match row.figure.cell.scope.as_ref() {
            Some(scope) if !asking.prepared.registry.scopes.contains_key(scope) => {
                let argument = format!("--where scope={scope}");
                Err(Error::argument(argument, "the registry names no such scope"))
            }
            _ => Ok(row),
        }
    }

    /// The same where the scope may be one that was never restricted.
    ///
    /// # Errors
    /// An empty scope.
    pub fn of_any_scope(asking: &Asking<'_>, columns: &[(Measure, &str)]) -> Result<Self, Error> {
        let id = asking.of.id("scope");
        if matches!(id, Id::None) {
            return Err(Error::argument("--where scope=", "no row has an empty scope"));
        }
        let shown = id.shown();
        let scope = id.into_one();
        Ok(Self {
            key: Key::from([("scope".into(), shown)]),
            figure: Figure::of(CellKey {
                grain: if scope.is_some() { Grain::Scope } else { Grain::All },
                scope,
                app: None,
                developer: None,
                attested_at: None,
            }),
            columns: columns.iter().map(|(of, name)| (*of, (*name).to_string())).collect(),
        })
    }

    /// The same of an app, where one is given.
    pub fn with_app(mut self, asking: &Asking<'_>) -> Self {
        let app = asking.of.id("app_id");
        self.key.insert("app_id".into(), app.shown());
        let cell = &mut self.figure.cell;
        if !matches!(app, Id::All) {
            cell.grain = if cell.scope.is_some() { Grain::ScopeApp } else { Grain::App };
        }
        cell.app = app.into_one();
        self
    }

    fn with_developer(mut self, asking: &Asking<'_>) -> Result<Self, Error> {
        let developer = asking.of.id("developer_id");
        self.key.insert("developer_id".into(), developer.shown());
        let Id::One(developer) = developer else {
            return Err(Error::argument(
                "--where developer_id",
                "a row of developer_exposure names a developer; give developer_id=…",
            ));
        };
        let cell = &mut self.figure.cell;
        cell.grain = if cell.scope.is_some() { Grain::ScopeDeveloper } else { Grain::Developer };
        cell.developer = Some(developer);
        Ok(self)
    }

    /// The figures of one window, where one is given.
    fn with_window(mut self, asking: &Asking<'_>, windows: &[Window]) -> Result<Self, Error> {
        let Some(name) = asking.of.get("window") else { return Ok(self) };
        let Some(window) = windows.iter().find(|window| window.name() == name) else {
            let names: Vec<&str> = windows.iter().map(|window| window.name()).collect();
            return Err(Error::argument(
                format!("--where window={name}"),
                format!("{} has figures of the windows {}", asking.of.table, names.join(", ")),
            ));
        };
        self.figure.window = Some(*window);
        self.columns = vec![
            (Measure::Requests, format!("requests_{name}")),
            (Measure::People, format!("subjects_{name}")),
        ];
        Ok(self.keyed("window", name.to_string()))
    }

    /// The scope of a table whose rows are of one scope each.
    ///
    /// # Errors
    /// Where none is given.
    pub fn one_scope(&self, asking: &Asking<'_>) -> Result<&str, Error> {
        self.figure.cell.scope.as_deref().ok_or_else(|| {
            let table = asking.of.table;
            Error::argument("--where", format!("a row of {table} is of one scope; give scope=…"))
        })
    }

    pub fn keyed(mut self, column: &str, shown: String) -> Self {
        self.key.insert(column.into(), Some(shown));
        self
    }

    /// With nothing left to be asked for.
    pub fn row(self) -> Row {
        self.narrowed(Narrowed::Known)
    }

    pub fn narrowed(self, narrowed: Narrowed) -> Row {
        let Self { key, figure, columns } = self;
        Row { key, way: Way::Events(Box::new(Events { figure, narrowed, columns })) }
    }
}
