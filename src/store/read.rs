//! Reads: of one version of an object, local ones without the library.

use std::fs::File;
use std::ops::Range;

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use object_store::path::Path;
use object_store::{Error as OsError, GetOptions, GetRange, GetResultPayload, ObjectStoreExt};

use super::local::{self, Found, Sought};
use super::{Pin, Store, StoreError, StoreErrorKind, is_absent};

impl Store {
    /// The whole object and its version; `None` where it is not there.
    ///
    /// # Errors
    /// Other storage failures.
    pub fn read(&self, path: &str) -> Result<Option<(Bytes, Pin)>, StoreError> {
        let at = self.at(path)?;
        self.refuse_odd(path)?;
        if let Some(found) =
            self.file(path)?.and_then(|file| self.io.waiting(|| local::read_whole(&file)))
        {
            return Ok(Some(found));
        }
        let result = self.wait(async {
            let got = self.inner.get(&at).await?;
            let pin = self.pin(&got.meta);
            Ok((got.bytes().await?, pin))
        });
        match result {
            Ok(found) => Ok(Some(found)),
            Err(e) if is_absent(&e) => Ok(None),
            Err(e) => Err(self.error(path, &e)),
        }
    }

    /// Ranges of the version `pin` of an object; neighbours are fetched together.
    ///
    /// # Errors
    /// [`StoreErrorKind::Changed`] where the object is another version, is gone, or is shorter.
    pub async fn read_ranges(
        &self,
        path: &str,
        pin: &Pin,
        ranges: &[Range<u64>],
    ) -> Result<Vec<Bytes>, StoreError> {
        let at = self.at(path)?;
        let merged = merge_ranges(ranges);
        self.refuse_odd(path)?;
        let fetched: Vec<Bytes> = futures::stream::iter(merged.iter().cloned())
            .map(|range| self.read_range(path, &at, pin, range))
            .buffered(8)
            .try_collect()
            .await?;
        self.slices(path, ranges, &merged, &fetched)
    }

    /// The same on a thread that is not one of the runtime's, and waits: of a local file without a change of threads.
    ///
    /// # Errors
    /// As [`Self::read_ranges`].
    pub fn wait_for_ranges(
        &self,
        path: &str,
        pin: &Pin,
        ranges: &[Range<u64>],
    ) -> Result<Vec<Bytes>, StoreError> {
        match self.wait_for_near(path, pin, ranges)? {
            Some(found) => Ok(found),
            // On the runtime: what the library opens is read on a thread for such reads.
            None => self.io.wait(self.read_ranges(path, pin, ranges)),
        }
    }

    /// The same of a local file alone; `None` as of [`Self::wait_for_sought`].
    ///
    /// # Errors
    /// As [`Self::wait_for_sought`].
    pub fn wait_for_near(
        &self,
        path: &str,
        pin: &Pin,
        ranges: &[Range<u64>],
    ) -> Result<Option<Vec<Bytes>>, StoreError> {
        let merged = merge_ranges(ranges);
        let found = self.wait_for_sought(path, pin, |_| (merged, ()))?;
        found.map(|found| self.slices(path, ranges, &found.ranges, &found.bytes)).transpose()
    }

    /// Ranges of the version `pin` of a local file, which `seek` finds in it, on a thread that is not one of the
    /// runtime's, and waits; `None` where the file is elsewhere, or another version: [`Self::read_ranges`] says what is
    /// wrong.
    ///
    /// # Errors
    /// [`StoreErrorKind::Changed`] where the file was written meanwhile.
    pub fn wait_for_sought<T>(
        &self,
        path: &str,
        pin: &Pin,
        seek: impl FnOnce(&File) -> (Vec<Range<u64>>, T),
    ) -> Result<Option<Sought<T>>, StoreError> {
        let Some(file) = self.file(path)? else { return Ok(None) };
        let read = || local::read(&self.io.buffers, &file, pin, seek);
        self.found(path, self.io.waiting(read))
    }

    /// Ranges of what was fetched, which are sorted.
    fn slices(
        &self,
        path: &str,
        ranges: &[Range<u64>],
        merged: &[Range<u64>],
        fetched: &[Bytes],
    ) -> Result<Vec<Bytes>, StoreError> {
        ranges
            .iter()
            .map(|range| {
                let index = merged.partition_point(|m| m.start <= range.start).checked_sub(1);
                let slice = index.and_then(|i| {
                    let (whole, bytes) = (merged.get(i)?, fetched.get(i)?);
                    let from = usize::try_from(range.start - whole.start).ok()?;
                    let to = usize::try_from(range.end - whole.start).ok()?;
                    (to <= bytes.len()).then(|| bytes.slice(from..to))
                });
                slice.ok_or_else(|| {
                    StoreError::new(
                        StoreErrorKind::Changed,
                        self.shown(path),
                        format!("bytes {}..{} are missing", range.start, range.end),
                    )
                })
            })
            .collect()
    }

    fn found<T>(&self, path: &str, found: Found<T>) -> Result<Option<Sought<T>>, StoreError> {
        match found {
            Found::Bytes(found) => Ok(Some(found)),
            Found::Other => Ok(None),
            Found::Written => Err(StoreError::new(
                StoreErrorKind::Changed,
                self.shown(path),
                REPLACED.to_string(),
            )),
        }
    }

    async fn read_range(
        &self,
        path: &str,
        at: &Path,
        pin: &Pin,
        range: Range<u64>,
    ) -> Result<Bytes, StoreError> {
        let wanted = range.end - range.start;
        let options = GetOptions {
            if_match: pin.e_tag.clone(),
            version: pin.version.clone(),
            range: Some(GetRange::Bounded(range)),
            ..Default::default()
        };
        let result = async {
            let got = self.inner.get_opts(at, options).await?;
            // Some services take no notice of the condition.
            if let (Some(asked), Some(tag)) = (&pin.e_tag, &got.meta.e_tag)
                && *asked != self.quoted(tag)
            {
                return Err(OsError::Precondition {
                    path: at.to_string(),
                    source: format!("its ETag is {tag} and was {asked}").into(),
                });
            }
            let size = got.meta.size;
            let bytes = match got.payload {
                GetResultPayload::File(file, _) => {
                    let buffers = self.io.buffers.clone();
                    let length = usize::try_from(got.range.end - got.range.start);
                    let length = length.map_err(|e| generic(Box::new(e)))?;
                    let from = got.range.start;
                    let read = move || {
                        let bytes = buffers.read(&file, from, length)?;
                        let after = file.metadata()?;
                        Ok::<_, std::io::Error>((bytes, after.len(), after.modified()?))
                    };
                    let (bytes, length, written) = tokio::task::spawn_blocking(read)
                        .await
                        .map_err(|e| generic(Box::new(e)))?
                        .map_err(|e| generic(Box::new(e)))?;
                    // What was written while it was read may be of two versions.
                    if length != size || written != got.meta.last_modified.into() {
                        return Err(OsError::Precondition {
                            path: at.to_string(),
                            source: "it was written while it was read".into(),
                        });
                    }
                    bytes
                }
                GetResultPayload::Stream(stream) => {
                    let length = usize::try_from(wanted).map_err(|e| generic(Box::new(e)))?;
                    let bytes = self.io.buffers.fill(length, stream).await?;
                    // More than was asked for is of another version.
                    bytes.ok_or_else(|| OsError::Precondition {
                        path: at.to_string(),
                        source: format!("it sent more than {wanted} bytes").into(),
                    })?
                }
            };
            Ok((size, bytes))
        };
        let (size, bytes) = result.await.map_err(|e| {
            let mut error = self.error(path, &e);
            // What was listed and is gone or does not reach that far has changed under the run.
            if error.kind == StoreErrorKind::NotFound {
                error.kind = StoreErrorKind::Changed;
                error.reason =
                    "is gone since it was listed\nrun again to read what is there now".into();
            } else if error.kind == StoreErrorKind::Changed {
                error.reason = REPLACED.into();
            }
            error
        })?;
        if size != pin.size || bytes.len() as u64 != wanted {
            return Err(StoreError::new(
                StoreErrorKind::Changed,
                self.shown(path),
                format!(
                    "had {} bytes when it was listed and has {size} now\nrun again to read what is there now",
                    pin.size
                ),
            ));
        }
        Ok(bytes)
    }
}

const REPLACED: &str = "was replaced since it was listed\nrun again to read what is there now";

fn generic(source: Box<dyn std::error::Error + Send + Sync>) -> OsError {
    OsError::Generic { store: "local", source }
}

/// Gaps up to this size are read rather than skipped: a request costs more than these bytes.
const COALESCE: u64 = 64 << 10;

/// Joins ranges that touch or nearly do; sorted.
fn merge_ranges(ranges: &[Range<u64>]) -> Vec<Range<u64>> {
    let mut sorted: Vec<Range<u64>> = ranges.to_vec();
    sorted.sort_by_key(|r| r.start);
    let mut merged: Vec<Range<u64>> = Vec::with_capacity(sorted.len());
    for range in sorted {
        match merged.last_mut() {
            Some(last) if range.start <= last.end.saturating_add(COALESCE) => {
                last.end = last.end.max(range.end);
            }
            _ => merged.push(range),
        }
    }
    merged
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Io, StoreUrl};

    #[test]
    fn a_path_leads_to_the_folder_that_was_opened_and_not_out_of_it() {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let (folder, io) = (tempfile::tempdir().unwrap(), Io::new(runtime.handle().clone()));
        let file = |name: &str| folder.path().join(name);
        for (name, text) in [("one", "first"), ("two", "other")] {
            std::fs::create_dir(file(name)).unwrap();
            std::fs::write(file(name).join("a%20 b"), text).unwrap();
        }
        std::os::unix::fs::symlink(file("one"), file("link")).unwrap();
        let url = StoreUrl::parse("link/", folder.path(), &Default::default()).unwrap();
        let store = url.open(&io).unwrap();
        // The library followed the link when the folder was opened.
        std::fs::remove_file(file("link")).unwrap();
        std::os::unix::fs::symlink(file("two"), file("link")).unwrap();

        let (bytes, pin) = store.read("a%20 b").unwrap().unwrap();
        assert_eq!((bytes.as_ref(), store.head("a%20 b").unwrap()), (&b"first"[..], Some(pin)));
        let sized = Pin { size: 5, ..Pin::default() };
        let read = |path: &str| store.wait_for_ranges(path, &sized, &[1..3]);
        assert_eq!(read("a%20 b").unwrap(), ["ir"]);

        // Of another size than it was said to have, or shorter than is asked for.
        let other = Pin { size: 9, ..Pin::default() };
        for (pin, range) in [(&other, 1..3), (&sized, 1..9)] {
            let error = store.wait_for_ranges("a%20 b", pin, &[range]).unwrap_err();
            assert_eq!(error.kind, StoreErrorKind::Changed);
        }

        let outside = file("two").join("a%20 b").display().to_string();
        assert_eq!(store.read(&outside).unwrap(), None);
        assert_eq!(read(&outside).unwrap_err().kind, StoreErrorKind::Changed);
        assert!(store.read("../two/a%20 b").is_err() && read("../two/a%20 b").is_err());
    }

    #[test]
    fn neighbouring_ranges_are_fetched_together() {
        let merged = merge_ranges(&[100..200, 0..50, 1_000_000..1_000_010, 150..300]);
        assert_eq!(merged, vec![0..300, 1_000_000..1_000_010]);
    }
}
