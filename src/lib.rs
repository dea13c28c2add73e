//! Exact exposure accounting for access scopes that were restricted.
//!
//! Modules stand in the order in which data flows; each arrow of docs/design.md is one function.

pub mod config;

pub mod registry;

pub mod snapshot;

pub mod scan;

pub mod ledger;

pub mod people;

pub mod exposure;

pub mod impact;

pub mod suppress;

pub mod report;

pub mod publish;

pub mod database;

pub mod changes;

pub mod verify;

pub mod query;

pub mod pipeline;

pub mod cli;
pub mod codes;
pub mod dealer;
pub mod effort;
pub mod error;
pub mod fetched;
pub mod headers;
pub mod hidden;
pub mod init;
pub mod inspect;
pub mod key;
pub mod lineage;
pub mod memory;
pub mod metrics;
pub mod moment;
pub mod own_file;
pub mod sample;
pub mod seal;
pub mod signature;
pub mod sorter;
pub mod store;
pub mod threads;
pub mod thrift;
