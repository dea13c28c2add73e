//! `afterscope schema`.

use std::fmt::Write;

use serde_json::json;

use super::args::{SchemaArgs, SchemaKind};
use super::{Failure, print_bytes};
use crate::config::shape;
use crate::impact::{FRAMES, FRAMES_VERSION, TableSpec, built_in, notification_list, specs};

pub fn run(args: &SchemaArgs) -> Result<(), Failure> {
    let text = match (args.what, args.markdown) {
        (SchemaKind::Config, false) => pretty(&shape::schema()),
        (SchemaKind::Config, true) => super::reference::configuration(&shape::schema()),
        (SchemaKind::Tables, markdown) => {
            if markdown {
                tables(&specs()?)
            } else {
                let of_runs: Vec<TableSpec> =
                    built_in()?.into_iter().filter_map(|q| q.spec).collect();
                pretty(&json!({ "tables": of_runs, "notification_list": notification_list()? }))
            }
        }
        (SchemaKind::Frames, true) => frames(),
        (SchemaKind::Frames, false) => {
            let frames: Vec<_> = FRAMES
                .iter()
                .map(|f| {
                    let columns: Vec<_> = f
                        .columns()
                        .map(|(name, data_type, unit, meaning)| {
                            json!({ "name": name, "type": data_type, "unit": unit, "meaning": meaning })
                        })
                        .collect();
                    json!({ "name": f.name, "about": f.about, "columns": columns })
                })
                .collect();
            pretty(&json!({ "version": FRAMES_VERSION, "frames": frames }))
        }
    };
    print_bytes(text.as_bytes())
}

fn pretty(value: &serde_json::Value) -> String {
    let mut text = serde_json::to_string_pretty(value).unwrap_or_default();
    text.push('\n');
    text
}

fn tables(specs: &[TableSpec]) -> String {
    let mut out = String::from(
        "# Tables\n\n<!-- Generated: afterscope schema tables --markdown. Do not edit. -->\n\n\
         Each table is `runs/<run_id>/tables/<table>.parquet` and `.csv`, and the latest one \
         `latest/<table>.parquet`. Times are UTC. Rows are sorted by the key, nulls first. Totals \
         carry `(all)`; a real id that reads like it has a backslash in front. In CSV a formula has a quote \
         mark in front and a hidden character stands as its number, `[U+001B]`; Parquet has texts as they \
         are. `notification_list` is none \
         of a run's: `afterscope notification-list` writes it to a place of its own.\n",
    );
    for spec in specs {
        // Writing to a String cannot fail.
        let _ = write!(
            out,
            "\n## {}\n\n{}\n\nUnique key: {}\n\n| column | type | unit | meaning |\n|---|---|---|---|\n",
            spec.name,
            spec.about,
            spec.key.iter().map(|k| format!("`{k}`")).collect::<Vec<_>>().join(", ")
        );
        for c in &spec.columns {
            let _ = writeln!(
                out,
                "| `{}` | {} | {} | {} |",
                c.name,
                c.data_type.name(),
                c.unit,
                c.meaning
            );
        }
    }
    out
}

fn frames() -> String {
    let mut out = format!(
        "# Frames\n\n<!-- Generated: afterscope schema frames --markdown. Do not edit. -->\n\n\
         What the queries of the tables read, and your own (`[report] queries`). Version \
         {FRAMES_VERSION}. Timestamps are in microseconds, UTC.\n"
    );
    for frame in FRAMES {
        let _ = write!(
            out,
            "\n## {}\n\n{}\n\n| column | type | unit | meaning |\n|---|---|---|---|\n",
            frame.name, frame.about
        );
        for (name, data_type, unit, meaning) in frame.columns() {
            let _ = writeln!(out, "| `{name}` | {data_type} | {unit} | {meaning} |");
        }
    }
    out
}
