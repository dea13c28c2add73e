//! What differs between two reports: values by the keys of their rows, what the reports were made from, and
//! which of it a difference comes from.

mod causes;
mod compare;
mod log;

pub use causes::{Cause, Difference, differences};
pub use compare::{Change, compare, only_one};
pub use log::{Log, Step, Tables, Unexplained, about_changes};
