//! What a run reads and writes, told as OpenLineage events while it goes on (docs/lineage.md).
//!
//! Nothing of it is part of a report: it takes the clock and the environment, and changes no byte of what is
//! published. A service that cannot be reached costs a warning and a counter.

mod columns;
mod event;
mod names;
mod send;
mod settings;

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::config::RunPlan;
use crate::error::Error;
use crate::impact::ImpactError;
use crate::people::PeopleError;
use crate::pipeline::Input;
use crate::registry::RegistryError;
use crate::store::Io;

use event::{Run, State};
use send::Sender;

pub use event::Published;
pub use send::Events;
pub use settings::{Settings, Variables, read, variables};

/// Stages that follow each other sooner are not told.
const SELDOM: Duration = Duration::from_secs(10);

/// The events of one run.
pub struct Lineage {
    run: Run,
    /// `None` once the run has ended.
    sender: Option<Sender>,
    io: Io,
    inputs: Mutex<Vec<Input>>,
    last: Mutex<Instant>,
}

/// How a run ended.
#[derive(Clone, Copy, Debug)]
pub enum End<'a> {
    Complete(Option<&'a Published>),
    Fail(&'a Error),
    /// By a signal.
    Abort,
}

impl Lineage {
    /// Tells that the run begins.
    pub fn begin(settings: Settings, plan: &RunPlan, io: &Io) -> Self {
        let run = Run::new(&settings, plan);
        let lineage = Self {
            run,
            sender: Some(Sender::new(settings.target, io)),
            io: io.clone(),
            inputs: Mutex::default(),
            last: Mutex::new(Instant::now()),
        };
        lineage.tell(State::Start);
        lineage
    }

    /// Tells what the run is made from, once it is pinned.
    pub fn pinned(&self, inputs: Vec<Input>) {
        *self.inputs.lock().unwrap_or_else(PoisonError::into_inner) = inputs;
        self.tell(State::Running);
    }

    /// A stage begins: told now and then.
    pub fn stage(&self) {
        let is_due = self.last.lock().unwrap_or_else(PoisonError::into_inner).elapsed() >= SELDOM;
        if is_due {
            self.tell(State::Running);
        }
    }

    /// Tells how the run ended, and waits for the events for a moment. What became of them, in words too where
    /// some were lost.
    pub fn end(mut self, end: End<'_>) -> (Events, Option<String>) {
        match end {
            End::Complete(published) => self.tell(State::Complete(published)),
            End::Fail(error) => self.tell(State::Fail(&message(error))),
            End::Abort => self.tell(State::Abort),
        }
        self.sender.take().map(|sender| sender.finish(&self.io)).unwrap_or_default()
    }

    fn tell(&self, state: State<'_>) {
        let inputs = self.inputs.lock().unwrap_or_else(PoisonError::into_inner);
        let event = self.run.event(state, &inputs);
        if let Some(sender) = &self.sender {
            sender.send(&event, matches!(state, State::Running));
        }
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }
}

/// A run that a bug has cut short has not succeeded: others must not wait for its end.
impl Drop for Lineage {
    fn drop(&mut self) {
        if std::thread::panicking() && self.sender.is_some() {
            self.tell(State::Fail("a bug in afterscope ended the run"));
            self.sender.take().map(|sender| sender.finish(&self.io));
        }
    }
}

/// What others may read of an error: its first line, without values of rows, which may be ids of people or apps.
/// The job's own log says more.
fn message(error: &Error) -> String {
    const LEFT_OUT: &str = "(left out; the job's own log has it)";
    let text = error.to_string();
    let value = match error {
        Error::People(PeopleError::BadValue { reason, .. })
        | Error::Registry(RegistryError::BadValue { reason, .. }) => reason,
        Error::Registry(RegistryError::Contradiction { what, .. }) => what,
        Error::Registry(RegistryError::NeverMatches { value, .. }) => value,
        Error::Impact(ImpactError::Repeated { values, .. }) => values,
        _ => "",
    };
    let text = if value.is_empty() { text } else { text.replace(value, LEFT_OUT) };
    text.lines().next().unwrap_or_default().to_string()
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use super::settings::Target;
    use super::*;
    use crate::config::{self, Overrides};

    #[test]
    fn a_run_that_a_bug_ends_is_told_as_failed() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("afterscope.toml");
        let text = "[[source]]\nname = \"a\"\nurl = \"logs/\"\n[source.columns]\ntime = \"t\"\napp = \"a\"\nscopes = \"s\"\nsubject = \"u\"\n[registry]\nscopes = \"s.csv\"\n[output]\nurl = \"out/\"\n";
        std::fs::write(&file, text).unwrap();
        let overrides = Overrides { as_of: "2019-11-06".into(), ..Default::default() };
        let plan = config::load(&file, &overrides).unwrap();
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        let io = Io::new(runtime.handle().clone());
        let events = folder.path().join("events");
        let settings = Settings {
            target: Target::Append(events.clone()),
            namespace: "n".into(),
            parent: None,
            root: None,
        };
        let cut_short = catch_unwind(AssertUnwindSafe(|| {
            let _lineage = Lineage::begin(settings, &plan, &io);
            panic!("on purpose");
        }));
        assert!(cut_short.is_err());
        let told = std::fs::read_to_string(events).unwrap();
        let states: Vec<serde_json::Value> =
            told.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let states: Vec<&str> = states.iter().map(|e| e["eventType"].as_str().unwrap()).collect();
        assert_eq!(states, ["START", "FAIL"]);
    }
}
