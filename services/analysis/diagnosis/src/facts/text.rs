//! Small helpers for text that goes into evidence.

/// At most `max` characters on one line, control characters removed.
pub(crate) fn short(text: &str, max: usize) -> String {
    let clean: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let clean = clean.split_whitespace().collect::<Vec<_>>().join(" ");
    if clean.chars().count() <= max {
        return clean;
    }
    clean.chars().take(max.saturating_sub(1)).chain(['…']).collect()
}

/// The number of single-character edits between two words, at most `limit + 1`.
pub(crate) fn distance(a: &str, b: &str, limit: usize) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    if a.len().abs_diff(b.len()) > limit {
        return limit + 1;
    }
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut corner = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let above = row[j + 1];
            row[j + 1] = (above + 1).min(row[j] + 1).min(corner + usize::from(x != y));
            corner = above;
        }
    }
    row[b.len()].min(limit + 1)
}

/// The quoted parts of a text: `"…"`, `'…'` and `` `…` ``, each at most 200 bytes.
pub(crate) fn quoted(text: &str) -> Vec<&str> {
    let mut found = Vec::new();
    for quote in ['"', '\'', '`'] {
        let mut rest = text;
        while let Some(start) = rest.find(quote) {
            let tail = &rest[start + 1..];
            let Some(end) = tail.find(quote) else { break };
            if (1..=200).contains(&end) {
                found.push(&tail[..end]);
            }
            rest = &tail[end + 1..];
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distance_counts_edits_up_to_the_limit() {
        assert_eq!(distance("nginx", "ngnix", 3), 2);
        assert_eq!(distance("ssd", "ssdd", 2), 1);
        assert_eq!(distance("a", "abcdef", 2), 3);
    }

    #[test]
    fn quoted_parts_are_found() {
        assert_eq!(quoted(r#"unknown directive "listn" in 'x'"#), ["listn", "x"]);
        assert!(quoted("it's").is_empty());
    }
}
