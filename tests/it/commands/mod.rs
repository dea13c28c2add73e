//! What every command does, as its user sees it.

mod dimensions;
mod history;
mod interrupt;
mod latest;
mod listing;
mod notification_list;
mod output;
mod people;
mod reference;
mod reuse;
mod standing;
mod state;
mod story;
mod tables;
mod terminal;
mod what_if;
