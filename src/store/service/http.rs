//! Servers that speak plain HTTP: read only, files by name, listings by WebDAV.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use object_store::http::{HttpBuilder, HttpStore};
use object_store::path::Path;
use object_store::{
    ClientOptions, CopyOptions, Error as OsError, GetOptions, GetResult, ListResult,
    MultipartUpload, ObjectMeta, ObjectStore, PutMultipartOptions, PutOptions, PutPayload,
    PutResult, Result, RetryConfig,
};

use super::{Access, Opened, Service, retry};
use crate::store::remote::{Located, Remote, Written};

pub static HTTP: Service = Service {
    name: "HTTP",
    schemes: &["http", "https"],
    escaped: true,
    files_by_name: true,
    read_only: true,
    locate,
    open,
};

fn locate(address: Written<'_>) -> std::result::Result<Option<Located>, String> {
    let Written { scheme, authority, path } = address;
    address.without_credentials("name a token in store.bearer_token instead")?;
    if authority.is_empty() {
        return Err(format!("the {scheme}:// address names no host; write {scheme}://host/file"));
    }
    Ok(Some(Located {
        root: format!("{scheme}://{authority}"),
        container: authority.to_string(),
        account: None,
        key: path.to_string(),
    }))
}

fn open(remote: &Remote, access: &Access<'_>) -> Opened {
    // Plain HTTP only where the address says so in so many words; a redirect does not lead to it.
    let mut client = ClientOptions::new().with_allow_http(remote.root.starts_with("http://"));
    if let Some(token) = access.secrets.get("bearer_token") {
        let mut value = http::HeaderValue::from_str(&format!("Bearer {token}"))
            .map_err(|_| "store.bearer_token holds characters that no header takes".to_string())?;
        value.set_sensitive(true);
        let headers = http::HeaderMap::from_iter([(http::header::AUTHORIZATION, value)]);
        client = client.with_default_headers(headers);
    }
    let build = |retry| {
        HttpBuilder::new()
            .with_url(format!("{}/", remote.root))
            .with_client_options(client.clone())
            .with_retry(retry)
            .with_http_connector(access.meter.clone())
            .build()
    };
    // A server that cannot list answers with the status of a failure; that need not be asked for minutes.
    let few = RetryConfig {
        max_retries: 2,
        retry_timeout: Duration::from_secs(10),
        ..Default::default()
    };
    Ok(Arc::new(Web { files: build(retry())?, listing: build(few)? }))
}

/// A server's files, whose every version has a name.
#[derive(Debug)]
struct Web {
    files: HttpStore,
    listing: HttpStore,
}

impl fmt::Display for Web {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HTTP")
    }
}

fn refused(reason: String) -> OsError {
    OsError::NotSupported { source: reason.into() }
}

fn read_only<T>() -> Result<T> {
    Err(refused("an HTTP server is only read".into()))
}

/// A change under the run could not be noticed without a strong ETag.
fn pinned(meta: ObjectMeta) -> Result<ObjectMeta> {
    match &meta.e_tag {
        Some(tag) if !tag.starts_with("W/") => Ok(meta),
        tag => Err(refused(format!(
            "the server gives {}{}, so that a change under the run could not be noticed\nuse a server that gives strong ETags, or copy the file",
            if tag.is_none() { "no ETag for " } else { "only a weak ETag for " },
            meta.location
        ))),
    }
}

/// What a server that has no listing answers says little.
fn no_listing(error: OsError) -> OsError {
    let text = error.to_string();
    let denied =
        matches!(error, OsError::PermissionDenied { .. } | OsError::Unauthenticated { .. });
    let answers = ["status code: 400", "status code: 405", "status code: 501", "PROPFIND response"];
    let unknown = answers.iter().any(|answer| text.contains(answer));
    if denied || !unknown {
        return error;
    }
    refused(
        "the server has no listing (WebDAV's PROPFIND)\nname a single file: an address that does not end in / and holds no *"
            .into(),
    )
}

#[async_trait]
impl ObjectStore for Web {
    async fn put_opts(&self, _: &Path, _: PutPayload, _: PutOptions) -> Result<PutResult> {
        read_only()
    }

    async fn put_multipart_opts(
        &self,
        _: &Path,
        _: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        read_only()
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        // What is looked at first and read later has to be the same.
        let needs_version = options.head || options.range.is_some();
        let mut got = self.files.get_opts(location, options).await?;
        if needs_version {
            got.meta = pinned(got.meta)?;
        }
        Ok(got)
    }

    fn delete_stream(
        &self,
        _: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        futures::stream::once(async { read_only() }).boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        let listed = self.listing.list(prefix).map_err(no_listing);
        listed.and_then(|meta| futures::future::ready(pinned(meta))).boxed()
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.listing.list_with_delimiter(prefix).await.map_err(no_listing)
    }

    async fn copy_opts(&self, _: &Path, _: &Path, _: CopyOptions) -> Result<()> {
        read_only()
    }
}
