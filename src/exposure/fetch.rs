//! Places in memory, fetched before they are worked at.

/// Reads something of each place: of short rounds that do nothing else the processor begins many at once, and waits for
/// many places together instead of for one after the other.
#[inline]
pub fn fetch(read: impl Iterator<Item = u64>) {
    std::hint::black_box(read.fold(0, |all, one| all ^ one));
}
