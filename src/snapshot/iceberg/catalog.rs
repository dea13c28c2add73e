//! REST catalogs: which metadata of a table is the current one.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use ::iceberg::io::MemoryStorageFactory;
use ::iceberg::{Catalog, CatalogBuilder, Error, ErrorKind, TableIdent};
use iceberg_catalog_rest::RestCatalogBuilder;

use super::place::Location;
use super::refusal::Refusal;
use crate::config::CatalogPlan;
use crate::store::{Io, StoreError, StoreErrorKind, StoreUrl};

/// How long a catalog may take for all its answers, as a store may with its retries.
const PATIENCE: Duration = Duration::from_secs(90);

/// The path of the current metadata file below the table's folder, which is `url`.
///
/// # Errors
/// A catalog that cannot be asked, does not know the table, or has it elsewhere.
pub fn current(catalog: &CatalogPlan, url: &StoreUrl, io: &Io) -> Result<String, Refusal> {
    let asked = io.wait(async { tokio::time::timeout(PATIENCE, ask(catalog)).await });
    let asked = asked.map_err(|_| late(catalog))?.map_err(|error| told(catalog, &error))?;
    let location = Location::new(&asked.location);
    if !location.is(&url.to_string()) {
        return Err(Refusal::Table(format!(
            "the catalog says that the table lies at {}; set `url` to that address",
            asked.location
        )));
    }
    let file = asked.metadata.ok_or_else(|| {
        Refusal::Unsupported("a catalog that does not say where the table's metadata lies".into())
    })?;
    location.below(&file).ok_or_else(|| {
        Refusal::Unsupported(format!("metadata outside of the table's location ({file})"))
    })
}

/// What the catalog says of a table.
struct Answer {
    location: String,
    metadata: Option<String>,
}

async fn ask(catalog: &CatalogPlan) -> Result<Answer, Error> {
    let settings = [
        ("uri", Some(&catalog.uri)),
        ("warehouse", catalog.warehouse.as_ref()),
        ("prefix", catalog.prefix.as_ref()),
        ("token", catalog.token.as_ref()),
        ("credential", catalog.credential.as_ref()),
        ("scope", catalog.scope.as_ref()),
        ("oauth2-server-uri", catalog.oauth2_uri.as_ref()),
    ];
    let settings: HashMap<String, String> = settings
        .into_iter()
        .filter_map(|(key, value)| Some((key.to_string(), value?.clone())))
        .collect();
    // The catalog's client wants a storage; files are read by this program's own.
    let builder =
        RestCatalogBuilder::default().with_storage_factory(Arc::new(MemoryStorageFactory));
    let client = builder.load("catalog", settings).await?;
    let table = client.load_table(&TableIdent::from_strs(&catalog.table)?).await?;
    Ok(Answer {
        location: table.metadata().location().to_string(),
        metadata: table.metadata_location().map(str::to_string),
    })
}

/// What is asked, as messages name it.
fn shown(catalog: &CatalogPlan) -> String {
    format!("{} ({})", catalog.uri, catalog.table.join("."))
}

fn late(catalog: &CatalogPlan) -> Refusal {
    let reason = format!("the catalog did not answer within {} s", PATIENCE.as_secs());
    Refusal::Store(StoreError::new(StoreErrorKind::Transient, shown(catalog), reason))
}

/// An error of the catalog's client, sorted, without what is secret.
fn told(catalog: &CatalogPlan, error: &Error) -> Refusal {
    let whole = error.to_string();
    let status = whole.split_once("status: ").map(|(_, rest)| rest);
    let status = status.and_then(|rest| rest.split([',', '}']).next()).map(str::trim);
    let kind = match (error.kind(), status) {
        (ErrorKind::TableNotFound | ErrorKind::NamespaceNotFound, _) => StoreErrorKind::NotFound,
        (_, Some(status)) if status.starts_with("401") || status.starts_with("403") => {
            StoreErrorKind::Denied
        }
        (_, Some(status)) if status.starts_with('5') || status.starts_with("429") => {
            StoreErrorKind::Transient
        }
        (_, None) if error.message() == "Failed to execute http request" => {
            StoreErrorKind::Transient
        }
        _ => StoreErrorKind::Settings,
    };
    let reason = match (kind, status) {
        (StoreErrorKind::NotFound, _) => "the catalog does not know the table".to_string(),
        (_, Some(status)) => format!("the catalog answered {status}"),
        _ => format!("the catalog cannot be asked: {}", plain(catalog, error)),
    };
    Refusal::Store(StoreError::new(kind, shown(catalog), reason))
}

/// The message and its cause. Contexts are left out: they repeat what was sent and answered.
fn plain(catalog: &CatalogPlan, error: &Error) -> String {
    let mut text = error.message().to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        text = format!("{text}: {inner}");
        cause = inner.source();
    }
    let secrets = [catalog.token.as_ref(), catalog.credential.as_ref()];
    for secret in secrets.into_iter().flatten().flat_map(|secret| secret.split(':')) {
        if !secret.is_empty() {
            text = text.replace(secret, "…");
        }
    }
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
