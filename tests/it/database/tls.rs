//! TLS as sslmode asks for it, against a server that takes nothing else.

use std::path::Path;
use std::process::{Command, Stdio};

use super::server::{BOSS, Postgres, run};
use crate::lake::{Lake, wait_until};

/// A key and a certificate that signs itself, for a name.
fn certificate(folder: &Path, name: &str) {
    let made = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj"])
        .arg(format!("/CN={name}"))
        .args(["-addext", &format!("subjectAltName=DNS:{name}")])
        .args(["-keyout", &format!("{name}.key"), "-out", &format!("{name}.pem")])
        .current_dir(folder)
        .stderr(Stdio::null())
        .status()
        .unwrap();
    assert!(made.success());
}

#[test]
#[ignore = "slow"]
fn a_server_is_trusted_as_sslmode_says() {
    let Some(server) = Postgres::start(&[]) else { return };
    let lake = Lake::standard();
    for name in ["localhost", "stranger"] {
        certificate(server.folder(), name);
        server.give(&server.folder().join(format!("{name}.key")));
    }
    let at = |file: &str| server.folder().join(file).display().to_string();
    server.append(
        "postgresql.auto.conf",
        &format!(
            "ssl = on\nssl_cert_file = '{}'\nssl_key_file = '{}'\n",
            at("localhost.pem"),
            at("localhost.key")
        ),
    );
    // Whoever comes without TLS is turned away.
    let hba = server.folder().join("data/pg_hba.conf");
    std::fs::write(&hba, "hostssl all all 127.0.0.1/32 scram-sha-256\n").unwrap();
    server.give(&hba);
    server.reload();
    let is_on =
        || server.psql("bi", "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()").output();
    wait_until("TLS", || is_on().is_ok_and(|output| output.stdout == b"t\n"));

    let named = |parameters: &str| server.url(BOSS, parameters).replace("127.0.0.1", "localhost");
    let root = |file: &str| format!("&sslrootcert={}", at(file));
    let as_of = ["--as-of", "2019-07-03"];
    for parameters in [
        format!("?sslmode=verify-full{}", root("localhost.pem")),
        format!("?sslmode=verify-ca{}", root("localhost.pem")),
        "?sslmode=require".to_string(),
        "?sslmode=prefer".to_string(),
        String::new(),
    ] {
        run(&lake, &named(&parameters), &as_of).succeeds();
    }
    // By its number it is another name.
    let numbered = |parameters: String| server.url(BOSS, &parameters);
    run(&lake, &numbered(format!("?sslmode=verify-ca{}", root("localhost.pem"))), &as_of)
        .succeeds();
    run(&lake, &numbered(format!("?sslmode=verify-full{}", root("localhost.pem"))), &as_of)
        .fails(1, &["TLS", "certificate", "sslrootcert"]);
    for mode in ["verify-full", "verify-ca", "require"] {
        run(&lake, &named(&format!("?sslmode={mode}{}", root("stranger.pem"))), &as_of)
            .fails(1, &["TLS", "certificate"]);
    }
    run(&lake, &named("?sslmode=verify-full"), &as_of).fails(1, &["TLS", "certificate"]);
    run(&lake, &named("?sslmode=disable"), &as_of).fails(1, &["28000", "pg_hba.conf"]);
}
