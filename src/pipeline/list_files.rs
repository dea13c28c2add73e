//! The files of a list of people, written as its rows come.

use crate::error::Error;
use crate::impact::{Table, TableSpec, parquet_properties};
use crate::ledger::shelf::Encoder;
use crate::publish::NewFile;
use crate::seal::seal;
use crate::store::Store;
use bytes::Bytes;
use serde_json::{Map, Value, json};

/// Marks a folder as that of a list: nothing else may ever lie there.
const OWNER: &str = "afterscope-notification-list.json";
const OWNER_BYTES: &[u8] = b"{\"afterscope_notification_list\":1}\n";

/// What a list is made of; the last is written last, and a list without it is none.
pub const FILES: [&str; 4] = [OWNER, PARQUET, CSV, JSON];

const PARQUET: &str = "notification_list.parquet";
const CSV: &str = "notification_list.csv";
const JSON: &str = "notification_list.json";

/// The folder of a list.
pub struct ListFolder {
    store: Store,
}

impl ListFolder {
    /// Takes an empty folder, or one that holds an earlier list and nothing else.
    ///
    /// # Errors
    /// Storage failures; a folder that holds anything else.
    pub fn claim(store: Store) -> Result<Self, Error> {
        let foreign = match store.claim(OWNER, Bytes::from_static(OWNER_BYTES))? {
            Some(example) => Some(example),
            None => {
                let listed = store.list("")?.into_iter().map(|listed| listed.path);
                listed.into_iter().find(|path| !FILES.contains(&path.as_str()))
            }
        };
        if let Some(example) = foreign {
            return Err(Error::argument(
                format!("--out {}", store.shown("").trim_end_matches('/')),
                format!(
                    "it holds files that are none of a notification list ({example})\nname an empty folder, or one that holds nothing but an earlier list"
                ),
            ));
        }
        let folder = Self { store };
        folder.tidy();
        Ok(folder)
    }

    /// Removes what a killed command left half written in a local folder: ids of people, in files that the
    /// store does not list.
    fn tidy(&self) {
        let entries = self.store.local_root().and_then(|root| std::fs::read_dir(root).ok());
        for entry in entries.into_iter().flatten().flatten() {
            let name = entry.file_name();
            let staged = name.to_str().and_then(|name| name.rsplit_once('#'));
            if staged.is_some_and(|(of, tail)| {
                FILES.contains(&of) && tail.bytes().all(|b| b.is_ascii_digit())
            }) {
                // One that is gone by now needs no removing.
                let _ = std::fs::remove_file(entry.path());
            }
        }
    }

    /// Whether the list that stands there, if one does, holds hashes in the place of ids.
    ///
    /// # Errors
    /// Storage failures.
    pub fn is_hashed(&self) -> Result<bool, Error> {
        let Some((bytes, _)) = self.store.read(JSON)? else { return Ok(false) };
        let told: Value = serde_json::from_slice(&bytes).unwrap_or_default();
        Ok(told.pointer("/ids/hashed").and_then(Value::as_bool) == Some(true))
    }

    pub fn shown(&self) -> String {
        self.store.shown("").trim_end_matches('/').to_string()
    }

    /// Begins a list; an earlier one is removed.
    ///
    /// # Errors
    /// Storage failures.
    pub fn begin(&self, spec: &TableSpec) -> Result<ListFiles<'_>, Error> {
        // Without its JSON it is none, so that this goes first.
        [JSON, PARQUET, CSV].iter().try_for_each(|file| self.store.remove(file))?;
        let schema = Table::schema(spec);
        let encoder = Encoder::new(schema.clone(), parquet_properties(&schema, |_| false))?;
        Ok(ListFiles {
            folder: self,
            encoder,
            parquet: NewFile::of(self.store.replace_in_parts(PARQUET)),
            csv: NewFile::of(self.store.replace_in_parts(CSV)),
            rows: 0,
            has_names: false,
        })
    }
}

/// A list in the making.
pub struct ListFiles<'a> {
    folder: &'a ListFolder,
    encoder: Encoder,
    parquet: NewFile,
    csv: NewFile,
    rows: u64,
    /// Whether the CSV file has its first line.
    has_names: bool,
}

impl ListFiles<'_> {
    /// Adds rows: a row group of the Parquet file.
    ///
    /// # Errors
    /// Storage failures.
    pub fn write(&mut self, rows: &Table) -> Result<(), Error> {
        self.rows += rows.batch.num_rows() as u64;
        rows.csv_blocks(!self.has_names, |block| {
            Ok::<(), Error>(self.csv.write(block.bytes.into())?)
        })?;
        self.has_names = true;
        if rows.batch.num_rows() > 0 {
            self.parquet.write(self.encoder.write(&rows.batch)?)?;
        }
        Ok(())
    }

    /// Makes the list visible; `about` says what it is made from. Its JSON comes last, and that one's last
    /// line is the SHA-256 of all before it.
    ///
    /// # Errors
    /// Storage failures; nothing of the list stays behind then.
    pub fn finish(self, about: Value) -> Result<u64, Error> {
        let folder = self.folder;
        let finished = self.complete(about);
        if finished.is_err() {
            // As far as the storage lets it: what cannot be removed keeps nothing else.
            for file in [JSON, PARQUET, CSV] {
                let _ = folder.store.remove(file);
            }
            folder.tidy();
        }
        finished
    }

    fn complete(mut self, about: Value) -> Result<u64, Error> {
        self.parquet.write(self.encoder.finish()?)?;
        let files = [(PARQUET, self.parquet.finish()?), (CSV, self.csv.finish()?)];
        let told = files.map(
            |(name, (bytes, sha256))| json!({ "name": name, "bytes": bytes, "sha256": sha256 }),
        );
        let mut all = Map::new();
        if let Value::Object(about) = about {
            all.extend(about);
        }
        all.insert("rows".into(), self.rows.into());
        all.insert("files".into(), told.to_vec().into());
        let text = serde_json::to_string_pretty(&Value::Object(all)).unwrap_or_default();
        self.folder.store.replace(JSON, seal(&text).into())?;
        Ok(self.rows)
    }
}
