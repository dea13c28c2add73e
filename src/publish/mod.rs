//! A run's tables, its manifest, and what `latest` means.
//!
//! Tables come first, the manifest last: a run without a manifest is none. Then `latest/` and
//! `latest.json` move, if no run with a later `as_of` is there.

mod files;
mod history;
mod latest;
mod manifest;
pub mod merkle;

use bytes::Bytes;
use serde_json::Value;
use sha2::{Digest, Sha256};
use thiserror::Error;

use crate::config::is_run_id;
use crate::impact::ImpactError;
use crate::key::hex;
use crate::moment::Moment;
use crate::signature::{self, PublicKey, Signer};
use crate::store::{Store, StoreError};
use merkle::Merkle;

pub use files::{Filed, NewFile, RunFiles};
pub use history::history_path;
pub use latest::{FOLDER as LATEST_FOLDER, Latest, POINTER, read as read_latest};
pub use manifest::{Manifest, Output, table_of};

/// Marks a folder as ours: nothing is ever written among another program's files.
pub const OWNER: &str = "afterscope-output.json";
pub const OWNER_BYTES: &[u8] = b"{\"afterscope_output\":1}\n";
pub const MANIFEST: &str = "manifest.json";

#[derive(Debug, Error)]
pub enum PublishError {
    #[error("{0}")]
    Store(#[from] StoreError),

    #[error("{0}")]
    Table(#[from] ImpactError),

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
    /// A manifest, but it, its signature or a table is not as it was published.
    Broken,
    /// With the key that signed it, if one did.
    Whole(Box<Manifest>, Option<PublicKey>),
}

impl Publisher {
    /// # Errors
    /// Storage failures, and an output that is not ours.
    pub fn open(store: Store) -> Result<Self, PublishError> {
        match store.claim(OWNER, Bytes::from_static(OWNER_BYTES))? {
            None => Ok(Self { store }),
            Some(example) => Err(PublishError::Foreign {
                output: store.shown("").trim_end_matches('/').to_string(),
                example,
            }),
        }
    }

    /// For looking only: nothing is written.
    pub fn look(store: Store) -> Self {
        Self { store }
    }

    fn run_path(run_id: &str) -> String {
        format!("runs/{run_id}")
    }

    fn manifest_path(run_id: &str) -> String {
        format!("{}/{MANIFEST}", Self::run_path(run_id))
    }

    fn signature_path(run_id: &str) -> String {
        format!("{}/{}", Self::run_path(run_id), signature::FILE)
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
        let Some((signed, _)) = self.store.read(&Self::signature_path(run_id))? else {
            return Ok(Standing::Whole(Box::new(manifest), None));
        };
        Ok(match signature::check(&signed, &bytes) {
            Ok(key) => Standing::Whole(Box::new(manifest), Some(key)),
            Err(_) => Standing::Broken,
        })
    }

    /// Begins the files of a run.
    pub fn files(&self, run_id: &str) -> RunFiles {
        RunFiles::new(self.store.clone(), run_id)
    }

    /// Publishes a run, of which `files` are written. Where the same run stands already (another process was faster),
    /// that one stays; with a signer only if it says the same, because its signature vouches for it.
    ///
    /// # Errors
    /// Storage failures.
    pub fn publish(
        &self,
        run_id: &str,
        as_of: Moment,
        files: RunFiles,
        details: Value,
        signer: Option<&Signer>,
    ) -> Result<(Published, Manifest), PublishError> {
        let RunFiles { outputs, parts, .. } = files;
        let merkle = Merkle::of(run_id, &details, parts);
        let supersedes = latest::superseded(&self.store, as_of)?;
        let manifest =
            Manifest { run_id: run_id.to_string(), supersedes, outputs, merkle, details };
        self.put_manifest(run_id, &manifest, signer)?;
        let published =
            Published { run_id: run_id.to_string(), tables: self.tables(run_id), reused: false };
        Ok((published, manifest))
    }

    /// The signature comes first: whoever sees a new manifest sees it signed.
    fn put_manifest(
        &self,
        run_id: &str,
        manifest: &Manifest,
        signer: Option<&Signer>,
    ) -> Result<(), PublishError> {
        let (path, signature) = (Self::manifest_path(run_id), Self::signature_path(run_id));
        let bytes = Bytes::from(manifest.render());
        if self.store.head(&path)?.is_none() {
            match signer {
                Some(signer) => self.store.replace(&signature, signer.sign(&bytes).into())?,
                // Left by a signed run that did not get as far as its manifest.
                None => self.store.remove(&signature)?,
            }
            if self.store.create(&path, bytes.clone())? {
                // A run of the same id without a key may have tidied the signature away.
                if let Some(signer) = signer
                    && self.store.head(&signature)?.is_none()
                {
                    self.store.replace(&signature, signer.sign(&bytes).into())?;
                }
                return Ok(());
            }
        }
        let standing = self.store.read(&path)?.map(|(standing, _)| standing).unwrap_or_default();
        let stays = match signer {
            Some(_) => Manifest::parse(&standing).is_ok_and(|found| found.says_the_same(manifest)),
            None => matches!(self.find(run_id)?, Standing::Whole(..)),
        };
        if let Some(signer) = signer {
            let signed = if stays { &standing } else { &bytes };
            self.store.replace(&signature, signer.sign(signed).into())?;
        } else if !stays {
            self.store.remove(&signature)?;
        }
        if !stays {
            // One that does not hold (its files were damaged, or it never was whole) is replaced.
            self.store.replace(&path, bytes)?;
        }
        Ok(())
    }

    /// Its address.
    pub fn shown(&self) -> String {
        self.store.shown("").trim_end_matches('/').to_string()
    }

    /// The bytes of a run's manifest.
    ///
    /// # Errors
    /// Storage failures.
    pub fn manifest(&self, run_id: &str) -> Result<Option<Bytes>, PublishError> {
        Ok(self.store.read(&Self::manifest_path(run_id))?.map(|(bytes, _)| bytes))
    }

    /// Ids of the runs that stand.
    ///
    /// # Errors
    /// Storage failures.
    pub fn runs(&self) -> Result<Vec<String>, PublishError> {
        let listed = self.store.list("runs")?;
        let of = |path: &str| {
            let (run, file) = path.strip_prefix("runs/")?.split_once('/')?;
            (file == MANIFEST).then(|| run.to_string())
        };
        Ok(listed.iter().filter_map(|listed| of(&listed.path)).collect())
    }

    /// The run that is the latest.
    ///
    /// # Errors
    /// Storage failures; a pointer that is damaged or names no run.
    pub fn latest(&self) -> Result<Option<String>, PublishError> {
        let Some((latest, _)) = latest::read(&self.store)? else { return Ok(None) };
        if is_run_id(&latest.run_id) {
            return Ok(Some(latest.run_id));
        }
        let reason = "it names no run\nremove it; the next run writes it anew".into();
        Err(PublishError::Damaged { object: self.store.shown(POINTER), reason })
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

    /// Puts the tables of a run that stands published into `history/`.
    ///
    /// # Errors
    /// Storage failures, and a run that does not hold.
    pub fn add_to_history(&self, run_id: &str, as_of: Moment) -> Result<(), PublishError> {
        let path = Self::manifest_path(run_id);
        let gone = |what: &str| latest::damaged(&self.store, &path, what);
        let bytes = self.manifest(run_id)?.ok_or_else(|| gone("is gone since it was written"))?;
        let manifest = Manifest::parse(&bytes).map_err(|reason| gone(&reason))?;
        history::add(&self.store, &manifest, as_of)
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
