//! Secrets that a configuration names: by reference, read when a store is opened, never printed.

use std::path::Path;

use super::service::Settings;
use crate::config::raw;

/// The keys of [`raw::Store`] that are references.
fn references(options: &mut raw::Store) -> [(&'static str, &mut Option<String>); 7] {
    [
        ("access_key_id", &mut options.access_key_id),
        ("secret_access_key", &mut options.secret_access_key),
        ("session_token", &mut options.session_token),
        ("account_key", &mut options.account_key),
        ("sas_token", &mut options.sas_token),
        ("bearer_token", &mut options.bearer_token),
        ("service_account_key", &mut options.service_account_key),
    ]
}

/// Checks that secrets are references, and makes the paths of files absolute: relative to `base`.
///
/// # Errors
/// The key of a secret that stands there itself, and what to do; the secret is not repeated.
pub fn settle(options: &mut raw::Store, base: &Path) -> Result<(), (&'static str, String)> {
    for (name, reference) in references(options) {
        let Some(text) = reference else { continue };
        if let Some(path) = text.strip_prefix("file:") {
            let path = std::path::absolute(base.join(path)).map_err(|e| (name, e.to_string()))?;
            *text = format!("file:{}", path.display());
        } else if !text.starts_with("env:") {
            return Err((
                name,
                format!(
                    "store.{name} is given by reference, not itself: env:NAME or file:PATH (a secret \
                     that stood here must be changed: it stood in a file)"
                ),
            ));
        }
    }
    Ok(())
}

/// What the references of a store's options lead to.
///
/// # Errors
/// Variables that are not set and files that cannot be read, by name.
pub fn read(options: &raw::Store) -> Result<Settings, String> {
    let mut options = options.clone();
    let mut found = Settings::default();
    for (name, reference) in references(&mut options) {
        let Some(reference) = reference else { continue };
        let value = if let Some(variable) = reference.strip_prefix("env:") {
            std::env::var(variable).map_err(|_| {
                format!("store.{name} names the environment variable {variable}, which is not set")
            })?
        } else {
            let path = reference.strip_prefix("file:").unwrap_or(reference);
            std::fs::read_to_string(path).map_err(|e| {
                format!("store.{name} names the file {path}, which cannot be read: {e}")
            })?
        };
        let value = value.trim();
        if value.is_empty() {
            return Err(format!("store.{name} leads to nothing: {reference} is empty"));
        }
        found.put(name, value);
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_that_stands_itself_is_refused_and_not_repeated() {
        let mut options =
            raw::Store { account_key: Some("hunter2hunter2".into()), ..Default::default() };
        let (key, message) = settle(&mut options, Path::new("/etc")).unwrap_err();
        assert_eq!(key, "account_key");
        assert!(!message.contains("hunter2"), "{message}");
        options.account_key = Some("file:azure.key".into());
        settle(&mut options, Path::new("/etc")).unwrap();
        assert_eq!(options.account_key.as_deref(), Some("file:/etc/azure.key"));
    }
}
