//! The generated pages are what the program would generate.

use std::path::Path;

use crate::lake::Lake;

fn is_generated(page: &str, what: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs").join(page);
    let written = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("docs/{page}: {e}"));
    let lake = Lake::empty();
    let printed = lake.afterscope(&["schema", what, "--markdown"]).succeeds().stdout;
    assert!(written == printed, "docs/{page} is out of date: run `make docs`");
}

#[test]
fn the_page_of_tables_is_what_the_program_says() {
    is_generated("tables.md", "tables");
}

#[test]
fn the_page_of_frames_is_what_the_program_says() {
    is_generated("frames.md", "frames");
}

#[test]
fn the_page_of_configuration_keys_is_what_the_program_says() {
    is_generated("configuration-keys.md", "config");
}
