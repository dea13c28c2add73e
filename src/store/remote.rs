//! A place in a service, as its address names it.

use std::fmt;

use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, utf8_percent_encode};

use super::service::{SERVICES, Service};

/// A container of a service, and a key in it. Nothing of it is a secret.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Remote {
    pub service: &'static Service,
    /// The container as its address is shown: `s3://bucket`, `https://host:8080`.
    pub root: String,
    /// Bucket or container; host and port of an HTTP server.
    pub container: String,
    /// Azure's storage account, where the address names it.
    pub account: Option<Account>,
    /// Not escaped, whatever the address was.
    pub key: String,
}

/// A storage account of Azure.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Account {
    pub name: String,
    /// Whether it is one of Microsoft Fabric.
    pub fabric: bool,
}

/// An address, taken apart.
#[derive(Clone, Copy, Debug)]
pub struct Written<'a> {
    pub scheme: &'a str,
    /// What stands between `://` and the next slash.
    pub authority: &'a str,
    /// What follows that slash.
    pub path: &'a str,
}

/// What is not itself in an address's path.
const ESCAPED: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'%')
    .add(b'<')
    .add(b'>')
    .add(b'?')
    .add(b'[')
    .add(b'\\')
    .add(b']')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}');

impl Remote {
    /// Reads an address.
    ///
    /// # Errors
    /// What is wrong with it; nothing that may be a secret is repeated.
    pub fn parse(scheme: &str, rest: &str) -> Result<Self, String> {
        let known: Vec<&'static Service> =
            SERVICES.into_iter().filter(|service| service.schemes.contains(&scheme)).collect();
        if known.is_empty() {
            return Err(format!(
                "`{scheme}://` is no known kind of address; write a path, file://, s3://, az://, gs:// or https://"
            ));
        }
        let escaped = known.iter().any(|service| service.escaped);
        // What follows `?` may be a signature; a key that holds one of the two is reached by its folder.
        if rest.contains(['?', '#']) {
            return Err(format!(
                "the {scheme}:// address takes no ? or #; options stand in `store`{}",
                if escaped { ", and characters of a name as %3F and %23" } else { "" }
            ));
        }
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let written = Written { scheme, authority, path };
        let located = known.into_iter().find_map(|service| {
            (service.locate)(written).transpose().map(|place| (service, place))
        });
        let Some((service, place)) = located else {
            return Err(format!("the {scheme}:// address names no known service"));
        };
        let place = place?;
        let key = if service.escaped { decoded(&place.key)? } else { place.key };
        Ok(Self {
            service,
            root: place.root,
            container: place.container,
            account: place.account,
            key,
        })
    }

    /// The same container with another key.
    pub fn at(&self, key: String) -> Self {
        Self { key, ..self.clone() }
    }

    /// Whether the two may be one container: an account that an address leaves out may be any.
    pub fn shares_container(&self, other: &Self) -> bool {
        let accounts = self.account.as_ref().zip(other.account.as_ref());
        self.service == other.service
            && self.container == other.container
            && accounts.is_none_or(|(own, other)| own == other)
    }
}

impl fmt::Display for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.root, self.service.shown(&self.key))
    }
}

impl Service {
    /// A key as an address of this service has it.
    pub fn shown(&self, key: &str) -> String {
        if self.escaped { utf8_percent_encode(key, ESCAPED).to_string() } else { key.to_string() }
    }

    /// A key as [`Self::shown`] shows it, as it is.
    pub fn unshown(&self, key: &str) -> String {
        if self.escaped { decoded(key).unwrap_or_default() } else { key.to_string() }
    }
}

/// What a service makes of an address.
#[derive(Clone, Debug)]
pub struct Located {
    pub root: String,
    pub container: String,
    pub account: Option<Account>,
    pub key: String,
}

impl Written<'_> {
    /// The plainest form: `scheme://container/key`.
    ///
    /// # Errors
    /// Credentials in the address, or no container.
    pub fn container(&self, shown_scheme: &str, example: &str) -> Result<Located, String> {
        self.without_credentials("credentials come from the environment")?;
        if self.authority.is_empty() {
            let scheme = self.scheme;
            return Err(format!("the {scheme}:// address names no bucket; write {example}"));
        }
        Ok(Located {
            root: format!("{shown_scheme}://{}", self.authority),
            container: self.authority.to_string(),
            account: None,
            key: self.path.to_string(),
        })
    }

    /// # Errors
    /// An address that carries credentials, which are not repeated.
    pub fn without_credentials(&self, instead: &str) -> Result<(), String> {
        if !self.authority.contains('@') {
            return Ok(());
        }
        let scheme = self.scheme;
        Err(format!(
            "the {scheme}:// address carries credentials; take them out (and change them: they \
             stood in a file); {instead}"
        ))
    }
}

fn decoded(key: &str) -> Result<String, String> {
    if key.to_ascii_lowercase().contains("%2f") {
        return Err("a name with a slash in it (%2F) cannot be reached; rename the file".into());
    }
    let decoded = percent_decode_str(key).decode_utf8();
    decoded.map(Into::into).map_err(|_| "the address's % escapes are no UTF-8".to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(scheme: &str, rest: &str) -> Result<String, String> {
        Remote::parse(scheme, rest).map(|place| place.to_string())
    }

    #[test]
    fn an_address_is_shown_so_that_it_leads_to_the_same_place() {
        for (address, key) in [
            ("s3://bucket/a%20b/c d", "a%20b/c d"),
            ("gs://bucket/dt=1/", "dt=1/"),
            ("https://host:8080/a%20b/50%25/%C3%BC.parquet", "a b/50%/ü.parquet"),
            ("http://host/dt=1/a+b,c;d@e", "dt=1/a+b,c;d@e"),
        ] {
            let (scheme, rest) = address.split_once("://").unwrap();
            let place = Remote::parse(scheme, rest).unwrap();
            assert_eq!(place.key, key, "{address}");
            assert_eq!(place.to_string(), address);
        }
        assert_eq!(shown("s3a", "bucket/x").unwrap(), "s3://bucket/x");
        assert_eq!(shown("https", "host/ü").unwrap(), "https://host/%C3%BC");
    }

    #[test]
    fn what_names_no_place_is_refused() {
        for (scheme, rest) in
            [("s3", "/key"), ("gs", ""), ("https", "/x"), ("https", "h/a%2Fb"), ("https", "h/%FF")]
        {
            assert!(shown(scheme, rest).is_err(), "{scheme}://{rest}");
        }
        for rest in ["user:hunter2@host/x", "host/x?token=hunter2", "host/x#hunter2"] {
            let error = shown("https", rest).unwrap_err();
            assert!(!error.contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn an_account_that_is_not_named_may_be_any() {
        let place = |text: &str| Remote::parse("abfss", text).unwrap();
        let (unnamed, one) = (place("logs/x"), place("logs@one.dfs.core.windows.net/x"));
        let other = place("logs@other.dfs.core.windows.net/x");
        assert!(unnamed.shares_container(&one) && other.shares_container(&unnamed));
        assert!(!one.shares_container(&other) && !one.shares_container(&place("more/x")));
    }
}
