//! Who was observed in which leaves, in the order of people: what the first pass leaves for the one that
//! joins people with what the registry knows of them.

use std::fs::File;
use std::io::{BufReader, BufWriter, Read, Seek, Write};
use std::path::Path;

use crate::key::Key;
use crate::sorter::SortError;

/// The people of one stretch of keys, written to a temporary file without a name.
pub struct ObservedWriter {
    folder: String,
    file: BufWriter<File>,
}

fn failed(folder: &str, error: std::io::Error) -> SortError {
    SortError::Spill { folder: folder.to_string(), error }
}

impl ObservedWriter {
    /// # Errors
    /// Where no file can be made there.
    pub fn new(folder: &Path) -> Result<Self, SortError> {
        let shown = folder.display().to_string();
        let file = tempfile::tempfile_in(folder).map_err(|e| failed(&shown, e))?;
        Ok(Self { folder: shown, file: BufWriter::with_capacity(256 << 10, file) })
    }

    /// # Errors
    /// Where the file cannot be written.
    pub fn person(&mut self, key: Key, leaves: &[u32]) -> Result<(), SortError> {
        let count = u32::try_from(leaves.len()).unwrap_or(u32::MAX);
        let mut write = || {
            self.file.write_all(&key.hi.to_le_bytes())?;
            self.file.write_all(&key.lo.to_le_bytes())?;
            self.file.write_all(&count.to_le_bytes())?;
            leaves.iter().try_for_each(|leaf| self.file.write_all(&leaf.to_le_bytes()))
        };
        write().map_err(|e| failed(&self.folder, e))
    }

    /// # Errors
    /// Where the file cannot be written or read.
    pub fn finish(self) -> Result<ObservedReader, SortError> {
        let Self { folder, file } = self;
        let mut file = file.into_inner().map_err(|e| failed(&folder, e.into_error()))?;
        file.rewind().map_err(|e| failed(&folder, e))?;
        let reader = BufReader::with_capacity(256 << 10, file);
        Ok(ObservedReader { folder, reader, leaves: Vec::new() })
    }
}

/// The same people, in the order in which they were written.
pub struct ObservedReader {
    folder: String,
    reader: BufReader<File>,
    /// Leaves of the person that was read last, each once.
    pub leaves: Vec<u32>,
}

impl ObservedReader {
    /// The next person; `None` at the end.
    ///
    /// # Errors
    /// Where the file cannot be read.
    pub fn next(&mut self) -> Result<Option<Key>, SortError> {
        let mut long = [0; 8];
        match self.reader.read_exact(&mut long) {
            Ok(()) => {}
            Err(e) if e.kind() == std::io::ErrorKind::UnexpectedEof => return Ok(None),
            Err(e) => return Err(failed(&self.folder, e)),
        }
        let hi = u64::from_le_bytes(long);
        let mut read = || {
            self.reader.read_exact(&mut long)?;
            let lo = u64::from_le_bytes(long);
            let mut short = [0; 4];
            self.reader.read_exact(&mut short)?;
            self.leaves.clear();
            for _ in 0..u32::from_le_bytes(short) {
                self.reader.read_exact(&mut short)?;
                self.leaves.push(u32::from_le_bytes(short));
            }
            Ok(Key { hi, lo })
        };
        read().map(Some).map_err(|e| failed(&self.folder, e))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_come_back_with_their_leaves() {
        let folder = tempfile::tempdir().unwrap();
        let mut writer = ObservedWriter::new(folder.path()).unwrap();
        let people = [(Key { hi: 1, lo: 0 }, vec![3, 9]), (Key { hi: 1, lo: 7 }, vec![0])];
        for (key, leaves) in &people {
            writer.person(*key, leaves).unwrap();
        }
        let mut reader = writer.finish().unwrap();
        for (key, leaves) in &people {
            assert_eq!(reader.next().unwrap(), Some(*key));
            assert_eq!(&reader.leaves, leaves);
        }
        assert_eq!(reader.next().unwrap(), None);
    }
}
