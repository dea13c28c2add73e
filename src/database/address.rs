//! Where a database is, as libpq's users write it, and how its server is to be trusted.

use std::fmt;
use std::time::Duration;

use percent_encoding::percent_decode_str;
use tokio_postgres::Config;
use tokio_postgres::config::{Host, SslMode};

/// No attempt to connect takes longer, where the address says nothing else.
const CONNECT: Duration = Duration::from_secs(10);

/// How long a connection may be silent before the server is asked whether it is there.
const SILENT: Duration = Duration::from_secs(30);

/// How long what was sent may stay without an answer of the network.
const UNANSWERED: Duration = Duration::from_secs(60);

/// Known parameters that the library does not read.
const TLS: [&str; 4] = ["sslmode", "sslrootcert", "sslcert", "sslkey"];

const UNREADABLE: &str = "the address cannot be read; characters such as @ : / ? # & % in user or password are written as %40 and so on, and parameters are those of libpq that docs/bi.md lists";

/// A checked address. It is shown without user and password.
#[derive(Clone)]
pub struct Address {
    pub config: Config,
    pub trust: Trust,
    /// Files in PEM: the client's certificate and its key.
    pub client: Option<(String, String)>,
    shown: String,
}

/// Which servers are trusted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trust {
    /// Any certificate: the traffic is hidden, and nobody knows from whom.
    Anyone,
    /// Certificates that lead to a root, for whatever host.
    Chain(Roots),
    /// The same, and they must name the host.
    Full(Roots),
}

/// Which roots are trusted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Roots {
    System,
    /// A file in PEM.
    File(String),
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

impl Address {
    /// Reads `postgresql://user:password@host:port/database?parameter=value`. What it does not say,
    /// PGPASSWORD, PGSSLMODE and PGSSLROOTCERT may.
    ///
    /// # Errors
    /// What is wrong, without a word of the address: any part of it may be a password.
    pub fn parse(text: &str, env: &dyn Fn(&str) -> Option<String>) -> Result<Self, String> {
        let rest = ["postgresql://", "postgres://"].iter().find_map(|s| text.strip_prefix(s));
        let Some(rest) = rest else {
            return Err("what it leads to is no address such as postgresql://user:password@host:5432/database; write it so".into());
        };
        let (login, rest) = match rest.split_once('@') {
            Some((login, rest)) => (Some(login), rest),
            None => (None, rest),
        };
        let (place, query) = rest.split_once('?').unwrap_or((rest, ""));
        // What stands bare might be read as a host or a parameter, and part of a password be shown as one.
        if login.is_some_and(|login| login.contains(['/', '?', '#'])) || place.contains(['@', '#'])
        {
            return Err(UNREADABLE.into());
        }
        let (tls, rest): (Vec<&str>, Vec<&str>) =
            query.split('&').filter(|part| !part.is_empty()).partition(|part| is_tls(part));
        // A name in disguise would be read by the library alone.
        if rest.iter().any(|part| part.split('=').next().is_some_and(|name| name.contains('%'))) {
            return Err(UNREADABLE.into());
        }
        let login = login.map_or_else(String::new, |login| format!("{login}@"));
        let whole = format!("postgresql://{login}{place}?{}", rest.join("&"));
        let mut config: Config = whole.parse().map_err(|_| UNREADABLE)?;
        let parameter = |name: &str, variable: &str| {
            // Of several the last counts, as with libpq.
            let mut own = tls.iter().rev().filter_map(|part| part.split_once('='));
            let own = own.find(|part| part.0 == name);
            let own = own.map(|(_, value)| percent_decode_str(value).decode_utf8_lossy());
            own.map(std::borrow::Cow::into_owned).or_else(|| env(variable))
        };
        let roots = match parameter("sslrootcert", "PGSSLROOTCERT") {
            None => None,
            Some(word) if word == "system" => Some(Roots::System),
            Some(file) => Some(Roots::File(file)),
        };
        let word = parameter("sslmode", "PGSSLMODE");
        let (mode, trust) = trust(word.as_deref(), roots)?;
        let is_socket = |host: &Host| matches!(host, Host::Unix(_));
        let only_sockets = config.get_hostaddrs().is_empty()
            && !config.get_hosts().is_empty()
            && config.get_hosts().iter().all(is_socket);
        // A socket of this machine speaks no TLS, and libpq does not ask for it.
        config.ssl_mode(if only_sockets { SslMode::Disable } else { mode });
        let client = parameter("sslcert", "PGSSLCERT").zip(parameter("sslkey", "PGSSLKEY"));
        if config.get_password().is_none()
            && let Some(password) = env("PGPASSWORD")
        {
            config.password(password);
        }
        settle(&mut config);
        let shown = shown(&config);
        Ok(Self { config, trust, client, shown })
    }

    /// Host and port as others name the server, of several the first: `db.example:5432`. A socket is this machine's.
    pub fn server(&self) -> String {
        let host = match self.config.get_hosts().first() {
            Some(Host::Tcp(name)) => name.clone(),
            Some(Host::Unix(_)) => "localhost".into(),
            None => {
                let known = self.config.get_hostaddrs().first();
                known.map_or_else(|| "localhost".into(), ToString::to_string)
            }
        };
        let host = if host.contains(':') { format!("[{host}]") } else { host };
        format!("{host}:{}", self.config.get_ports().first().copied().unwrap_or(5432))
    }
}

fn is_tls(part: &str) -> bool {
    TLS.contains(&part.split_once('=').map_or(part, |(name, _)| name))
}

/// What libpq's `sslmode` means.
fn trust(word: Option<&str>, roots: Option<Roots>) -> Result<(SslMode, Trust), String> {
    let or_system = |roots: Option<Roots>| roots.unwrap_or(Roots::System);
    Ok(match word {
        Some("disable") => (SslMode::Disable, Trust::Anyone),
        None | Some("prefer") => (SslMode::Prefer, Trust::Anyone),
        // As libpq has it: where roots are given, they count.
        Some("require") => (SslMode::Require, roots.map_or(Trust::Anyone, Trust::Chain)),
        Some("verify-ca") => (SslMode::Require, Trust::Chain(or_system(roots))),
        Some("verify-full") => (SslMode::Require, Trust::Full(or_system(roots))),
        Some("allow") => {
            return Err(
                "sslmode=allow would ask for TLS last; write prefer, or better verify-full".into(),
            );
        }
        Some(_) => {
            return Err(
                "sslmode is none of disable, prefer, require, verify-ca and verify-full".into()
            );
        }
    })
}

/// Nothing waits for ever for a server that is gone.
fn settle(config: &mut Config) {
    if config.get_connect_timeout().is_none() {
        config.connect_timeout(CONNECT);
    }
    if config.get_tcp_user_timeout().is_none() {
        config.tcp_user_timeout(UNANSWERED);
    }
    if config.get_keepalives_interval().is_none() {
        config.keepalives_idle(SILENT).keepalives_interval(SILENT).keepalives_retries(3);
    }
    if config.get_application_name().is_none() {
        config.application_name("afterscope");
    }
}

/// Servers and database.
fn shown(config: &Config) -> String {
    let name = |host: &Host| match host {
        Host::Tcp(name) => name.clone(),
        Host::Unix(path) => path.display().to_string(),
    };
    let mut hosts: Vec<String> = config.get_hosts().iter().map(name).collect();
    if hosts.is_empty() {
        hosts = config.get_hostaddrs().iter().map(ToString::to_string).collect();
    }
    let ports = config.get_ports();
    let with_port = |(i, host): (usize, String)| {
        let port = ports.get(i).or_else(|| ports.first()).copied().unwrap_or(5432);
        format!("{host}:{port}")
    };
    let hosts: Vec<String> = hosts.into_iter().enumerate().map(with_port).collect();
    // Without a name the server takes the user's, which may be none of our business to show.
    let database =
        config.get_dbname().map_or("the user's database".into(), |name| format!("database {name}"));
    format!("PostgreSQL at {}, {database}", hosts.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Result<Address, String> {
        Address::parse(text, &|_| None)
    }

    #[test]
    fn an_address_is_shown_without_user_and_password() {
        let address = of("postgresql://me:hunter2@db.example:6432/bi?sslmode=verify-full").unwrap();
        assert_eq!(address.to_string(), "PostgreSQL at db.example:6432, database bi");
        assert!(!format!("{address:?}").contains("hunter2"));
        let address = of("postgres://me@%2Frun%2Fpg/bi").unwrap();
        assert_eq!(address.to_string(), "PostgreSQL at /run/pg:5432, database bi");
        assert_eq!(address.config.get_ssl_mode(), SslMode::Disable);
        let address = of("postgresql://me:hunter2@a:1,b:2/bi").unwrap();
        assert_eq!(address.to_string(), "PostgreSQL at a:1, b:2, database bi");
    }

    #[test]
    fn a_server_is_called_by_host_and_port() {
        for (text, server) in [
            ("postgresql://me:hunter2@db.example:6432/bi", "db.example:6432"),
            ("postgresql://me:hunter2@db.example/bi", "db.example:5432"),
            ("postgresql://a:1,b:2/bi", "a:1"),
            ("postgresql://me@%2Frun%2Fpg/bi", "localhost:5432"),
            ("postgresql:///bi?hostaddr=::1&user=me", "[::1]:5432"),
        ] {
            assert_eq!(of(text).unwrap().server(), server, "{text}");
        }
    }

    #[test]
    fn a_login_is_taken_as_it_is_written() {
        let user = |text: &str| of(text).unwrap().config.get_user().map(str::to_string);
        assert_eq!(user("postgresql://me@host/bi"), Some("me".into()));
        let address = of("postgresql://m%40e:p%2Fw@host/bi?sslmode=require").unwrap();
        assert_eq!(address.config.get_user(), Some("m@e"));
        assert_eq!(address.config.get_password(), Some(b"p/w".as_slice()));
        let address = of("postgresql://host/bi?user=me&password=p%40w").unwrap();
        assert_eq!(address.config.get_user(), Some("me"));
        assert_eq!(address.config.get_password(), Some(b"p@w".as_slice()));
        assert_eq!(address.to_string(), "PostgreSQL at host:5432, database bi");
    }

    #[test]
    fn sslmode_means_what_libpq_means_by_it() {
        let file = || Roots::File("/etc/ca pem".into());
        for (query, mode, trust) in [
            ("", SslMode::Prefer, Trust::Anyone),
            ("?sslmode=disable", SslMode::Disable, Trust::Anyone),
            ("?sslmode=require", SslMode::Require, Trust::Anyone),
            (
                "?sslmode=require&sslrootcert=%2Fetc%2Fca%20pem",
                SslMode::Require,
                Trust::Chain(file()),
            ),
            ("?sslmode=disable&sslmode=require", SslMode::Require, Trust::Anyone),
            ("?sslmode=verify-ca", SslMode::Require, Trust::Chain(Roots::System)),
            (
                "?connect_timeout=3&sslrootcert=/etc/ca%20pem&sslmode=verify-full",
                SslMode::Require,
                Trust::Full(file()),
            ),
            (
                "?sslmode=verify-full&sslrootcert=system",
                SslMode::Require,
                Trust::Full(Roots::System),
            ),
        ] {
            let address = of(&format!("postgresql://me@host/bi{query}")).unwrap();
            assert_eq!(address.config.get_ssl_mode(), mode, "{query}");
            assert_eq!(address.trust, trust, "{query}");
        }
    }

    #[test]
    fn what_cannot_be_used_is_told_and_not_repeated() {
        for (text, says) in [
            ("host=x password=hunter2", "no address such as"),
            ("mysql://me:hunter2@host/bi", "no address such as"),
            ("postgresql://me:x@host:hunter2/bi", "cannot be read"),
            ("postgresql://me:hunter?2=hunter2@host/bi", "cannot be read"),
            ("postgresql://me:x@host/bi?hunter2=1", "cannot be read"),
            ("postgresql://me:x@hunter2@host/bi", "cannot be read"),
            ("postgresql://me:x/hunter2@host/bi", "cannot be read"),
            ("postgresql://me:x#hunter2@host/bi", "cannot be read"),
            // Else sslmode would be overlooked.
            ("postgresql://me:hunter2?@host/bi?sslmode=require", "cannot be read"),
            ("postgresql://host/bi?sslmode=require&password=hunter2@x", "cannot be read"),
            ("postgresql://me:hunter2@host/bi?ssl%6Dode=require", "cannot be read"),
            ("postgresql://me:hunter2@host/bi?sslmode=hunter2", "sslmode is none of"),
            ("postgresql://me:hunter2@host/bi?sslmode=allow", "verify-full"),
        ] {
            let message = of(text).unwrap_err();
            assert!(message.contains(says) && !message.contains("hunter2"), "{text}: {message}");
        }
    }

    #[test]
    fn the_environment_fills_in_what_the_address_leaves_open() {
        let env = |name: &str| match name {
            "PGPASSWORD" => Some("from env".to_string()),
            "PGSSLMODE" => Some("require".to_string()),
            _ => None,
        };
        let address = Address::parse("postgresql://me@host/bi", &env).unwrap();
        assert_eq!(address.config.get_password(), Some(b"from env".as_slice()));
        assert_eq!(address.config.get_ssl_mode(), SslMode::Require);
        let address = Address::parse("postgresql://me:own@host/bi?sslmode=disable", &env).unwrap();
        assert_eq!(address.config.get_password(), Some(b"own".as_slice()));
        assert_eq!(address.config.get_ssl_mode(), SslMode::Disable);
    }
}
