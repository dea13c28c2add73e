//! What datasets are called: namespace and name by the rules of the OpenLineage specification ("Naming"), so that
//! other tools' events speak of the same ones.

use serde::Serialize;

use crate::database::Place;
use crate::store::StoreUrl;

/// A place that is read or written.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Dataset {
    /// The store: `s3://bucket`, `abfss://container@account.dfs.core.windows.net`, `file`.
    pub namespace: String,
    /// The path in it.
    pub name: String,
}

impl Dataset {
    /// What is read from an address; of a glob, the folder that it begins in.
    pub fn of(url: &StoreUrl) -> Self {
        url.split_glob().map_or_else(|| Self::at(url), |(folder, _)| Self::at(&folder))
    }

    /// What lies at an address.
    pub fn at(url: &StoreUrl) -> Self {
        let (namespace, path) = match url.local() {
            Some(path) => ("file".to_string(), path.to_string_lossy().into_owned()),
            None => url.container_and_path(),
        };
        let name = path.trim_end_matches('/');
        let name = if name.is_empty() { "/" } else { name };
        Self { namespace, name: name.to_string() }
    }

    /// A table or view of PostgreSQL.
    pub fn relation(place: &Place, name: &str) -> Self {
        let namespace = format!("postgres://{}", place.server);
        Self { namespace, name: format!("{}.{}.{name}", place.database, place.schema) }
    }

    /// The address of the store itself.
    pub fn store(&self) -> String {
        match self.namespace.as_str() {
            "file" => "file:///".to_string(),
            other => other.to_string(),
        }
    }
}

/// The name of the job that publishes to `output`: the same for every run that does.
pub fn job(output: &StoreUrl) -> String {
    let Dataset { namespace, name } = Dataset::at(output);
    let store = namespace.split_once("://").map_or("", |(_, container)| container);
    let parts = [store].into_iter().chain(name.split('/')).filter(|part| !part.is_empty());
    let parts: Vec<&str> = ["afterscope", "run"].into_iter().chain(parts).collect();
    // No slash: parents are named namespace/job/run, and this job may be one.
    parts.join(".")
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::raw;

    fn named(address: &str) -> (String, String) {
        let url = StoreUrl::parse(address, Path::new("/"), &raw::Store::default()).unwrap();
        let Dataset { namespace, name } = Dataset::of(&url);
        (namespace, name)
    }

    #[test]
    fn datasets_are_named_by_the_rules_of_the_specification() {
        for (address, namespace, name) in [
            ("/data/logs/", "file", "/data/logs"),
            ("file:///data/a%20b.csv", "file", "/data/a b.csv"),
            ("/data/logs/dt=*/x-*.parquet", "file", "/data/logs"),
            ("s3://bucket/logs/2019/", "s3://bucket", "logs/2019"),
            ("s3a://bucket/", "s3://bucket", "/"),
            ("gs://bucket/a/b", "gs://bucket", "a/b"),
            (
                "abfss://logs@acc.dfs.core.windows.net/x/",
                "abfss://logs@acc.dfs.core.windows.net",
                "x",
            ),
            (
                "https://acc.blob.core.windows.net/logs/x",
                "abfss://logs@acc.dfs.core.windows.net",
                "x",
            ),
            ("https://host:8080/logs/a b.parquet", "https://host:8080", "/logs/a%20b.parquet"),
        ] {
            assert_eq!(named(address), (namespace.into(), name.into()), "{address}");
        }
    }

    #[test]
    fn a_table_of_a_database_is_named_by_server_database_and_schema() {
        let text = ["db.example:5432", "bi", "afterscope"].map(str::to_string);
        let [server, database, schema] = text;
        let table = Dataset::relation(&Place { server, database, schema }, "history_coverage");
        assert_eq!(table.namespace, "postgres://db.example:5432");
        assert_eq!(table.name, "bi.afterscope.history_coverage");
        assert_eq!(table.store(), "postgres://db.example:5432");
    }

    #[test]
    fn an_account_that_stands_beside_the_address_is_part_of_the_name() {
        let options = raw::Store { account: Some("acc".into()), ..Default::default() };
        let named = |options: &raw::Store| {
            Dataset::of(&StoreUrl::parse("az://logs/x/", Path::new("/"), options).unwrap())
        };
        assert_eq!(named(&options).namespace, "abfss://logs@acc.dfs.core.windows.net");
        // Another service than Azure's own has accounts of its own.
        let endpoint = Some("http://127.0.0.1:10000/acc".into());
        assert_eq!(named(&raw::Store { endpoint, ..options }).namespace, "az://logs");
    }

    #[test]
    fn a_job_is_named_by_where_it_publishes() {
        let job = |address: &str| {
            job(&StoreUrl::parse(address, Path::new("/srv"), &raw::Store::default()).unwrap())
        };
        assert_eq!(job("out/"), "afterscope.run.srv.out");
        assert_eq!(job("s3://lake/reports/groups/"), "afterscope.run.lake.reports.groups");
    }
}
