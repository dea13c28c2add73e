//! Azure Blob Storage, and Data Lake Storage by the same interface.

use std::sync::Arc;

use object_store::azure::{AzureConfigKey as Key, MicrosoftAzureBuilder};

use super::{
    Access, Closed, Opened, Service, check_endpoint, endpoint, environment, is_true, retry,
    variable,
};
use crate::config::raw;
use crate::store::remote::{Account, Located, Remote, Written};

pub static AZURE: Service = Service {
    name: "Azure",
    schemes: &["az", "azure", "adl", "abfs", "abfss", "https"],
    escaped: false,
    files_by_name: false,
    read_only: false,
    locate,
    open,
};

const INSTEAD: &str = "set AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY instead";

/// Domains of storage accounts, and whether they are Fabric's.
const DOMAINS: [(&str, bool); 4] = [
    ("dfs.core.windows.net", false),
    ("blob.core.windows.net", false),
    ("dfs.fabric.microsoft.com", true),
    ("blob.fabric.microsoft.com", true),
];

/// `account.blob.core.windows.net`.
fn account(host: &str) -> Option<Account> {
    let (name, domain) = host.split_once('.')?;
    let (_, fabric) = DOMAINS.into_iter().find(|(known, _)| *known == domain)?;
    (!name.is_empty()).then(|| Account { name: name.to_string(), fabric })
}

/// `az://container/key`, `abfss://container@account.dfs.core.windows.net/key` and
/// `https://account.blob.core.windows.net/container/key`.
fn locate(address: Written<'_>) -> Result<Option<Located>, String> {
    if address.scheme == "https" {
        let Some(account) = account(address.authority) else { return Ok(None) };
        let (container, key) = address.path.split_once('/').unwrap_or((address.path, ""));
        if key.contains('%') {
            return Err(
                "write an Azure address with % escapes as az://container/key, without them".into(),
            );
        }
        return located(container, Some(account), key).map(Some);
    }
    let Some((container, host)) = address.authority.split_once('@') else {
        return address.container("az", "az://container/prefix").and_then(plain).map(Some);
    };
    match account(host) {
        Some(account) if !container.contains(':') => {
            located(container, Some(account), address.path).map(Some)
        }
        _ => {
            address.without_credentials(INSTEAD)?;
            Ok(None)
        }
    }
}

/// A host in the container's place is a misread address.
fn plain(place: Located) -> Result<Located, String> {
    located(&place.container, None, &place.key)
}

fn located(container: &str, account: Option<Account>, key: &str) -> Result<Located, String> {
    let fabric = account.as_ref().is_some_and(|account| account.fabric);
    if container.is_empty() || (container.contains('.') && !fabric) {
        return Err("the address names no container; write az://container/prefix, \
             abfss://container@account.dfs.core.windows.net/prefix or \
             https://account.blob.core.windows.net/container/prefix"
            .into());
    }
    let root = match &account {
        None => format!("az://{container}"),
        Some(Account { name, fabric: false }) => {
            format!("abfss://{container}@{name}.dfs.core.windows.net")
        }
        Some(Account { name, fabric: true }) => {
            format!("abfss://{container}@{name}.dfs.fabric.microsoft.com")
        }
    };
    Ok(Located { root, container: container.to_string(), account, key: key.to_string() })
}

/// What the environment says of who asks. The configuration's own credentials take its place whole.
const IDENTITY: [Key; 11] = [
    Key::AccessKey,
    Key::SasKey,
    Key::Token,
    Key::ClientId,
    Key::ClientSecret,
    Key::AuthorityId,
    Key::FederatedTokenFile,
    Key::UseAzureCli,
    Key::FabricTokenServiceUrl,
    Key::FabricSessionToken,
    Key::UseEmulator,
];

/// Sets of settings each of which tells who asks, by object_store's order.
const KNOWN: [&[Key]; 6] = [
    &[
        Key::FabricTokenServiceUrl,
        Key::FabricWorkloadHost,
        Key::FabricSessionToken,
        Key::FabricClusterIdentifier,
    ],
    &[Key::Token],
    &[Key::AccessKey],
    &[Key::ClientId, Key::AuthorityId, Key::FederatedTokenFile],
    &[Key::ClientId, Key::ClientSecret, Key::AuthorityId],
    &[Key::SasKey],
];

const ENDPOINTS: [&str; 2] = ["AZURE_STORAGE_ENDPOINT", "AZURE_ENDPOINT"];

/// The container's root with the account that is asked, where an address does not name it: `None` where it does,
/// where nobody says which one it is, and where it is none of Azure's own service.
pub fn with_account(remote: &Remote, options: &raw::Store) -> Option<String> {
    if remote.service != &AZURE || remote.account.is_some() {
        return None;
    }
    if !matches!(endpoint(options, &ENDPOINTS), Ok(None)) {
        return None;
    }
    let account = options.account.clone().or_else(|| variable("AZURE_STORAGE_ACCOUNT_NAME"))?;
    Some(format!("abfss://{}@{account}.dfs.core.windows.net", remote.container))
}

fn open(remote: &Remote, access: &Access<'_>) -> Opened {
    let (options, secrets) = (access.options, &access.secrets);
    let own = [
        (Key::AccessKey, secrets.get("account_key")),
        (Key::SasKey, secrets.get("sas_token")),
        (Key::Token, secrets.get("bearer_token")),
    ];
    let has_own = own.iter().any(|(_, value)| value.is_some());
    let mut builder = MicrosoftAzureBuilder::new().with_container_name(&remote.container);
    for (key, value) in found_in_environment()? {
        if !(has_own && IDENTITY.contains(&key)) {
            builder = builder.with_config(key, value);
        }
    }
    for (key, value) in own {
        if let Some(value) = value {
            builder = builder.with_config(key, value);
        }
    }
    if let Some(name) = &options.account {
        builder = builder.with_account(name);
    }
    if let Some(account) = &remote.account {
        builder = builder.with_account(&account.name).with_use_fabric_endpoint(account.fabric);
    }
    if let Some(endpoint) = endpoint(options, &ENDPOINTS)? {
        // Plain HTTP only where the address says so in so many words.
        builder = builder.with_allow_http(endpoint.starts_with("http://")).with_endpoint(endpoint);
    }
    if options.anonymous {
        builder = builder.with_skip_signature(true);
    }
    let says = |key: Key| builder.get_config_value(&key).is_some_and(|value| is_true(&value));
    let emulator = says(Key::UseEmulator);
    let known =
        KNOWN.iter().any(|keys| keys.iter().all(|key| builder.get_config_value(key).is_some()))
            || emulator
            || says(Key::UseAzureCli)
            || says(Key::SkipSignature);
    if !known && !options.instance_metadata {
        return Err(Closed::Settings(
            "no credentials: set AZURE_STORAGE_ACCOUNT_KEY, AZURE_STORAGE_SAS_TOKEN, or \
             AZURE_CLIENT_ID, AZURE_TENANT_ID and AZURE_CLIENT_SECRET (or \
             AZURE_FEDERATED_TOKEN_FILE), or AZURE_USE_AZURE_CLI=true, or say \
             store.instance_metadata = true to ask the machine's metadata service, or \
             store.anonymous = true for a public container"
                .into(),
        ));
    }
    if builder.get_config_value(&Key::AccountName).is_none() && !emulator {
        return Err(Closed::Settings(
            "no storage account: set AZURE_STORAGE_ACCOUNT_NAME or store.account, or write \
             abfss://container@account.dfs.core.windows.net/prefix"
                .into(),
        ));
    }
    Ok(Arc::new(builder.with_retry(retry()).with_http_connector(access.meter.clone()).build()?))
}

/// Variables as object_store, the `az` command and Azure's own libraries call them.
fn found_in_environment() -> Result<Vec<(Key, String)>, Closed> {
    let mut found = Vec::new();
    if let Some(text) = variable("AZURE_STORAGE_CONNECTION_STRING") {
        found.extend(connection_string(&text)?);
    }
    let others =
        [("AZURE_STORAGE_ACCOUNT", Key::AccountName), ("AZURE_STORAGE_KEY", Key::AccessKey)];
    found.extend(others.into_iter().filter_map(|(name, key)| Some((key, variable(name)?))));
    found.extend(environment::<Key>("AZURE_"));
    found.extend(variable("IDENTITY_ENDPOINT").map(|value| (Key::MsiEndpoint, value)));
    Ok(found)
}

/// `AccountName=…;AccountKey=…;BlobEndpoint=…`: what of it object_store has a setting for.
fn connection_string(text: &str) -> Result<Vec<(Key, String)>, Closed> {
    let mut found = Vec::new();
    for part in text.split(';').filter(|part| !part.trim().is_empty()) {
        let Some((name, value)) = part.split_once('=') else {
            return Err(Closed::Settings(
                "AZURE_STORAGE_CONNECTION_STRING is no list of Name=Value; copy it anew".into(),
            ));
        };
        let key = match name.trim() {
            "AccountName" => Key::AccountName,
            "AccountKey" => Key::AccessKey,
            "SharedAccessSignature" => Key::SasKey,
            "BlobEndpoint" => {
                check_endpoint("BlobEndpoint in AZURE_STORAGE_CONNECTION_STRING", value)?;
                if value.starts_with("http://") {
                    found.push((
                        Key::Client(object_store::ClientConfigKey::AllowHttp),
                        "true".into(),
                    ));
                }
                Key::Endpoint
            }
            _ => continue,
        };
        found.push((key, value.to_string()));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(scheme: &str, rest: &str) -> Result<(String, String), String> {
        Remote::parse(scheme, rest).map(|place| (place.root, place.key))
    }

    #[test]
    fn the_forms_that_azure_users_write_lead_to_one_place() {
        let place = ("abfss://logs@acme.dfs.core.windows.net".to_string(), "a/b".to_string());
        for (scheme, rest) in [
            ("abfss", "logs@acme.dfs.core.windows.net/a/b"),
            ("az", "logs@acme.blob.core.windows.net/a/b"),
            ("https", "acme.blob.core.windows.net/logs/a/b"),
            ("https", "acme.dfs.core.windows.net/logs/a/b"),
        ] {
            assert_eq!(read(scheme, rest).unwrap(), place, "{scheme}://{rest}");
        }
        assert_eq!(read("azure", "logs/a").unwrap(), ("az://logs".into(), "a".into()));
        assert_eq!(read("abfs", "logs/").unwrap(), ("az://logs".into(), String::new()));
        assert!(read("https", "acme.blob.core.windows.net/").is_err());
        assert!(read("az", "acme.blob.core.windows.net/logs").is_err());
    }

    #[test]
    fn a_password_or_a_signature_in_an_address_is_refused_and_not_repeated() {
        for (scheme, rest) in [
            ("abfss", "logs:hunter2@acme.dfs.core.windows.net/a"),
            ("az", "hunter2@elsewhere/a"),
            ("https", "acme.blob.core.windows.net/logs/a?sig=hunter2"),
        ] {
            let error = read(scheme, rest).unwrap_err();
            assert!(!error.contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn a_connection_string_gives_account_key_and_endpoint() {
        let text = "DefaultEndpointsProtocol=http;AccountName=acme;AccountKey=a2V5=;BlobEndpoint=http://127.0.0.1:1/acme;";
        let Ok(found) = connection_string(text) else { panic!("not read") };
        assert!(found.contains(&(Key::AccountName, "acme".into())));
        assert!(found.contains(&(Key::AccessKey, "a2V5=".into())));
        assert!(found.contains(&(Key::Endpoint, "http://127.0.0.1:1/acme".into())));
        assert!(connection_string("hunter2").is_err());
    }
}
