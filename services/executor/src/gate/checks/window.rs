//! When actions are allowed.

use kubernaut_core::model::Timestamp;

use super::super::{
    config::GateConfig,
    pass::{Purpose, Verdict},
};

/// Refuses outside of the configured hours and in a freeze. Taking a harmful change back does not wait for office hours.
pub(in super::super) fn window(config: &GateConfig, now: Timestamp, purpose: Purpose) -> Verdict {
    if purpose == Purpose::Undo {
        return Verdict::pass("taking a change back is allowed at any time");
    }
    if let Some(freeze) = config.freezes.iter().find(|f| f.from <= now && now < f.until) {
        return Verdict::fail(format!("frozen until {}: {}", freeze.until, freeze.reason));
    }
    if config.windows.is_empty() {
        return Verdict::pass("actions are allowed at any time");
    }
    for window in &config.windows {
        match window.hours() {
            Ok(hours) if hours.contains(now) => {
                return Verdict::pass(format!("within the window from {} to {} {}", window.from, window.to, window.timezone));
            }
            Ok(_) => {}
            Err(error) => return Verdict::fail(error.to_string()),
        }
    }
    Verdict::fail(format!("{now} is outside of the configured windows"))
}

#[cfg(test)]
mod tests {
    use kubernaut_core::model::CheckOutcome;

    use super::*;
    use crate::gate::config::{Freeze, Window};

    fn refused(config: &GateConfig, at: &str, purpose: Purpose) -> bool {
        window(config, at.parse().unwrap(), purpose).outcome == CheckOutcome::Fail
    }

    #[test]
    fn outside_of_a_window_and_in_a_freeze_nothing_is_done_but_undo() {
        let config = GateConfig {
            windows: vec![Window { from: "09:00".into(), to: "17:00".into(), ..Window::default() }],
            freezes: vec![Freeze {
                from: "2026-12-24T00:00:00Z".parse().unwrap(),
                until: "2026-12-27T00:00:00Z".parse().unwrap(),
                reason: "holidays".into(),
            }],
            ..GateConfig::default()
        };
        assert!(!refused(&config, "2026-06-05T09:00:00Z", Purpose::Act));
        assert!(refused(&config, "2026-06-05T17:00:00Z", Purpose::Act));
        assert!(refused(&config, "2026-12-25T10:00:00Z", Purpose::Act));
        assert!(!refused(&config, "2026-12-25T10:00:00Z", Purpose::Undo));
    }

    #[test]
    fn a_window_that_cannot_be_read_refuses() {
        let config = GateConfig { windows: vec![Window { timezone: "Mars/Base".into(), ..Window::default() }], ..GateConfig::default() };
        assert!(refused(&config, "2026-06-05T09:00:00Z", Purpose::Act));
    }
}
