//! Hosts and ports that a text names.

use std::sync::LazyLock;

use regex::Regex;

/// A host as a text names it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Host {
    pub(crate) name: String,
    pub(crate) port: Option<u16>,
    /// Whether the text leaves no doubt that it is a host (a URL, a port, a lookup).
    pub(crate) certain: bool,
}

macro_rules! patterns {
    ($($name:ident = $pattern:literal;)*) => {$(
        static $name: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new($pattern).ok());
    )*};
}

patterns! {
    LOOKUP = r#"(?i)(?:lookup|ENOTFOUND|EAI_AGAIN|UnknownHostException:?|resolve host(?:name)?:?|no such host:?|translate host name|unknown (?:\w+ )?(?:server )?host:?|resolve (?:address|name):?|server at)\s+["'(]*([A-Za-z0-9][A-Za-z0-9._-]*)"#;
    URL = r#"[A-Za-z][A-Za-z0-9+.-]*://(?:[^/@\s"',]*@)?\[?([A-Za-z0-9][A-Za-z0-9._-]*)\]?(?::(\d{1,5}))?"#;
    PAIR = r"(?:^|[^A-Za-z0-9._/:-])([A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?):(\d{2,5})(?:$|[^0-9A-Za-z.:_-]|\.(?:\s|$)|:\s)";
    PORT_WORD = r#"(?i)(?:\b(?:to|at|host|server|from)\s+)["']?([A-Za-z0-9][A-Za-z0-9._-]*)["']?(?:\s*\([^)]*\))?[,:]?\s+(?:on\s+)?port:?\s+(\d{2,5})"#;
    QUOTED = r#"(?i)\bhost(?:name)?\s*[ =:]\s*["']([A-Za-z0-9][A-Za-z0-9._-]*)["'](?:,?\s*port\s*[=:]\s*(\d{2,5}))?"#;
    LISTEN = r"(?i)(?:listening|listen|started|serving|running|bound)(?:\s+\w+){0,4}?[\s:=]+(?:https?://)?(?:\[?[0-9a-z.:*]*\]?:|port\s+|port=|addr=\S*?:)(\d{2,5})\b";
}

const FILES: &[&str] = &[
    "java", "py", "go", "js", "mjs", "ts", "rb", "rs", "php", "cs", "kt", "scala", "c", "cc", "cpp", "h", "conf", "yaml", "yml", "json", "sql", "sh",
    "ex", "exs", "erl", "lua", "toml", "ini", "xml", "log",
];

/// Hosts in a line, certain ones first, each once.
pub(crate) fn hosts_in(line: &str) -> Vec<Host> {
    let mut found: Vec<Host> = Vec::new();
    let mut add = |name: &str, port: Option<&str>| {
        let name = name.trim_end_matches(['.', '-', '_']).to_ascii_lowercase();
        let port = port.and_then(|p| p.parse::<u16>().ok());
        if is_host(&name) && !found.iter().any(|h| h.name == name && (h.port == port || port.is_none())) {
            found.retain(|h| !(h.name == name && h.port.is_none()));
            found.push(Host { name, port, certain: true });
        }
    };
    for pattern in [&URL, &PAIR, &PORT_WORD, &QUOTED] {
        for c in pattern.as_ref().into_iter().flat_map(|r| r.captures_iter(line)) {
            add(&c[1], c.get(2).map(|m| m.as_str()));
        }
    }
    for c in LOOKUP.as_ref().into_iter().flat_map(|r| r.captures_iter(line)) {
        add(&c[1], None);
    }
    // The address after `on` in a failed lookup is the name server.
    if line.contains("lookup ") {
        found.retain(|h| h.port != Some(53));
    }
    found
}

/// Whether a word can be a host: not a number, a file or a log level.
fn is_host(name: &str) -> bool {
    let has_letter = name.bytes().any(|b| b.is_ascii_alphabetic());
    let is_ip = name.split('.').count() == 4 && name.split('.').all(|p| p.parse::<u8>().is_ok());
    let extension = name.rsplit_once('.').map(|(_, e)| e).unwrap_or_default();
    let plain = matches!(
        name,
        "on" | "at" | "to" | "port" | "line" | "error" | "tcp" | "udp" | "the" | "code" | "status" | "pid" | "localhost" | "127.0.0.1" | "0.0.0.0"
    );
    name.len() <= 253 && (has_letter || is_ip) && !FILES.contains(&extension) && !plain
}

/// The port that a line says the process listens on.
pub(crate) fn listen_port(line: &str) -> Option<u16> {
    let lower = line.to_ascii_lowercase();
    if !["listen", "started", "serving", "running on", "bound"].iter().any(|w| lower.contains(w)) {
        return None;
    }
    LISTEN.as_ref()?.captures(line)?[1].parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(line: &str) -> Vec<(String, Option<u16>)> {
        hosts_in(line).into_iter().map(|h| (h.name, h.port)).collect()
    }

    #[test]
    fn hosts_of_many_languages_are_found() {
        let host = |n: &str, p| vec![(n.to_owned(), p)];
        for (line, expected) in [
            ("dial tcp: lookup stock on 10.96.0.10:53: no such host", host("stock", None)),
            ("Error: getaddrinfo ENOTFOUND stock.shop.svc", host("stock.shop.svc", None)),
            ("java.net.ConnectException: Connection refused: ledger:3333", host("ledger", Some(3333))),
            ("java.net.UnknownHostException: ledger", host("ledger", None)),
            ("connect: connection to amqp://u:p@mq:5672/ failed", host("mq", Some(5672))),
            ("could not translate host name \"db-main\" to address: Name or service not known", host("db-main", None)),
            ("connection to server at \"db\" (10.0.0.1), port 5432 failed: Connection refused", host("db", Some(5432))),
            ("curl: (7) Failed to connect to web port 8080 after 3 ms", host("web", Some(8080))),
            ("Is the server running on host \"pg.shared\" (10.9.3.3) and accepting TCP/IP connections on port 5432?", host("pg.shared", None)),
            ("HTTPConnectionPool(host='fares', port=9090): Max retries exceeded", host("fares", Some(9090))),
            ("timeout connecting to api.shop.svc:8080", host("api.shop.svc", Some(8080))),
        ] {
            assert_eq!(names(line), expected, "{line}");
        }
    }

    #[test]
    fn times_files_and_own_addresses_are_no_hosts() {
        for line in [
            "12:57:28 ERROR x",
            "at java.base/sun.nio.ch.Net.pollConnectNow(Net.java:682)",
            "File main.py:22",
            "listening on localhost:80",
            "level=12:34",
        ] {
            assert!(names(line).is_empty(), "{line}: {:?}", names(line));
        }
    }
}
