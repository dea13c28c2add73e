//! Files into a folder: all of them or none where it is new, and never over others.

use std::fs;
use std::io::{ErrorKind, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::CONFIGURATION;
use super::registry::{APPS, ENDPOINTS, SAMPLE, SCOPES};
use crate::error::Error;

/// Every name that may be written.
const NAMES: [&str; 5] = [CONFIGURATION, SCOPES, APPS, ENDPOINTS, SAMPLE];

/// What names of files and folders begin with that are not finished, and how many random characters end them.
const UNFINISHED: &str = ".afterscope-init-";
const RANDOM: usize = 6;

/// Removes what a start that was ended has left.
fn left_by_others(folder: &Path, is_so: impl Fn(&Path, &str) -> bool) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if !is_so(&path, &entry.file_name().to_string_lossy()) {
            continue;
        }
        // Where it cannot be removed it stays, and is in nobody's way.
        let _ = if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
    }
}

/// Looks whether the files can be written, before anything is read for them.
///
/// # Errors
/// A folder that is none, and files that are there already.
pub fn check(folder: &Path) -> Result<(), Error> {
    let argument = || format!("--output {}", folder.display());
    match fs::symlink_metadata(folder) {
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(()),
        Err(e) => return Err(unwritten(folder, &e)),
        Ok(_) if !folder.is_dir() => {
            let reason = "is there already and no folder\nname another with --output";
            return Err(Error::argument(argument(), reason));
        }
        Ok(_) => {}
    }
    let there = NAMES.iter().filter(|name| fs::symlink_metadata(folder.join(name)).is_ok());
    let there: Vec<&str> = there.copied().collect();
    if there.is_empty() {
        return Ok(());
    }
    let reason = format!(
        "holds {} already, and nothing is written over\nname another folder with --output, or move the files away",
        there.join(", ")
    );
    Err(Error::argument(argument(), reason))
}

fn unwritten(folder: &Path, error: &std::io::Error) -> Error {
    let reason =
        format!("the files cannot be written there: {error}\nname another folder with --output");
    Error::unwritable(format!("--output {}", folder.display()), reason, error)
}

/// Writes the files; a folder that is not there appears with all of them. In one that is there they appear one by
/// one, the last of `files` last.
///
/// # Errors
/// As [`check`], and failures of the place: then none of the files is there.
pub fn write(folder: &Path, files: &[(&str, Vec<u8>)]) -> Result<(), Error> {
    check(folder)?;
    let failed = |e: std::io::Error| unwritten(folder, &e);
    if folder.is_dir() {
        return into(folder, files).map_err(failed);
    }
    let parent = folder.parent().filter(|parent| !parent.as_os_str().is_empty());
    let parent = parent.unwrap_or(Path::new("."));
    fs::create_dir_all(parent).map_err(failed)?;
    let name = folder.file_name().unwrap_or_default().to_string_lossy();
    let prefix = format!("{UNFINISHED}{name}-");
    left_by_others(parent, |path, of| {
        path.is_dir() && of.len() == prefix.len() + RANDOM && of.starts_with(&prefix)
    });
    let made = tempfile::Builder::new()
        .prefix(&prefix)
        .rand_bytes(RANDOM)
        .permissions(fs::Permissions::from_mode(0o777))
        .tempdir_in(parent)
        .map_err(failed)?;
    for (name, bytes) in files {
        fs::write(made.path().join(name), bytes).map_err(failed)?;
    }
    fs::rename(made.path(), folder).map_err(failed)?;
    // It is where it was to be, and no temporary folder any more.
    let _ = made.keep();
    Ok(())
}

/// Into a folder that is there: each file whole beside its place first.
fn into(folder: &Path, files: &[(&str, Vec<u8>)]) -> std::io::Result<()> {
    left_by_others(folder, |path, of| {
        path.is_file() && of.len() == UNFINISHED.len() + RANDOM && of.starts_with(UNFINISHED)
    });
    let mut waiting = Vec::with_capacity(files.len());
    for (name, bytes) in files {
        let mut file = tempfile::Builder::new()
            .prefix(UNFINISHED)
            .rand_bytes(RANDOM)
            .permissions(fs::Permissions::from_mode(0o666))
            .tempfile_in(folder)?;
        file.write_all(bytes)?;
        waiting.push((folder.join(name), file));
    }
    let mut placed = Vec::with_capacity(waiting.len());
    for (path, file) in waiting {
        match file.persist_noclobber(&path) {
            Ok(_) => placed.push(path),
            Err(e) => {
                // What is half there is worse than nothing.
                placed.iter().for_each(|path| drop(fs::remove_file(path)));
                return Err(e.error);
            }
        }
    }
    Ok(())
}
