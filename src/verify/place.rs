//! Where a run lies: its folder, the whole output, or a copy of the folder somewhere else.

use bytes::Bytes;

use super::check::read;
use super::{VerifyError, is_absent};
use crate::config::is_run_id;
use crate::publish::{MANIFEST, Manifest, OWNER, POINTER, Publisher, read_latest, sha256};
use crate::store::{Io, Store, StoreUrl};

/// A run's folder in a store.
#[derive(Clone, Debug)]
pub struct Place {
    /// The output, or the folder itself where it lies in none.
    pub store: Store,
    /// The run's folder below `store`: `runs/<run_id>`, or empty.
    pub run: String,
    /// Whether the output was named: what `latest` means is looked at, too.
    pub whole: bool,
}

impl Place {
    /// A run's folder, or an output, which means its latest run.
    ///
    /// # Errors
    /// Storage failures, and an address where neither is.
    pub fn find(url: &StoreUrl, io: &Io) -> Result<Self, VerifyError> {
        let no_run = |reason: &str| VerifyError::NoRun {
            address: url.to_string().trim_end_matches('/').to_string(),
            reason: reason.into(),
        };
        let store = match url.open(io) {
            Ok(store) => store,
            Err(error) if is_absent(&error) => {
                return Err(no_run("is not there\nname a run's folder, OUT/runs/<run_id>, or OUT"));
            }
            Err(error) => return Err(error.into()),
        };
        if store.head(POINTER)?.is_some() || store.head(OWNER)?.is_some() {
            return Self::latest_of(store);
        }
        let has_run = store.head(MANIFEST)?.is_some() || !store.list("tables")?.is_empty();
        if !has_run {
            return Err(no_run(
                "holds neither a manifest.json nor a latest.json\nname a run's folder, OUT/runs/<run_id>, or OUT",
            ));
        }
        let alone = Self { store, run: String::new(), whole: false };
        let Some((runs, run_id)) = url.split_last() else { return Ok(alone) };
        let Some((output, name)) = runs.split_last() else { return Ok(alone) };
        if name != "runs" {
            return Ok(alone);
        }
        // A copy beside nothing else has no output around it.
        match output.open(io) {
            Ok(store) if store.head(OWNER)?.is_some() => {
                Ok(Self { store, run: format!("runs/{run_id}"), whole: false })
            }
            _ => Ok(alone),
        }
    }

    /// The latest run of an output.
    ///
    /// # Errors
    /// Storage failures; [`VerifyError::Differs`] where `latest.json` is missing or damaged.
    pub fn latest_of(store: Store) -> Result<Self, VerifyError> {
        let pointer = store.shown(POINTER);
        match read_latest(&store) {
            Ok(Some((latest, _))) if !is_run_id(&latest.run_id) => {
                Err(VerifyError::Differs(format!("{pointer} was changed: it names no run")))
            }
            Ok(Some((latest, _))) => {
                Ok(Self { run: format!("runs/{}", latest.run_id), store, whole: true })
            }
            Ok(None) => Err(VerifyError::Differs(format!(
                "{pointer} is missing: no run is the latest\n`afterscope run` publishes one; a run that lies elsewhere is named by its folder"
            ))),
            Err(crate::publish::PublishError::Damaged { object, reason }) => {
                Err(VerifyError::Differs(format!("{object} is damaged: {reason}")))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// The output around the run; `None` of a copy beside nothing else.
    pub fn publisher(&self) -> Option<Publisher> {
        (!self.run.is_empty()).then(|| Publisher::look(self.store.clone()))
    }

    /// A run of an output by its id.
    ///
    /// # Errors
    /// Storage failures, and an output without such a run.
    pub fn of_run(store: Store, run_id: &str) -> Result<Self, VerifyError> {
        let place = Self { run: format!("runs/{run_id}"), store, whole: false };
        if place.store.head(&place.path(MANIFEST))?.is_some() {
            return Ok(place);
        }
        Err(VerifyError::NoRun {
            address: place.store.shown("").trim_end_matches('/').to_string(),
            reason: format!("has no run {run_id}\nafterscope runs lists those that it has"),
        })
    }

    /// All runs of the output around the run, by id; `None` of a copy beside nothing else.
    ///
    /// # Errors
    /// Storage failures.
    pub fn runs(&self) -> Result<Option<Vec<Self>>, VerifyError> {
        let Some(publisher) = self.publisher() else { return Ok(None) };
        let of = |run_id: String| Self {
            run: format!("runs/{run_id}"),
            store: self.store.clone(),
            whole: false,
        };
        Ok(Some(publisher.runs()?.into_iter().map(of).collect()))
    }

    /// The run's manifest.
    ///
    /// # Errors
    /// Storage failures; [`VerifyError::Differs`] where it is gone or was changed.
    pub fn manifest(&self) -> Result<Manifest, VerifyError> {
        let shown = self.shown(MANIFEST);
        let bytes =
            read(self, MANIFEST)?.ok_or(VerifyError::Differs(format!("{shown} is missing")))?;
        Manifest::parse(&bytes)
            .map_err(|reason| VerifyError::Differs(format!("{shown} was changed: {reason}")))
    }

    /// A file that the manifest names, if its hash holds.
    ///
    /// # Errors
    /// Storage failures; [`VerifyError::Differs`] where it is gone or was changed.
    pub fn output(&self, manifest: &Manifest, path: &str) -> Result<Bytes, VerifyError> {
        let changed =
            || VerifyError::Differs(format!("{} was changed or is gone", self.shown(path)));
        let bytes = read(self, path)?.ok_or_else(changed)?;
        let stated = manifest.outputs.iter().find(|output| output.path == path);
        if stated.is_none_or(|output| output.sha256 != sha256(&bytes)) {
            return Err(changed());
        }
        Ok(bytes)
    }

    /// A path of the run's folder as a path of the store.
    pub fn path(&self, below: &str) -> String {
        if self.run.is_empty() { below.to_string() } else { format!("{}/{below}", self.run) }
    }

    /// Its address.
    pub fn shown(&self, below: &str) -> String {
        self.store.shown(&self.path(below))
    }
}
