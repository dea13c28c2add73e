//! A write that the store took, and whose answer never came.

use afterscope::store::{Store, StoreErrorKind};
use serde_json::json;

use super::servers::{Azurite, FaultProxy};
use super::{Place, s3_options};
use crate::lake::{Lake, Outcome, assert_same, run_args};
use crate::seaweed::{self, Seaweed};
use crate::storage::Moto;

/// A conditional write whose answer is lost is told from one that another run won.
fn is_told_from_a_conflict(proxy: &FaultProxy, store: &Store) {
    // Reset at once, or answered with a failure first: either way the request is sent again.
    let lost = json!([{ "method": "PUT", "match": "lost/", "action": "lost", "times": 1 }]);
    proxy.rules(&lost);
    assert!(store.create("one", "ours".into()).unwrap());
    assert_eq!(proxy.actions(), ["lost"]);
    assert_eq!(store.read("one").unwrap().unwrap().0, "ours");

    // The object is another's: the same length, other bytes.
    proxy.rules(&lost);
    assert!(!store.create("one", "his!".into()).unwrap());
    assert_eq!(store.read("one").unwrap().unwrap().0, "ours");

    let (_, pin) = store.read("one").unwrap().unwrap();
    proxy.rules(&lost);
    assert!(store.replace_if("one", "two".into(), &pin).unwrap());
    assert_eq!(proxy.actions(), ["lost"]);
    proxy.rules(&lost);
    assert!(!store.replace_if("one", "six".into(), &pin).unwrap());
    assert_eq!(store.read("one").unwrap().unwrap().0, "two");
}

#[test]
fn a_lost_answer_of_s3_is_told_from_a_conflict() {
    let Some(moto) = Moto::start(&["bucket"]) else { return };
    let Some(proxy) = FaultProxy::before(moto.port()) else { return };
    let folder = tempfile::tempdir().unwrap();
    let endpoint = format!("http://127.0.0.1:{}", proxy.port());
    let options = s3_options(endpoint, folder.path(), "tester", "any-secret");
    is_told_from_a_conflict(&proxy, &Place::new("s3://bucket", options, 0).open("lost"));
}

#[test]
#[ignore = "slow"]
fn a_lost_answer_of_azure_is_told_from_a_conflict() {
    let Some(azurite) = Azurite::start("container") else { return };
    let Some(proxy) = FaultProxy::before(azurite.0.port) else { return };
    let folder = tempfile::tempdir().unwrap();
    let mut options = azurite.options(folder.path());
    options.endpoint = Some(format!("http://127.0.0.1:{}/{}", proxy.port(), Azurite::ACCOUNT));
    is_told_from_a_conflict(&proxy, &Place::new("az://container", options, 0).open("lost"));
}

/// The last step of an upload, sent again, is answered as the first time, or finds no upload: then it is
/// worth a retry, and what the retry finds is whole.
fn is_whole_or_worth_a_retry(proxy: &FaultProxy, store: &Store) {
    let bytes = vec![7; 17 << 20];
    proxy.rules(&json!([{ "method": "POST", "match": "uploadId", "action": "lost" }]));
    let mut upload = store.replace_in_parts("large");
    upload.write(bytes.clone().into()).unwrap();
    let finished = upload.finish();
    assert_eq!(proxy.actions(), ["lost"]);
    let kind = finished.map_err(|error| error.kind);
    assert!(matches!(kind, Ok((17_825_792, true)) | Err(StoreErrorKind::Transient)), "{kind:?}");
    assert!(store.read("large").unwrap().unwrap().0 == bytes);
}

#[test]
fn a_large_object_whose_last_answer_is_lost_is_whole() {
    let Some(moto) = Moto::start(&["bucket"]) else { return };
    let Some(proxy) = FaultProxy::before(moto.port()) else { return };
    let folder = tempfile::tempdir().unwrap();
    let endpoint = format!("http://127.0.0.1:{}", proxy.port());
    let options = s3_options(endpoint, folder.path(), "tester", "any-secret");
    is_whole_or_worth_a_retry(&proxy, &Place::new("s3://bucket", options, 0).open("lost"));
}

#[test]
#[ignore = "slow"]
fn answers_that_seaweedfs_gave_and_that_were_lost_are_told_from_a_conflict() {
    let Some(server) = Seaweed::installed() else { return };
    server.make_bucket("bucket");
    let Some(proxy) = FaultProxy::before(server.port()) else { return };
    let folder = tempfile::tempdir().unwrap();
    let endpoint = format!("http://127.0.0.1:{}", proxy.port());
    let options = s3_options(endpoint, folder.path(), seaweed::KEY, seaweed::SECRET);
    let place = Place::new("s3://bucket", options, 0);
    is_told_from_a_conflict(&proxy, &place.open("lost"));
    is_whole_or_worth_a_retry(&proxy, &place.open("lost"));
}

#[test]
fn requests_are_counted_as_they_are_sent() {
    let Some(moto) = Moto::start(&["lake"]) else { return };
    let Some(proxy) = FaultProxy::before(moto.port()) else { return };
    let lake = Lake::standard();
    moto.upload(&lake);
    let args = run_args(&["--set", "source.0.url=s3://lake/logs/"]);
    let mut command = moto.command(&lake, &args);
    command.env("AWS_ENDPOINT_URL", format!("http://127.0.0.1:{}", proxy.port()));
    // One is sent again.
    proxy
        .rules(&json!([{ "method": "GET", "match": "part-0", "action": "status", "status": 503 }]));
    let outcome = Outcome::of(&lake, command.output().unwrap()).succeeds();
    assert_eq!(proxy.actions(), ["status"]);
    let says = format!("s3://lake: {} requests, ", proxy.log().len());
    assert!(outcome.stderr.contains(&says), "{says}{}", outcome.stderr);
    assert!(outcome.stderr.contains(" read, 0 B written"), "{}", outcome.stderr);
}

/// Every PUT of a run in turn: the run ends as if nothing had been lost.
#[test]
#[ignore = "slow"]
fn a_run_to_s3_ends_well_whichever_answer_is_lost() {
    let Some(moto) = Moto::start(&["results"]) else { return };
    let Some(proxy) = FaultProxy::before(moto.port()) else { return };
    let lake = Lake::standard();
    let expected = lake.publishes(&["--output", "on-disk"]).bytes();
    let run = |number: usize| {
        let (output, state) =
            (format!("s3://results/{number}/out"), format!("s3://results/{number}/state"));
        let mut command = moto.command(&lake, &run_args(&["--output", &output, "--state", &state]));
        command.env("AWS_ENDPOINT_URL", format!("http://127.0.0.1:{}", proxy.port()));
        (Outcome::of(&lake, command.output().unwrap()), format!("{number}/out"))
    };
    let mut lost = 0;
    loop {
        proxy.rules(&json!([{ "method": "PUT", "action": "lost", "skip": lost, "times": 1 }]));
        let (outcome, output) = run(lost);
        let line = outcome.succeeds().json();
        let id = line["run_id"].as_str().unwrap();
        let tables = moto.objects("results", &format!("{output}/runs/{id}/tables"));
        assert_same(&expected, &tables);
        if proxy.actions().is_empty() {
            break;
        }
        lost += 1;
    }
    // Owner files and their probes, packs, tables, reports, manifest, pointer, `latest/`.
    assert!(lost > 30, "{lost}");
}
