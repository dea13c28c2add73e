//! Who needs which rights: the first run makes tables, the next ones fill them, and readers read.

use super::server::{Postgres, run};
use crate::lake::Lake;

/// What docs/bi.md says of rights, for users of these names.
fn documented() -> String {
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/bi.md")).unwrap();
    let (_, after) = page.split_once("```sql rights\n").unwrap();
    after.split_once("```").unwrap().0.to_string()
}

#[test]
#[ignore = "slow"]
fn each_step_needs_the_rights_that_are_documented_and_no_more() {
    let Some(server) = Postgres::start(&[]) else { return };
    let lake = Lake::standard();
    for name in ["afterscope_owner", "afterscope_writer", "afterscope_reader"] {
        server.user(name);
    }
    let url = |name: &str| server.url(name, "");
    let owner = url("afterscope_owner");
    run(&lake, &owner, &[])
        .fails(1, &["no schema \"afterscope\"", "CREATE SCHEMA", "GRANT USAGE, CREATE"]);
    lake.nothing_is_published();
    let page = documented();
    let (first, then) = page.split_once("-- after the first run").unwrap();
    server.sql("bi", first);
    run(&lake, &owner, &["--as-of", "2019-07-03"]).succeeds();

    let writer = url("afterscope_writer");
    run(&lake, &writer, &[]).fails(1, &["right", "afterscope", "GRANT"]);
    server.sql("bi", &format!("--{then}"));
    run(&lake, &writer, &["--as-of", "2019-07-04"]).succeeds();
    assert_eq!(
        run(&lake, &writer, &["--as-of", "2019-07-04"]).succeeds().json()["database"]["stood"],
        true
    );
    // Of one as_of another run: the one before has to give way.
    lake.edit("scopes.csv", "2019-06-01T00:00:00Z", "2019-06-02T00:00:00Z");
    run(&lake, &writer, &["--as-of", "2019-07-04"]).succeeds();
    lake.edit("scopes.csv", "2019-06-02T00:00:00Z", "2019-06-01T00:00:00Z");
    run(&lake, &writer, &["--as-of", "2019-07-04"]).succeeds();
    // What others put into the schema is none of our business, and nobody needs a right on it.
    server.sql(
        "bi",
        "CREATE TABLE afterscope.a_note (a int); CREATE VIEW afterscope.another AS SELECT 1 AS a",
    );
    run(&lake, &writer, &["--as-of", "2019-07-04"]).succeeds();
    // A table that is new is the owner's to make.
    lake.write("extra.sql", "SELECT scope FROM scopes");
    let extra = ["--set", "report.queries=[\"extra.sql\"]"];
    run(&lake, &writer, &extra).fails(1, &["lacks tables or columns", "let their owner run once"]);
    run(&lake, &owner, &extra).succeeds();

    // What PUBLIC has unless somebody takes it away.
    server.sql("bi", "REVOKE TEMPORARY ON DATABASE bi FROM PUBLIC");
    run(&lake, &writer, &[]).fails(1, &["temporary views", "GRANT TEMPORARY ON DATABASE bi"]);
    server.sql("bi", "GRANT TEMPORARY ON DATABASE bi TO afterscope_writer");
    run(&lake, &writer, &extra).succeeds();

    let as_user = |name: &str, statement: &str| {
        let statement = format!("SET ROLE {name}; {statement}");
        server.psql("bi", &statement).output().unwrap().status.success()
    };
    assert!(as_user("afterscope_reader", "SELECT count(*) FROM afterscope.scope_summary"));
    assert!(as_user("afterscope_reader", "SELECT count(*) FROM afterscope.history_coverage"));
    for (name, statement) in [
        ("afterscope_reader", "DELETE FROM afterscope.runs"),
        (
            "afterscope_reader",
            "INSERT INTO afterscope.history_coverage (run_id, as_of) VALUES ('x', now())",
        ),
        ("afterscope_writer", "DELETE FROM afterscope.runs"),
        ("afterscope_writer", "UPDATE afterscope.history_coverage SET grain = 'x'"),
        ("afterscope_writer", "CREATE TABLE afterscope.more (a int)"),
    ] {
        assert!(!as_user(name, statement), "{name}: {statement}");
    }
    assert_eq!(server.sql("bi", "SELECT count(*) FROM afterscope.runs"), "4");
}
