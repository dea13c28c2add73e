//! One set of checks for every kind of store: what a run relies on must hold in each of them.

mod checks;
mod ends;
mod far;
mod lost;
pub mod servers;
mod settings;

use std::path::Path;

use afterscope::config::raw;
use afterscope::store::{Io, Store, StoreUrl};
use tokio::runtime::Runtime;

use checks::check;
use servers::{Azurite, FakeGcs, Web};

use crate::seaweed::{self, Seaweed};
use crate::storage::Moto;

/// Puts an object under a key, over an older one.
type Put = Box<dyn Fn(&str, &[u8]) + Sync>;

/// A folder of some store, and how the test puts objects there.
pub struct Place {
    pub url: String,
    pub options: raw::Store,
    /// Where not given, the store itself is written to.
    pub put: Option<Put>,
    /// How many objects a listing must have so that it does not fit a page.
    pub past_a_page: usize,
    /// Whether the server looks and writes in one step. One that does not keeps the promise while requests
    /// come one at a time.
    pub is_atomic: bool,
    runtime: Runtime,
}

impl Place {
    pub fn new(url: &str, options: raw::Store, past_a_page: usize) -> Self {
        let runtime = Runtime::new().unwrap();
        Self { url: url.to_string(), options, put: None, past_a_page, is_atomic: true, runtime }
    }

    /// Read only: objects come to it by `put`.
    pub fn read_only(self, put: impl Fn(&str, &[u8]) + Sync + 'static) -> Self {
        Self { put: Some(Box::new(put)), ..self }
    }

    pub fn writable(&self) -> bool {
        self.put.is_none()
    }

    /// The folder `below`, opened as the program opens one.
    pub fn open(&self, below: &str) -> Store {
        let address = format!("{}/{below}/", self.url);
        let url = StoreUrl::parse(&address, Path::new("/"), &self.options).unwrap();
        let io = Io::new(self.runtime.handle().clone());
        if self.writable() { url.open_or_create(&io) } else { url.open(&io) }.unwrap()
    }

    pub fn put(&self, below: &str, key: &str, bytes: &[u8]) {
        match &self.put {
            Some(put) => put(&format!("{below}/{key}"), bytes),
            None => self.open(below).replace(key, bytes.to_vec().into()).unwrap(),
        }
    }
}

/// A secret as the configuration names it: a file.
pub fn secret(folder: &Path, name: &str, value: &str) -> Option<String> {
    let path = folder.join(name);
    std::fs::write(&path, value).unwrap();
    Some(format!("file:{}", path.display()))
}

/// Options of an S3 service.
pub fn s3_options(endpoint: String, folder: &Path, key: &str, value: &str) -> raw::Store {
    raw::Store {
        endpoint: Some(endpoint),
        region: Some("us-east-1".into()),
        access_key_id: secret(folder, "s3.id", key),
        secret_access_key: secret(folder, "s3.secret", value),
        ..Default::default()
    }
}

#[test]
fn a_local_folder_is_what_a_run_relies_on() {
    let folder = tempfile::tempdir().unwrap();
    check(&Place::new(&folder.path().display().to_string(), raw::Store::default(), 1100));
}

#[test]
fn s3_by_moto_is_what_a_run_relies_on() {
    let Some(moto) = Moto::start(&["bucket"]) else { return };
    let folder = tempfile::tempdir().unwrap();
    let options = s3_options(moto.endpoint(), folder.path(), "tester", "any-secret");
    // Two of its threads may both find that an object is not there, and both write it.
    check(&Place { is_atomic: false, ..Place::new("s3://bucket/a folder", options, 1100) });
}

#[test]
#[ignore = "slow"]
fn s3_by_seaweedfs_is_what_a_run_relies_on() {
    let Some(seaweed) = Seaweed::installed() else { return };
    let folder = tempfile::tempdir().unwrap();
    seaweed.make_bucket("bucket");
    let options = s3_options(seaweed.endpoint(), folder.path(), seaweed::KEY, seaweed::SECRET);
    check(&Place::new("s3://bucket/a folder", options, 1100));
}

#[test]
#[ignore = "slow"]
fn azure_by_azurite_is_what_a_run_relies_on() {
    let Some(azurite) = Azurite::start("container") else { return };
    let folder = tempfile::tempdir().unwrap();
    check(&Place::new("az://container/a folder", azurite.options(folder.path()), 5100));
}

#[test]
#[ignore = "slow"]
fn google_cloud_storage_by_a_fake_is_what_a_source_relies_on() {
    let Some(gcs) = FakeGcs::start("bucket") else { return };
    let folder = tempfile::tempdir().unwrap();
    let place = Place::new("gs://bucket/a folder", gcs.options(folder.path()), 1100);
    check(&place.read_only(move |key, bytes| gcs.put(&format!("a folder/{key}"), bytes)));
}

#[test]
fn an_http_server_with_webdav_is_what_a_source_relies_on() {
    let Some(web) = Web::start(&[]) else { return };
    let url = format!("{}/a%20folder", web.address());
    let place = Place::new(&url, raw::Store::default(), 50);
    check(&place.read_only(move |key, bytes| web.put(&format!("a folder/{key}"), bytes)));
}
