//! Writes that readers see whole, and what a store must promise so that two runs may write at once.

use std::time::Duration;

use bytes::Bytes;
use object_store::{
    Error as OsError, ObjectStoreExt, PutMode, PutOptions, PutPayload, UpdateVersion,
};

use super::error::is_broken_off;
use super::upload::Over;
use super::{Pin, Store, StoreError, StoreErrorKind, Upload, is_absent};

/// Before the last time that a write whose connection broke is sent again.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// A conditional write, and how messages call it.
const CREATE: (PutMode, &str) =
    (PutMode::Create, "creating an object only where there is none (If-None-Match)");

impl Store {
    /// Creates an object; `false` where there is another one already. One with the same bytes, in a store
    /// that is reached over a network, counts as created: the answer to the request may have been lost, and
    /// the request that is sent again finds what the first one wrote.
    ///
    /// # Errors
    /// Storage failures.
    pub fn create(&self, path: &str, bytes: Bytes) -> Result<bool, StoreError> {
        self.create_of(path, vec![bytes])
    }

    /// As [`Self::create`], from parts that follow each other.
    ///
    /// # Errors
    /// Storage failures.
    pub fn create_of(&self, path: &str, parts: Vec<Bytes>) -> Result<bool, StoreError> {
        let put = self.put(path, parts.clone(), PutMode::Create);
        self.settled(path, &parts, put)
    }

    /// Writes an object, over an older one if need be. Readers see the old or the new one, whole.
    ///
    /// # Errors
    /// Storage failures.
    pub fn replace(&self, path: &str, bytes: Bytes) -> Result<(), StoreError> {
        self.replace_by(path, vec![bytes])
    }

    /// As [`Self::replace`], from parts that follow each other.
    ///
    /// # Errors
    /// Storage failures.
    pub fn replace_by(&self, path: &str, parts: Vec<Bytes>) -> Result<(), StoreError> {
        let size = length(&parts);
        let put = self.put(path, parts, PutMode::Overwrite);
        put.map_err(|e| self.error(path, &e).of_bytes(size))
    }

    /// Replaces exactly the version `pin`; `false` where there is another by now, unless that has the very
    /// bytes that it was to get (see [`Self::create`]). Not for local folders, which have no such operation.
    ///
    /// # Errors
    /// Storage failures.
    pub fn replace_if(&self, path: &str, bytes: Bytes, pin: &Pin) -> Result<bool, StoreError> {
        let version = UpdateVersion { e_tag: pin.e_tag.clone(), version: pin.version.clone() };
        let put = self.put(path, vec![bytes.clone()], PutMode::Update(version));
        if put.as_ref().is_err_and(is_absent) {
            return Ok(false);
        }
        self.settled(path, &[bytes], put)
    }

    /// What a conditional write came to. A refusal and a failure leave open whether it was this write that
    /// the store took: what stands there tells.
    fn settled(
        &self,
        path: &str,
        sent: &[Bytes],
        put: Result<(), OsError>,
    ) -> Result<bool, StoreError> {
        let Err(error) = put else { return Ok(true) };
        let refused = is_refusal(&error);
        let failure = self.error(path, &error).of_bytes(length(sent));
        let open = refused || failure.kind == StoreErrorKind::Transient;
        if !open || self.root.is_some() {
            return if refused { Ok(false) } else { Err(failure) };
        }
        match self.holds(path, sent) {
            Ok(true) => Ok(true),
            Ok(false) if refused => Ok(false),
            Err(unseen) if refused => Err(unseen),
            Ok(false) | Err(_) => Err(failure),
        }
    }

    /// Whether an object has exactly these bytes.
    fn holds(&self, path: &str, parts: &[Bytes]) -> Result<bool, StoreError> {
        if self.head(path)?.is_none_or(|pin| pin.size != length(parts)) {
            return Ok(false);
        }
        let Some((found, _)) = self.read(path)? else { return Ok(false) };
        let mut rest = found.as_ref();
        Ok(parts.iter().all(|part| {
            let same = rest.strip_prefix(part.as_ref());
            rest = same.unwrap_or_default();
            same.is_some()
        }) && rest.is_empty())
    }

    /// Takes the folder for this program's own: by the file `owner` in it. Where it holds anything and
    /// that file is not there, gives the first file of somebody else.
    ///
    /// # Errors
    /// Storage failures; a store that cannot promise what runs that write at once rely on.
    pub fn claim(&self, owner: &str, mark: Bytes) -> Result<Option<String>, StoreError> {
        if self.head(owner)?.is_none() {
            let listed = self.list("")?;
            // Another run may have claimed the folder a moment ago.
            if let Some(first) = listed.first()
                && !listed.iter().any(|l| l.path == owner)
            {
                return Ok(Some(first.path.clone()));
            }
            self.refuses(owner, &mark, CREATE)?;
        }
        // A local folder keeps its promises by hard links and a lock file.
        if self.root.is_none() {
            self.check_promises(owner, &mark)?;
        }
        Ok(None)
    }

    /// Asks what must be refused: to create the file `owner`, which is there, and to replace a version of it
    /// that never was. A store that takes no notice of either condition writes the same bytes once more, so
    /// that asking does no harm.
    fn check_promises(&self, owner: &str, mark: &Bytes) -> Result<(), StoreError> {
        let never = UpdateVersion {
            e_tag: Some("\"00000000000000000000000000000000\"".into()),
            version: Some("1".into()),
        };
        let replace =
            (PutMode::Update(never), "replacing only a given version of an object (If-Match)");
        for asked in [CREATE, replace] {
            let what = asked.1;
            if !self.refuses(owner, mark, asked)? {
                return Err(self.unpromised(what));
            }
        }
        Ok(())
    }

    /// Whether the store refuses a conditional write because of its condition.
    fn refuses(
        &self,
        path: &str,
        bytes: &Bytes,
        (mode, what): (PutMode, &'static str),
    ) -> Result<bool, StoreError> {
        match self.put(path, vec![bytes.clone()], mode) {
            Ok(()) => Ok(false),
            Err(error) if is_refusal(&error) => Ok(true),
            Err(OsError::NotImplemented { .. } | OsError::NotSupported { .. }) => {
                Err(self.unpromised(what))
            }
            Err(error) => Err(self.error(path, &error).of_bytes(bytes.len() as u64)),
        }
    }

    fn unpromised(&self, what: &str) -> StoreError {
        StoreError::new(
            StoreErrorKind::Settings,
            self.shown("").trim_end_matches('/'),
            format!(
                "this store does not support {what}: two runs at once could overwrite each other unseen\nname a local folder, or a store that does"
            ),
        )
    }

    /// A connection that breaks while a conditional write is under way leaves open what became of it, so that
    /// object_store gives up. It is sent again here: [`Self::settled`] tells its own earlier write.
    fn put(&self, path: &str, parts: Vec<Bytes>, mode: PutMode) -> Result<(), OsError> {
        let at =
            self.at(path).map_err(|e| OsError::Generic { store: "path", source: Box::new(e) })?;
        let options = PutOptions { mode, ..Default::default() };
        let payload = PutPayload::from_iter(parts);
        self.wait(async {
            let mut pause = Duration::from_millis(50);
            loop {
                match self.inner.put_opts(&at, payload.clone(), options.clone()).await {
                    Ok(_) => return Ok(()),
                    Err(error) if pause > LONGEST_PAUSE || !is_broken_off(&error) => {
                        return Err(error);
                    }
                    // A folder may lie on another machine. There is no runtime then that could wake this thread.
                    Err(_) if self.root.is_some() => std::thread::sleep(pause),
                    Err(_) => tokio::time::sleep(pause).await,
                }
                pause *= 2;
            }
        })
    }

    /// As [`Self::replace`], for an object that is written while it is made.
    pub fn replace_in_parts(&self, path: &str) -> Upload {
        Upload::new(self.clone(), path, Over::Older)
    }

    /// The same, where others may write the same bytes there at the same time.
    pub fn share_in_parts(&self, path: &str) -> Upload {
        Upload::new(self.clone(), path, Over::Same)
    }

    /// As [`Self::create`], for an object that is written while it is made. One of more than a part replaces what
    /// stands there.
    pub fn create_in_parts(&self, path: &str) -> Upload {
        Upload::new(self.clone(), path, Over::Nothing)
    }

    /// Removes an object; one that is not there is no error.
    ///
    /// # Errors
    /// Storage failures.
    pub fn remove(&self, path: &str) -> Result<(), StoreError> {
        let at = self.at(path)?;
        match self.wait(self.inner.delete(&at)) {
            Ok(()) | Err(OsError::NotFound { .. }) => Ok(()),
            Err(e) => Err(self.error(path, &e)),
        }
    }
}

fn length(parts: &[Bytes]) -> u64 {
    parts.iter().map(|part| part.len() as u64).sum()
}

/// Whether a conditional write was refused because of its condition.
fn is_refusal(error: &OsError) -> bool {
    matches!(error, OsError::AlreadyExists { .. } | OsError::Precondition { .. })
}
