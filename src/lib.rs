//! Exact exposure accounting for access scopes that were restricted.

pub mod config;

pub mod registry;

pub mod snapshot;

pub mod scan;

pub mod key;
pub mod memory;
pub mod moment;
pub mod store;
