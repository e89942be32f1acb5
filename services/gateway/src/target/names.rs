//! Names of Kubernetes objects in label values.

/// Whether a text can be a name or namespace of an object and is safe as a part of a path.
pub(crate) fn is_safe_name(text: &str) -> bool {
    let edge = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    text.len() <= 253
        && edge(text.chars().next())
        && edge(text.chars().last())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "-._:".contains(c))
}

/// Whether a label's value is the name of an object of an ordinary kind: lower case letters, digits, `-` and `.`.
pub(crate) fn is_object_name(text: &str) -> bool {
    is_safe_name(text) && text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '.')
}

/// The host of an address such as `10.0.0.7:8080`, `[fd00::1]:8080` or `worker-1`.
pub(crate) fn host(address: &str) -> &str {
    let address = address.rsplit_once("://").map_or(address, |(_, rest)| rest);
    let address = address.split('/').next().unwrap_or_default();
    if let Some(inner) = address.strip_prefix('[') {
        return inner.split(']').next().unwrap_or_default();
    }
    match address.rsplit_once(':') {
        Some((host, _)) if !host.contains(':') => host,
        _ => address,
    }
}

/// Objects whose controller would have named an object so, nearest first: `(kind, name)`.
///
/// An alert often ends when its pod is gone; the pod's name still tells which workload it was of.
pub(crate) fn parents_by_name(kind: &str, name: &str) -> Vec<(&'static str, String)> {
    let Some((stem, suffix)) = name.rsplit_once('-') else {
        return Vec::new();
    };
    let numeric = !suffix.is_empty() && suffix.chars().all(|c| c.is_ascii_digit());
    let random = is_generated(suffix);
    match kind {
        "Pod" if numeric => vec![("StatefulSet", stem.to_owned())],
        "Pod" if suffix.len() == 5 && random => {
            let mut parents = vec![("ReplicaSet", stem.to_owned())];
            parents.extend(["DaemonSet", "Job", "ReplicationController"].map(|kind| (kind, stem.to_owned())));
            // Old ReplicaSets are removed; their Deployment stays.
            parents.extend(stem.rsplit_once('-').filter(|(_, hash)| is_generated(hash)).map(|(deployment, _)| ("Deployment", deployment.to_owned())));
            parents
        }
        "ReplicaSet" if random => vec![("Deployment", stem.to_owned())],
        "Job" if numeric => vec![("CronJob", stem.to_owned())],
        _ => Vec::new(),
    }
}

/// Whether a text has only the characters that Kubernetes uses for generated suffixes and hashes.
fn is_generated(text: &str) -> bool {
    (1..=10).contains(&text.len()) && text.chars().all(|c| "bcdfghjklmnpqrstvwxz2456789".contains(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_could_leave_the_path_are_no_names() {
        for bad in ["", ".", "..", "a/b", "../x", "-a", "a-", "a b", "ä", "a%2fb", "a\n", &"a".repeat(254)] {
            assert!(!is_safe_name(bad), "{bad:?}");
        }
        assert!(is_safe_name("system:node") && !is_object_name("system:node"));
        assert!(is_object_name("web-0.example"));
    }

    #[test]
    fn the_host_is_what_stands_before_the_port() {
        for (address, expected) in [
            ("10.0.0.7:8080", "10.0.0.7"),
            ("[fd00::1]:80", "fd00::1"),
            ("fd00::1", "fd00::1"),
            ("worker-1", "worker-1"),
            ("http://a.b:1/m", "a.b"),
            ("", ""),
        ] {
            assert_eq!(host(address), expected);
        }
    }

    #[test]
    fn the_name_of_a_gone_object_tells_its_workload() {
        let parents = parents_by_name("Pod", "web-5566d57b57-44xjv");
        assert_eq!(parents[0], ("ReplicaSet", "web-5566d57b57".to_owned()));
        assert!(parents.contains(&("Deployment", "web".to_owned())));
        assert_eq!(parents_by_name("Pod", "db-0"), [("StatefulSet", "db".to_owned())]);
        assert_eq!(parents_by_name("Job", "report-29676285"), [("CronJob", "report".to_owned())]);
        assert_eq!(parents_by_name("Pod", "my-database"), []);
    }
}
