//! What is refused before anything is asked of a store.

use std::fmt;
use std::sync::Arc;

use afterscope::store::{Io, Store, StoreErrorKind};
use async_trait::async_trait;
use futures::stream::BoxStream;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMode, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};

use crate::lake::{Lake, Outcome, run_args};
use crate::storage::Moto;

#[test]
fn a_web_server_is_refused_as_a_place_to_write_to() {
    let lake = Lake::standard();
    let says = ["--output", "HTTP server", "only read"];
    lake.refuses(&["--output", "https://example.org/out"], 1, &says);
    lake.refuses(&["--state", "http://127.0.0.1:1/state"], 1, &["--state", "HTTP server"]);
    lake.edit("afterscope.toml", "url = \"out/\"", "url = \"https://example.org/out\"");
    let outcome = lake.refuses(&[], 1, &["afterscope.toml:23:", "output", "HTTP server"]);
    assert!(outcome.stderr.contains("has 1 problem"), "{}", outcome.stderr);
    let list = ["notification-list", "--config", "afterscope.toml", "--as-of", "2019-09-01"];
    let list = [&list[..], &["--output", "out", "--out", "https://example.org/list"]].concat();
    lake.afterscope(&list).fails(1, &["--out", "HTTP server"]);
}

#[test]
fn each_service_says_what_it_needs_to_know() {
    let lake = Lake::standard();
    let azure = ["AZURE_STORAGE_ACCOUNT_KEY", "AZURE_CLIENT_ID", "anonymous", "instance_metadata"];
    let google = ["GOOGLE_APPLICATION_CREDENTIALS", "gcloud", "anonymous", "instance_metadata"];
    let host = "abfss://logs@acme.dfs.core.windows.net/x/";
    for (url, says) in [("az://logs/x/", &azure), (host, &azure), ("gs://logs/x/", &google)] {
        let outcome = lake.refuses(&["--set", &format!("source.0.url={url}")], 1, says);
        assert!(outcome.stderr.contains(url), "{}", outcome.stderr);
    }
    let set = ["--set", "source.0.url=az://logs/x/"];
    let mut command = lake.command(&run_args(&set));
    command.env("AZURE_STORAGE_ACCOUNT_KEY", "a2V5");
    let says = ["az://logs/x", "no storage account", "AZURE_STORAGE_ACCOUNT_NAME"];
    Outcome::of(&lake, command.output().unwrap()).fails(1, &says);
}

#[test]
fn credentials_that_cannot_be_are_a_mistake_and_are_not_repeated() {
    let lake = Lake::standard();
    let refused = |url: &str, name: &str, value: &str| {
        let mut command = lake.command(&run_args(&["--set", &format!("source.0.url={url}")]));
        command.env(name, value).env("AZURE_STORAGE_ACCOUNT_NAME", "acme");
        let outcome = Outcome::of(&lake, command.output().unwrap()).fails(1, &[url]);
        assert!(!outcome.stderr.contains("hunter2"), "{}", outcome.stderr);
    };
    refused("az://logs/x/", "AZURE_STORAGE_ACCOUNT_KEY", "hunter2 is no base64");
    refused("az://logs/x/", "AZURE_STORAGE_SAS_TOKEN", "hunter2");
    refused("az://logs/x/", "AZURE_STORAGE_CONNECTION_STRING", "hunter2");
    refused("gs://logs/x/", "GOOGLE_SERVICE_ACCOUNT_KEY", "{\"private_key\": \"hunter2");
    let mut command = lake.command(&run_args(&["--set", "source.0.url=gs://logs/x/"]));
    command.env("GOOGLE_APPLICATION_CREDENTIALS", "keys/none.json");
    Outcome::of(&lake, command.output().unwrap()).fails(1, &["gs://logs/x/", "keys/none.json"]);
    lake.nothing_is_published();
}

#[test]
fn half_of_what_azure_needs_is_as_good_as_nothing() {
    let lake = Lake::standard();
    let set = "source.0.url=abfss://logs@acme.dfs.core.windows.net/x/";
    let mut command = lake.command(&run_args(&["--set", set]));
    command.env("AZURE_CLIENT_ID", "id").env("AZURE_TENANT_ID", "tenant");
    command.env("IDENTITY_ENDPOINT", "http://127.0.0.1:1/");
    Outcome::of(&lake, command.output().unwrap()).fails(1, &["AZURE_CLIENT_SECRET"]);
}

#[test]
fn own_credentials_are_references_and_are_never_repeated() {
    let lake = Lake::standard();
    let store = "store = { account = \"acme\", account_key = \"hunter2-wJalrXUtnFEMI\" }";
    let url = format!("url = \"az://logs/x/\"\n{store}");
    lake.edit("afterscope.toml", "url = \"logs/\"", &url);
    let says = ["afterscope.toml:4:", "store.account_key", "env:NAME or file:PATH"];
    let outcome = lake.refuses(&[], 1, &says);
    assert!(!outcome.stderr.contains("hunter2"), "{}", outcome.stderr);
    lake.edit("afterscope.toml", "hunter2-wJalrXUtnFEMI", "env:NOBODY_SETS_THIS");
    lake.refuses(&[], 1, &["az://logs/x", "NOBODY_SETS_THIS", "not set"]);
    lake.edit("afterscope.toml", "env:NOBODY_SETS_THIS", "file:secrets/none.key");
    let shown = lake.path("secrets/none.key").canonicalize().err().map(|_| "secrets/none.key");
    lake.refuses(&[], 1, &["az://logs/x", shown.unwrap(), "cannot be read"]);
    // What a variable holds is no reference either.
    lake.edit("afterscope.toml", "file:secrets/none.key", "${SECRET}");
    let mut command = lake.command(&run_args(&[]));
    command.env("SECRET", "hunter2-wJalrXUtnFEMI");
    let outcome = Outcome::of(&lake, command.output().unwrap()).fails(1, &["by reference"]);
    assert!(!outcome.stderr.contains("hunter2"), "{}", outcome.stderr);
}

#[test]
fn the_configurations_credentials_take_the_place_of_the_environments() {
    let Some(moto) = Moto::start(&["lake"]) else { return };
    let lake = Lake::standard();
    moto.upload(&lake);
    lake.write("id", "tester");
    let set = |key: &str, to: &str| format!("source.0.store.{key}={to}");
    let url = "source.0.url=s3://lake/logs/";
    let id = set("access_key_id", "file:id");
    let mut command = moto.command(&lake, &run_args(&["--set", url, "--set", &id]));
    // The other half is the environment's: together they are nobody's.
    Outcome::of(&lake, command.output().unwrap()).fails(1, &["only one is set"]);
    let secret = set("secret_access_key", "env:OWN_SECRET");
    let args = run_args(&["--set", url, "--set", &id, "--set", &secret]);
    let mut command = moto.command(&lake, &args);
    command.env_remove("AWS_ACCESS_KEY_ID").env("OWN_SECRET", "hunter2");
    Outcome::of(&lake, command.output().unwrap()).succeeds();
}

#[test]
fn a_store_without_conditional_writes_is_refused_as_output() {
    let Some(moto) = Moto::start(&["results"]) else { return };
    let lake = Lake::standard();
    let mut command = moto.command(&lake, &run_args(&["--output", "s3://results/out"]));
    command.env("AWS_CONDITIONAL_PUT", "disabled");
    let says = ["s3://results/out", "does not support", "If-None-Match", "overwrite each other"];
    Outcome::of(&lake, command.output().unwrap()).fails(1, &says);
}

/// Takes no notice of conditions, as some services do.
#[derive(Debug)]
struct Careless {
    inner: InMemory,
    /// Whether it heeds at least that an object is there.
    creates: bool,
}

impl fmt::Display for Careless {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("careless")
    }
}

#[async_trait]
impl ObjectStore for Careless {
    async fn put_opts(
        &self,
        at: &Path,
        bytes: PutPayload,
        options: PutOptions,
    ) -> Result<PutResult> {
        let mode = match options.mode {
            PutMode::Create if self.creates => PutMode::Create,
            _ => PutMode::Overwrite,
        };
        self.inner.put_opts(at, bytes, PutOptions { mode, ..options }).await
    }

    async fn put_multipart_opts(
        &self,
        at: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(at, options).await
    }

    async fn get_opts(&self, at: &Path, options: GetOptions) -> Result<GetResult> {
        self.inner.get_opts(at, options).await
    }

    fn delete_stream(
        &self,
        paths: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        self.inner.delete_stream(paths)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, options).await
    }
}

#[test]
fn a_store_that_takes_no_notice_of_conditions_is_refused() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let io = Io::new(runtime.handle().clone());
    for (creates, what) in [(false, "If-None-Match"), (true, "If-Match")] {
        let store =
            Store::of(Arc::new(Careless { inner: InMemory::new(), creates }), "mem://", &io);
        for _ in 0..2 {
            let error = store.claim("owner", "ours".into()).unwrap_err();
            assert_eq!(error.kind, StoreErrorKind::Settings);
            assert!(error.reason.contains(what), "{error}");
        }
        assert_eq!(store.read("owner").unwrap().unwrap().0, "ours");
    }
}
