//! Values as they are written down: without what looks like the id of a person or a token.

/// What stands for an id.
const ID: &str = "{id}";

/// Segments below which people are named.
const PEOPLE: [&str; 14] = [
    "users",
    "user",
    "members",
    "member",
    "people",
    "person",
    "persons",
    "accounts",
    "account",
    "profiles",
    "profile",
    "customers",
    "employees",
    "contacts",
];

/// Segments that stand below those and name nobody.
const NOBODY: [&str; 6] = ["me", "self", "search", "list", "count", "all"];

/// A call's path with `{id}` for segments that look like ids, tokens or addresses, and for those that stand below a
/// segment that names people.
pub fn template(call: &str) -> String {
    let path = call
        .split_once("://")
        .map_or(call, |(_, rest)| rest.find('/').and_then(|at| rest.get(at..)).unwrap_or_default());
    let path = path.split(['?', '#']).next().unwrap_or_default();
    let begins = if path.starts_with('/') { "/" } else { "" };
    let mut above = String::new();
    let mut segments: Vec<&str> = Vec::new();
    for segment in path.split('/').filter(|segment| !segment.is_empty()) {
        // What follows a semicolon are parameters, such as a session's id.
        let segment = segment.split(';').next().unwrap_or_default();
        let lower = segment.to_lowercase();
        let is_person = PEOPLE.contains(&above.as_str()) && !NOBODY.contains(&lower.as_str());
        above = lower;
        segments.push(if is_person || is_id(segment) { ID } else { segment });
    }
    format!("{begins}{}", segments.join("/"))
}

/// Digits from which on a number in a sentence is taken for an id: those of codes are fewer.
const NUMBER: usize = 6;

/// A text with `{id}` for words that look like addresses of people or tokens, and for long numbers among words.
pub fn masked(text: &str) -> String {
    let is_sentence = text.contains(' ');
    let of = |word: &str| {
        let bare = word.trim_matches(|c: char| c.is_ascii_punctuation());
        let is_number = bare.len() >= NUMBER && bare.chars().all(|c| c.is_ascii_digit());
        let is_id = bare.contains('@') || is_token(bare) || (is_sentence && is_number);
        if is_id { ID.to_string() } else { word.to_string() }
    };
    text.split(' ').map(of).collect::<Vec<_>>().join(" ")
}

fn is_id(segment: &str) -> bool {
    let digits = segment.chars().filter(char::is_ascii_digit).count();
    let is_hex = segment.chars().all(|c| c.is_ascii_hexdigit() || c == '-');
    digits == segment.len()
        || (is_hex && segment.len() >= 8 && digits > 0)
        || segment.contains('@')
        || segment.contains("%40")
        || is_token(segment)
}

/// Characters from which on a word of mixed letters and digits is taken for a token.
const TOKEN: usize = 20;

/// Long, of letters in both cases and digits, as random texts are: a JWT, a key, a session.
fn is_token(word: &str) -> bool {
    let is_of = |c: char| c.is_ascii_alphanumeric() || "-_.~+=:".contains(c);
    let digits = word.chars().filter(char::is_ascii_digit).count();
    let has = |is: fn(&char) -> bool| word.chars().any(|c| is(&c));
    let is_mixed = has(char::is_ascii_lowercase) && has(char::is_ascii_uppercase);
    word.len() >= TOKEN
        && word.chars().all(is_of)
        && digits >= 3
        && (is_mixed || digits * 4 >= word.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_that_look_like_ids_are_open() {
        for (call, wanted) in [
            (
                "https://graph.example.com//v1.0/groups/42/members?$top=5",
                "/v1.0/groups/{id}/members",
            ),
            ("/users/ada@example.com/mail/", "/users/{id}/mail"),
            ("/g/9d2f0b1e-6d4b-4f0e-8b8e-000000000001", "/g/{id}"),
            ("ListBuckets", "ListBuckets"),
            ("/cafe/facade", "/cafe/facade"),
            ("/v1/users/o.brien/mail", "/v1/users/{id}/mail"),
            ("/v1/users/ada%40example.com", "/v1/users/{id}"),
            ("/groups/7/Members/ada", "/groups/{id}/Members/{id}"),
            ("/v1/users/me/mail", "/v1/users/me/mail"),
            ("/v1/groups;jsessionid=SECRET?x=1", "/v1/groups"),
            ("/reset/eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abc", "/reset/{id}"),
            ("/v1/listAllCustomerInvitations", "/v1/listAllCustomerInvitations"),
            ("https://example.com", ""),
        ] {
            assert_eq!(template(call), wanted, "{call}");
        }
    }

    #[test]
    fn outcomes_name_nobody() {
        for (text, wanted) in [
            ("no right for <ada@example.com>, ever", "no right for {id} ever"),
            ("expired: eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abc", "expired: {id}"),
            ("AccessDeniedException", "AccessDeniedException"),
            ("no right for user 1002003, code 50105", "no right for user {id} code 50105"),
            ("1002003", "1002003"),
            ("Client.UnauthorizedOperation", "Client.UnauthorizedOperation"),
        ] {
            assert_eq!(masked(text), wanted);
        }
    }
}
