//! Container logs: lines that say what went wrong, with what they name. Text is data: it never names an action.

mod clock;
mod host;
mod plain;
mod signature;
mod words;

use std::collections::BTreeMap;

use kubernaut_core::model::Timestamp;

pub(crate) use host::{Host, hosts_in};
pub(crate) use signature::{Sign, Signature};

use super::text::short;
use clock::time_of;

/// The logs of one container.
#[derive(Debug, Clone, Default)]
pub(crate) struct ContainerLog {
    pub(crate) current: Option<String>,
    pub(crate) previous: Option<String>,
    hits: Vec<Hit>,
    /// The port it says that it listens on.
    pub(crate) listens: Vec<u16>,
    /// Requests that were answered with a 5xx status: when, and the line.
    pub(crate) server_errors: Vec<(Option<Timestamp>, String)>,
    /// The last lines, for evidence where nothing is recognised.
    pub(crate) last_line: Option<String>,
}

/// A line that was recognised.
#[derive(Debug, Clone)]
pub(crate) struct Hit {
    pub(crate) sign: Sign,
    pub(crate) line: String,
    pub(crate) at: Option<Timestamp>,
    /// Hosts that the line, or one close before it, names.
    pub(crate) hosts: Vec<Host>,
    /// Lines from the end of its log.
    pub(crate) from_end: usize,
}

/// Logs by namespace, pod and container.
#[derive(Debug, Default)]
pub(crate) struct Logs(BTreeMap<(String, String, String), ContainerLog>);

impl Logs {
    /// Adds what was read of one container.
    pub(crate) fn add(&mut self, namespace: &str, pod: &str, container: &str, current: Option<String>, previous: Option<String>) {
        let mut log = ContainerLog { current, previous, ..ContainerLog::default() };
        log.scan();
        self.0.insert((namespace.to_owned(), pod.to_owned(), container.to_owned()), log);
    }

    pub(crate) fn get(&self, namespace: &str, pod: &str, container: &str) -> Option<&ContainerLog> {
        self.0.get(&(namespace.to_owned(), pod.to_owned(), container.to_owned()))
    }

    pub(crate) fn has(&self, namespace: &str, pod: &str) -> bool {
        self.of_pod(namespace, pod).next().is_some()
    }

    /// All containers of a pod that were read.
    pub(crate) fn of_pod<'a>(&'a self, namespace: &str, pod: &str) -> impl Iterator<Item = (&'a str, &'a ContainerLog)> + use<'a> {
        let from = (namespace.to_owned(), pod.to_owned(), String::new());
        let (namespace, pod) = (from.0.clone(), from.1.clone());
        self.0.range(from..).take_while(move |((n, p, _), _)| *n == namespace && *p == pod).map(|((_, _, c), log)| (c.as_str(), log))
    }
}

impl ContainerLog {
    /// Recognised lines, the most telling first: those near the end of the run that ended.
    pub(crate) fn hits(&self) -> &[Hit] {
        &self.hits
    }

    /// Recognised lines not older than `seconds`; lines without a time count if they are near the end.
    pub(crate) fn recent(&self, now: Timestamp, seconds: i64) -> impl Iterator<Item = &Hit> {
        self.hits.iter().filter(move |h| h.at.map_or(h.from_end < 40, |at| now.as_second() - at.as_second() <= seconds))
    }

    fn scan(&mut self) {
        let mut hits = Vec::new();
        let texts = [self.previous.clone(), self.current.clone()];
        for text in texts.iter().flatten() {
            self.scan_text(text, &mut hits);
        }
        // A crashing container often has the same text in both logs.
        let mut seen = std::collections::BTreeSet::new();
        hits.retain(|h: &Hit| seen.insert(h.line.clone()));
        hits.sort_by_key(|h| (h.from_end, std::cmp::Reverse(h.sign.weight())));
        self.hits = hits;
    }

    fn scan_text(&mut self, text: &str, hits: &mut Vec<Hit>) {
        let all: Vec<&str> = text.lines().filter(|l| !l.trim().is_empty()).collect();
        if let Some(last) = all.last() {
            self.last_line = Some(short(last, 300));
        }
        let from = all.len().saturating_sub(500);
        // The time is read from the line as it stands: it may be in any field.
        let raw = &all[from..];
        let lines: Vec<_> = raw.iter().map(|l| plain::plain(l)).collect();
        for (i, line) in lines.iter().enumerate() {
            let line = line.as_ref();
            if let Some(port) = host::listen_port(line)
                && !self.listens.contains(&port)
            {
                self.listens.push(port);
            }
            if signature::is_server_error(line) && self.server_errors.len() < 200 {
                self.server_errors.push((time_of(raw[i]), short(line, 300)));
            }
            for sign in signature::recognise(line) {
                let mut hosts = if sign.names_a_host() { hosts_in(line) } else { Vec::new() };
                if hosts.is_empty() && sign.names_a_host() {
                    hosts = lines[i.saturating_sub(3)..i].iter().rev().flat_map(|l| hosts_in(l)).collect();
                }
                let at = time_of(raw[i]).or_else(|| raw[i.saturating_sub(4)..i].iter().rev().find_map(|l| time_of(l)));
                hits.push(Hit { sign, line: short(line, 300), at, hosts, from_end: lines.len() - 1 - i });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(text: &str) -> ContainerLog {
        let mut log = ContainerLog { current: Some(text.to_owned()), ..ContainerLog::default() };
        log.scan();
        log
    }

    #[test]
    fn a_host_is_taken_from_the_lines_before_where_the_error_names_none() {
        let log = log("10:00 Connecting to Redis: cache-main:6379,ssl=false\n10:01 fail: store\n10:02 Wasn't able to connect to redis\n");
        let hit = &log.hits()[0];
        assert_eq!(hit.hosts[0].name, "cache-main");
        assert_eq!(hit.hosts[0].port, Some(6379));
    }

    #[test]
    fn ports_that_a_process_listens_on_are_read() {
        assert_eq!(log("INFO listening on :9105").listens, [9105]);
        assert_eq!(log("Server started on 0.0.0.0:3000").listens, [3000]);
        assert!(log("listening for changes").listens.is_empty());
    }
}
