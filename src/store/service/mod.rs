//! The services that stores may be in: one entry each of what their addresses look like, what they can
//! do, and how they are opened.
//!
//! Credentials are found here and nowhere else, and are never printed. No machine's metadata address is
//! asked unless the configuration says so.

mod azure;
mod gcs;
mod http;
mod s3;

use std::collections::HashMap;
use std::hash::{Hash, Hasher};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use object_store::{ObjectStore, RetryConfig};

use super::remote::{Located, Remote, Written};
use super::traffic::{Meter, Traffic};
use super::{StoreError, StoreErrorKind, check_endpoint, secret};
use crate::config::raw;

/// Every service. Where two know a scheme, the first that takes the address has it.
pub static SERVICES: [&Service; 4] = [&s3::S3, &azure::AZURE, &gcs::GCS, &http::HTTP];

/// A kind of store.
pub struct Service {
    /// As messages name it.
    pub name: &'static str,
    pub schemes: &'static [&'static str],
    /// Whether addresses are percent-encoded.
    pub escaped: bool,
    /// Whether only an address that ends in a slash names a folder, and a folder may have no listing.
    pub files_by_name: bool,
    /// Whether nothing can be written.
    pub read_only: bool,
    /// Takes an address apart; `None` where it belongs to another service.
    pub locate: fn(Written<'_>) -> Result<Option<Located>, String>,
    /// Connects to a container. Nothing is asked yet.
    pub open: fn(&Remote, &Access<'_>) -> Opened,
}

impl PartialEq for Service {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for Service {}

impl Hash for Service {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name.hash(state);
    }
}

impl std::fmt::Debug for Service {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

/// A container, connected to.
pub type Opened = Result<Arc<dyn ObjectStore>, Closed>;

/// Why a container cannot be opened.
pub enum Closed {
    /// What is wrong, and what to set.
    Settings(String),
    Store(object_store::Error),
}

impl From<object_store::Error> for Closed {
    fn from(error: object_store::Error) -> Self {
        Self::Store(error)
    }
}

impl From<String> for Closed {
    fn from(reason: String) -> Self {
        Self::Settings(reason)
    }
}

/// How a container is reached.
pub struct Access<'a> {
    pub options: &'a raw::Store,
    /// What the options' references lead to.
    pub secrets: Settings,
    pub meter: Meter,
}

/// Opens a container.
///
/// # Errors
/// Missing or half credentials, and settings that do not fit.
pub fn open(
    remote: &Remote,
    options: &raw::Store,
    traffic: &Traffic,
) -> Result<Arc<dyn ObjectStore>, StoreError> {
    let settings =
        |reason: String| StoreError::new(StoreErrorKind::Settings, remote.to_string(), reason);
    let secrets = secret::read(options).map_err(settings)?;
    refuse_controls(&secrets).map_err(settings)?;
    let access = Access { options, secrets, meter: traffic.meter(&remote.root) };
    (remote.service.open)(remote, &access).map_err(|closed| match closed {
        Closed::Settings(reason) => settings(reason),
        // Nothing was asked yet: it is what was set, not the service.
        Closed::Store(error) => settings(error.to_string()),
    })
}

/// No header takes a line end, and the library does not expect one: a file of variables that was written elsewhere
/// has them.
fn refuse_controls(secrets: &Settings) -> Result<(), String> {
    const PREFIXES: [&str; 3] = ["AWS_", "AZURE_", "GOOGLE_"];
    let variables = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .filter(|(name, _)| PREFIXES.iter().any(|prefix| name.starts_with(prefix)));
    let own = secrets.0.iter().map(|(name, value)| (format!("store.{name}"), value.clone()));
    // Keys of service accounts are JSON on several lines.
    let mut odd: Vec<String> = variables
        .chain(own)
        .filter(|(name, _)| !name.to_ascii_lowercase().ends_with("service_account_key"))
        .filter(|(_, value)| value.chars().any(char::is_control))
        .map(|(name, _)| name)
        .collect();
    odd.sort();
    match odd.first() {
        Some(name) => Err(format!(
            "{name} holds a character that no request can carry, such as a line end; take it out"
        )),
        None => Ok(()),
    }
}

/// A container as others name it: with the account that holds it, where that is known.
pub fn full_root(remote: &Remote, options: &raw::Store) -> String {
    azure::with_account(remote, options).unwrap_or_else(|| remote.root.clone())
}

/// Values by name that are never printed.
#[derive(Default)]
pub struct Settings(HashMap<String, String>);

impl Settings {
    pub fn put(&mut self, name: &str, value: &str) {
        self.0.insert(name.to_string(), value.to_string());
    }

    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }
}

/// How requests are tried again, of every service.
fn retry() -> RetryConfig {
    RetryConfig { max_retries: 8, retry_timeout: Duration::from_secs(90), ..Default::default() }
}

/// A setting that says yes, as object_store reads it.
fn is_true(value: &str) -> bool {
    matches!(value.to_ascii_lowercase().as_str(), "true" | "1" | "yes" | "on" | "y")
}

/// A variable of the environment; an empty one counts as not set.
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// What the environment says of a service: variables with its prefix that object_store knows. Empty ones
/// count as not set.
fn environment<K: FromStr>(prefix: &str) -> Vec<(K, String)> {
    let mut named: Vec<(String, String)> = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .filter(|(name, value)| name.starts_with(prefix) && !value.is_empty())
        .collect();
    // Where two names mean one setting, the same one holds in every process.
    named.sort();
    named
        .into_iter()
        .filter_map(|(name, value)| Some((name.to_ascii_lowercase().parse().ok()?, value)))
        .collect()
}

/// The address of a compatible service: that of the configuration, else the first variable that is set.
fn endpoint(options: &raw::Store, variables: &[&str]) -> Result<Option<String>, Closed> {
    if options.endpoint.is_some() {
        return Ok(options.endpoint.clone());
    }
    let Some((name, value)) = variables.iter().find_map(|name| Some((*name, variable(name)?)))
    else {
        return Ok(None);
    };
    check_endpoint(name, &value)?;
    Ok(Some(value))
}
