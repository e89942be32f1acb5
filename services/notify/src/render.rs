//! The text of a notification, fit to be shown anywhere.

use kubernaut_core::model::{Notification, NotificationKind, Severity};

use kubernaut_core::redact::redact;

/// Longest title and body, in characters.
const TITLE: usize = 200;
const BODY: usize = 8_000;

/// A notification as text: without credentials, without control characters, of bounded length.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rendered {
    /// One line.
    pub title: String,
    /// A few lines; may be empty.
    pub body: String,
}

/// Renders a notification.
#[must_use]
pub fn render(notification: &Notification) -> Rendered {
    let why = match notification.kind {
        NotificationKind::ApprovalRequested => "approval requested",
        NotificationKind::Escalated => "a person is needed",
        NotificationKind::Closed => "closed",
        NotificationKind::Information => "information",
    };
    let severity = match notification.severity {
        Severity::Info => "info",
        Severity::Warning => "warning",
        Severity::Critical => "critical",
    };
    let title = clean(&notification.title).replace('\n', " ");
    Rendered { title: cut(&format!("[{severity}] {why}: {}", title.trim()), TITLE), body: cut(clean(&notification.body).trim_end(), BODY) }
}

/// Redacted, and without characters that could steer a terminal or hide text; lines and tabs stay.
pub(crate) fn clean(text: &str) -> String {
    redact(text).chars().filter(|c| !c.is_control() || matches!(c, '\n' | '\t')).filter(|c| !is_steering(*c)).collect()
}

/// Direction overrides and invisible separators.
fn is_steering(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

fn cut(text: &str, longest: usize) -> String {
    match text.char_indices().nth(longest) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use kubernaut_core::model::{IncidentId, NotificationId, Timestamp};

    use super::*;

    #[test]
    fn text_from_outside_cannot_steer_a_terminal_or_run_on() {
        let at = Timestamp::UNIX_EPOCH;
        let rendered = render(&Notification {
            id: NotificationId::new(at),
            incident_id: IncidentId::new(at),
            kind: NotificationKind::Escalated,
            severity: Severity::Critical,
            title: "web\u{1b}[2J is\ndown\u{202e}".into(),
            body: format!("line one\n\tpassword=hunter2\r\n{}", "ü".repeat(9_000)),
            data: serde_json::Value::Null,
            at,
        });
        assert_eq!(rendered.title, "[critical] a person is needed: web[2J is down");
        assert!(rendered.body.starts_with("line one\n\tpassword=[redacted]\n"), "{}", &rendered.body[..60]);
        assert_eq!(rendered.body.chars().count(), BODY + 1);
    }
}
