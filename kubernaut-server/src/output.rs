//! Lines for people and programs on standard output.

use std::{fmt, io::Write};

/// Writes a line. A reader that has gone away, as `| head` does, is no reason to fail.
pub(crate) fn line(text: fmt::Arguments<'_>) {
    let mut out = std::io::stdout().lock();
    let _ = out.write_fmt(text).and_then(|()| out.write_all(b"\n"));
}

/// `println!` that does not mind a reader that has gone away.
macro_rules! say {
    ($($text:tt)*) => { $crate::output::line(format_args!($($text)*)) };
}
pub(crate) use say;
