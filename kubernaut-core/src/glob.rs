//! Names with `*`.

/// Whether `text` is matched by `pattern`, where `*` stands for any characters, none included. Nothing else in a pattern is special.
#[must_use]
pub fn matches(pattern: &str, text: &str) -> bool {
    let Some((first, rest)) = pattern.split_once('*') else { return pattern == text };
    let Some(mut left) = text.strip_prefix(first) else { return false };
    let mut parts: Vec<&str> = rest.split('*').collect();
    let last = parts.pop().unwrap_or_default();
    for part in parts {
        let Some(at) = left.find(part) else { return false };
        left = left.get(at + part.len()..).unwrap_or_default();
    }
    left.ends_with(last)
}

/// As [`matches()`], without regard to the case of ASCII letters.
#[must_use]
pub fn matches_ignoring_case(pattern: &str, text: &str) -> bool {
    matches(&pattern.to_ascii_lowercase(), &text.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_star_stands_for_any_characters() {
        for (pattern, text) in [
            ("a", "a"),
            ("", ""),
            ("*", ""),
            ("*", "x"),
            ("a*", "ab"),
            ("*-prod", "x-prod"),
            ("*-dev-*", "a-dev-b"),
            ("a*c*e", "abcde"),
            ("a*b*c", "aXbYc"),
            ("a*b", "ab"),
            ("a*ba", "aba"),
            ("*ü*", "grün"),
        ] {
            assert!(matches(pattern, text), "{pattern} {text}");
        }
        for (pattern, text) in
            [("a", "ab"), ("a*", "ba"), ("*-prod", "x-prod-1"), ("a*c*e", "aXe"), ("ab*b", "ab"), ("a*a", "a"), ("ab*ba", "aba"), ("", "a")]
        {
            assert!(!matches(pattern, text), "{pattern} {text}");
        }
    }

    #[test]
    fn case_counts_unless_it_is_to_be_ignored() {
        assert!(!matches("*exporter*", "Node-Exporter-7"));
        assert!(matches_ignoring_case("*exporter*", "Node-Exporter-7"));
    }

    /// Slow and plain: what a star may stand for is tried out.
    fn tried(pattern: &str, text: &str) -> bool {
        let Some((head, rest)) = pattern.split_once('*') else { return pattern == text };
        let Some(tail) = text.strip_prefix(head) else { return false };
        (0..=tail.len()).any(|at| tried(rest, &tail[at..]))
    }

    proptest! {
        #[test]
        fn it_agrees_with_trying_everything(pattern in "[ab*]{0,6}", text in "[ab]{0,8}") {
            prop_assert_eq!(matches(&pattern, &text), tried(&pattern, &text));
        }
    }
}
