//! Where a run lies: its folder, the whole output, or a copy of the folder somewhere else.

use super::{VerifyError, is_absent};
use crate::config::is_run_id;
use crate::publish::{MANIFEST, OWNER, POINTER, Publisher, read_latest};
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
            Ok(None) => {
                Err(VerifyError::Differs(format!("{pointer} is missing: no run is the latest")))
            }
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

    /// A path of the run's folder as a path of the store.
    pub fn path(&self, below: &str) -> String {
        if self.run.is_empty() { below.to_string() } else { format!("{}/{below}", self.run) }
    }

    /// Its address.
    pub fn shown(&self, below: &str) -> String {
        self.store.shown(&self.path(below))
    }
}
