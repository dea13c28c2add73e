//! A store as it is written: where it answers and its keys, by reference.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How to reach a store. Everything else comes from the environment, as the store's users expect. Keys that
/// are secrets are given by reference, `env:NAME` or `file:PATH`, and take the place of all credentials of the
/// environment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Store {
    /// S3, Azure, GCS: address of a compatible service, for example `http://127.0.0.1:8333`; of Azure with
    /// the account: `http://127.0.0.1:10000/devstoreaccount1`.
    #[serde(default)]
    pub endpoint: Option<String>,
    /// S3: region.
    #[serde(default)]
    pub region: Option<String>,
    /// S3: bucket as part of the host name.
    #[serde(default)]
    pub virtual_hosted_style: Option<bool>,
    /// S3, Azure, GCS: read without credentials.
    #[serde(default)]
    pub anonymous: bool,
    /// S3, Azure, GCS: take credentials from the machine's metadata service when the environment has none.
    #[serde(default)]
    pub instance_metadata: bool,
    /// Azure: storage account, where the address does not name it. Default: AZURE_STORAGE_ACCOUNT_NAME.
    #[serde(default)]
    pub account: Option<String>,
    /// S3: access key, by reference.
    #[serde(default)]
    pub access_key_id: Option<String>,
    /// S3: its secret, by reference.
    #[serde(default)]
    pub secret_access_key: Option<String>,
    /// S3: token of temporary credentials, by reference.
    #[serde(default)]
    pub session_token: Option<String>,
    /// Azure: key of the storage account, by reference.
    #[serde(default)]
    pub account_key: Option<String>,
    /// Azure: shared access signature, by reference.
    #[serde(default)]
    pub sas_token: Option<String>,
    /// Azure, HTTP: token sent with each request, by reference.
    #[serde(default)]
    pub bearer_token: Option<String>,
    /// GCS: a service account's key file, by reference (`file:key.json`).
    #[serde(default)]
    pub service_account_key: Option<String>,
}
