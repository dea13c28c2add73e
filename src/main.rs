//! Parse, run, exit code.

use std::process::ExitCode;

/// Buffers of many megabytes come and go with every row group; the system's allocator gives them back
/// and faults them in again each time (docs/performance.md has the figures).
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    let code = afterscope::cli::main();
    ExitCode::from(code as u8)
}
