//! What the gate allows. The default allows nothing: no namespace is managed.

use jiff::tz::TimeZone;
use kubernaut_core::{Error, Result, model::Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

const OPERATION: &str = "executor.gate_config";

/// What to do with a change to an object whose source is elsewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SourceRule {
    /// Refuse: the source would bring the old state back.
    Refuse,
    /// Ask a person each time.
    Ask,
    /// Allow.
    Allow,
}

/// Hours in which actions are allowed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Window {
    /// Days of the week (`mon` … `sun`); all where empty. Default: all.
    pub days: Vec<String>,
    /// From this time of day, `HH:MM`. Default `00:00`.
    pub from: String,
    /// Until before this time of day, `HH:MM` up to `24:00`; earlier than `from` means past midnight. Default `24:00`.
    pub to: String,
    /// Time zone by its IANA name. Default `UTC`.
    pub timezone: String,
}

impl Default for Window {
    fn default() -> Self {
        Self { days: Vec::new(), from: "00:00".into(), to: "24:00".into(), timezone: "UTC".into() }
    }
}

/// A time in which nothing may be changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Freeze {
    /// From.
    pub from: Timestamp,
    /// Until before.
    pub until: Timestamp,
    /// Why.
    #[serde(default)]
    pub reason: String,
}

/// Settings of the gate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct GateConfig {
    /// Namespaces that are opted in beside those with the label `kubernaut.ai/managed=true`; `*` stands for any text. Default: none.
    /// The label `kubernaut.ai/managed=false` on a namespace or object opts out in any case.
    pub managed_namespaces: Vec<String>,
    /// Namespaces in which nothing is ever changed; `*` stands for any text. Default: `kube-system`, `kube-public`, `kube-node-lease`.
    pub protected_namespaces: Vec<String>,
    /// The namespace that Kubernaut itself runs in; protected as well. Default: none.
    pub own_namespace: Option<String>,
    /// Whether nodes may be changed (cordon, uncordon, taints). Default: false.
    pub allow_node_actions: bool,
    /// Families that are off unless listed here: `rbac`, `webhook`, `secret`, `run_job`. Default: none.
    pub enabled_families: Vec<String>,
    /// Changes to objects of a Helm release. Default: ask.
    pub helm: SourceRule,
    /// Changes to objects that Argo CD, Flux or another GitOps tool keeps as they are in its source. Default: refuse.
    pub gitops: SourceRule,
    /// A person is asked if an action takes more than this share of a workload's ready replicas at once. Default: 50.
    pub max_unavailable_percent: u32,
    /// A person is asked if a number of replicas grows to more than this many times. Default: 4.
    pub max_growth_factor: u32,
    /// At most this many nodes may be cordoned at once, those cordoned by others included. Default: 1.
    pub max_cordoned_nodes: u32,
    /// At most this many actions per namespace (and for all nodes together) within `settle_s`; 0 for no limit. Default: 5.
    pub max_actions_per_namespace: u32,
    /// Seconds for which an action counts as under way. Default: 30.
    pub settle_s: u64,
    /// Actions are allowed in these hours only; always where empty. Default: empty.
    pub windows: Vec<Window>,
    /// Nothing is changed in these times. Default: none.
    pub freezes: Vec<Freeze>,
    /// Seconds after which the lock of a crashed process on a target ends; also bounds the time of one action. At least 10. Default: 60.
    pub lock_ttl_s: u64,
}

impl Default for GateConfig {
    fn default() -> Self {
        Self {
            managed_namespaces: Vec::new(),
            protected_namespaces: ["kube-system", "kube-public", "kube-node-lease"].map(str::to_owned).to_vec(),
            own_namespace: None,
            allow_node_actions: false,
            enabled_families: Vec::new(),
            helm: SourceRule::Ask,
            gitops: SourceRule::Refuse,
            max_unavailable_percent: 50,
            max_growth_factor: 4,
            max_cordoned_nodes: 1,
            max_actions_per_namespace: 5,
            settle_s: 30,
            windows: Vec::new(),
            freezes: Vec::new(),
            lock_ttl_s: 60,
        }
    }
}

impl GateConfig {
    /// Checks what the types cannot express. The gate also fails closed on what is wrong here.
    ///
    /// # Errors
    /// `InvalidInput` that names the setting.
    pub fn validate(&self) -> Result<()> {
        for window in &self.windows {
            window.hours()?;
        }
        if self.lock_ttl_s < 10 {
            return Err(Error::invalid(OPERATION, "lock_ttl_s must be at least 10").with("value", self.lock_ttl_s));
        }
        if let Some(freeze) = self.freezes.iter().find(|f| f.until <= f.from) {
            return Err(Error::invalid(OPERATION, "a freeze must end after it begins").with("from", freeze.from).with("until", freeze.until));
        }
        Ok(())
    }
}

/// A window, read.
pub(super) struct Hours {
    days: Vec<usize>,
    from: u32,
    to: u32,
    zone: TimeZone,
}

const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

impl Window {
    pub(super) fn hours(&self) -> Result<Hours> {
        let zone =
            TimeZone::get(&self.timezone).map_err(|e| Error::invalid(OPERATION, "unknown time zone").with("value", &self.timezone).source(e))?;
        let day = |name: &String| {
            let found = DAYS.iter().position(|d| *d == name.to_ascii_lowercase());
            found.ok_or_else(|| Error::invalid(OPERATION, format!("not a day, expected one of {}", DAYS.join(", "))).with("value", name))
        };
        Ok(Hours { days: self.days.iter().map(day).collect::<Result<_>>()?, from: minutes(&self.from)?, to: minutes(&self.to)?, zone })
    }
}

impl Hours {
    /// Whether that time is within. A window past midnight belongs to the day it begins on.
    pub(super) fn contains(&self, at: Timestamp) -> bool {
        let local = at.to_zoned(self.zone.clone());
        let day = usize::try_from(local.weekday().to_monday_zero_offset()).unwrap_or(0);
        let minute = u32::try_from(i32::from(local.hour()) * 60 + i32::from(local.minute())).unwrap_or(0);
        let on = |day: usize| self.days.is_empty() || self.days.contains(&day);
        if self.from < self.to {
            return on(day) && (self.from..self.to).contains(&minute);
        }
        (on(day) && minute >= self.from) || (on((day + 6) % 7) && minute < self.to)
    }
}

fn minutes(text: &str) -> Result<u32> {
    let read = || {
        let (hours, minutes) = text.split_once(':')?;
        let (hours, minutes): (u32, u32) = (hours.parse().ok()?, minutes.parse().ok()?);
        let total = hours * 60 + minutes;
        (hours <= 24 && minutes < 60 && total <= 24 * 60).then_some(total)
    };
    read().ok_or_else(|| Error::invalid(OPERATION, "not a time of day, expected HH:MM").with("value", text))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn within(window: &Window, at: &str) -> bool {
        window.hours().unwrap().contains(at.parse().unwrap())
    }

    #[test]
    fn a_window_past_midnight_belongs_to_the_day_it_begins_on() {
        let night = Window { days: vec!["Fri".into()], from: "22:00".into(), to: "02:00".into(), ..Window::default() };
        assert!(within(&night, "2026-06-05T23:00:00Z"), "friday night");
        assert!(within(&night, "2026-06-06T01:59:00Z"), "the same night");
        assert!(!within(&night, "2026-06-06T02:00:00Z"));
        assert!(!within(&night, "2026-06-05T01:00:00Z"), "thursday night");
    }

    #[test]
    fn a_window_follows_its_time_zone() {
        let office = Window { from: "09:00".into(), to: "17:00".into(), timezone: "America/New_York".into(), ..Window::default() };
        assert!(!within(&office, "2026-06-05T12:59:00Z"));
        assert!(within(&office, "2026-06-05T13:00:00Z"));
    }

    #[test]
    fn faults_of_windows_and_freezes_are_named() {
        for window in [
            Window { from: "25:00".into(), ..Window::default() },
            Window { days: vec!["someday".into()], ..Window::default() },
            Window { timezone: "Mars/Base".into(), ..Window::default() },
        ] {
            assert!(GateConfig { windows: vec![window], ..GateConfig::default() }.validate().is_err());
        }
        assert!(GateConfig::default().validate().is_ok());
        assert!(serde_json::from_str::<GateConfig>(r#"{"surprise": 1}"#).is_err());
    }
}
