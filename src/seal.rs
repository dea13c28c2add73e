//! JSON that proves itself: one bit of it changed, and it is noticed.

use crate::publish::sha256;

/// A JSON object whose last line is the SHA-256 of all before it.
pub fn seal(object: &str) -> String {
    let body = object.trim_end().trim_end_matches('}').trim_end();
    let body = format!("{body},\n");
    let hash = sha256(body.as_bytes());
    format!("{body}\"sha256\": \"{hash}\"}}\n")
}

/// The text, if its last line holds.
///
/// # Errors
/// Where it does not: any bit was changed, the last line end included.
pub fn unseal(bytes: &[u8]) -> Result<&str, String> {
    let text = std::str::from_utf8(bytes).map_err(|e| e.to_string())?;
    let lines = text.strip_suffix('\n').and_then(|text| text.rsplit_once('\n'));
    let (body, last) = lines.ok_or("it has no line with its hash")?;
    let hash = sha256(format!("{body}\n").as_bytes());
    if last != format!("\"sha256\": \"{hash}\"}}") {
        return Err("its hash does not hold".into());
    }
    Ok(text)
}
