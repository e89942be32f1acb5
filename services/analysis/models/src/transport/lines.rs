//! Streams cut into lines and server-sent events, wherever the network cut them.

use bytes::{Buf, BytesMut};

/// Lines of a stream; ended by LF or CR LF.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    buffer: BytesMut,
    /// Bytes known to hold no line end.
    seen: usize,
}

impl Lines {
    pub(crate) fn push(&mut self, piece: &[u8]) {
        self.buffer.extend_from_slice(piece);
    }

    /// The next whole line without its end.
    pub(crate) fn next(&mut self) -> Option<Vec<u8>> {
        let Some(at) = self.buffer[self.seen..].iter().position(|b| *b == b'\n').map(|at| at + self.seen) else {
            self.seen = self.buffer.len();
            return None;
        };
        self.seen = 0;
        let mut line = self.buffer.split_to(at).to_vec();
        self.buffer.advance(1);
        if line.last() == Some(&b'\r') {
            line.pop();
        }
        Some(line)
    }

    /// What follows the last line end.
    pub(crate) fn rest(self) -> Vec<u8> {
        self.buffer.to_vec()
    }
}

/// One server-sent event.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct ServerEvent {
    /// Its `event` field; empty if absent.
    pub(crate) name: String,
    /// Its `data` fields, joined by line feeds.
    pub(crate) data: String,
}

/// Server-sent events of a stream (WHATWG HTML, section 9.2.6; a lone CR as line end, which no provider sends, is not read as one).
#[derive(Debug, Default)]
pub(crate) struct ServerEvents {
    lines: Lines,
    open: ServerEvent,
    has_data: bool,
}

impl ServerEvents {
    pub(crate) fn push(&mut self, piece: &[u8]) {
        self.lines.push(piece);
    }

    /// The next whole event; one without data is none.
    pub(crate) fn next(&mut self) -> Option<ServerEvent> {
        while let Some(line) = self.lines.next() {
            if line.is_empty() {
                let event = std::mem::take(&mut self.open);
                if std::mem::take(&mut self.has_data) {
                    return Some(event);
                }
                continue;
            }
            self.field(&String::from_utf8_lossy(&line));
        }
        None
    }

    fn field(&mut self, line: &str) {
        let (name, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match name {
            "event" => value.clone_into(&mut self.open.name),
            "data" => {
                if self.has_data {
                    self.open.data.push('\n');
                }
                self.open.data.push_str(value);
                self.has_data = true;
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const STREAM: &str =
        ": hello\r\n\r\nevent: a\r\ndata: one\r\ndata: two\r\n\r\nid: 7\ndata:\u{e4}\u{20ac}\n\nevent: lost\n\ndata: [DONE]\n\ndata: cut";

    fn events(pieces: &[&[u8]]) -> Vec<(String, String)> {
        let mut reader = ServerEvents::default();
        let mut found = Vec::new();
        for piece in pieces {
            reader.push(piece);
            while let Some(event) = reader.next() {
                found.push((event.name, event.data));
            }
        }
        found
    }

    #[test]
    fn events_are_read_as_the_standard_says() {
        let event = |name: &str, data: &str| (name.to_owned(), data.to_owned());
        assert_eq!(events(&[STREAM.as_bytes()]), [event("a", "one\ntwo"), event("", "\u{e4}\u{20ac}"), event("", "[DONE]")]);
    }

    proptest! {
        #[test]
        fn cuts_of_the_network_change_nothing(mut cuts in prop::collection::vec(0..STREAM.len(), 0..12)) {
            cuts.sort_unstable();
            let mut pieces = Vec::new();
            let mut from = 0;
            for cut in cuts {
                pieces.push(&STREAM.as_bytes()[from..cut]);
                from = cut;
            }
            pieces.push(&STREAM.as_bytes()[from..]);
            prop_assert_eq!(events(&pieces), events(&[STREAM.as_bytes()]));
        }
    }
}
