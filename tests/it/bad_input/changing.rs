//! Log files that change between the moment when they are listed and the moment when they are read.
//!
//! Two named pipes hold the run where it must be: it opens the manifest of the run that it is about
//! to make after it has listed the logs, and the ledger's index before it reads them.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::Path;
use std::process::{Child, Command};

use super::tells_what_to_do;
use crate::lake::{Lake, Outcome, call, run_args, standard_days, wait_until};

/// Linux: opening the writing end fails rather than waits where nobody reads.
const O_NONBLOCK: i32 = 0o4000;

fn make_pipe(path: &Path) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let _ = fs::remove_file(path);
    assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
}

/// A run that must not outlive its test: one that waits at a pipe does not hear SIGTERM.
struct Running(Option<Child>);

impl Running {
    fn start(lake: &Lake) -> Self {
        Self(Some(lake.command(&run_args(&[])).spawn().unwrap()))
    }

    fn end(mut self, lake: &Lake) -> Outcome {
        Outcome::of(lake, self.0.take().unwrap().wait_with_output().unwrap())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(child) = &mut self.0 {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Waits until somebody opens the pipe for reading, and lets them go on.
fn let_pass(pipe: &Path) {
    let open = || OpenOptions::new().write(true).custom_flags(O_NONBLOCK).open(pipe);
    wait_until("the run to come by", || open().is_ok());
}

/// Runs over logs that `change` alters once they are listed.
fn run_while(lake: &Lake, change: impl FnOnce()) -> Outcome {
    lake.publishes(&["--as-of", "2019-08-01"]);
    let pointer = fs::read(lake.path("out/latest.json")).unwrap();
    // The ledger does not serve files that were written anew.
    for (path, calls) in standard_days() {
        lake.log(path, &calls);
    }
    let plan = lake.plan(&[]);
    assert_eq!(plan["sources"][0]["files_to_read"], 3);
    let manifest = format!("out/runs/{}/manifest.json", plan["run_id"].as_str().unwrap());
    let (manifest, index) = (lake.path(&manifest), lake.path("out/state/index.json"));
    make_pipe(&manifest);
    make_pipe(&index);

    let run = Running::start(lake);
    let_pass(&manifest);
    change();
    let_pass(&index);
    let outcome = run.end(lake);

    assert!(fs::metadata(&manifest).unwrap().file_type().is_fifo(), "a manifest was written");
    assert_eq!(pointer, fs::read(lake.path("out/latest.json")).unwrap());
    outcome
}

const CHANGING: &str = "logs/dt=2019-07-02/part-0.parquet";

#[test]
fn a_file_that_is_replaced_under_the_run_ends_it() {
    let lake = Lake::standard();
    let other = [call("2019-07-02T08:00:00Z", "app-2", 77)];
    let outcome = run_while(&lake, || drop(lake.log(CHANGING, &other)));
    let outcome = outcome.fails(3, &[CHANGING, "replaced since it was listed"]);
    tells_what_to_do(&outcome);
}

#[test]
fn a_file_that_vanishes_under_the_run_ends_it() {
    let lake = Lake::standard();
    let outcome = run_while(&lake, || fs::remove_file(lake.path(CHANGING)).unwrap());
    let outcome = outcome.fails(3, &[CHANGING, "gone since it was listed"]);
    tells_what_to_do(&outcome);
}

#[test]
fn a_file_that_grows_under_the_run_ends_it_even_if_its_time_stays() {
    let lake = Lake::standard();
    let outcome = run_while(&lake, || {
        let path = lake.path(CHANGING);
        let time = fs::metadata(&path).unwrap().modified().unwrap();
        let mut file = File::options().append(true).open(path).unwrap();
        file.write_all(b"more").unwrap();
        file.set_modified(time).unwrap();
    });
    outcome.fails(3, &[CHANGING, "since it was listed"]);
}

#[test]
fn files_that_arrive_under_the_run_are_left_to_the_next() {
    let lake = Lake::standard();
    lake.publishes(&["--as-of", "2019-08-01"]);
    let expected = lake.publishes(&["--output", "quiet"]).bytes();
    for (path, calls) in standard_days() {
        lake.log(path, &calls);
    }
    let index = lake.path("out/state/index.json");
    let plan = lake.plan(&[]);
    let manifest = format!("out/runs/{}/manifest.json", plan["run_id"].as_str().unwrap());
    make_pipe(&lake.path(&manifest));
    make_pipe(&index);
    let run = Running::start(&lake);
    let_pass(&lake.path(&manifest));
    lake.log("logs/dt=2019-07-04/part-0.parquet", &[call("2019-07-04T08:00:00Z", "app-3", 9)]);
    // From here on the manifest must be a file like any other.
    fs::remove_file(lake.path(&manifest)).unwrap();
    let_pass(&index);
    let outcome = run.end(&lake).succeeds();
    crate::lake::assert_same(&expected, &outcome.published().bytes());
    let later = lake.run(&[]).succeeds();
    assert_eq!(later.json()["totals"]["requests_allowed"], 7);
}
