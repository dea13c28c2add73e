//! A run's tables, its manifest, and what `latest` means.
//!
//! Tables come first, the manifest last: a run without a manifest is none. Then `latest/` and
//! `latest.json` move, if no run with a later `as_of` is there.

mod latest;
mod manifest;

use bytes::Bytes;
use serde_json::Value;
use sha2::{Digest, Sha256};
use thiserror::Error;

use crate::impact::TableFile;
use crate::key::hex;
use crate::moment::Moment;
use crate::store::{Store, StoreError};

pub use manifest::{Manifest, Output};

/// Marks a folder as ours: nothing is ever written among another program's files.
const OWNER: &str = "afterscope-output.json";

#[derive(Debug, Error)]
pub enum PublishError {
    #[error("{0}")]
    Store(#[from] StoreError),

    #[error(
        "the output {output} holds files that afterscope did not write ({example})\nname an empty folder, or one that afterscope has written to before"
    )]
    Foreign { output: String, example: String },

    #[error("{object}: {reason}")]
    Damaged { object: String, reason: String },
}

/// Where runs are published.
#[derive(Clone, Debug)]
pub struct Publisher {
    store: Store,
}

/// A run that stands published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Published {
    pub run_id: String,
    /// Address of the tables' folder.
    pub tables: String,
    pub reused: bool,
}

/// What stands of a run.
#[derive(Debug)]
pub enum Standing {
    /// No manifest: there is no such run.
    Nothing,
    /// A manifest, but it or a table is not as it was published.
    Broken,
    Whole(Box<Manifest>),
}

impl Publisher {
    /// # Errors
    /// Storage failures, and an output that is not ours.
    pub fn open(store: Store) -> Result<Self, PublishError> {
        if store.head(OWNER)?.is_none() {
            let listed = store.list("")?;
            if let Some(first) = listed.first() {
                // Another run may have claimed the folder a moment ago.
                if !listed.iter().any(|l| l.path == OWNER) {
                    return Err(PublishError::Foreign {
                        output: store.shown("").trim_end_matches('/').to_string(),
                        example: first.path.clone(),
                    });
                }
            }
            store.create(OWNER, Bytes::from_static(b"{\"afterscope_output\":1}\n"))?;
        }
        Ok(Self { store })
    }

    /// For looking only: nothing is written.
    pub fn look(store: Store) -> Self {
        Self { store }
    }

    fn run_path(run_id: &str) -> String {
        format!("runs/{run_id}")
    }

    fn manifest_path(run_id: &str) -> String {
        format!("{}/manifest.json", Self::run_path(run_id))
    }

    fn tables(&self, run_id: &str) -> String {
        self.store.shown(&format!("{}/tables", Self::run_path(run_id)))
    }

    /// What stands of a run.
    ///
    /// # Errors
    /// Storage failures.
    pub fn find(&self, run_id: &str) -> Result<Standing, PublishError> {
        let Some((bytes, _)) = self.store.read(&Self::manifest_path(run_id))? else {
            return Ok(Standing::Nothing);
        };
        let Ok(manifest) = Manifest::parse(&bytes) else { return Ok(Standing::Broken) };
        for output in &manifest.outputs {
            let path = format!("{}/{}", Self::run_path(run_id), output.path);
            let holds = self.store.read(&path)?.is_some_and(|(bytes, _)| {
                bytes.len() as u64 == output.bytes && sha256(&bytes) == output.sha256
            });
            if !holds {
                return Ok(Standing::Broken);
            }
        }
        Ok(Standing::Whole(Box::new(manifest)))
    }

    /// Publishes a run. Where the same run stands already (another process was faster), that one
    /// stays.
    ///
    /// # Errors
    /// Storage failures.
    pub fn publish(
        &self,
        run_id: &str,
        as_of: Moment,
        files: &[TableFile],
        details: Value,
    ) -> Result<(Published, Manifest), PublishError> {
        let mut outputs = Vec::with_capacity(files.len());
        for file in files {
            let path = file.path();
            self.store
                .replace(&format!("{}/{path}", Self::run_path(run_id)), file.bytes.clone())?;
            outputs.push(Output {
                path,
                bytes: file.bytes.len() as u64,
                rows: file.rows as u64,
                sha256: sha256(&file.bytes),
            });
        }
        let supersedes = latest::superseded(&self.store, as_of)?;
        let manifest = Manifest { run_id: run_id.to_string(), supersedes, outputs, details };
        let bytes = Bytes::from(manifest.render());
        let path = Self::manifest_path(run_id);
        let created = self.store.create(&path, bytes.clone())?;
        if !created && !matches!(self.find(run_id)?, Standing::Whole(_)) {
            // One that does not hold (its files were damaged, or it never was whole) is replaced.
            self.store.replace(&path, bytes)?;
        }
        let published =
            Published { run_id: run_id.to_string(), tables: self.tables(run_id), reused: false };
        Ok((published, manifest))
    }

    /// A file of a run.
    ///
    /// # Errors
    /// Storage failures.
    pub fn table(&self, run_id: &str, file: &str) -> Result<Option<Bytes>, PublishError> {
        let path = format!("{}/tables/{file}", Self::run_path(run_id));
        Ok(self.store.read(&path)?.map(|(bytes, _)| bytes))
    }

    /// The run as it stands, for one that is used again.
    pub fn standing(&self, run_id: &str) -> Published {
        Published { run_id: run_id.to_string(), tables: self.tables(run_id), reused: true }
    }

    /// Lets `latest` point to the run, unless a run with a later `as_of` is there.
    ///
    /// # Errors
    /// Storage failures.
    pub fn point_latest(&self, run_id: &str, as_of: Moment) -> Result<(), PublishError> {
        latest::point(&self.store, run_id, as_of)
    }
}

pub fn sha256(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}
