//! The checks.

use std::collections::BTreeSet;
use std::sync::Mutex;

use afterscope::store::{Listed, Pin, Store, StoreError, StoreErrorKind};
use bytes::Bytes;

use super::Place;

/// Everything that holds in this kind of store.
pub fn check(place: &Place) {
    lists_past_a_page(place);
    takes_odd_keys(place);
    reads_ranges(place);
    notices_a_replaced_object(place);
    tells_what_is_not_there(place);
    if place.writable() {
        creates_once(place);
        replaces_a_version_once(place);
        writes_in_parts(place);
        is_claimed_once(place);
    }
}

fn lists_past_a_page(place: &Place) {
    let names: Vec<String> = (0..place.past_a_page).map(|n| format!("{n:05}")).collect();
    std::thread::scope(|scope| {
        for part in names.chunks(names.len().div_ceil(16)) {
            scope.spawn(move || {
                for name in part {
                    place.put("many", name, name.repeat(name.len()).as_bytes());
                }
            });
        }
    });
    // Beside it, and not in it.
    place.put("many-more", "x", b"x");
    let listed = place.open("many").list("").unwrap();
    let found: Vec<&str> = listed.iter().map(|l| l.path.as_str()).collect();
    assert_eq!(found, names);
    assert!(listed.iter().all(|l| l.pin.size == 25 && l.pin.e_tag.is_some()), "{:?}", listed[0]);
}

/// The name of each is its content, too.
const ODD: [&str; 12] = [
    "plain",
    "with space",
    "dt=2019-07-01/a=b",
    "50%",
    "50%25 and %20",
    "a+b",
    "a#1x",
    "ünï/日本",
    "q?x=y&z",
    "semi;comma,colon:at@",
    "(brackets)[1]{2}",
    "tilde~dollar$quote'",
];

fn takes_odd_keys(place: &Place) {
    for key in ODD {
        place.put("odd", key, key.as_bytes());
    }
    let store = place.open("odd");
    let listed = store.list("").unwrap();
    let found: BTreeSet<&str> = listed.iter().map(|l| l.path.as_str()).collect();
    assert_eq!(found, BTreeSet::from(ODD));
    for Listed { path, pin, .. } in &listed {
        assert_eq!(read(&store, path, pin, 0..pin.size).unwrap(), path.as_bytes());
        assert_eq!(store.read(path).unwrap().unwrap().0, path.as_bytes());
        assert_eq!(store.head(path).unwrap().unwrap().size, pin.size, "{path}");
        // What an address shows leads back to the object.
        let shown = store.shown(path);
        let below = shown.strip_prefix(store.shown("").as_str()).unwrap();
        assert_eq!(store.unshown(below), *path);
    }
    let below: Vec<String> =
        store.list("dt=2019-07-01").unwrap().into_iter().map(|l| l.path).collect();
    assert_eq!(below, ["dt=2019-07-01/a=b"]);
}

fn read(
    store: &Store,
    path: &str,
    pin: &Pin,
    range: std::ops::Range<u64>,
) -> Result<Bytes, StoreError> {
    let read = store.io().wait(store.read_ranges(path, pin, &[range]));
    read.map(|parts| parts.into_iter().next().unwrap())
}

/// Bytes none of whose stretches is like another.
fn bytes_of(length: u32) -> Vec<u8> {
    (0..length / 4).flat_map(|n| (n.wrapping_mul(2_654_435_761)).to_le_bytes()).collect()
}

fn reads_ranges(place: &Place) {
    let bytes = bytes_of(1_200_000);
    place.put("ranges", "file", &bytes);
    let store = place.open("ranges");
    let pin = store.head("file").unwrap().unwrap();
    assert_eq!(pin.size, 1_200_000);
    let ranges = [1_199_992..1_200_000, 0..4, 600_000..700_001, 3..9];
    let parts = store.io().wait(store.read_ranges("file", &pin, &ranges)).unwrap();
    for (part, range) in parts.iter().zip(&ranges) {
        let (from, to) =
            (usize::try_from(range.start).unwrap(), usize::try_from(range.end).unwrap());
        assert!(part.as_ref() == &bytes[from..to], "{range:?}");
    }
    assert!(read(&store, "file", &pin, 1_199_990..1_200_010).is_err());
}

fn notices_a_replaced_object(place: &Place) {
    let store = place.open("pinned");
    place.put("pinned", "file", b"as it was first");
    place.put("pinned", "gone", b"soon");
    let listed = store.list("").unwrap();
    let by_list = &listed[0].pin;
    let by_head = store.head("file").unwrap().unwrap();
    for pin in [by_list, &by_head] {
        assert_eq!(read(&store, "file", pin, 0..15).unwrap(), "as it was first");
    }
    place.put("pinned", "file", b"the same length");
    for pin in [by_list, &by_head] {
        let error = read(&store, "file", pin, 0..15).unwrap_err();
        assert_eq!(error.kind, StoreErrorKind::Changed, "{error}");
    }
    let now = store.head("file").unwrap().unwrap();
    assert_eq!(read(&store, "file", &now, 4..8).unwrap(), "same");
    if place.writable() {
        store.remove("gone").unwrap();
        store.remove("gone").unwrap();
        let error = read(&store, "gone", &listed[1].pin, 0..4).unwrap_err();
        assert_eq!(error.kind, StoreErrorKind::Changed, "{error}");
    }
}

fn tells_what_is_not_there(place: &Place) {
    let store = place.open("pinned");
    assert_eq!(store.head("never").unwrap(), None);
    assert_eq!(store.read("never").unwrap(), None);
    assert_eq!(store.list("never").unwrap().len(), 0);
}

fn creates_once(place: &Place) {
    let store = place.open("created");
    let text = |racer: usize| Bytes::from(format!("racer {racer:02}"));
    let turn = (!place.is_atomic).then(|| Mutex::new(()));
    let won: Vec<usize> = std::thread::scope(|scope| {
        let (store, turn) = (&store, &turn);
        let create = move |racer| {
            let _turn = turn.as_ref().map(|turn| turn.lock().unwrap());
            store.create("prize", text(racer)).unwrap()
        };
        let racers: Vec<_> = (0..16).map(|racer| scope.spawn(move || create(racer))).collect();
        let won = racers.into_iter().map(|racer| racer.join().unwrap());
        won.enumerate().filter_map(|(racer, won)| won.then_some(racer)).collect()
    });
    assert_eq!(won.len(), 1, "{won:?}");
    assert_eq!(store.read("prize").unwrap().unwrap().0, text(won[0]));
}

fn replaces_a_version_once(place: &Place) {
    let store = place.open("replaced");
    if store.local_root().is_some() {
        // A lock file stands in.
        return;
    }
    store.replace("pointer", "one".into()).unwrap();
    let (_, first) = store.read("pointer").unwrap().unwrap();
    assert!(store.replace_if("pointer", "two".into(), &first).unwrap());
    assert!(!store.replace_if("pointer", "three".into(), &first).unwrap());
    let (bytes, second) = store.read("pointer").unwrap().unwrap();
    assert_eq!(bytes, "two");
    assert!(store.replace_if("pointer", "four".into(), &second).unwrap());
    assert!(!store.replace_if("never", "five".into(), &second).unwrap());
}

fn writes_in_parts(place: &Place) {
    let store = place.open("parts");
    let bytes = bytes_of(20_000_000);
    let mut upload = store.replace_in_parts("large");
    for part in bytes.chunks(3_000_000) {
        upload.write(Bytes::copy_from_slice(part)).unwrap();
    }
    assert_eq!(store.head("large").unwrap(), None, "readers see it when it is finished");
    assert_eq!(upload.finish().unwrap(), (20_000_000, true));
    assert!(store.read("large").unwrap().unwrap().0 == bytes);
    let mut given_up = store.replace_in_parts("given up");
    given_up.write(Bytes::from(bytes)).unwrap();
    drop(given_up);
    assert_eq!(store.head("given up").unwrap(), None);
    // Of no more than a part: in one request, which may not replace another where it was told so.
    for (bytes, is_new) in [("one", true), ("two", false)] {
        let mut upload = store.create_in_parts("small");
        upload.write(bytes.into()).unwrap();
        assert_eq!(store.head("small").unwrap().is_none(), is_new);
        assert_eq!(upload.finish().unwrap(), (3, is_new));
    }
    assert_eq!(store.read("small").unwrap().unwrap().0, "one");
    let mut upload = store.replace_in_parts("small");
    upload.write("three".into()).unwrap();
    assert_eq!(upload.finish().unwrap(), (5, true));
    assert_eq!(store.read("small").unwrap().unwrap().0, "three");
    assert_eq!(store.replace_in_parts("empty").finish().unwrap(), (0, true));
    assert_eq!(store.read("empty").unwrap().unwrap().0, "");
}

fn is_claimed_once(place: &Place) {
    let store = place.open("claimed");
    let mark = || Bytes::from_static(b"ours");
    assert_eq!(store.claim("owner", mark()).unwrap(), None);
    store.replace("more", "x".into()).unwrap();
    assert_eq!(store.claim("owner", mark()).unwrap(), None);
    assert_eq!(store.read("owner").unwrap().unwrap().0, mark());
    place.put("foreign", "notes.txt", b"mine");
    let theirs = place.open("foreign").claim("owner", mark()).unwrap();
    assert_eq!(theirs.as_deref(), Some("notes.txt"));
}
