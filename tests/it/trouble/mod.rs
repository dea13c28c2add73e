//! Services that fail, and files that lie.

mod clocks;
mod faults;
mod full;
pub mod holes;
mod hostile;
mod pages;
mod races;
mod registries;
mod shapes;
mod steps;
mod under;

/// Of the slow tests' cases one in so many is run: `AFTERSCOPE_TROUBLE`, where it is set.
pub fn share() -> usize {
    let given = std::env::var("AFTERSCOPE_TROUBLE").ok().and_then(|text| text.parse().ok());
    given.filter(|share| *share > 0).unwrap_or(1)
}
