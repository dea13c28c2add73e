//! A progress bar on a terminal, lines elsewhere, and signals.

use std::io::IsTerminal;
use std::sync::atomic::{AtomicI32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::args::{Global, LogFormat};
use super::terminal;
use crate::effort::READING;
use crate::pipeline::{Observer, Scanning};
use crate::scan::Progress;
use crate::store::Io;

/// Shows a run as it goes.
pub struct Shown {
    global: Global,
    bar: Mutex<Option<ProgressBar>>,
    progress: Arc<Progress>,
    /// Of the source at hand: its files, and how many files and bytes were done before it.
    source: Mutex<(u64, u64, u64)>,
}

impl Shown {
    pub fn new(global: &Global, progress: &Arc<Progress>) -> Self {
        let (bar, source) = (Mutex::new(None), Mutex::default());
        Self { global: global.clone(), bar, progress: progress.clone(), source }
    }

    fn wants_bar(&self) -> bool {
        !self.global.quiet
            && self.global.log_format == LogFormat::Text
            && std::io::stderr().is_terminal()
    }

    fn clear(&self) {
        let mut bar = self.bar.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(bar) = bar.take() {
            bar.finish_and_clear();
        }
    }

    /// Moves the bar along; called by [`watch`].
    fn tick(&self) {
        let bar = self.bar.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(bar) = bar.as_ref() {
            let (of, files, done) = *self.source.lock().unwrap_or_else(PoisonError::into_inner);
            if of == 0 {
                return;
            }
            let now = |count: &AtomicU64| count.load(Ordering::Relaxed);
            bar.set_position(now(&self.progress.done).saturating_sub(done));
            bar.set_message(format!(
                "{} of {} files, {} rows, {} read",
                terminal::number(now(&self.progress.files).saturating_sub(files)),
                terminal::number(of),
                terminal::number(now(&self.progress.rows)),
                terminal::bytes(now(&self.progress.bytes))
            ));
        }
    }
}

impl Observer for Shown {
    fn stage(&self, name: &str) {
        self.progress.effort.stage(name);
        self.clear();
        *self.source.lock().unwrap_or_else(PoisonError::into_inner) = (0, 0, 0);
        if self.wants_bar() {
            let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
            bar.set_style(ProgressStyle::default_spinner());
            bar.set_message(name.to_string());
            bar.enable_steady_tick(Duration::from_millis(200));
            *self.bar.lock().unwrap_or_else(PoisonError::into_inner) = Some(bar);
        } else if self.global.verbose > 0 {
            terminal::info(name, &self.global);
        }
    }

    fn scanning(&self, scanning: &Scanning<'_>) {
        let Scanning { files, bytes, reused, .. } = *scanning;
        let source = match scanning.version {
            Some(version) => format!("{} ({version})", scanning.source),
            None => scanning.source.to_string(),
        };
        self.progress.effort.stage(READING);
        self.clear();
        let text = format!(
            "source {source}: {} files to read ({}), {} in the ledger already",
            terminal::number(files),
            terminal::bytes(bytes),
            terminal::number(reused)
        );
        let now = |count: &AtomicU64| count.load(Ordering::Relaxed);
        *self.source.lock().unwrap_or_else(PoisonError::into_inner) =
            (files, now(&self.progress.files), now(&self.progress.done));
        if self.wants_bar() && files > 0 {
            // By bytes of files whose row groups are done: one large file moves the bar too.
            let bar = ProgressBar::with_draw_target(Some(bytes), ProgressDrawTarget::stderr());
            let style = ProgressStyle::with_template(
                "{prefix} {wide_bar} {percent} %  {msg}  {elapsed} (left {eta})",
            );
            bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
            bar.set_prefix(terminal::tame(&source));
            *self.bar.lock().unwrap_or_else(PoisonError::into_inner) = Some(bar);
        } else if self.global.verbose > 0 {
            terminal::info(&text, &self.global);
        }
    }

    fn warn(&self, text: &str) {
        let bar = self.bar.lock().unwrap_or_else(PoisonError::into_inner);
        match bar.as_ref() {
            Some(bar) => bar.suspend(|| terminal::warning(text, &self.global)),
            None => terminal::warning(text, &self.global),
        }
    }
}

impl Drop for Shown {
    fn drop(&mut self) {
        self.clear();
    }
}

/// Keeps the bar moving until the returned handle is aborted.
pub fn watch(shown: &Arc<Shown>, runtime: &tokio::runtime::Handle) -> tokio::task::JoinHandle<()> {
    let shown = shown.clone();
    runtime.spawn(async move {
        loop {
            tokio::time::sleep(Duration::from_millis(200)).await;
            shown.progress.effort.see_memory();
            shown.tick();
        }
    })
}

/// Asks the run to stop on SIGINT or SIGTERM; `signal` then holds which. A second one ends the
/// process at once.
pub fn on_signals(io: &Io, progress: &Arc<Progress>, signal: &Arc<AtomicI32>) {
    use tokio::signal::unix::{SignalKind, signal as listen};
    for (kind, number) in [(SignalKind::interrupt(), 2), (SignalKind::terminate(), 15)] {
        let (progress, signal, io) = (progress.clone(), signal.clone(), io.clone());
        let runtime = io.handle().clone();
        let _guard = runtime.enter();
        // Without a listener the signal ends the process, as it does by default.
        let Ok(mut stream) = listen(kind) else { continue };
        runtime.spawn(async move {
            while stream.recv().await.is_some() {
                if signal.swap(number, Ordering::SeqCst) != 0 {
                    std::process::exit(128 + number);
                }
                progress.stop.store(true, Ordering::SeqCst);
                tokio::spawn(give_up(io.clone(), number));
            }
        });
    }
}

/// Storage may be silent for so long after a signal.
const SILENCE: Duration = Duration::from_secs(10);

/// Ends the process where a thread waits for storage and nothing answers: it cannot be told to stop, and
/// storage's own time-outs take minutes. Nothing is lost that a kill would not lose.
async fn give_up(io: Io, number: i32) {
    let mut before = io.waits();
    loop {
        tokio::time::sleep(SILENCE).await;
        let now = io.waits();
        if before.0 > 0 && now.0 > 0 && before.1 == now.1 {
            let seconds = SILENCE.as_secs();
            terminal::plain(&format!(
                "stopped: storage has not answered for {seconds} seconds; the same command goes on from the packs that were written"
            ));
            std::process::exit(128 + number);
        }
        before = now;
    }
}
