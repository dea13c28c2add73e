//! What the files of a source are, and which version of a table is read.

use super::build::Builder;
use super::plan::{At, CatalogPlan, IcebergPlan, Kept, SnapshotAt};
use super::raw::{self, Format};
use super::values::referenced;
use crate::moment::{Moment, Zone};

impl Builder<'_> {
    pub(super) fn kept(&mut self, at: &[&str], source: &raw::Source) -> Option<Kept> {
        self.check_version_keys(at, source)?;
        let moment = match &source.timestamp {
            Some(text) => {
                let key = [at, &["timestamp"]].concat();
                Some(self.take(&key, Moment::parse_setting(text, Zone::UTC))?)
            }
            None => None,
        };
        match source.format {
            Format::Parquet => Some(Kept::Files),
            Format::Delta => Some(Kept::Delta(match (source.version, moment) {
                (Some(version), _) => At::Version(version),
                (None, Some(moment)) => At::Moment(moment),
                (None, None) => At::Latest,
            })),
            Format::Iceberg => {
                let version = match (source.snapshot, moment, &source.reference) {
                    (Some(id), ..) => SnapshotAt::Id(id),
                    (None, Some(moment), _) => SnapshotAt::Moment(moment),
                    (None, None, Some(name)) => SnapshotAt::Reference(name.clone()),
                    (None, None, None) => SnapshotAt::Current,
                };
                let catalog = match &source.catalog {
                    Some(raw) => Some(self.catalog(at, raw)?),
                    None => None,
                };
                Some(Kept::Iceberg(IcebergPlan { at: version, catalog }))
            }
        }
    }

    /// Which keys say which version, and of what.
    fn check_version_keys(&mut self, at: &[&str], source: &raw::Source) -> Option<()> {
        let given: Vec<&str> = [
            ("version", source.version.is_some()),
            ("snapshot", source.snapshot.is_some()),
            ("ref", source.reference.is_some()),
            ("timestamp", source.timestamp.is_some()),
        ]
        .into_iter()
        .filter_map(|(key, is_given)| is_given.then_some(key))
        .collect();
        let known: &[&str] = match source.format {
            Format::Parquet => &[],
            Format::Delta => &["version", "timestamp"],
            Format::Iceberg => &["snapshot", "ref", "timestamp"],
        };
        if let Some(key) = given.iter().find(|key| !known.contains(key)) {
            let message = match source.format {
                Format::Parquet => "plain files have no versions; set format = \"delta\" or \"iceberg\" where the url names a table".to_string(),
                Format::Delta => format!("a Delta table has no `{key}`; give `version` or `timestamp`"),
                Format::Iceberg => {
                    format!("an Iceberg table has no `{key}`; give `snapshot`, `ref` or `timestamp`")
                }
            };
            self.problem(&[at, &[key]].concat(), message);
            return None;
        }
        if source.catalog.is_some() && source.format != Format::Iceberg {
            self.problem(
                &[at, &["catalog"]].concat(),
                "only Iceberg tables are in a `catalog`; set format = \"iceberg\"",
            );
            return None;
        }
        if let [first, .., last] = given.as_slice() {
            self.problem(&[at, &[last]].concat(), format!("give `{first}` or `{last}`, not both"));
            return None;
        }
        Some(())
    }

    fn catalog(&mut self, at: &[&str], raw: &raw::Catalog) -> Option<CatalogPlan> {
        let key = |name| [at, &["catalog", name]].concat();
        for (name, uri) in [("uri", Some(&raw.uri)), ("oauth2_uri", raw.oauth2_uri.as_ref())] {
            if let Some(uri) = uri {
                self.take(&key(name), check_uri(name, uri))?;
            }
        }
        let table: Vec<String> = raw.table.split('.').map(str::to_string).collect();
        if table.len() < 2 || table.iter().any(String::is_empty) {
            let message = format!("`{}` is no table: write `namespace.name`", raw.table);
            self.problem(&key("table"), message);
            return None;
        }
        let mut secret = |name: &str, reference: &Option<String>| match reference {
            Some(text) => {
                let value = referenced(&format!("catalog's {name}"), text, self.base, self.env);
                self.take(&[at, &["catalog", name]].concat(), value).map(Some)
            }
            None => Some(None),
        };
        let (token, credential) =
            (secret("token", &raw.token), secret("credential", &raw.credential));
        Some(CatalogPlan {
            uri: raw.uri.trim_end_matches('/').to_string(),
            table,
            warehouse: raw.warehouse.clone(),
            prefix: raw.prefix.clone(),
            token: token?,
            credential: credential?,
            scope: raw.scope.clone(),
            oauth2_uri: raw.oauth2_uri.clone(),
        })
    }
}

/// # Errors
/// What is wrong with the address of a catalog, without repeating it where it carries credentials.
fn check_uri(name: &str, uri: &str) -> Result<(), String> {
    let rest = uri.strip_prefix("http://").or_else(|| uri.strip_prefix("https://"));
    match rest.and_then(|rest| rest.split('/').next()) {
        Some(host) if host.contains('@') => Err(format!(
            "`catalog.{name}` carries credentials; take them out (and change them: they stood in a file) and give `token` or `credential` by reference"
        )),
        Some(host) if !host.is_empty() => Ok(()),
        _ => Err(format!("`catalog.{name}` is `{uri}`; write http://host:port or https://host")),
    }
}
