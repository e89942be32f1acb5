//! Days by class.

use std::time::Duration;

use kubernaut_core::{Error, Result, model::Timestamp};
use serde::{Deserialize, Serialize};

use crate::shared::value::minus;

const DAY: u64 = 24 * 60 * 60;

/// What is kept equally long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RetentionClass {
    /// Notifications that were delivered or given up.
    Outbox,
    /// Alerts as received.
    Alerts,
    /// Events that subscribers resume from.
    Events,
    /// Journals and signals of ended runs.
    Journal,
    /// Ended incidents with all that belongs to them, except the audit.
    Incidents,
    /// Audit chains of incidents that are gone; their ends stay.
    Audit,
}

impl RetentionClass {
    /// All classes, in the order in which they are purged.
    pub const ALL: [Self; 6] = [Self::Outbox, Self::Alerts, Self::Events, Self::Journal, Self::Incidents, Self::Audit];

    /// The stable name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Outbox => "outbox",
            Self::Alerts => "alerts",
            Self::Events => "events",
            Self::Journal => "journal",
            Self::Incidents => "incidents",
            Self::Audit => "audit",
        }
    }
}

/// How many days each class is kept, counted from when it was received, settled or ended; 0 keeps it for ever. What belongs to an incident that
/// has not ended, or is under a legal hold, is always kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RetentionConfig {
    /// Whether the server purges by itself. `kubernaut retention` works either way. Default true.
    pub enabled: bool,
    /// Seconds between two looks. Default 3600.
    pub interval_s: u64,
    /// Rows or incidents purged in one transaction at most. Default 200.
    pub batch: u32,
    /// Settled notifications. Default 30.
    pub outbox_days: u32,
    /// Alerts as received. Default 90.
    pub alerts_days: u32,
    /// Events. Default 90.
    pub events_days: u32,
    /// Journals of runs. Default 180.
    pub journal_days: u32,
    /// Ended incidents. Default 365.
    pub incidents_days: u32,
    /// Audit chains; at least as long as incidents. Default 1095.
    pub audit_days: u32,
}

impl Default for RetentionConfig {
    fn default() -> Self {
        Self {
            enabled: true,
            interval_s: 3600,
            batch: 200,
            outbox_days: 30,
            alerts_days: 90,
            events_days: 90,
            journal_days: 180,
            incidents_days: 365,
            audit_days: 1095,
        }
    }
}

impl RetentionConfig {
    /// Refuses what would lose more than it says.
    ///
    /// # Errors
    /// `InvalidInput` naming the setting.
    pub fn validate(&self) -> Result<()> {
        let for_ever = |days: u32| if days == 0 { u32::MAX } else { days };
        if for_ever(self.audit_days) < for_ever(self.incidents_days) {
            let text = "`audit_days` must be at least `incidents_days`, for an incident needs its audit";
            return Err(Error::invalid("config.storage.retention", text)
                .with("audit_days", self.audit_days)
                .with("incidents_days", self.incidents_days));
        }
        if self.interval_s == 0 || self.batch == 0 {
            return Err(Error::invalid("config.storage.retention", "`interval_s` and `batch` must be at least 1"));
        }
        Ok(())
    }

    /// What is older than this may go; `None` if it is kept for ever.
    pub(crate) fn before(&self, class: RetentionClass, now: Timestamp) -> Option<Timestamp> {
        let days = match class {
            RetentionClass::Outbox => self.outbox_days,
            RetentionClass::Alerts => self.alerts_days,
            RetentionClass::Events => self.events_days,
            RetentionClass::Journal => self.journal_days,
            RetentionClass::Incidents => self.incidents_days,
            RetentionClass::Audit => self.audit_days,
        };
        (days > 0).then(|| minus(now, Duration::from_secs(u64::from(days) * DAY)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_incident_never_outlives_its_audit() {
        RetentionConfig::default().validate().unwrap();
        assert!(RetentionConfig { audit_days: 10, incidents_days: 20, ..RetentionConfig::default() }.validate().is_err());
        assert!(RetentionConfig { audit_days: 10, incidents_days: 0, ..RetentionConfig::default() }.validate().is_err());
        assert!(RetentionConfig { audit_days: 0, incidents_days: 20, ..RetentionConfig::default() }.validate().is_ok());
    }
}
