//! File systems that are soon full.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::lake::{skipped, wait_until};

/// A small file system in memory, gone with the test.
pub struct Disk(PathBuf);

impl Disk {
    /// `None`, with the reason said, where none can be had.
    pub fn mount(folder: PathBuf, options: &str) -> Option<Self> {
        fs::create_dir_all(&folder).unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", options, "tmpfs"])
            .arg(&folder)
            .output();
        match mounted {
            Ok(output) if output.status.success() => Some(Self(folder)),
            Ok(output) => {
                let reason = String::from_utf8_lossy(&output.stderr).trim().to_string();
                skipped(&format!("no small file system can be mounted: {reason}"));
                None
            }
            Err(error) => {
                skipped(&format!("no small file system can be mounted: {error}"));
                None
            }
        }
    }

    pub fn remount(&self, options: &str) {
        let options = format!("remount,{options}");
        let status = Command::new("mount").args(["-o", &options]).arg(&self.0).status();
        assert!(status.unwrap().success());
    }

    /// Bytes that can still be written.
    pub fn room(&self) -> u64 {
        self.told("%a %S")
    }

    /// The product of two figures of the file system.
    fn told(&self, figures: &str) -> u64 {
        let asked = Command::new("stat").args(["-f", "-c", figures]).arg(&self.0).output().unwrap();
        let text = String::from_utf8(asked.stdout).unwrap();
        text.split_whitespace().map(|number| number.parse::<u64>().unwrap()).product()
    }

    /// Leaves so much room, whatever else there is.
    pub fn leave(&self, bytes: u64) {
        let ballast = self.0.join("ballast");
        let _ = fs::remove_file(&ballast);
        // What was removed while a program had it open takes room until that closes it.
        let size = self.told("%b %S");
        wait_until("removed files to be closed", || self.room() + taken_below(&self.0) >= size);
        let taken = self.room().checked_sub(bytes).unwrap();
        fs::write(ballast, vec![0; usize::try_from(taken).unwrap()]).unwrap();
    }
}

/// Bytes that the files in a folder take.
fn taken_below(folder: &Path) -> u64 {
    let entries = fs::read_dir(folder).unwrap().map(Result::unwrap);
    let taken = entries.map(|entry| match entry.metadata() {
        Ok(file) if file.is_dir() => taken_below(&entry.path()),
        Ok(file) => file.blocks() * 512,
        Err(_) => 0,
    });
    taken.sum()
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).status();
    }
}
