//! What was restricted when, and who owns what: the policy side of a run.
//!
//! Registry files are small tables, CSV with a header or Parquet. Every value is checked here, and
//! an error names file, line and column. Two rows that say the same are one; two that differ are an
//! error, because either could be the truth.

mod files;
mod table;
mod thresholds;

use std::collections::{BTreeMap, BTreeSet};

use thiserror::Error;

use crate::config::{ColumnPlan, IncidentPlan, RegistryPlan, SourcePlan, shape};
use crate::moment::Moment;
use crate::store::{Io, StoreErrorKind, StoreUrl};

use table::Table;
pub use thresholds::{Clock, Operator, Place, Threshold, Unit, is_country, is_subdivision};

/// The registry of one run.
#[derive(Clone, Debug, Default)]
pub struct Registry {
    /// Restricted scopes by name.
    pub scopes: BTreeMap<String, Scope>,
    /// Apps by id.
    pub apps: BTreeMap<String, App>,
    /// Grace ends by (app, scope).
    pub grace: BTreeMap<(String, String), Moment>,
    /// Grants by (app, scope), each list in the order of its beginnings; `None` where no file of them is
    /// given. So are the next two.
    pub grants: Option<BTreeMap<(String, String), Vec<Grant>>>,
    pub brownouts: Option<Vec<Brownout>>,
    /// Sorted by app, scope and moment.
    pub attestations: Option<Vec<Attestation>>,
    /// Which scopes a call needs; `None` where no endpoint table is given.
    pub endpoints: Option<Vec<Endpoint>>,
    /// From how many people on somebody must be told; `None` where no file of them is given.
    pub thresholds: Option<Vec<Threshold>>,
    /// Whether tables of members and of residences are given.
    pub has_memberships: bool,
    pub has_residency: bool,
    /// Every file read, with its size and SHA-256.
    pub files: Vec<RegistryFile>,
    /// Columns that nothing reads, as messages.
    pub unknown_columns: Vec<String>,
}

/// A restricted scope.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scope {
    /// From this moment on the scope must not be used.
    pub restricted_at: Moment,
    /// Data categories that the scope gives access to.
    pub data_fields: Vec<String>,
    /// Those of them that are special categories of personal data (GDPR Art. 9 and the like); `None` where
    /// the registry does not say.
    pub special_fields: Option<Vec<String>>,
}

/// A registered app.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct App {
    pub name: Option<String>,
    pub developer_id: Option<String>,
    pub developer_name: Option<String>,
}

/// A stretch of time in which an app could use a scope: [granted_at, revoked_at).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grant {
    /// `None` where it began is not known, or long ago.
    pub granted_at: Option<Moment>,
    /// `None` where it goes on.
    pub revoked_at: Option<Moment>,
}

impl Grant {
    /// Whether the grant holds at some moment of [from, to).
    pub fn overlaps(&self, from: Moment, to: Moment) -> bool {
        from < to
            && self.granted_at.is_none_or(|granted| granted < to)
            && self.revoked_at.is_none_or(|revoked| revoked > from)
    }
}

/// [from, to), in which calls of a scope must fail.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Brownout {
    pub scope: String,
    /// `None` for every app.
    pub app: Option<String>,
    pub from: Moment,
    pub to: Moment,
}

/// A developer's word that what an app retained is deleted, or that it was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attestation {
    pub app: String,
    /// `None` for all scopes.
    pub scope: Option<String>,
    pub asked_at: Option<Moment>,
    /// `None` where it was never given.
    pub attested_at: Option<Moment>,
    pub statement: Option<String>,
}

impl Attestation {
    /// Whether the promise is about the scope.
    pub fn covers(&self, scope: &str) -> bool {
        self.scope.as_deref().is_none_or(|own| own == scope)
    }
}

/// One row of the endpoint table: calls that match need one of `scopes`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// Upper case; `None` matches every method.
    pub method: Option<String>,
    /// A path template; a segment in braces matches any one segment.
    pub path: String,
    pub scopes: BTreeSet<String>,
}

/// An app and a scope, as a registry file names them.
struct Named<'a> {
    role: &'static str,
    app: Option<&'a String>,
    scope: Option<&'a String>,
}

/// A registry file as it was read.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct RegistryFile {
    pub role: &'static str,
    pub url: String,
    pub size: u64,
    /// `None` of tables of people, which are pinned as logs are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub e_tag: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
}

#[derive(Debug, Error)]
pub enum RegistryError {
    #[error("registry file {file} ({role}): {reason}\ncheck registry.{role} in the configuration")]
    Unreadable { role: &'static str, file: String, reason: String, kind: StoreErrorKind },

    #[error(
        "registry file {file} has no column `{column}`; it has {found}\nadd the column, or correct its name"
    )]
    MissingColumn { file: String, column: &'static str, found: String },

    #[error("registry file {file}, {line}, column `{column}`: {reason}")]
    BadValue { file: String, line: String, column: String, reason: String },

    #[error(
        "registry file {file}, {line}: {what} stands there a second time with other values (first in {first})\nkeep the row that is true"
    )]
    Contradiction { file: String, line: String, first: String, what: String },

    #[error(
        "registry: {role} `{value}` is not in lower case, and source `{source_name}` folds the case of its {role} column: it would never match\nwrite it in lower case, or take fold_case out of the mapping"
    )]
    NeverMatches { role: &'static str, value: String, source_name: String },

    #[error(
        "[incident.reported] names regime `{regime}`, of which registry.thresholds has no rule{hint}: its deadlines would read as not kept\ncorrect the name, or give the rule"
    )]
    UnknownRegime { regime: String, hint: String },

    #[error("registry file {file} has {count} bad rows:\n{shown}")]
    Several { file: String, count: usize, shown: String },

    #[error("registry file {file} names no scope\na run needs at least one restricted scope")]
    NoScopes { file: String },
}

impl RegistryError {
    /// What the underlying storage failure means, where there was one.
    pub fn store_kind(&self) -> Option<StoreErrorKind> {
        match self {
            Self::Unreadable { kind, .. } => Some(*kind),
            _ => None,
        }
    }
}

/// The columns that registry files may have.
const KNOWN: [(&str, &[&str]); 8] = [
    ("scopes", &["scope", "deprecated_at", "data_fields", "special_fields"]),
    ("apps", &["app_id", "app_name", "developer_id", "developer_name"]),
    ("extensions", &["app_id", "scope", "grace_until"]),
    ("endpoints", &["method", "path", "scope"]),
    ("grants", &["app_id", "scope", "granted_at", "revoked_at", "as_of"]),
    ("brownouts", &["scope", "app_id", "from", "to"]),
    ("attestations", &["app_id", "scope", "asked_at", "attested_at", "statement"]),
    ("thresholds", thresholds::COLUMNS),
];

/// Reads the registry, as it stands at `as_of`, within `memory_limit` bytes.
///
/// # Errors
/// The first file, line and column that cannot be used.
pub fn load(
    plan: &RegistryPlan,
    as_of: Moment,
    io: &Io,
    memory_limit: u64,
) -> Result<Registry, RegistryError> {
    let mut registry = Registry::default();
    let zone = plan.zone;
    let reading = (io, memory_limit);
    registry.scopes =
        files::scopes(&Table::read("scopes", &plan.scopes, reading, &mut registry)?, zone)?;
    let mut optional = |role: &'static str, url: &Option<StoreUrl>| {
        url.as_ref().map(|url| Table::read(role, url, reading, &mut registry)).transpose()
    };
    let apps = optional("apps", &plan.apps)?;
    let extensions = optional("extensions", &plan.extensions)?;
    let endpoints = optional("endpoints", &plan.endpoints)?;
    let grants = optional("grants", &plan.grants)?;
    let brownouts = optional("brownouts", &plan.brownouts)?;
    let attestations = optional("attestations", &plan.attestations)?;
    let thresholds = optional("thresholds", &plan.thresholds)?;
    registry.apps = apps.map(|t| files::apps(&t)).transpose()?.unwrap_or_default();
    let grace = extensions.map(|t| files::extensions(&t, zone)).transpose()?;
    registry.grace = grace.unwrap_or_default();
    registry.endpoints = endpoints.map(|t| files::endpoints(&t)).transpose()?;
    registry.grants = grants.map(|t| files::grants(&t, zone, as_of)).transpose()?;
    registry.brownouts = brownouts.map(|t| files::brownouts(&t, zone)).transpose()?;
    registry.thresholds = thresholds.map(|t| thresholds::read(&t)).transpose()?;
    registry.has_memberships = plan.people.memberships.is_some();
    registry.has_residency = plan.people.residency.is_some();
    registry.attestations = attestations.map(|t| files::attestations(&t, zone)).transpose()?;
    Ok(registry)
}

impl Registry {
    /// A source that folds the case of a column can only meet registry values in lower case.
    ///
    /// # Errors
    /// [`RegistryError::NeverMatches`] with the first value that could not match.
    pub fn check_folding(&self, source: &SourcePlan) -> Result<(), RegistryError> {
        let folds = |column: Option<&ColumnPlan>| column.is_some_and(|c| c.fold_case);
        let refuse = |role, value: &String| RegistryError::NeverMatches {
            role,
            value: value.clone(),
            source_name: source.name.clone(),
        };
        let unfolded = |value: &&String| value.to_lowercase() != **value;
        let mut named = self.named().filter_map(|named| named.scope);
        if folds(source.mapping.scopes.as_ref())
            && let Some(scope) = self.scopes.keys().find(unfolded).or_else(|| named.find(unfolded))
        {
            return Err(refuse("scopes", scope));
        }
        let mut named = self.named().filter_map(|named| named.app);
        if folds(Some(&source.mapping.app))
            && let Some(app) = self.apps.keys().find(unfolded).or_else(|| named.find(unfolded))
        {
            return Err(refuse("app", app));
        }
        Ok(())
    }

    /// A duty that was done must be one that a rule knows.
    ///
    /// # Errors
    /// [`RegistryError::UnknownRegime`] with the first that is not.
    pub fn check_reported(&self, incident: &IncidentPlan) -> Result<(), RegistryError> {
        let regimes = || self.thresholds.iter().flatten().map(|rule| rule.regime.as_str());
        let stranger = incident.reported.keys().find(|name| !regimes().any(|r| r == *name));
        stranger.map_or(Ok(()), |regime| {
            let hint = shape::did_you_mean(regime, regimes());
            Err(RegistryError::UnknownRegime { regime: regime.clone(), hint })
        })
    }

    /// Apps and scopes that files beside those of apps and scopes speak of.
    fn named(&self) -> impl Iterator<Item = Named<'_>> {
        fn pair<'a>(role: &'static str, (app, scope): &'a (String, String)) -> Named<'a> {
            Named { role, app: Some(app), scope: Some(scope) }
        }
        let extensions = self.grace.keys().map(|key| pair("extensions", key));
        let grants = self.grants.iter().flatten().map(|(key, _)| pair("grants", key));
        let brownouts = self.brownouts.iter().flatten().map(|b| Named {
            role: "brownouts",
            app: b.app.as_ref(),
            scope: Some(&b.scope),
        });
        let attestations = self.attestations.iter().flatten().map(|a| Named {
            role: "attestations",
            app: Some(&a.app),
            scope: a.scope.as_ref(),
        });
        extensions.chain(grants).chain(brownouts).chain(attestations)
    }

    /// What stands in the registry and has no effect, for the user to look at.
    pub fn without_effect(&self) -> Vec<String> {
        let lost: BTreeSet<(&str, &String)> = self
            .named()
            .filter_map(|named| Some((named.role, named.scope?)))
            .filter(|(_, scope)| !self.scopes.contains_key(*scope))
            .collect();
        // Grants are of all scopes that there are: one message for them together.
        let (granted, lost): (Vec<_>, Vec<_>) =
            lost.into_iter().partition(|(role, _)| *role == "grants");
        let granted = granted.first().map(|(_, first)| {
            format!(
                "grants name {} that registry.scopes does not (`{first}`{}): they count for nothing; compare the spelling if a restricted one is among them",
                if granted.len() == 1 { "1 scope".into() } else { format!("{} scopes", granted.len()) },
                if granted.len() > 1 { ", …" } else { "" }
            )
        });
        let columns = self.unknown_columns.iter().cloned();
        let strangers: BTreeSet<(&str, &String)> = self
            .named()
            .filter_map(|named| Some((named.role, named.app?)))
            .filter(|(_, app)| !self.apps.is_empty() && !self.apps.contains_key(*app))
            .collect();
        let strangers = strangers
            .into_iter()
            .map(|(role, app)| format!("{role} name app `{app}`, which registry.apps does not"));
        let mut names: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for app in self.apps.values() {
            if let (Some(id), Some(name)) = (&app.developer_id, &app.developer_name) {
                let known = names.entry(id).or_default();
                if !known.contains(&name.as_str()) {
                    known.push(name);
                }
            }
        }
        let renamed = names.into_iter().filter(|(_, names)| names.len() > 1).map(|(id, names)| {
            // docs/counting.md, rule 5: that of the first app by id.
            let first = names.first().copied().unwrap_or_default();
            format!("developer `{id}` has {} names; tables show `{first}`", names.len())
        });
        let lost = lost.into_iter().map(|(role, scope)| {
            format!(
                "{role} name scope `{scope}`, which registry.scopes does not: they have no effect"
            )
        });
        columns.chain(lost).chain(granted).chain(strangers).chain(renamed).collect()
    }
}
