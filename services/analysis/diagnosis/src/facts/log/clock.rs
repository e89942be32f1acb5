//! The time at which a line was written, over the notations of loggers.

use std::sync::LazyLock;

use kubernaut_core::model::Timestamp;
use regex::Regex;

static ISO: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"(\d{4})[-/.](\d{2})[-/.](\d{2})[T ](\d{2}:\d{2}:\d{2})(?:[.,]\d+)?\s?(Z|[+-]\d{2}:?\d{2})?").ok());
static COMMON: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(r"\b(\d{2})[/ ](Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)[/ ](\d{4})[: ](\d{2}:\d{2}:\d{2})(?:[.,]\d+)?\s?([+-]\d{4})?").ok()
});
static EPOCH: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(r#"(?:"(?:ts|time|timestamp|@timestamp|t)"\s*:\s*|\b(?:ts|time|timestamp)=)"?(1[5-9]\d{8}|2[0-3]\d{8})(\d{3})?(?:\.\d+)?\b"#).ok()
});

const MONTHS: &[&str] = &["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// The time in a line; one without an offset is taken as UTC.
pub(crate) fn time_of(line: &str) -> Option<Timestamp> {
    let head = head(line, 160);
    iso(head).or_else(|| common(head)).or_else(|| epoch(line))
}

fn head(line: &str, bytes: usize) -> &str {
    let mut end = line.len().min(bytes);
    while !line.is_char_boundary(end) {
        end -= 1;
    }
    &line[..end]
}

fn iso(head: &str) -> Option<Timestamp> {
    let c = ISO.as_ref()?.captures(head)?;
    parse(&c[1], &c[2], &c[3], &c[4], c.get(5).map(|m| m.as_str()))
}

fn common(head: &str) -> Option<Timestamp> {
    let c = COMMON.as_ref()?.captures(head)?;
    let month = MONTHS.iter().position(|m| *m == &c[2])? + 1;
    parse(&c[3], &format!("{month:02}"), &c[1], &c[4], c.get(5).map(|m| m.as_str()))
}

fn epoch(line: &str) -> Option<Timestamp> {
    let c = EPOCH.as_ref()?.captures(head(line, 2_000))?;
    Timestamp::from_second(c[1].parse().ok()?).ok()
}

fn parse(year: &str, month: &str, day: &str, clock: &str, offset: Option<&str>) -> Option<Timestamp> {
    let offset = match offset {
        None | Some("Z") => "Z".to_owned(),
        Some(o) if o.contains(':') => o.to_owned(),
        Some(o) => format!("{}:{}", &o[..3], &o[3..]),
    };
    format!("{year}-{month}-{day}T{clock}{offset}").parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_common_formats_are_read() {
        for line in [
            "2026-06-04T12:57:28.110Z INFO x",
            "2026/06/04 12:57:28 [emerg] x",
            "2026-06-04 12:57:28,000 ERROR",
            "{\"ts\":\"2026-06-04T12:57:28Z\"}",
            "2026-06-04T14:57:28.5+02:00 warn",
            "10.0.0.1 - - [04/Jun/2026:12:57:28 +0000] \"GET / HTTP/1.1\" 200",
            "7:M 04 Jun 2026 12:57:28.123 # Fatal",
            "{\"level\":50,\"time\":1780577848123,\"msg\":\"x\"}",
            "ts=1780577848.12 level=error",
        ] {
            assert_eq!(time_of(line).map(|t| t.as_second()), Some(1_780_577_848), "{line}");
        }
        assert!(time_of("no time here").is_none());
        assert!(time_of("ratio=0.5 time=1234 took=12s").is_none());
    }
}
