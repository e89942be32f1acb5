//! Answers as Markdown, for chats, tickets and pull requests.

use std::fmt::Write as _;

use crate::{Report, ReportAction, ReportCandidate, Scan};

impl Report {
    /// The answer as Markdown: cause with its chain and evidence, proposals, alternatives.
    #[must_use]
    pub fn markdown(&self) -> String {
        let mut out = format!("## {}\n\n", self.target);
        match self.candidates.split_first() {
            None => out.push_str("No cause was found.\n"),
            Some((first, rest)) => {
                cause(&mut out, first);
                alternatives(&mut out, rest);
            }
        }
        let _ = writeln!(out, "\n**Decision:** {} ({})", self.decision.as_str(), plain(&self.reason));
        for action in &self.actions {
            proposal(&mut out, action);
        }
        list(&mut out, "What would tell them apart", &self.questions);
        list(&mut out, "Not read", &self.gaps);
        out
    }
}

impl Scan {
    /// The scan as Markdown: a table of causes, then each of them.
    #[must_use]
    pub fn markdown(&self) -> String {
        if self.causes.is_empty() {
            return format!("No fault found in {} namespace(s).\n", self.namespaces);
        }
        let mut out = String::from("| cause | object | explains |\n|---|---|---|\n");
        for cause in &self.causes {
            let first = cause.report.candidates.first();
            let (category, object) = first.map_or(("unknown", cause.report.target.as_str()), |c| (c.category.as_str(), c.object.as_str()));
            let _ = writeln!(out, "| `{category}` | `{object}` | {} |", cause.affected.join(", "));
        }
        for cause in &self.causes {
            let _ = write!(out, "\n{}", cause.report.markdown());
        }
        out
    }
}

fn cause(out: &mut String, cause: &ReportCandidate) {
    let _ =
        writeln!(out, "**Cause:** `{}` at `{}` (confidence {:.2})  \n{}\n", cause.category, cause.object, cause.confidence, plain(&cause.summary));
    for (i, step) in cause.chain.iter().enumerate() {
        let _ = writeln!(out, "{}. {}", i + 1, plain(step));
    }
    if !cause.evidence.is_empty() {
        out.push_str("\nEvidence:\n\n");
    }
    for fact in &cause.evidence {
        let _ = writeln!(out, "- `{}` ({}): {}", fact.object, fact.source.as_str().unwrap_or_default(), plain(&fact.text));
    }
}

fn alternatives(out: &mut String, others: &[ReportCandidate]) {
    for other in others {
        let _ = writeln!(out, "\n*Alternative:* `{}` at `{}` ({:.2}): {}", other.category, other.object, other.confidence, plain(&other.summary));
    }
}

fn proposal(out: &mut String, action: &ReportAction) {
    let params = if action.params.is_null() { String::new() } else { format!(" `{}`", action.params) };
    let _ = writeln!(out, "\n**Proposal:** `{}` on `{}`{params}", action.action, action.target);
    if !action.expected_effect.is_empty() {
        let _ = writeln!(out, "- expected: {}", plain(&action.expected_effect));
    }
    for p in &action.preconditions {
        let _ = writeln!(out, "- [{}] {}", if p.holds { "x" } else { " " }, plain(&p.text));
    }
    for step in &action.manual_steps {
        let _ = writeln!(out, "- by hand: {}", plain(step));
    }
}

fn list(out: &mut String, title: &str, lines: &[String]) {
    if lines.is_empty() {
        return;
    }
    let _ = writeln!(out, "\n{title}:\n");
    for line in lines {
        let _ = writeln!(out, "- {}", plain(line));
    }
}

/// Text of a cluster without anything that Markdown would take for its own: no links, images, code, tables or tags.
fn plain(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' | '\r' => out.push(' '),
            '[' | ']' | '<' | '>' | '`' | '|' | '*' | '_' | '#' | '!' | '\\' => out.extend(['\\', c]),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_of_the_cluster_stays_text() {
        assert_eq!(plain("see ![x](http://a)\n# <b>"), "see \\!\\[x\\](http://a) \\# \\<b\\>");
    }
}
