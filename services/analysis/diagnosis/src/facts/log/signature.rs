//! Signatures: what kind of failure a log line reports, over languages and formats.

use std::sync::LazyLock;

use regex::Regex;

/// What a line reports, with the name it gives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Sign {
    pub(crate) kind: Signature,
    /// The variable, file, key, user, resource … that the line names.
    pub(crate) subject: Option<String>,
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
    Panic,
    /// Fatal for a reason that is not recognised.
    Fatal,
}

impl Sign {
    /// Whether such a line is about a peer.
    pub(crate) fn names_a_host(&self) -> bool {
        self.kind.is_network() || matches!(self.kind, Signature::AuthFailed | Signature::TooManyConnections | Signature::Tls)
    }

    /// How telling it is; the generic ones least.
    pub(crate) fn weight(&self) -> u8 {
        match self.kind {
            Signature::Fatal => 0,
            Signature::Panic => 1,
            Signature::Unreachable => 2,
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

/// Words (lower case) that mark a kind; the first kind that matches wins within its group.
const WORDS: &[(Signature, &[&str])] = &[
    (Signature::NoSuchHost, &["no such host", "enotfound", "eai_again", "unknownhostexception", "name or service not known", "could not translate host", "could not resolve host", "nxdomain", "temporary failure in name resolution", "unknown host", "nodename nor servname", "failed to lookup address", "name resolution failed", "name does not resolve", "unknown mysql server host", "bad address '"]),
    (Signature::ConnectionRefused, &["connection refused", "econnrefused", "connect failed (111", "actively refused", "errno 111"]),
    (Signature::AuthFailed, &["password authentication failed", "authentication failed", "access denied for user", "invalid credentials", "wrongpass", "noauth authentication required", "login failed for user", "auth failed", "authentication error", "invalid username or password", "invalid password", "bad credentials", "access_refused", "sasl authentication", "invalid api key", "invalidaccesskeyid", "signaturedoesnotmatch", "401 unauthorized", "invalid token", "invalid_client", "role does not exist"]),
    (Signature::Timeout, &["i/o timeout", "timed out", "timeout connecting", "etimedout", "connection timeout", "connect timeout", "deadline exceeded", "connecttimeout", "timeout exceeded", "timeoutexception", "timeout expired"]),
    (Signature::TooManyConnections, &["too many clients already", "too many connections", "remaining connection slots", "max number of clients reached", "connection limit exceeded"]),
    (Signature::DiskFull, &["no space left on device", "enospc", "disk full", "disk quota exceeded", "not enough space", "errno 28", "insufficient disk space"]),
    (Signature::ReadOnly, &["read-only file system", "erofs", "readonly you can't write", "cannot execute insert in a read-only", "read-only transaction", "is read only"]),
    (Signature::AddressInUse, &["address already in use", "eaddrinuse", "port is already allocated", "bind: address"]),
    (Signature::ExecFormat, &["exec format error", "cannot execute binary file"]),
    (Signature::TooManyFiles, &["too many open files", "emfile"]),
    (Signature::OutOfMemory, &["java.lang.outofmemoryerror", "javascript heap out of memory", "cannot allocate memory", "memoryerror", "std::bad_alloc", "out of memory"]),
    (Signature::Forbidden, &["is forbidden: user", "cannot list resource", "cannot get resource", "cannot create resource", "cannot watch resource", "cannot patch resource", "cannot update resource", "cannot delete resource"]),
    (Signature::Tls, &["x509:", "certificate has expired", "certificate verify failed", "tls handshake", "ssl routines", "unable to verify the first certificate", "pkix path"]),
    (Signature::CommandNotFound, &["command not found", ": not found", "executable file not found", "no such file or directory: unknown", "exec: \"", "can't open file", "cannot find module", "modulenotfounderror", "no module named", "could not find or load main class", "unable to access jarfile"]),
    (Signature::BadFlag, &["unknown flag", "unrecognized option", "unknown option", "unrecognized arguments", "flag provided but not defined", "unexpected argument", "invalid option", "unknown command", "unrecognized argument", "unknown shorthand flag"]),
    (Signature::Schema, &["relation \"", "no such table", "undefinedtable", "pending migration", "migration failed", "schema version", "dirty database", "unknown column", "column does not exist", "table doesn't exist", "does not exist (sqlstate 42p01)"]),
    (Signature::MissingFile, &["no such file or directory", "enoent", "filenotfounderror", "filenotfoundexception", "file not found", "nosuchfileexception", "cannot open file", "could not open file"]),
    (Signature::BadConfig, &["unknown directive", "unrecognized configuration parameter", "invalid configuration", "invalid config", "configuration error", "config error", "failed to parse config", "error parsing config", "could not parse config", "unable to parse config", "error loading config", "failed to load config", "cannot load config", "yaml: line", "yaml: unmarshal", "yaml: unknown", "error converting yaml", "unmarshal", "unknown field", "unexpected token", "json decode", "jsondecodeerror", "parsererror", "scannererror", "tomldecodeerror", "syntax error", "bad directive", "invalid value", "invalid number of arguments", "unknown configuration", "invalid parameter", "bad configuration", "malformed", "could not parse", "failed to parse", "cannot parse", "parse error", "not a valid", "invalid format", "invalid syntax", "*** fatal config file error", "unknown setting", "unknown key", "unexpected key", "[emerg]", "unsupported config", "config file error", "could not load configuration", "schema validation failed"]),
    (Signature::PermissionDenied, &["permission denied", "eacces", "operation not permitted", "accessdeniedexception"]),
    (Signature::Unreachable, &["able to connect", "unable to connect", "cannot connect", "can't connect", "could not connect", "failed to connect", "connection reset", "connection closed", "no route to host", "network is unreachable", "econnreset", "run out of available brokers", "unavailable desc", "service unavailable", "no healthy upstream", "can't access", "connection error", "lost connection", "bad gateway", "upstream connect error", "host is unreachable", "ehostunreach", "not reachable", "unreachable"]),
];

/// Markers of a line that ends a process.
const FATAL: &[&str] = &["fatal", "panic:", "critical", "traceback (most recent", "unhandled exception", "uncaught exception", "exception in thread", "aborting", "exiting", "[emerg]", "unhandledpromiserejection", "thread 'main' panicked", "goroutine 1 [running]"];

/// Markers of a line that reports trouble of any kind.
const TROUBLE: &[&str] = &["error", "err=", "\"err\"", "fatal", "fail", "panic", "exception", "critical", "warn", "denied", "refused", "timeout", "timed out", "unable", "cannot", "can't", "not found", "no such", "invalid", "unknown", "missing", "required", "unrecognized", "emerg", "no space", "unavailable", "unauthorized", "forbidden", "already in use", "too many", "read-only", "wrong", "abort", "exit", "enot", "econn", "expired", "x509", "eacces", "unexpected", "malformed", "undefined", "must be set", "not set", "out of memory", "unreachable", "panicked", "bad address", "not a valid", "expected", "able to connect", "waiting for", "yaml", "not allowed", "parse", "directive", "syntax"];

macro_rules! patterns {
    ($($name:ident = $pattern:literal;)*) => {$(
        static $name: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new($pattern).ok());
    )*};
}

patterns! {
    ENV_NAMED = r#"(?i)(?:env(?:ironment)?[ _-]?(?:var(?:iable)?s?)?|variable|setting|config(?:uration)?(?: key| value)?|option|parameter)[ :"'`(=\[$]*([A-Z][A-Z0-9_]{2,})["'`)\]]*\s*(?:is |was |must be |has |not |:)?\s*(?:required|missing|not set|not defined|undefined|unset|not found|set|empty|not present|mandatory|not provided)"#;
    ENV_REQUIRED = r#"(?i)(?:missing|required|undefined|unset|must (?:set|provide|specify)|not set|not found|expected|need(?:s|ed)?)(?: required)?(?: (?:env(?:ironment)?|config(?:uration)?))?(?: ?(?:var(?:iable)?|key|value|setting)s?)?[ :"'`(\[$]+([A-Z][A-Z0-9_]{2,})\b"#;
    ENV_LOOKUP = r#"(?:KeyError: |os\.environ\[|ENV\.fetch\(|key not found: |process\.env\.|getenv\(|NotPresent.*|env: )["']?([A-Z][A-Z0-9_]{2,})["']?"#;
    ENV_IS = r#"\b([A-Z][A-Z0-9_]{2,})\b["'`]?\s+(?:env(?:ironment)? (?:var(?:iable)? )?)?(?:is |was |must be |not |has not been )+(?:required|missing|set|defined|undefined|unset|found|empty|present|provided|configured)"#;
    PATH = r#"(/[A-Za-z0-9._@-]+(?:/[A-Za-z0-9._@-]+)+)"#;
    RBAC = r#"User "(system:serviceaccount:[^"]+)" cannot (\w+) resource "([^"]+)"(?: in API group "([^"]*)")?(?:.*?in the namespace "([^"]+)")?"#;
    WORD_ENV = r"^[A-Z][A-Z0-9_]*$";
}

/// What a line reports; usually nothing, at most two signs (a kind, and that it was fatal).
pub(crate) fn recognise(line: &str) -> Vec<Sign> {
    let lower = line.to_ascii_lowercase();
    if !TROUBLE.iter().any(|w| lower.contains(w)) || is_access_log(&lower) {
        return Vec::new();
    }
    let mut signs = Vec::new();
    if let Some(name) = missing_env(line) {
        signs.push(Sign { kind: Signature::MissingEnv, subject: Some(name) });
    }
    let worded = WORDS.iter().find(|(_, words)| words.iter().any(|w| lower.contains(w))).map(|(kind, _)| *kind);
    if let Some(kind) = worded.filter(|k| is_plausible(*k, &lower))
        && signs.is_empty()
    {
        signs.push(Sign { kind, subject: subject(kind, line) });
    }
    if signs.is_empty() && FATAL.iter().any(|w| lower.contains(w)) && !is_mild(&lower) {
        let panic = ["panic", "traceback", "exception"].iter().any(|w| lower.contains(w));
        signs.push(Sign { kind: if panic { Signature::Panic } else { Signature::Fatal }, subject: None });
    }
    signs
}

/// Lines of an access log report requests, not failures of the process.
fn is_access_log(lower: &str) -> bool {
    (lower.contains("http/1.") || lower.contains("http/2")) && (lower.contains("\"get ") || lower.contains("\"post ") || lower.contains("\"put ") || lower.contains("\"head "))
}

/// A level word that says the line is no failure.
fn is_mild(lower: &str) -> bool {
    ["level=info", "\"level\":\"info\"", "level=debug", "[info]", "[notice]", " info ", "\"severity\":\"info\""].iter().any(|w| lower.contains(w))
}

fn is_plausible(kind: Signature, lower: &str) -> bool {
    match kind {
        // These words are common in harmless lines.
        Signature::BadConfig | Signature::MissingFile | Signature::CommandNotFound | Signature::Timeout | Signature::Unreachable | Signature::AuthFailed => !is_mild(lower),
        _ => true,
    }
}

fn missing_env(line: &str) -> Option<String> {
    for pattern in [&ENV_LOOKUP, &ENV_NAMED, &ENV_IS, &ENV_REQUIRED] {
        let Some(found) = pattern.as_ref().and_then(|r| r.captures(line)) else { continue };
        let name = found.get(1)?.as_str();
        let is_env = WORD_ENV.as_ref().is_some_and(|r| r.is_match(name));
        let level = matches!(name, "ERROR" | "FATAL" | "WARN" | "WARNING" | "INFO" | "CRITICAL" | "DEBUG" | "PANIC" | "ENOENT" | "EACCES" | "HTTP" | "URL" | "JSON" | "YAML" | "TLS" | "SSL" | "TCP");
        if is_env && !level {
            return Some(name.to_owned());
        }
    }
    None
}

fn subject(kind: Signature, line: &str) -> Option<String> {
    match kind {
        Signature::MissingFile | Signature::PermissionDenied | Signature::DiskFull | Signature::ReadOnly | Signature::BadConfig | Signature::CommandNotFound => {
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
            ("pods is forbidden: User \"system:serviceaccount:a:b\" cannot list resource \"pods\" in API group \"\" in the namespace \"a\"", Signature::Forbidden),
        ] {
            assert_eq!(kind(line), Some(expected), "{line}");
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
