//! Everything that can be wrong with what a run is given: the exit code, a message that names the
//! object, the number and the next step, and nothing published.

mod changing;
mod columns;
mod configuration;
mod files;
mod ids;
mod people;
mod places;
mod registry;
mod secrets;

use crate::lake::Outcome;

/// The message does not end with what is wrong: it says what to do next.
fn tells_what_to_do(outcome: &Outcome) {
    let advice = ["again", "check", "name ", "free", "make room", "remove", "restore", "use "];
    let told = advice.iter().any(|word| outcome.stderr.contains(word));
    assert!(told, "nothing says what to do next in\n{}", outcome.stderr);
}
