//! Ed25519 signatures: made, demanded, and what happens to a run that stood unsigned.

use std::fs;
use std::process::Command;

use super::{differs, holds, run_folder};
use crate::lake::{Lake, skipped};

/// The key of RFC 8032, 7.1, test 1, and another.
const KEY: &str = "-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g
-----END PRIVATE KEY-----
";
const PUBLIC: &str = "-----BEGIN PUBLIC KEY-----
MCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=
-----END PUBLIC KEY-----
";
const PUBLIC_HEX: &str = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";
const OTHER_KEY: &str = "-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEIEzNCJso/5baLbNpqO/4nGlF/I/Y/4MLjPxBFKuemKp7
-----END PRIVATE KEY-----
";

pub fn write_keys(lake: &Lake) {
    lake.write("key.pem", KEY);
    lake.write("public.pem", PUBLIC);
}

fn lake_with_keys() -> Lake {
    let lake = Lake::standard();
    write_keys(&lake);
    lake
}

#[test]
fn a_signed_run_is_signed_by_the_key_and_by_no_other() {
    let lake = lake_with_keys();
    lake.publishes(&["--sign-key", "key.pem"]);
    assert_eq!(holds(&lake, &["out", "--public-key", "public.pem"])["signed_by"], PUBLIC_HEX);
    assert_eq!(holds(&lake, &["out"])["signed_by"], PUBLIC_HEX);

    let other = Lake::standard();
    other.write("key.pem", OTHER_KEY);
    other.write("public.pem", PUBLIC);
    other.publishes(&["--sign-key", "key.pem"]);
    holds(&other, &["out"]);
    let says = ["is a signature by the key", "not by the one that was asked for"];
    differs(&other.afterscope(&["verify", "out", "--public-key", "public.pem"]), &says);
}

#[test]
fn a_signature_that_is_missing_or_of_another_manifest_is_named() {
    let lake = lake_with_keys();
    lake.publishes(&[]);
    let demand = ["verify", "out", "--public-key", "public.pem"];
    differs(&lake.afterscope(&demand), &["manifest.json.sig is missing: the run is not signed"]);
    lake.publishes(&["--as-of", "2019-10-01", "--sign-key", "key.pem"]);
    holds(&lake, &demand[1..]);
    let folder = run_folder(&lake);
    let before = lake.path("out/runs").read_dir().unwrap().map(|e| e.unwrap().path());
    let before = before.into_iter().find(|path| *path != folder).unwrap();
    fs::copy(folder.join("manifest.json.sig"), before.join("manifest.json.sig")).unwrap();
    let outcome = lake.afterscope(&["verify", before.to_str().unwrap()]);
    differs(&outcome, &["manifest.json.sig is no signature of this manifest"]);
}

#[test]
fn a_key_is_given_by_flag_configuration_or_environment_and_never_shown() {
    let secret = KEY.lines().nth(1).unwrap();
    let lake = lake_with_keys();
    lake.edit("afterscope.toml", "url = \"out/\"", "url = \"out/\"\nsign_key = \"env:SIGN_KEY\"");
    lake.run(&[]).fails(1, &["afterscope.toml:24", "environment variable SIGN_KEY is not set"]);
    let mut command = lake.command(&crate::lake::run_args(&["-v"]));
    let outcome = crate::lake::Outcome::of(&lake, command.env("SIGN_KEY", KEY).output().unwrap());
    let outcome = outcome.succeeds();
    assert!(!format!("{outcome:?}").contains(secret));
    assert_eq!(holds(&lake, &["out"])["signed_by"], PUBLIC_HEX);
    for (name, _) in lake.files() {
        let bytes = fs::read(lake.path(&name)).unwrap();
        let found = bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
        assert_eq!(found, name == "key.pem", "{name}");
    }
    // What looks at things needs no key.
    lake.afterscope(&["state", "show", "--config", "afterscope.toml"]).succeeds();

    let lake = lake_with_keys();
    let config = "url = \"out/\"\nsign_key = \"file:key.pem\"";
    lake.edit("afterscope.toml", "url = \"out/\"", config);
    lake.publishes(&[]);
    assert_eq!(holds(&lake, &["out"])["signed_by"], PUBLIC_HEX);
}

#[test]
fn what_is_no_key_is_refused_before_anything_is_read_and_not_repeated() {
    let lake = lake_with_keys();
    let secret = KEY.lines().nth(1).unwrap();
    lake.write("broken.pem", &KEY.replacen("MC4C", "MC5C", 1));
    let inline = format!("output.sign_key={:?}", KEY);
    for args in [
        ["--sign-key", "none.pem"],
        ["--sign-key", "broken.pem"],
        ["--sign-key", "public.pem"],
        ["--sign-key", "apps.csv"],
        ["--set", inline.as_str()],
    ] {
        let outcome = lake.refuses(&args, 1, &["sign"]);
        assert!(!outcome.stderr.contains(secret.get(8..).unwrap()), "{}", outcome.stderr);
    }
    lake.publishes(&[]);
    let args = ["verify", "out", "--public-key", "key.pem"];
    lake.afterscope(&args).fails(1, &["key.pem", "no Ed25519 public key"]);
}

#[test]
fn a_run_that_stands_unsigned_is_counted_again_before_it_is_signed() {
    let lake = lake_with_keys();
    let first = lake.run(&[]).succeeds().json();
    let before = fs::read(run_folder(&lake).join("manifest.json")).unwrap();
    let signed = lake.run(&["--sign-key", "key.pem"]).succeeds().json();
    assert_eq!((&signed["run_id"], &signed["reused"]), (&first["run_id"], &false.into()));
    // It says the same, so that the manifest stays, and who has its hash still has it.
    assert_eq!(before, fs::read(run_folder(&lake).join("manifest.json")).unwrap());
    assert_eq!(holds(&lake, &["out", "--public-key", "public.pem"])["signed_by"], PUBLIC_HEX);
    // Signed by this key it is used again; without a key as well, and its signature stays.
    for args in [&["--sign-key", "key.pem"][..], &[]] {
        assert_eq!(lake.run(args).succeeds().json()["reused"], true);
        holds(&lake, &["out", "--public-key", "public.pem"]);
    }
}

#[test]
fn figures_that_were_forged_while_they_stood_unsigned_are_not_signed() {
    let lake = lake_with_keys();
    let good = lake.publishes(&[]).bytes();
    super::forged::forge(&lake);
    assert_ne!(good, crate::lake::bytes_below(&run_folder(&lake).join("tables")));
    lake.publishes(&["--sign-key", "key.pem"]);
    crate::lake::assert_same(&good, &crate::lake::bytes_below(&run_folder(&lake).join("tables")));
    holds(&lake, &["out", "--public-key", "public.pem"]);
}

#[test]
fn a_damaged_signature_is_noticed_by_the_next_run() {
    let lake = lake_with_keys();
    lake.publishes(&["--sign-key", "key.pem"]);
    let path = run_folder(&lake).join("manifest.json.sig");
    let good = fs::read(&path).unwrap();
    fs::write(&path, "{}").unwrap();
    let outcome = lake.run(&[]).succeeds();
    assert!(outcome.stderr.contains("its signature"), "{}", outcome.stderr);
    assert_eq!(outcome.json()["reused"], false);
    // This run has no key: it stands unsigned, and holds.
    assert!(!path.exists());
    assert_eq!(holds(&lake, &["out"])["signed_by"], serde_json::Value::Null);
    lake.publishes(&["--sign-key", "key.pem"]);
    assert_eq!(fs::read(&path).unwrap().len(), good.len());
    holds(&lake, &["out", "--public-key", "public.pem"]);
}

/// The commands of docs/verify.md.
#[test]
fn openssl_makes_keys_and_agrees_with_the_signature() {
    let openssl = |lake: &Lake, args: &[&str]| {
        let outcome = Command::new("openssl").args(args).current_dir(lake.path("")).output();
        outcome.ok().map(|outcome| (outcome.status.success(), outcome.stdout))
    };
    let lake = Lake::standard();
    let made = openssl(&lake, &["genpkey", "-algorithm", "ed25519", "-out", "k.pem"]);
    let Some((true, _)) = made else {
        skipped("openssl is not there, or knows no Ed25519");
        return;
    };
    openssl(&lake, &["pkey", "-in", "k.pem", "-pubout", "-out", "p.pem"]).unwrap();
    lake.publishes(&["--sign-key", "k.pem"]);
    holds(&lake, &["out", "--public-key", "p.pem"]);
    let file: serde_json::Value =
        serde_json::from_slice(&fs::read(run_folder(&lake).join("manifest.json.sig")).unwrap())
            .unwrap();
    let text = file["signature"].as_str().unwrap();
    let raw: Vec<u8> =
        (0..64).map(|i| u8::from_str_radix(&text[i * 2..i * 2 + 2], 16).unwrap()).collect();
    fs::write(lake.path("sig.bin"), raw).unwrap();
    let manifest = run_folder(&lake).join("manifest.json");
    let manifest = manifest.to_str().unwrap();
    let args = ["pkeyutl", "-verify", "-pubin", "-inkey", "p.pem", "-rawin", "-in", manifest];
    let args: Vec<&str> = args.into_iter().chain(["-sigfile", "sig.bin"]).collect();
    assert!(openssl(&lake, &args).unwrap().0);
    lake.write("other.json", "{}");
    let mut wrong = args.clone();
    wrong[7] = "other.json";
    assert!(!openssl(&lake, &wrong).unwrap().0);
}

#[test]
fn a_key_that_stands_where_its_reference_should_is_not_repeated() {
    let lake = Lake::standard();
    let secret = KEY.lines().nth(1).unwrap();
    for flag in ["--sign-key", "--id-key"] {
        let outcome = lake.run(&[flag, KEY]).fails(1, &["reference"]);
        assert!(!outcome.stderr.contains(secret) && !outcome.stdout.contains(secret), "{flag}");
    }
}
