//! What keeps a run out of the database is told by name, with the next step; the database stays as it was.

use std::net::TcpListener;
use std::process::Stdio;

use super::server::{self, BOSS, Postgres, run};
use super::{SCHEMA, run_id, run_sample};
use crate::disk::Disk;
use crate::lake::{Lake, call, signal, wait_until};

#[test]
#[ignore = "slow"]
fn what_is_wrong_with_address_or_schema_is_found_before_anything_is_read() {
    let Some(server) = Postgres::start(&[]) else { return };
    let lake = Lake::standard();
    let url = server.url(BOSS, "");
    let at = format!("PostgreSQL at 127.0.0.1:{}, database bi", server.port);
    let wrong = format!("postgresql://{BOSS}:hunter2@127.0.0.1:{}/bi", server.port);
    let refused = run(&lake, &wrong, &[]).fails(1, &[&at, "28P01", "password", "pg_hba.conf"]);
    assert!(!refused.stderr.contains("hunter2"));
    run(&lake, &url.replace("/bi", "/nowhere"), &[])
        .fails(1, &["database nowhere", "3D000", "no such database"]);
    run(&lake, &server.url(BOSS, "?sslmode=require"), &[])
        .fails(1, &[&at, "TLS", "does not support TLS"]);
    run(&lake, &server.url(BOSS, "?sslmode=verify-full&sslrootcert=nowhere.pem"), &[])
        .fails(1, &["sslrootcert", "nowhere.pem"]);
    run(&lake, "mysql://hunter2@host/bi", &[]).fails(1, &["output.postgres.url", "postgresql://"]);
    let unset = ["--set", "output.postgres.url=env:NOT_SET_ANYWHERE"];
    run(&lake, &url, &unset).fails(1, &["NOT_SET_ANYWHERE", "not set"]);
    let itself = format!("output.postgres.url={url}");
    lake.run(&["--set", &itself]).fails(1, &["by reference", "env:NAME or file:PATH"]);
    run(&lake, &url, &["--as-of", "2019-07-03T00:00:00.0000001Z"]).fails(1, &["microsecond"]);
    lake.write("runs.sql", "SELECT scope FROM scopes");
    run(&lake, &url, &["--set", "report.queries=[\"runs.sql\"]"]).fails(1, &["`runs`", "rename"]);

    server.sql("bi", "CREATE SCHEMA other; CREATE TABLE other.theirs (a int)");
    run(&lake, &url, &["--set", "output.postgres.schema=other"])
        .fails(1, &["\"other\"", "did not make", "theirs", "output.postgres.schema"]);
    server.sql("bi", "ALTER DATABASE bi SET default_transaction_read_only = on");
    run(&lake, &url, &[]).fails(1, &["takes no writes"]);
    server.sql(
        "bi",
        "BEGIN READ WRITE; ALTER DATABASE bi RESET default_transaction_read_only; COMMIT",
    );
    server.sql("postgres", "CREATE DATABASE latin ENCODING 'LATIN1' TEMPLATE template0 LOCALE 'C'");
    run(&lake, &url.replace("/bi", "/latin"), &[]).fails(1, &["LATIN1", "UTF8"]);
    // Nothing of this came as far as the log.
    lake.nothing_is_published();
    assert_eq!(
        server.sql("bi", "SELECT count(*) FROM pg_namespace WHERE nspname = 'afterscope'"),
        "0"
    );
}

#[test]
#[ignore = "slow"]
fn a_database_that_is_down_keeps_nothing_from_being_published() {
    let Some(server) = Postgres::start(&[]) else { return };
    let lake = Lake::standard();
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let url = server.url(BOSS, "");
    let down = url.replace(&server.port.to_string(), &nobody.to_string());
    let failed = run(&lake, &down, &[]).fails(
        4,
        &[
            "warning:",
            "the run goes on",
            "cannot be reached",
            "stands published in",
            "counts nothing again",
        ],
    );
    let id = lake.json("out/latest.json")["run_id"].as_str().unwrap().to_string();
    assert!(failed.stderr.contains(&id), "{}", failed.stderr);
    // The same command, once it is up.
    let again = run(&lake, &url, &[]).succeeds();
    let line = again.json();
    assert_eq!(
        (run_id(&again), &line["reused"], &line["database"]["stood"]),
        (id, &true.into(), &false.into())
    );
}

#[test]
#[ignore = "slow"]
fn another_output_and_other_content_are_refused_by_name() {
    let Some(server) = Postgres::start(&[]) else { return };
    let lake = Lake::standard();
    let url = server.url(BOSS, "");
    let id = run_id(&run(&lake, &url, &[]).succeeds());
    run(&lake, &url, &["--output", "elsewhere"])
        .fails(1, &["/elsewhere", "/out", "--no-database", "output.postgres.schema"]);
    run(&lake, &url, &["--output", "elsewhere", "--no-database"]).succeeds();

    let before = server.dump(SCHEMA);
    server.sql("bi", "UPDATE afterscope.run_tables SET sha256 = 'x' WHERE table_name = 'coverage'");
    run(&lake, &url, &[]).fails(3, &[&id, "other tables", "coverage", "DELETE FROM"]);
    server.sql("bi", "UPDATE afterscope.run_tables SET sha256 = 'x' WHERE table_name = 'coverage'");
    server.sql("bi", &format!("DELETE FROM afterscope.runs WHERE run_id = '{id}'"));
    run(&lake, &url, &[]).succeeds();
    assert_eq!(server.dump(SCHEMA).lines().count(), before.lines().count());

    server.sql("bi", "DELETE FROM afterscope.history_coverage WHERE grain = 'all'");
    run(&lake, &url, &[]).fails(3, &["history_coverage", "4 rows", "5 were put in", "by hand"]);
    server.sql("bi", "UPDATE afterscope.afterscope_layout SET layout = 2");
    run(&lake, &url, &["--as-of", "2019-07-03"]).fails(1, &["another version", "layout 2"]);
}

/// What another machine with the same local path looks like.
#[test]
#[ignore = "slow"]
fn a_latest_run_that_the_output_does_not_have_is_a_warning() {
    let Some(server) = Postgres::start(&[]) else { return };
    let lake = Lake::standard();
    let url = server.url(BOSS, "");
    let id = run_id(&run(&lake, &url, &["--as-of", "2019-07-03"]).succeeds());
    let says = format!("warning: run {id} was the latest in schema \"afterscope\"");
    let next = run(&lake, &url, &["--as-of", "2019-07-02"]).succeeds();
    assert!(!next.stderr.contains("was the latest"), "{}", next.stderr);
    std::fs::remove_dir_all(lake.path("out")).unwrap();
    let next = run(&lake, &url, &[]).succeeds();
    assert!(next.stderr.contains(&says) && next.stderr.contains("another machine"), "{next:?}");
    let next = run(&lake, &url, &["--as-of", "2019-07-04"]).succeeds();
    assert!(!next.stderr.contains("was the latest"), "{}", next.stderr);
}

#[test]
#[ignore = "slow"]
fn a_lock_that_somebody_holds_is_waited_for_and_no_longer_than_allowed() {
    let Some(server) = Postgres::start(&[]) else { return };
    let lake = Lake::standard();
    let url = server.url(BOSS, "");
    run(&lake, &url, &["--as-of", "2019-07-03"]).succeeds();
    let before = server.dump(SCHEMA);
    let holding = |seconds: u32| {
        let held = format!(
            "BEGIN; LOCK TABLE afterscope.history_coverage IN ACCESS EXCLUSIVE MODE; SELECT pg_sleep({seconds})"
        );
        let holder = server.psql("bi", &held).stdout(Stdio::null()).spawn().unwrap();
        let granted = "SELECT count(*) FROM pg_locks WHERE relation = 'afterscope.history_coverage'::regclass AND mode = 'AccessExclusiveLock' AND granted";
        wait_until("the lock", || server.sql("bi", granted) == "1");
        holder
    };
    let mut holder = holding(600);
    let short = ["--set", "output.postgres.lock_timeout=1s"];
    run(&lake, &url, &short)
        .fails(4, &["55P03", "lock_timeout", "history_coverage", "stands published"]);

    // A signal ends the wait, and leaves nothing behind.
    let child = server::command(&lake, &url, &[]).spawn().unwrap();
    let waits = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'afterscope' AND wait_event_type = 'Lock'";
    wait_until("the run to wait", || server.sql("bi", waits) == "1");
    signal("TERM", child.id());
    let output = child.wait_with_output().unwrap();
    crate::lake::Outcome::of(&lake, output).fails(143, &["interrupted"]);
    wait_until("nobody to wait", || server.sql("bi", waits) == "0");
    // Neither does a death, once the lock is free.
    let mut child = server::command(&lake, &url, &[]).spawn().unwrap();
    wait_until("the run to wait", || server.sql("bi", waits) == "1");
    child.kill().unwrap();
    child.wait().unwrap();
    server.sql("bi", "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(600)%' AND pid <> pg_backend_pid()");
    holder.wait().unwrap();
    wait_until("the dead to be noticed", || {
        server.sql(
            "bi",
            "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'afterscope'",
        ) == "0"
    });
    assert!(server.dump(SCHEMA) == before, "something changed");

    let mut holder = holding(2);
    assert_eq!(run(&lake, &url, &[]).succeeds().json()["database"]["stood"], false);
    holder.wait().unwrap();
}

#[test]
#[ignore = "slow"]
fn a_server_without_room_is_told_and_stays_as_it_was() {
    let Some(server) = Postgres::start(&[]) else { return };
    let lake = Lake::empty();
    let small = server.folder().join("small");
    let owner = server::server_user().map_or(0, |(user, _)| user);
    let Some(disk) = Disk::mount(small.clone(), &format!("size=8m,uid={owner},mode=0700")) else {
        return;
    };
    let space = small.join("space");
    std::fs::create_dir(&space).unwrap();
    std::os::unix::fs::chown(&space, Some(owner), None).unwrap();
    server.sql("bi", &format!("CREATE TABLESPACE small LOCATION '{}'", space.display()));
    server.sql("bi", "ALTER DATABASE bi SET default_tablespace = small");
    run_sample(&lake, &server, "2018-06-01").succeeds();
    let before = server.dump(SCHEMA);
    disk.leave(0);
    run_sample(&lake, &server, "2019-11-06")
        .fails(4, &["53100", "disk is full", "stands published"]);
    assert_eq!(server.dump(SCHEMA), before);
    std::fs::remove_file(small.join("ballast")).unwrap();
    run_sample(&lake, &server, "2019-11-06").succeeds();
    // Nothing may lie in it when it goes.
    drop(server);
    drop(disk);
}

/// What others have put under the system's names, into a schema that is looked at first (CVE-2018-1058).
#[test]
#[ignore = "slow"]
fn nothing_of_others_is_called_and_settings_of_the_database_do_not_matter() {
    let Some(server) = Postgres::start(&[]) else { return };
    let lake = Lake::standard();
    server.sql("bi", "CREATE TABLE public.called (at integer)");
    server.sql(
        "bi",
        "CREATE FUNCTION public.hashtextextended(text, integer) RETURNS bigint LANGUAGE plpgsql AS
         'BEGIN INSERT INTO public.called VALUES (1); RETURN 0; END'",
    );
    server.sql("bi", "ALTER DATABASE bi SET quote_all_identifiers = on");
    let url = server.url(BOSS, "");
    run(&lake, &url, &["--as-of", "2019-07-20"]).succeeds();
    run(&lake, &url, &[]).succeeds();
    assert_eq!(server.sql("bi", "SELECT count(*) FROM public.called"), "0");
}

/// Ids come from logs: one of any length, or with a character that no text of a database holds, keeps no run out.
#[test]
#[ignore = "slow"]
fn ids_of_any_length_and_kind_come_in() {
    let Some(server) = Postgres::start(&[]) else { return };
    let lake = Lake::standard();
    // No two characters after one another are alike, so that nothing of it can be compressed away.
    let mut state = 1_u32;
    let long: String = std::iter::repeat_with(|| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        char::from(b'!' + u8::try_from((state >> 24) % 90).unwrap())
    })
    .take(4000)
    .collect();
    let calls = [long.as_str(), "nul\0x", "nul[U+0000]x"].map(|app| {
        let mut call = call("2019-07-02T08:00:00Z", app, 1);
        call.status = 403;
        call
    });
    lake.log("logs/hostile.parquet", &calls);
    run(&lake, &server.url(BOSS, ""), &[]).succeeds();
    let denied = "SELECT count(*) FROM afterscope.app_scope_exposure WHERE grain = 'app' AND requests_denied = 1 AND (length(app_id) = 4000 OR app_id = 'nul[U+0000]x')";
    assert_eq!(server.sql("bi", denied), "3");
}

#[test]
fn a_server_that_takes_the_connection_and_says_nothing_ends_the_run_with_4() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = silent.local_addr().unwrap().port();
    let url = format!("postgresql://boss:x@127.0.0.1:{port}/bi?connect_timeout=2&sslmode=disable");
    let lake = Lake::standard();
    let says = ["the server has not answered for 2 seconds", "counts nothing again"];
    run(&lake, &url, &[]).fails(4, &says);
    assert!(lake.path("out/latest.json").exists());
}
