//! The sample's log as plain files, one a day.

use std::path::PathBuf;

use super::Failed;
use super::history::Lake;
use super::rows::{self, Row};
use crate::moment::day_to_date;

pub struct Plain {
    pub root: PathBuf,
}

impl Lake for Plain {
    fn day(&mut self, day: i64, rows: Vec<Row>, _: Vec<Row>) -> Result<(), Failed> {
        let path = self.root.join(format!("dt={}/part-0.parquet", day_to_date(day)));
        rows::write(&path, rows::columns(&rows)).map(drop)
    }

    fn turn(&mut self) -> Result<(), Failed> {
        Ok(())
    }
}
