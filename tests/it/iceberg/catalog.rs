//! REST catalogs, by a server of this test.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use super::requests;
use super::table::Ice;

const SECRET: &str = "s3cr3t-of-the-client";

/// What was asked: the first line, the bearer of its token, the body.
type Asked = Arc<Mutex<Vec<(String, String, String)>>>;

/// Answers as a catalog does: configuration, tokens, one table. It stays for as long as the tests run.
fn serve(answer: impl Fn(&str) -> (u16, Value) + Send + 'static) -> (u16, Asked) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let asked = Asked::default();
    let heard = asked.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Some(line) = stream.ok().and_then(|stream| reply(stream, &answer)) else {
                continue;
            };
            heard.lock().unwrap().push(line);
        }
    });
    (port, asked)
}

fn reply(
    stream: TcpStream,
    answer: &impl Fn(&str) -> (u16, Value),
) -> Option<(String, String, String)> {
    let mut reader = BufReader::new(stream.try_clone().ok()?);
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let (mut bearer, mut length) = (String::new(), 0);
    loop {
        let mut header = String::new();
        reader.read_line(&mut header).ok()?;
        let (name, value) = match header.trim().split_once(':') {
            Some((name, value)) => (name.to_ascii_lowercase(), value.trim().to_string()),
            None => break,
        };
        match name.as_str() {
            "authorization" => bearer = value,
            "content-length" => length = value.parse().ok()?,
            _ => {}
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    let path = line.split(' ').nth(1)?.to_string();
    let (status, value) = answer(&path);
    let text = value.to_string();
    let mut stream = stream;
    write!(
        stream,
        "HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{text}",
        text.len()
    )
    .ok()?;
    Some((path, bearer, String::from_utf8(body).ok()?))
}

fn with_catalog(table: &Ice, port: u16, more: &str) {
    let keys = format!(
        "[source.catalog]\nuri = \"http://127.0.0.1:{port}/cat\"\ntable = \"n.access\"\n{more}\n[source.columns]"
    );
    table.lake.edit("afterscope.toml", "[source.columns]", &keys);
}

/// The answers of a catalog in which the second version is the current one.
fn catalog_of(table: &Ice) -> impl Fn(&str) -> (u16, Value) + Send + use<> {
    let metadata =
        std::fs::read_to_string(table.lake.path("logs/metadata/v2.metadata.json")).unwrap();
    let metadata: Value = serde_json::from_str(&metadata).unwrap();
    let location = table.address("metadata/v2.metadata.json");
    move |path| match path.split('?').next().unwrap() {
        "/cat/v1/config" => (200, json!({"defaults": {}, "overrides": {"prefix": "wh"}})),
        "/cat/v1/oauth/tokens" => {
            (200, json!({"access_token": "tok", "token_type": "bearer", "expires_in": 60}))
        }
        "/cat/v1/wh/namespaces/n/tables/access" => {
            (200, json!({"metadata-location": location, "metadata": metadata, "config": {}}))
        }
        _ => {
            (404, json!({"error": {"message": "no", "type": "NoSuchTableException", "code": 404}}))
        }
    }
}

#[test]
fn a_catalog_says_which_metadata_is_the_current_one() {
    let table = Ice::standard(2);
    let (port, asked) = serve(catalog_of(&table));
    table.lake.write("credential.txt", &format!("me:{SECRET}\n"));
    with_catalog(&table, port, "credential = \"file:credential.txt\"\nwarehouse = \"lake 1\"");
    // Two of three days: the folder alone would say three.
    assert_eq!(requests(&table.lake, &[]), "5");
    assert_eq!(requests(&table.lake, &["--set", "source.0.snapshot=1001"]), "4");
    let asked = asked.lock().unwrap().clone();
    let paths: Vec<&str> = asked.iter().map(|(path, ..)| path.as_str()).take(3).collect();
    let expected = [
        "/cat/v1/oauth/tokens",
        "/cat/v1/config?warehouse=lake+1",
        "/cat/v1/wh/namespaces/n/tables/access",
    ];
    assert_eq!(paths, expected);
    for part in ["grant_type=client_credentials", "client_id=me", "scope=catalog", SECRET] {
        assert!(asked[0].2.contains(part), "{part}: {}", asked[0].2);
    }
    assert_eq!(asked[2].1, "Bearer tok");
    // Nothing that a run leaves behind or says holds the secret.
    let outcome = table.lake.run(&[]).succeeds();
    let folder = outcome.published().folder;
    let manifest = std::fs::read_to_string(folder.parent().unwrap().join("manifest.json")).unwrap();
    assert!(manifest.contains("file:credential.txt") && !manifest.contains(SECRET));
}

#[test]
fn a_catalog_that_does_not_answer_as_it_should_is_named() {
    let table = Ice::standard(2);
    let (port, _) =
        serve(|_| (503, json!({"error": {"message": "later", "type": "x", "code": 503}})));
    with_catalog(&table, port, "token = \"env:TOKEN\"");
    table.lake.refuses(&[], 1, &["afterscope.toml", "catalog's token", "TOKEN is not set"]);
    table.lake.edit("afterscope.toml", "token = \"env:TOKEN\"", "token = \"file:token.txt\"");
    table.lake.write("token.txt", SECRET);
    let outcome = table.lake.run(&[]).fails(4, &["127.0.0.1", "n.access", "503"]);
    assert!(!outcome.stderr.contains(SECRET), "{}", outcome.stderr);

    let table = Ice::standard(2);
    let (port, _) = serve(catalog_of(&table));
    with_catalog(&table, port, "token = \"file:token.txt\"");
    table.lake.write("token.txt", SECRET);
    table.lake.edit("afterscope.toml", "table = \"n.access\"", "table = \"n.other\"");
    table.lake.refuses(&[], 1, &["does not know the table", "n.other"]);
    table.lake.edit("afterscope.toml", "table = \"n.other\"", "table = \"n.access\"");
    // The table lies where the catalog says, and nowhere else.
    let moved = table.lake.path("moved");
    std::fs::rename(table.lake.path("logs"), &moved).unwrap();
    table.lake.refuses(
        &["--set", "source.0.url=moved"],
        1,
        &["the catalog says that the table lies at"],
    );
    table.lake.edit("afterscope.toml", "http://127.0.0.1", "http://me:pass@127.0.0.1");
    let outcome = table.lake.refuses(&[], 1, &["carries credentials"]);
    assert!(!outcome.stderr.contains("pass@"), "{}", outcome.stderr);
}
