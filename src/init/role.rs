//! What a column may be mapped to.

/// A key of `[source.columns]`, and [`Role::Person`]: a person of whom the name does not say whether they called
/// or were reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    Time,
    App,
    Scopes,
    Subject,
    Actor,
    Person,
    Group,
    Status,
    Bytes,
    Records,
    Fields,
    Weight,
    EventId,
    Endpoint,
    Method,
}

impl Role {
    pub const ALL: [Self; 15] = [
        Self::Time,
        Self::App,
        Self::Scopes,
        Self::Subject,
        Self::Actor,
        Self::Person,
        Self::Group,
        Self::Status,
        Self::Bytes,
        Self::Records,
        Self::Fields,
        Self::Weight,
        Self::EventId,
        Self::Endpoint,
        Self::Method,
    ];

    /// The configuration's key.
    pub fn key(self) -> &'static str {
        match self {
            Self::Time => "time",
            Self::App => "app",
            Self::Scopes => "scopes",
            Self::Subject | Self::Person => "subject",
            Self::Actor => "actor",
            Self::Group => "group",
            Self::Status => "status",
            Self::Bytes => "bytes",
            Self::Records => "records",
            Self::Fields => "fields",
            Self::Weight => "weight",
            Self::EventId => "event_id",
            Self::Endpoint => "endpoint",
            Self::Method => "method",
        }
    }
}
