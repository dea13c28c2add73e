//! Work on several threads.

use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::time::Duration;

/// Runs `work` on `threads` threads, at least one, of which this is the first; the first error wins.
///
/// # Errors
/// What `work` says.
pub fn in_threads<T: Send, E: Send>(
    threads: usize,
    work: impl Fn(usize) -> Result<T, E> + Sync,
) -> Result<Vec<T>, E> {
    std::thread::scope(|scope| {
        let work = &work;
        let others: Vec<_> = (1..threads.max(1)).map(|i| scope.spawn(move || work(i))).collect();
        let own = work(0);
        let others = others
            .into_iter()
            .map(|other| other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        std::iter::once(own).chain(others).collect()
    })
}

/// Does both at once.
pub fn beside<A, B: Send>(own: impl FnOnce() -> A, other: impl FnOnce() -> B + Send) -> (A, B) {
    std::thread::scope(|scope| {
        let other = scope.spawn(other);
        let own = own();
        (own, other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
    })
}

/// Does both, at once where there is more than one thread for it.
pub fn both<A, B: Send>(
    threads: usize,
    own: impl FnOnce() -> A,
    other: impl FnOnce() -> B + Send,
) -> (A, B) {
    if threads > 1 { beside(own, other) } else { (own(), other()) }
}

/// How often [`with_stack`] asks whether to go on waiting.
const LOOK: Duration = Duration::from_millis(20);

/// Runs `work` on a thread of its own with so much stack, of which only what is used takes memory. `give_up` is asked
/// now and then; what it gives is the outcome, and the thread is left alone until the program ends.
///
/// # Errors
/// Where no such thread can be had.
pub fn with_stack<T: Send + 'static>(
    bytes: usize,
    work: impl FnOnce() -> T + Send + 'static,
    give_up: impl Fn() -> Option<T>,
) -> std::io::Result<T> {
    let (done, outcome) = sync_channel(1);
    let thread = std::thread::Builder::new().stack_size(bytes).spawn(move || {
        // Nobody waits any more where it was given up.
        let _ = done.send(work());
    })?;
    loop {
        match outcome.recv_timeout(LOOK) {
            Ok(done) => return Ok(done),
            Err(RecvTimeoutError::Timeout) => {
                if let Some(instead) = give_up() {
                    return Ok(instead);
                }
            }
            Err(RecvTimeoutError::Disconnected) => {
                let panic = thread.join().err();
                std::panic::resume_unwind(panic.unwrap_or_else(|| Box::new("no outcome")));
            }
        }
    }
}

/// Runs `work`; what it says when it panics. Libraries take some things for impossible that are not: a
/// contradiction in a damaged file, a disk that is full. What was met must be named all the same.
pub fn guarded<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(work)).map_err(|panic| {
        let text = panic.downcast_ref::<&str>().map(ToString::to_string);
        text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default()
    })
}
