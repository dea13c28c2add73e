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
