//! Hours, freezes and holidays.

use jiff::{civil::Date, tz::TimeZone};
use kubernaut_core::{
    Error, Result,
    model::{Environment, Timestamp},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

const OPERATION: &str = "executor.gate_config";

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
    /// Environments that it restricts; all where empty. Default: all.
    pub environments: Vec<Environment>,
}

impl Default for Window {
    fn default() -> Self {
        Self { days: Vec::new(), from: "00:00".into(), to: "24:00".into(), timezone: "UTC".into(), environments: Vec::new() }
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
    /// Environments that it is about; all where empty. Default: all.
    #[serde(default)]
    pub environments: Vec<Environment>,
}

/// Days on which nothing may be changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Holidays {
    /// Days as `YYYY-MM-DD`, or `MM-DD` for every year. Default: none.
    pub days: Vec<String>,
    /// Time zone by its IANA name. Default `UTC`.
    pub timezone: String,
    /// Environments that they are about; all where empty. Default: all.
    pub environments: Vec<Environment>,
}

impl Default for Holidays {
    fn default() -> Self {
        Self { days: Vec::new(), timezone: "UTC".into(), environments: Vec::new() }
    }
}

impl Holidays {
    /// The day that this time is on, if it is one of them.
    pub(super) fn on(&self, at: Timestamp) -> Result<Option<Date>> {
        if self.days.is_empty() {
            return Ok(None);
        }
        let today = at.to_zoned(zone(&self.timezone)?).date();
        for day in &self.days {
            if is_day(day, today)? {
                return Ok(Some(today));
            }
        }
        Ok(None)
    }
}

/// Whether a configured day is `today`.
fn is_day(text: &str, today: Date) -> Result<bool> {
    let wrong = || Error::invalid(OPERATION, "not a day, expected YYYY-MM-DD or MM-DD").with("value", text);
    if let Ok(date) = text.parse::<Date>() {
        return Ok(date == today);
    }
    let (month, day) = text.split_once('-').ok_or_else(wrong)?;
    let (month, day): (i8, i8) = (month.parse().map_err(|_| wrong())?, day.parse().map_err(|_| wrong())?);
    // A leap year has every day there is.
    Date::new(2024, month, day).map_err(|_| wrong())?;
    Ok((today.month(), today.day()) == (month, day))
}

fn zone(name: &str) -> Result<TimeZone> {
    TimeZone::get(name).map_err(|e| Error::invalid(OPERATION, "unknown time zone").with("value", name).source(e))
}

/// Whether a rule with that list is about an environment.
pub(super) fn applies(environments: &[Environment], to: Environment) -> bool {
    environments.is_empty() || environments.contains(&to)
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
        let zone = zone(&self.timezone)?;
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
    fn a_holiday_is_a_day_of_its_time_zone_once_or_every_year() {
        let on = |day: &str, at: &str| {
            let holidays = Holidays { days: vec![day.into()], timezone: "Asia/Tokyo".into(), ..Holidays::default() };
            holidays.on(at.parse().unwrap()).map(|d| d.is_some())
        };
        assert!(on("2026-01-01", "2025-12-31T15:00:00Z").unwrap());
        assert!(!on("2026-01-01", "2026-01-01T15:00:00Z").unwrap());
        assert!(on("01-01", "2030-12-31T15:00:00Z").unwrap());
        assert!(!on("02-29", "2026-02-28T15:00:00Z").unwrap());
        assert!(on("13-01", "2026-01-01T00:00:00Z").is_err() && on("soon", "2026-01-01T00:00:00Z").is_err());
    }

    #[test]
    fn a_window_follows_its_time_zone() {
        let office = Window { from: "09:00".into(), to: "17:00".into(), timezone: "America/New_York".into(), ..Window::default() };
        assert!(!within(&office, "2026-06-05T12:59:00Z"));
        assert!(within(&office, "2026-06-05T13:00:00Z"));
    }
}
