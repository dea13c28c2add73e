//! The program from outside: real files, the real binary, and what a user sees.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr
)]

mod bad_input;
mod commands;
mod database;
mod delta;
mod disk;
mod docs_are_true;
mod growth;
mod iceberg;
mod init;
mod inspect;
mod kept_counts;
mod kill;
mod lake;
mod laws;
mod lineage;
mod memory;
mod proof;
mod published;
mod query;
mod repeats;
mod reports;
mod same_answer;
mod sample_data;
mod seaweed;
mod silence;
mod storage;
mod stores;
mod suppress;
mod trouble;
