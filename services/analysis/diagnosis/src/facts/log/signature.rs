//! Signatures: what kind of failure a log line reports, over languages and formats.

use std::sync::LazyLock;

use regex::Regex;

use super::{
    host::hosts_in,
    words::{FATAL, TROUBLE, WORDS},
};

/// What a line reports, with the name it gives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Sign {
    pub(crate) kind: Signature,
    /// The variable, file, key, user, resource … that the line names.
    pub(crate) subject: Option<String>,
    /// Whether the line is about finding an address for a name.
    pub(crate) lookup: bool,
}

/// Kinds of failures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Signature {
    ConnectionRefused,
    NoSuchHost,
    Timeout,
    /// Cannot reach something, for a reason not given.
    Unreachable,
    AuthFailed,
    Forbidden,
    PermissionDenied,
    AddressInUse,
    MissingEnv,
    MissingFile,
    BadConfig,
    CommandNotFound,
    BadFlag,
    DiskFull,
    ReadOnly,
    ExecFormat,
    OutOfMemory,
    TooManyConnections,
    TooManyFiles,
    Schema,
    Tls,
    /// A peer answers with a 5xx status.
    ServerError,
    Panic,
    /// Fatal for a reason that is not recognised.
    Fatal,
}

impl Sign {
    /// Whether such a line is about a peer.
    pub(crate) fn names_a_host(&self) -> bool {
        self.kind.is_network()
            || matches!(
                self.kind,
                Signature::AuthFailed | Signature::TooManyConnections | Signature::ReadOnly | Signature::Tls | Signature::ServerError
            )
    }

    /// Whether a name was asked for in vain.
    pub(crate) fn is_lookup(&self) -> bool {
        self.kind == Signature::NoSuchHost || (self.kind == Signature::Timeout && self.lookup)
    }

    /// How telling it is; the generic ones least.
    pub(crate) fn weight(&self) -> u8 {
        match self.kind {
            Signature::Fatal => 0,
            Signature::Panic => 1,
            Signature::Unreachable | Signature::ServerError => 2,
            _ => 3,
        }
    }
}

impl Signature {
    /// Whether it is about reaching a peer.
    pub(crate) fn is_network(self) -> bool {
        matches!(self, Self::ConnectionRefused | Self::NoSuchHost | Self::Timeout | Self::Unreachable)
    }
}

macro_rules! patterns {
    ($($name:ident = $pattern:literal;)*) => {$(
        static $name: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new($pattern).ok());
    )*};
}

patterns! {
    ENV_NAMED = r#"(?i)(?:env(?:ironment)?[ _-]?(?:var(?:iable)?s?)?|variable|setting|config(?:uration)?(?: key| value)?|option|parameter)[ :"'`(=\[$]*([A-Z][A-Z0-9_]{2,})["'`)\]]*\s*(?:is |was |must be |has |not |:)?\s*(?:required|missing|not set|not defined|undefined|unset|not found|set|empty|not present|mandatory|not provided)"#;
    ENV_REQUIRED = r#"(?i)(?:missing|required|undefined|unset|must (?:set|provide|specify)|not set|not found|expected|need(?:s|ed)?)(?: required)?(?: (?:env(?:ironment)?|config(?:uration)?))?(?: ?(?:var(?:iable)?|key|value|setting)s?)?[ :"'`(\[$]+([A-Z][A-Z0-9_]{2,})\b"#;
    ENV_LOOKUP = r#"(?:KeyError: |os\.environ\[|ENV\.fetch\(|key not found: |process\.env\.|getenv\(|NotPresent.*|(?:^|[\s(])env: )["']?([A-Z][A-Z0-9_]{2,})["']?"#;
    ENV_IS = r#"\b([A-Z][A-Z0-9_]{2,})\b["'`]?\s+(?:env(?:ironment)? (?:var(?:iable)? )?)?(?:is |was |must be |not |has not been )+(?:required|missing|set|defined|undefined|unset|found|empty|present|provided|configured)"#;
    PATH = r#"(/[A-Za-z0-9._@-]+(?:/[A-Za-z0-9._@-]+)+)"#;
    RBAC = r#"User "(system:serviceaccount:[^"]+)" cannot (\w+) resource "([^"]+)"(?: in API group "([^"]*)")?(?:.*?in the namespace "([^"]+)")?"#;
    WORD_ENV = r"^[A-Z][A-Z0-9_]*$";
    STATUS = r#"(?i)(?:HTTP/\d(?:\.\d)?"?\s+|status(?:_?code)?["']?\s*[=:]\s*"?|\b(?:GET|POST|PUT|PATCH|DELETE)\s+\S+\s+)(\d{3})\b"#;
}

/// What a line reports; usually nothing, at most two signs (a kind, and that it was fatal).
pub(crate) fn recognise(line: &str) -> Vec<Sign> {
    let lower = line.to_ascii_lowercase();
    if !TROUBLE.iter().any(|w| lower.contains(w)) || is_access_log(&lower) {
        return Vec::new();
    }
    let mut signs = Vec::new();
    if let Some(name) = missing_env(line) {
        signs.push(Sign { kind: Signature::MissingEnv, subject: Some(name), lookup: false });
    }
    let worded = WORDS.iter().find(|(_, words)| words.iter().any(|w| lower.contains(w))).map(|(kind, _)| *kind);
    if let Some(kind) = worded.filter(|k| is_plausible(*k, &lower))
        && signs.is_empty()
    {
        signs.push(Sign { kind, subject: subject(kind, line), lookup: lower.contains("lookup") || lower.contains("resolv") });
    }
    if signs.is_empty() && is_server_error(line) && !is_mild(&lower) && !hosts_in(line).is_empty() {
        signs.push(Sign { kind: Signature::ServerError, subject: None, lookup: false });
    }
    if signs.is_empty() && FATAL.iter().any(|w| lower.contains(w)) && !is_mild(&lower) {
        let panic = ["panic", "traceback", "exception"].iter().any(|w| lower.contains(w));
        signs.push(Sign { kind: if panic { Signature::Panic } else { Signature::Fatal }, subject: None, lookup: false });
    }
    signs
}

/// Whether a line reports a request that was answered with a server error.
pub(super) fn is_server_error(line: &str) -> bool {
    let lower = line.to_ascii_lowercase();
    let request = ["get ", "post ", "put ", "delete ", "patch ", "status", "http/"].iter().any(|w| lower.contains(w));
    request && STATUS.as_ref().and_then(|r| r.captures(line)).is_some_and(|c| c[1].starts_with('5'))
}

/// Lines of an access log report requests, not failures of the process.
fn is_access_log(lower: &str) -> bool {
    (lower.contains("http/1.") || lower.contains("http/2"))
        && (lower.contains("\"get ") || lower.contains("\"post ") || lower.contains("\"put ") || lower.contains("\"head "))
}

/// A level word that says the line is no failure.
fn is_mild(lower: &str) -> bool {
    ["level=info", "\"level\":\"info\"", "level=debug", "[info]", "[notice]", " info ", "\"severity\":\"info\""].iter().any(|w| lower.contains(w))
}

fn is_plausible(kind: Signature, lower: &str) -> bool {
    match kind {
        // These words are common in harmless lines.
        Signature::BadConfig
        | Signature::MissingFile
        | Signature::CommandNotFound
        | Signature::Timeout
        | Signature::Unreachable
        | Signature::AuthFailed => !is_mild(lower),
        _ => true,
    }
}

fn missing_env(line: &str) -> Option<String> {
    for pattern in [&ENV_LOOKUP, &ENV_NAMED, &ENV_IS, &ENV_REQUIRED] {
        let Some(found) = pattern.as_ref().and_then(|r| r.captures(line)) else { continue };
        let name = found.get(1)?.as_str();
        let is_env = WORD_ENV.as_ref().is_some_and(|r| r.is_match(name));
        let level = matches!(
            name,
            "ERROR"
                | "FATAL"
                | "WARN"
                | "WARNING"
                | "INFO"
                | "CRITICAL"
                | "DEBUG"
                | "PANIC"
                | "ENOENT"
                | "EACCES"
                | "HTTP"
                | "URL"
                | "JSON"
                | "YAML"
                | "TLS"
                | "SSL"
                | "TCP"
        );
        if is_env && !level {
            return Some(name.to_owned());
        }
    }
    None
}

fn subject(kind: Signature, line: &str) -> Option<String> {
    match kind {
        Signature::MissingFile
        | Signature::PermissionDenied
        | Signature::DiskFull
        | Signature::ReadOnly
        | Signature::BadConfig
        | Signature::CommandNotFound => {
            let path = PATH.as_ref()?.captures_iter(line).last()?.get(1)?.as_str();
            Some(path.trim_end_matches(['.', ',', ':']).to_owned())
        }
        Signature::Forbidden => RBAC.as_ref()?.captures(line).map(|c| {
            let part = |i| c.get(i).map_or("", |m| m.as_str());
            format!("{}|{}|{}|{}|{}", part(1), part(2), part(4), part(3), part(5))
        }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(line: &str) -> Option<Signature> {
        recognise(line).first().map(|s| s.kind)
    }

    #[test]
    fn failures_are_recognised_over_languages() {
        for (line, expected) in [
            ("psycopg2.OperationalError: connection to server at \"db\", port 5432 failed: Connection refused", Signature::ConnectionRefused),
            ("Error: connect ECONNREFUSED 10.0.0.1:6379", Signature::ConnectionRefused),
            ("FATAL: password authentication failed for user \"app\"", Signature::AuthFailed),
            ("ERROR 1045 (28000): Access denied for user 'app'@'10.0.0.3'", Signature::AuthFailed),
            ("panic: open /etc/app/config.yaml: no such file or directory", Signature::MissingFile),
            ("OSError: [Errno 28] No space left on device: '/data/x'", Signature::DiskFull),
            ("exec /app/server: exec format error", Signature::ExecFormat),
            ("Error: unknown flag: --listen-adress", Signature::BadFlag),
            ("nginx: [emerg] unknown directive \"listn\" in /etc/nginx/nginx.conf:3", Signature::BadConfig),
            ("FATAL:  unrecognized configuration parameter \"x\"", Signature::BadConfig),
            ("yaml: line 4: mapping values are not allowed in this context", Signature::BadConfig),
            ("listen tcp :8080: bind: address already in use", Signature::AddressInUse),
            ("Wasn't able to connect to redis", Signature::Unreachable),
            (
                "pods is forbidden: User \"system:serviceaccount:a:b\" cannot list resource \"pods\" in API group \"\" in the namespace \"a\"",
                Signature::Forbidden,
            ),
        ] {
            assert_eq!(kind(line), Some(expected), "{line}");
        }
    }

    #[test]
    fn requests_that_failed_are_told_from_those_that_did_not() {
        for line in [
            "10.0.0.1 - - [x] \"GET /a HTTP/1.1\" 502 12 \"-\"",
            "GET /api/x 500 in 9ms",
            "level=info msg=request status=503 dur=2ms",
            "{\"status\":500,\"path\":\"/\"}",
        ] {
            assert!(is_server_error(line), "{line}");
        }
        for line in ["\"GET /a HTTP/1.1\" 200 502 \"-\"", "GET /items/500 200 3ms", "INFO processed 500 rows", "status=200 dur=512ms"] {
            assert!(!is_server_error(line), "{line}");
        }
    }

    #[test]
    fn missing_variables_are_named() {
        for line in [
            "KeyError: 'IMPORT_SOURCE'",
            "Error: missing required environment variable IMPORT_SOURCE",
            "environment variable \"IMPORT_SOURCE\" is not set",
            "fatal: IMPORT_SOURCE must be set",
            "config: required key IMPORT_SOURCE missing value",
            "key not found: \"IMPORT_SOURCE\" (KeyError)",
        ] {
            let sign = recognise(line).into_iter().next().unwrap_or_else(|| panic!("{line}"));
            assert_eq!((sign.kind, sign.subject.as_deref()), (Signature::MissingEnv, Some("IMPORT_SOURCE")), "{line}");
        }
    }

    #[test]
    fn harmless_lines_report_nothing() {
        for line in [
            "10.0.0.1 - - \"GET /x HTTP/1.1\" 502 1 \"-\"",
            "level=info msg=\"request\" status=200 timeout=5s",
            "INFO ready to accept connections",
            "level=info msg=\"error rate\" value=0",
        ] {
            assert!(recognise(line).is_empty(), "{line}: {:?}", recognise(line));
        }
    }

    #[test]
    fn an_rbac_denial_names_account_verb_and_resource() {
        let line = "deployments.apps is forbidden: User \"system:serviceaccount:ops:bot\" cannot patch resource \"deployments\" in API group \"apps\" in the namespace \"ops\"";
        assert_eq!(recognise(line)[0].subject.as_deref(), Some("system:serviceaccount:ops:bot|patch|apps|deployments|ops"));
    }
}
