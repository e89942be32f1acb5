//! Which channels a notification goes to. Pure.

use kubernaut_core::{
    glob,
    model::{Notification, ObjectRef},
};

use crate::RouteConfig;

/// Names of the channels, each once, in the order of the routes.
pub(crate) fn channels_for<'a>(routes: &'a [RouteConfig], notification: &Notification) -> Vec<&'a str> {
    let mut names: Vec<&str> = Vec::new();
    for route in routes.iter().filter(|route| matches(route, notification)) {
        for name in &route.channels {
            if !names.contains(&name.as_str()) {
                names.push(name);
            }
        }
        if !route.goes_on {
            break;
        }
    }
    names
}

fn matches(route: &RouteConfig, notification: &Notification) -> bool {
    let any =
        |patterns: &[String], value: Option<&str>| patterns.is_empty() || value.is_some_and(|value| patterns.iter().any(|p| glob::matches(p, value)));
    (route.kinds.is_empty() || route.kinds.contains(&notification.kind))
        && route.min_severity.is_none_or(|least| notification.severity >= least)
        && any(&route.namespaces, namespace(notification).as_deref())
        && any(&route.environments, notification.data["environment"].as_str())
}

fn namespace(notification: &Notification) -> Option<String> {
    let data = &notification.data;
    let of_target = || data["target"].as_str()?.parse::<ObjectRef>().ok()?.namespace;
    data["namespace"].as_str().or_else(|| data["target"]["namespace"].as_str()).map(str::to_owned).or_else(of_target)
}

#[cfg(test)]
mod tests {
    use kubernaut_core::model::{IncidentId, NotificationId, NotificationKind, Severity, Timestamp};
    use serde_json::{Value, json};

    use super::*;

    fn notification(kind: NotificationKind, severity: Severity, data: Value) -> Notification {
        let at = Timestamp::UNIX_EPOCH;
        let (id, incident_id) = (NotificationId::new(at), IncidentId::new(at));
        Notification { id, incident_id, kind, severity, title: String::new(), body: String::new(), data, at }
    }

    fn routes(value: Value) -> Vec<RouteConfig> {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn the_first_match_decides_unless_it_goes_on() {
        let routes = routes(json!([
            {"kinds": ["approval_requested"], "channels": ["chat"], "continue": true},
            {"min_severity": "critical", "channels": ["pager", "chat"]},
            {"namespaces": ["shop-*"], "environments": ["production"], "channels": ["shop"]},
            {"kinds": ["information"], "channels": []},
            {"channels": ["log"]}
        ]));
        let to = |kind, severity, data| channels_for(&routes, &notification(kind, severity, data));
        let shop = json!({"target": "Pod/shop-eu/web-1", "environment": "production"});
        assert_eq!(to(NotificationKind::ApprovalRequested, Severity::Critical, shop.clone()), ["chat", "pager"]);
        assert_eq!(to(NotificationKind::Closed, Severity::Warning, shop.clone()), ["shop"]);
        assert_eq!(to(NotificationKind::ApprovalRequested, Severity::Info, shop), ["chat", "shop"]);
        assert_eq!(to(NotificationKind::Closed, Severity::Warning, json!({"namespace": "shop-eu", "environment": "staging"})), ["log"]);
        assert_eq!(to(NotificationKind::Closed, Severity::Warning, json!(null)), ["log"]);
        assert!(to(NotificationKind::Information, Severity::Info, json!({})).is_empty());
    }
}
