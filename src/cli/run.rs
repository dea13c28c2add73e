//! `afterscope run`.

use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};

use super::args::{Global, RunArgs};
use super::progress::{Shown, on_signals, watch};
use super::{Failure, print_bytes};
use crate::config;
use crate::error::{Error, ExitCode};
use crate::pipeline;
use crate::scan::Progress;
use crate::store::Io;

/// The threads that wait for storage.
pub struct Runtime {
    pub io: Io,
    runtime: Option<tokio::runtime::Runtime>,
}

impl Runtime {
    pub fn new() -> Result<Self, Failure> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name("afterscope-io")
            .enable_all()
            .build()
            .map_err(|e| Error::Folder { folder: "threads".into(), reason: e.to_string() })?;
        Ok(Self { io: Io::new(runtime.handle().clone()), runtime: Some(runtime) })
    }
}

impl Drop for Runtime {
    fn drop(&mut self) {
        // Requests under way must not hold up the end.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

pub fn run(args: &RunArgs, global: &Global) -> Result<(), Failure> {
    let plan = config::load(&args.config, &args.overrides())?;
    let runtime = Runtime::new()?;
    let progress = Arc::new(Progress::default());
    let signal = Arc::new(AtomicI32::new(0));
    on_signals(runtime.io.handle(), &progress, &signal);
    let shown = Arc::new(Shown::new(global, &progress));
    let ticking = watch(&shown, runtime.io.handle());
    let outcome = pipeline::run(&plan, &runtime.io, &progress, shown.as_ref());
    ticking.abort();
    drop(shown);
    match outcome {
        Ok(summary) => {
            let mut line = serde_json::to_vec(&summary).map_err(|e| Error::Folder {
                folder: "standard output".into(),
                reason: e.to_string(),
            })?;
            line.push(b'\n');
            print_bytes(&line)
        }
        Err(error) => {
            let mut failure = Failure::from(error);
            if failure.code == ExitCode::Interrupted {
                failure.error = Error::Interrupted;
                if signal.load(Ordering::SeqCst) == 15 {
                    failure.code = ExitCode::Terminated;
                }
            }
            Err(failure)
        }
    }
}
