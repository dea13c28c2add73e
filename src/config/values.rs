//! Values that a text stands for.

use std::path::Path;

use super::plan::TimeFormat;
use crate::moment::EpochUnit;
use crate::signature::Signer;

pub fn time_format(text: &str) -> Result<TimeFormat, String> {
    Ok(match text {
        "rfc3339" => TimeFormat::Rfc3339,
        "epoch_s" => TimeFormat::Epoch(EpochUnit::Seconds),
        "epoch_ms" => TimeFormat::Epoch(EpochUnit::Millis),
        "epoch_us" => TimeFormat::Epoch(EpochUnit::Micros),
        "epoch_ns" => TimeFormat::Epoch(EpochUnit::Nanos),
        pattern if pattern.contains('%') => {
            let bad = chrono::format::StrftimeItems::new(pattern)
                .any(|item| matches!(item, chrono::format::Item::Error));
            if bad {
                return Err(format!("the time format \"{pattern}\" has an unknown % sequence"));
            }
            TimeFormat::Pattern(pattern.to_string())
        }
        other => {
            return Err(format!(
                "\"{other}\" is no time format; write rfc3339, epoch_s, epoch_ms, epoch_us, epoch_ns or a strftime pattern"
            ));
        }
    })
}

pub fn parse_range(text: &str) -> Option<(i64, i64)> {
    if let Ok(n) = text.trim().parse() {
        return Some((n, n));
    }
    // A leading minus belongs to the number.
    let dash = text.get(1..)?.find('-')? + 1;
    let (from, to) = (text.get(..dash)?, text.get(dash + 1..)?);
    Some((from.trim().parse().ok()?, to.trim().parse().ok()?))
}

/// Reads a secret that must be hard to guess by reference.
///
/// # Errors
/// As `referenced`, and where it is short.
pub fn secret(
    what: &str,
    reference: &str,
    base: &Path,
    env: &dyn Fn(&str) -> Option<String>,
) -> Result<String, String> {
    let value = referenced(what, reference, base, env)?;
    if value.len() < 16 {
        return Err(format!("the {what} is shorter than 16 bytes; use a random one of 32"));
    }
    Ok(value)
}

/// Reads a secret by reference; neither the secret nor what a variable holds reaches a message.
///
/// # Errors
/// What is wrong with the reference; `what` names the secret.
pub fn referenced(
    what: &str,
    reference: &str,
    base: &Path,
    env: &dyn Fn(&str) -> Option<String>,
) -> Result<String, String> {
    let value = if let Some(name) = reference.strip_prefix("env:") {
        env(name).ok_or_else(|| format!("the {what}'s environment variable {name} is not set"))?
    } else if let Some(path) = reference.strip_prefix("file:") {
        std::fs::read_to_string(base.join(path))
            .map_err(|error| format!("the {what}'s file {path} cannot be read: {error}"))?
            .trim_end()
            .to_string()
    } else {
        return Err(format!("the {what} is given by reference: env:NAME or file:PATH"));
    };
    Ok(value)
}

/// Reads a private key by reference; what it holds reaches no message.
pub fn sign_key(
    reference: &str,
    base: &Path,
    env: &dyn Fn(&str) -> Option<String>,
) -> Result<Signer, String> {
    if reference.contains(['\n', '\r']) || reference.contains("PRIVATE KEY") {
        return Err("a key to sign with is given by reference, not itself: a path, file:PATH or env:NAME (and change it: it stood in the open)".into());
    }
    if let Some(name) = reference.strip_prefix("env:") {
        let pem = env(name)
            .ok_or_else(|| format!("the sign key's environment variable {name} is not set"))?;
        return Signer::from_pem(&pem).map_err(|reason| {
            format!("the sign key in the environment variable {name}: {reason}")
        });
    }
    let path = reference.strip_prefix("file:").unwrap_or(reference);
    let pem = std::fs::read_to_string(base.join(path))
        .map_err(|error| format!("the sign key's file {path} cannot be read: {error}"))?;
    Signer::from_pem(&pem).map_err(|reason| format!("the sign key's file {path}: {reason}"))
}

/// `512MB`, `4GiB`, `1000000`: bytes.
pub fn parse_bytes(text: &str) -> Result<u64, String> {
    let bad = || format!("`{text}` is no amount of memory; write 512MB or 4GiB");
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic() || c == ' ');
    let unit = text.get(digits.len()..).unwrap_or_default().trim();
    let factor: u64 = match unit.to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "kb" | "k" => 1_000,
        "kib" => 1 << 10,
        "mb" | "m" => 1_000_000,
        "mib" => 1 << 20,
        "gb" | "g" => 1_000_000_000,
        "gib" => 1 << 30,
        _ => return Err(bad()),
    };
    let count: f64 = digits.trim().parse().map_err(|_| bad())?;
    let bytes = count * factor as f64;
    if !(1.0..1e18).contains(&bytes) {
        return Err(bad());
    }
    Ok(bytes as u64)
}
