//! When actions are allowed.

use kubernaut_core::model::{Environment, Timestamp};

use super::super::{
    calendar::applies,
    config::GateConfig,
    pass::{Purpose, Verdict},
};

/// Refuses outside of the configured hours, in a freeze and on holidays. Taking a harmful change back does not wait for office hours.
pub(in super::super) fn window(config: &GateConfig, environment: Environment, now: Timestamp, purpose: Purpose) -> Verdict {
    if purpose == Purpose::Undo {
        return Verdict::pass("taking a change back is allowed at any time");
    }
    let frozen = config.freezes.iter().find(|f| applies(&f.environments, environment) && f.from <= now && now < f.until);
    if let Some(freeze) = frozen {
        return Verdict::fail(format!("frozen until {}: {}", freeze.until, freeze.reason));
    }
    for holidays in config.holidays.iter().filter(|h| applies(&h.environments, environment)) {
        match holidays.on(now) {
            Ok(None) => {}
            Ok(Some(day)) => return Verdict::fail(format!("{day} is a holiday ({})", holidays.timezone)),
            Err(error) => return Verdict::fail(error.to_string()),
        }
    }
    hours(config, environment, now)
}

fn hours(config: &GateConfig, environment: Environment, now: Timestamp) -> Verdict {
    let mut restricted = false;
    for window in config.windows.iter().filter(|w| applies(&w.environments, environment)) {
        restricted = true;
        match window.hours() {
            Ok(hours) if hours.contains(now) => {
                return Verdict::pass(format!("within the window from {} to {} {}", window.from, window.to, window.timezone));
            }
            Ok(_) => {}
            Err(error) => return Verdict::fail(error.to_string()),
        }
    }
    if restricted {
        Verdict::fail(format!("{now} is outside of the windows for {environment}"))
    } else {
        Verdict::pass(format!("no window restricts {environment}"))
    }
}

#[cfg(test)]
mod tests {
    use kubernaut_core::model::{
        CheckOutcome,
        Environment::{Development, Production},
    };

    use super::*;
    use crate::gate::calendar::{Freeze, Holidays, Window};

    fn refused(config: &GateConfig, environment: Environment, at: &str, purpose: Purpose) -> bool {
        window(config, environment, at.parse().unwrap(), purpose).outcome == CheckOutcome::Fail
    }

    fn config() -> GateConfig {
        GateConfig {
            windows: vec![Window { from: "09:00".into(), to: "17:00".into(), environments: vec![Production], ..Window::default() }],
            freezes: vec![Freeze {
                from: "2026-12-24T00:00:00Z".parse().unwrap(),
                until: "2026-12-27T00:00:00Z".parse().unwrap(),
                reason: "holidays".into(),
                environments: Vec::new(),
            }],
            holidays: vec![Holidays { days: vec!["05-01".into()], environments: vec![Production], ..Holidays::default() }],
            ..GateConfig::default()
        }
    }

    #[test]
    fn outside_of_a_window_in_a_freeze_and_on_a_holiday_nothing_is_done_but_undo() {
        let config = config();
        assert!(!refused(&config, Production, "2026-06-05T09:00:00Z", Purpose::Act));
        for at in ["2026-06-05T17:00:00Z", "2026-12-25T10:00:00Z", "2026-05-01T10:00:00Z"] {
            assert!(refused(&config, Production, at, Purpose::Act), "{at}");
            assert!(!refused(&config, Production, at, Purpose::Undo), "{at}");
        }
    }

    #[test]
    fn a_rule_for_other_environments_does_not_restrict() {
        let config = config();
        assert!(!refused(&config, Development, "2026-06-05T17:00:00Z", Purpose::Act));
        assert!(!refused(&config, Development, "2026-05-01T10:00:00Z", Purpose::Act));
        assert!(refused(&config, Development, "2026-12-25T10:00:00Z", Purpose::Act), "this freeze is for all");
    }

    #[test]
    fn what_cannot_be_read_refuses() {
        let zone = || "Mars/Base".to_owned();
        let window = GateConfig { windows: vec![Window { timezone: zone(), ..Window::default() }], ..GateConfig::default() };
        let holidays = Holidays { days: vec!["05-01".into()], timezone: zone(), ..Holidays::default() };
        let holidays = GateConfig { holidays: vec![holidays], ..GateConfig::default() };
        assert!([window, holidays].iter().all(|c| refused(c, Production, "2026-06-05T09:00:00Z", Purpose::Act)));
    }
}
