//! Identifiers: UUIDv7, so that they sort by the time of the injected clock.

use std::{fmt, str::FromStr};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{Error, model::Timestamp};

/// A UUIDv7 whose time is `at`.
#[must_use]
pub fn uuid_at(at: Timestamp) -> Uuid {
    let nanos = at.as_nanosecond().max(0);
    let seconds = u64::try_from(nanos / 1_000_000_000).unwrap_or(0);
    let rest = u32::try_from(nanos % 1_000_000_000).unwrap_or(0);
    Uuid::new_v7(uuid::Timestamp::from_unix(uuid::NoContext, seconds, rest))
}

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl $name {
            /// A new identifier with the time `at`.
            #[must_use]
            pub fn new(at: Timestamp) -> Self {
                Self(uuid_at(at))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = Error;

            fn from_str(text: &str) -> Result<Self, Error> {
                Uuid::parse_str(text).map(Self).map_err(|e| {
                    Error::invalid("id.parse", concat!("not a ", stringify!($name), ", expected a uuid")).with("value", text).source(e)
                })
            }
        }
    )*};
}

ids! {
    /// One alert as received.
    AlertId;
    /// One incident; the tracking id on every later record.
    IncidentId;
    /// One run of a plan.
    RunId;
    /// One plan.
    PlanId;
    /// One request for approval.
    ApprovalId;
    /// One event.
    EventId;
    /// One notification in the outbox.
    NotificationId;
}
