//! The end of a log: whole lines within limits.

use kubernaut_core::port::LogText;

/// Cuts `bytes`, the end of a log, to at most `max_lines` whole lines and `max_bytes` bytes.
///
/// `older` says that there was text before `bytes`: its first line may then be a part of a line and is dropped, unless `bytes` starts with
/// the newline that ends the line before.
pub(crate) fn tail(bytes: &[u8], older: bool, max_lines: usize, max_bytes: usize) -> LogText {
    let bytes = if older { bytes.iter().position(|b| *b == b'\n').map_or(&[][..], |end| &bytes[end + 1..]) } else { bytes };
    let text = String::from_utf8_lossy(bytes);
    let (mut start, mut lines) = (text.len(), 0);
    for line in text.split_inclusive('\n').rev() {
        let next = start - line.len();
        if lines == max_lines || text.len() - next > max_bytes {
            break;
        }
        (start, lines) = (next, lines + 1);
    }
    LogText { text: text[start..].to_owned(), truncated: older || start > 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(text: &str, older: bool, lines: usize, bytes: usize) -> (String, bool) {
        let log = tail(text.as_bytes(), older, lines, bytes);
        (log.text, log.truncated)
    }

    #[test]
    fn whole_lines_only_and_never_more_than_the_limits() {
        assert_eq!(cut("a\nb\nc", false, 9, 99), ("a\nb\nc".into(), false));
        assert_eq!(cut("a\nb\nc\n", false, 2, 99), ("b\nc\n".into(), true));
        assert_eq!(cut("aaaa\nbb\n", false, 9, 4), ("bb\n".into(), true));
        assert_eq!(cut("aaaa\n", false, 9, 4), (String::new(), true));
        assert_eq!(cut("", false, 9, 4), (String::new(), false));
    }

    #[test]
    fn a_line_that_began_before_the_window_is_dropped() {
        assert_eq!(cut("rt of a line\nnext\n", true, 9, 99), ("next\n".into(), true));
        assert_eq!(cut("\nnext\n", true, 9, 99), ("next\n".into(), true));
    }
}
