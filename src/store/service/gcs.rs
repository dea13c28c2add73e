//! Google Cloud Storage.

use std::sync::Arc;

use object_store::ClientConfigKey;
use object_store::gcp::{GoogleCloudStorageBuilder, GoogleConfigKey as Key};

use super::{Access, Closed, Opened, Service, endpoint, environment, is_true, retry, variable};
use crate::store::remote::{Located, Remote, Written};

pub static GCS: Service = Service {
    name: "Google Cloud Storage",
    schemes: &["gs"],
    escaped: false,
    files_by_name: false,
    read_only: false,
    locate,
    open,
};

fn locate(address: Written<'_>) -> Result<Option<Located>, String> {
    address.without_credentials("set GOOGLE_APPLICATION_CREDENTIALS instead")?;
    address.container("gs", "gs://bucket/prefix").map(Some)
}

/// What the environment says of who asks. The configuration's own credentials take its place whole.
const IDENTITY: [Key; 3] =
    [Key::ServiceAccount, Key::ServiceAccountKey, Key::ApplicationCredentials];

fn open(remote: &Remote, access: &Access<'_>) -> Opened {
    let (options, secrets) = (access.options, &access.secrets);
    let own = secrets.get("service_account_key");
    // Plain HTTP only where an address says so in so many words: an endpoint, or an emulator's in the key.
    let mut plain = own.is_some_and(|key| key.contains("http://"));
    let mut builder = GoogleCloudStorageBuilder::new()
        .with_config(Key::Client(ClientConfigKey::AllowHttp), plain.to_string());
    if let Some(key) = variable("GOOGLE_SERVICE_ACCOUNT_KEY").filter(|_| own.is_none())
        && !is_object(&key)
    {
        return Err(Closed::Settings(format!("GOOGLE_SERVICE_ACCOUNT_KEY {NO_KEY}")));
    }
    if let (None, Some(path)) = (own, variable("SERVICE_ACCOUNT")) {
        builder = builder.with_service_account_path(path);
    }
    let found = environment::<Key>("GOOGLE_");
    let skips_signature =
        found.iter().any(|(key, value)| *key == Key::SkipSignature && is_true(value));
    for (key, value) in found {
        if !(own.is_some() && IDENTITY.contains(&key)) {
            builder = builder.with_config(key, value);
        }
    }
    if let Some(key) = own {
        if !is_object(key) {
            return Err(Closed::Settings(format!("store.service_account_key {NO_KEY}")));
        }
        builder = builder.with_service_account_key(key);
    }
    let has = |key: &Key| builder.get_config_value(key).is_some();
    let known = skips_signature || IDENTITY.iter().any(has) || logged_in();
    if !known && !options.anonymous && !options.instance_metadata {
        return Err(Closed::Settings(
            "no credentials: set GOOGLE_APPLICATION_CREDENTIALS or GOOGLE_SERVICE_ACCOUNT to the \
             path of a key file, or log in (gcloud auth application-default login), or say \
             store.instance_metadata = true to ask the machine's metadata service, or \
             store.anonymous = true for a public bucket"
                .into(),
        ));
    }
    let endpoint = endpoint(options, &["GOOGLE_BASE_URL", "STORAGE_EMULATOR_HOST"])?;
    let mut builder = builder
        .with_bucket_name(&remote.container)
        .with_retry(retry())
        .with_http_connector(access.meter.clone());
    if let Some(endpoint) = endpoint {
        plain = endpoint.starts_with("http://");
        builder = builder
            .with_base_url(&endpoint)
            .with_config(Key::Client(ClientConfigKey::AllowHttp), plain.to_string());
    }
    if options.anonymous {
        builder = builder.with_skip_signature(true);
    }
    Ok(Arc::new(builder.build()?))
}

/// The library would repeat what it cannot read.
const NO_KEY: &str = "leads to no JSON object; give the key file that Google Cloud gave, as it is";

fn is_object(text: &str) -> bool {
    serde_json::from_str::<serde_json::Value>(text).is_ok_and(|key| key.is_object())
}

/// Whether gcloud's own file of credentials is there, which object_store reads.
fn logged_in() -> bool {
    const FILE: &str = ".config/gcloud/application_default_credentials.json";
    std::env::var_os("HOME").is_some_and(|home| std::path::Path::new(&home).join(FILE).exists())
}
