//! Names as rules compare them, whatever way they are written.

/// A path with the words of each name in lower case, parted by `_`: `userIdentity.accessKeyId` is
/// `user_identity.access_key_id`, `@timestamp` is `timestamp`.
pub fn normal(path: &str) -> String {
    let segments: Vec<String> = path.split('.').map(words).collect();
    segments.join(".")
}

fn words(name: &str) -> String {
    let letters: Vec<char> = name.chars().collect();
    let mut out = String::with_capacity(name.len() + 4);
    for (at, letter) in letters.iter().enumerate() {
        if !letter.is_alphanumeric() {
            if !out.is_empty() && !out.ends_with('_') {
                out.push('_');
            }
            continue;
        }
        let before = at.checked_sub(1).and_then(|at| letters.get(at));
        let after = letters.get(at + 1);
        let begins = letter.is_uppercase()
            && before.is_some_and(|before| {
                before.is_lowercase()
                    || before.is_numeric()
                    || (before.is_uppercase() && after.is_some_and(|after| after.is_lowercase()))
            });
        if begins && !out.ends_with('_') {
            out.push('_');
        }
        out.extend(letter.to_lowercase());
    }
    while out.ends_with('_') {
        out.pop();
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_told_in_every_way_of_writing_names() {
        for (name, wanted) in [
            ("eventTime", "event_time"),
            ("TimeGenerated", "time_generated"),
            ("AadTenantId", "aad_tenant_id"),
            ("requestID", "request_id"),
            ("sourceIPAddress", "source_ip_address"),
            ("@timestamp", "timestamp"),
            ("_document_id", "document_id"),
            ("userIdentity.accessKeyId", "user_identity.access_key_id"),
            ("App Id", "app_id"),
            ("http-status", "http_status"),
            ("EVENT_TIME", "event_time"),
            ("", ""),
        ] {
            assert_eq!(normal(name), wanted, "{name}");
        }
    }
}
