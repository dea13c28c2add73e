//! Reads of local files: all that is asked of one through one handle.
//!
//! The library opens a file and looks at it for each range, on another thread where it sees a runtime, and clears the
//! memory of a whole file before it is read. A log of small files, or a ledger of many packs, is thousands of such reads.

use std::fs::{File, Metadata};
use std::io::Read;
use std::ops::Range;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;
use std::time::UNIX_EPOCH;

use bytes::Bytes;

use super::Pin;
use super::buffers::Buffers;

/// Ranges of a file, what is there, and what was learnt when they were found.
pub struct Sought<T> {
    pub ranges: Vec<Range<u64>>,
    pub bytes: Vec<Bytes>,
    pub learnt: T,
}

/// What came of a read.
pub(super) enum Found<T> {
    Bytes(Sought<T>),
    /// It was written while it was read: what was read may be of two versions.
    Written,
    /// Not the pinned version, or it cannot be read: the library is to be asked, which says why.
    Other,
}

/// What something is that is neither a file nor a folder: opening it may never end, and it has no size.
pub fn odd_kind(metadata: &Metadata) -> Option<&'static str> {
    let kind = metadata.file_type();
    if kind.is_fifo() {
        Some("a FIFO")
    } else if kind.is_socket() {
        Some("a socket")
    } else if kind.is_block_device() || kind.is_char_device() {
        Some("a device")
    } else {
        None
    }
}

/// Ranges of the version `pin` of a file, which `seek` finds in it. Blocks.
pub(super) fn read<T>(
    buffers: &Buffers,
    path: &Path,
    pin: &Pin,
    seek: impl FnOnce(&File) -> (Vec<Range<u64>>, T),
) -> Found<T> {
    let Some((file, before)) = open_pinned(path, pin) else { return Found::Other };
    let (ranges, learnt) = seek(&file);
    let read = |range: &Range<u64>| {
        // No room is taken for what cannot be there.
        let length = range.end.checked_sub(range.start).filter(|_| range.end <= pin.size)?;
        let length = usize::try_from(length).ok()?;
        buffers.read(&file, range.start, length).ok()
    };
    let bytes: Option<Vec<Bytes>> = ranges.iter().map(read).collect();
    match (bytes, file.metadata()) {
        (_, Ok(after)) if !is_same(&before, &after) => Found::Written,
        (Some(bytes), Ok(_)) => Found::Bytes(Sought { ranges, bytes, learnt }),
        _ => Found::Other,
    }
}

/// All of a file, and its version; `None` where the library is to be asked. Blocks.
pub(super) fn read_whole(path: &Path) -> Option<(Bytes, Pin)> {
    let (file, before) = open(path)?;
    let pin = Pin { size: before.len(), e_tag: e_tag(&before), ..Pin::default() };
    pin.e_tag.as_ref()?;
    // One byte more than there should be: by it a file that grows is noticed, and not followed.
    let most = pin.size.checked_add(1)?;
    let mut bytes = Vec::with_capacity(usize::try_from(most).ok()?);
    (&file).take(most).read_to_end(&mut bytes).ok()?;
    let after = file.metadata().ok()?;
    let is_whole = bytes.len() as u64 == pin.size && is_same(&before, &after);
    is_whole.then(|| (Bytes::from(bytes), pin))
}

/// Where it is the pinned version. What is pinned by its size alone, as objects of the state and of table formats
/// are, may be any of that size.
fn open_pinned(path: &Path, pin: &Pin) -> Option<(File, Metadata)> {
    let (file, metadata) = open(path)?;
    let is_pinned = metadata.len() == pin.size
        && pin.version.is_none()
        && (pin.e_tag.is_none() || pin.e_tag == e_tag(&metadata));
    is_pinned.then_some((file, metadata))
}

fn open(path: &Path) -> Option<(File, Metadata)> {
    // Where a FIFO took its place, opening would wait for somebody to write.
    std::fs::metadata(path).ok().filter(Metadata::is_file)?;
    let file = File::open(path).ok()?;
    let metadata = file.metadata().ok().filter(Metadata::is_file)?;
    Some((file, metadata))
}

fn is_same(before: &Metadata, after: &Metadata) -> bool {
    let written = |metadata: &Metadata| metadata.modified().ok();
    before.len() == after.len() && written(before) == written(after)
}

/// The ETag that the library gives a local file: inode, microseconds when it was written, and size.
fn e_tag(metadata: &Metadata) -> Option<String> {
    let written = metadata.modified().ok()?.duration_since(UNIX_EPOCH).ok()?.as_micros();
    Some(format!("{:x}-{written:x}-{:x}", metadata.ino(), metadata.len()))
}

#[cfg(test)]
mod tests {
    use object_store::local::LocalFileSystem;
    use object_store::{ObjectStoreExt, path::Path as StorePath};

    use super::*;

    /// A file of ten bytes, and its pin as the library tells it.
    async fn ten_bytes(folder: &Path) -> Pin {
        std::fs::write(folder.join("ten"), b"0123456789").unwrap();
        let store = LocalFileSystem::new_with_prefix(folder).unwrap();
        let meta = store.head(&StorePath::from("ten")).await.unwrap();
        Pin { size: meta.size, e_tag: meta.e_tag, ..Default::default() }
    }

    #[tokio::test]
    async fn the_pinned_version_is_read_and_no_other() {
        let folder = tempfile::tempdir().unwrap();
        let (path, buffers) = (folder.path().join("ten"), Buffers::default());
        let pin = ten_bytes(folder.path()).await;
        let read = |pin: &Pin, ranges: &[Range<u64>]| {
            read(&buffers, &path, pin, |_| (ranges.to_vec(), ()))
        };

        let Found::Bytes(found) = read(&pin, &[0..2, 7..10]) else { panic!("it was not read") };
        assert_eq!(found.bytes, [&b"01"[..], b"789"]);
        assert!(matches!(read(&pin, &[0..2, 7..11]), Found::Other), "it has ten bytes");
        let sized = |size| Pin { size, ..Default::default() };
        assert!(
            matches!(read(&sized(10), &[0..2]), Found::Bytes(_)),
            "its size is all that is known"
        );
        assert!(matches!(read(&sized(11), &[0..2]), Found::Other));
        assert_eq!(read_whole(&path), Some((Bytes::from_static(b"0123456789"), pin.clone())));

        let time = std::fs::metadata(&path).unwrap().modified().unwrap();
        let later = time + std::time::Duration::from_millis(1);
        File::options().append(true).open(&path).unwrap().set_modified(later).unwrap();
        assert!(matches!(read(&pin, &[0..2]), Found::Other), "it was written later");
        std::fs::remove_file(&path).unwrap();
        assert!(matches!(read(&pin, &[0..2]), Found::Other), "it is gone");
        assert_eq!((read_whole(&path), read_whole(folder.path())), (None, None));
        assert_eq!(read_whole(Path::new("/proc/self/status")), None, "it is longer than it says");
    }

    #[test]
    fn a_write_within_the_microsecond_of_an_e_tag_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ten");
        std::fs::write(&path, b"0123456789").unwrap();
        let file = File::options().append(true).open(&path).unwrap();
        let at = |nanos| UNIX_EPOCH + std::time::Duration::new(1_500_000_000, nanos);
        file.set_modified(at(100)).unwrap();
        let before = file.metadata().unwrap();
        file.set_modified(at(200)).unwrap();
        let after = file.metadata().unwrap();
        assert_eq!(e_tag(&before), e_tag(&after));
        assert!(!is_same(&before, &after));
    }
}
