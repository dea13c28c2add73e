//! Work on several threads.

/// Runs `work` on `threads` threads, at least one; the first error wins.
///
/// # Errors
/// What `work` says.
pub fn in_threads<T: Send, E: Send>(
    threads: usize,
    work: impl Fn(usize) -> Result<T, E> + Sync,
) -> Result<Vec<T>, E> {
    std::thread::scope(|scope| {
        let work = &work;
        let handles: Vec<_> = (0..threads.max(1)).map(|i| scope.spawn(move || work(i))).collect();
        handles
            .into_iter()
            .map(|handle| handle.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            .collect()
    })
}

/// Runs `work`; what it says when it panics. Libraries take some things for impossible that are not: a
/// contradiction in a damaged file, a disk that is full. What was met must be named all the same.
pub fn guarded<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(work)).map_err(|panic| {
        let text = panic.downcast_ref::<&str>().map(ToString::to_string);
        text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default()
    })
}
