//! Amazon S3 and services that speak like it.

use std::sync::Arc;

use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey as Key};

use super::{Access, Closed, Opened, Service, endpoint, environment, is_true, retry};
use crate::store::remote::{Located, Remote, Written};

pub static S3: Service = Service {
    name: "S3",
    schemes: &["s3", "s3a"],
    escaped: false,
    files_by_name: false,
    read_only: false,
    locate,
    open,
};

const INSTEAD: &str = "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY instead";

fn locate(address: Written<'_>) -> Result<Option<Located>, String> {
    address.without_credentials(INSTEAD)?;
    address.container("s3", "s3://bucket/prefix").map(Some)
}

/// What the environment says of who asks. The configuration's own credentials take its place whole.
const IDENTITY: [Key; 8] = [
    Key::AccessKeyId,
    Key::SecretAccessKey,
    Key::Token,
    Key::WebIdentityTokenFile,
    Key::RoleArn,
    Key::ContainerCredentialsRelativeUri,
    Key::ContainerCredentialsFullUri,
    Key::ContainerAuthorizationTokenFile,
];

fn open(remote: &Remote, access: &Access<'_>) -> Opened {
    let (options, secrets) = (access.options, &access.secrets);
    let own = [
        (Key::AccessKeyId, secrets.get("access_key_id")),
        (Key::SecretAccessKey, secrets.get("secret_access_key")),
        (Key::Token, secrets.get("session_token")),
    ];
    let has_own = own.iter().any(|(_, value)| value.is_some());
    let found = environment::<Key>("AWS_");
    let skips_signature =
        found.iter().any(|(key, value)| *key == Key::SkipSignature && is_true(value));
    let mut builder = AmazonS3Builder::new();
    for (key, value) in found {
        if !(has_own && IDENTITY.contains(&key)) {
            builder = builder.with_config(key, value);
        }
    }
    for (key, value) in own {
        if let Some(value) = value {
            builder = builder.with_config(key, value);
        }
    }
    let has = |key: Key| builder.get_config_value(&key).is_some();
    let known = skips_signature
        || [
            Key::AccessKeyId,
            Key::WebIdentityTokenFile,
            Key::ContainerCredentialsRelativeUri,
            Key::ContainerCredentialsFullUri,
        ]
        .into_iter()
        .any(has);
    if !known && !options.anonymous && !options.instance_metadata {
        return Err(Closed::Settings(
            "no credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (and \
             AWS_SESSION_TOKEN), or say store.instance_metadata = true to ask the machine's \
             metadata service, or store.anonymous = true for a public bucket"
                .into(),
        ));
    }
    if has(Key::AccessKeyId) != has(Key::SecretAccessKey) && !options.anonymous {
        return Err(Closed::Settings(
            "of the two, AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (store.access_key_id and \
             store.secret_access_key), only one is set; set both"
                .into(),
        ));
    }
    let variables = ["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT"];
    let endpoint = endpoint(options, &variables)?;
    let mut builder = builder
        .with_bucket_name(&remote.container)
        .with_retry(retry())
        .with_http_connector(access.meter.clone());
    if let Some(endpoint) = endpoint {
        // Plain HTTP only where the address says so in so many words.
        builder = builder
            .with_allow_http(endpoint.starts_with("http://"))
            .with_config(Key::S3Endpoint, endpoint);
    }
    if let Some(region) = &options.region {
        builder = builder.with_region(region);
    }
    if let Some(virtual_hosted) = options.virtual_hosted_style {
        builder = builder.with_virtual_hosted_style_request(virtual_hosted);
    }
    if options.anonymous {
        builder = builder.with_skip_signature(true);
    }
    Ok(Arc::new(builder.build()?))
}
