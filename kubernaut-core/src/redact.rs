//! Taking out what looks like a credential.
//!
//! Text of logs, events and annotations reaches people and other systems through notifications. What is taken out is replaced by
//! `[redacted]`. When in doubt it is taken out; names of objects (`secretName: web-tls`, `secret "web" not found`) stay, as they are evidence.

use std::{borrow::Cow, sync::LazyLock};

use regex::{Captures, Regex};
use serde_json::Value;

const REDACTED: &str = "[redacted]";

macro_rules! pattern {
    ($name:ident, $text:expr) => {
        static $name: LazyLock<Regex> = LazyLock::new(|| Regex::new($text).expect("the pattern is valid"));
    };
}

pattern!(KEY_BLOCK, r"(?s)-----BEGIN [A-Z0-9 ]*PRIVATE KEY[A-Z0-9 ]*-----.*?(?:-----END [A-Z0-9 ]*PRIVATE KEY[A-Z0-9 ]*-----|\z)");
pattern!(JWT, r"\beyJ[A-Za-z0-9_-]{5,}\.[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]*)?");
pattern!(SCHEME, r"(?i)\b(bearer|basic)\s+([A-Za-z0-9._~+/=-]{8,})");
// Tokens of common services, by the shape of their prefix.
pattern!(
    SHAPE,
    r"\b(?:A(?:KIA|SIA)[A-Z0-9]{16}|gh[pousr]_[A-Za-z0-9]{20,}|github_pat_[A-Za-z0-9_]{20,}|glpat-[A-Za-z0-9_-]{16,}|xox[a-z]-[A-Za-z0-9-]{10,}|sk-[A-Za-z0-9_-]{20,}|AIza[A-Za-z0-9_-]{30,}|npm_[A-Za-z0-9]{30,}|dckr_pat_[A-Za-z0-9_-]{20,}|SG\.[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{16,})"
);
pattern!(HOOK_PATH, r"(?i)(hooks\.slack\.com/(?:services|workflows)/)[^\s]+");
pattern!(USERINFO, r"(?i)\b([a-z][a-z0-9+.-]*://)([^\s:/@]*):([^\s@/]+)@");
pattern!(
    PAIR,
    r#"(?i)([a-z0-9_.-]*(?:passwd|password|pwd|secret|token|api[_-]?key|access[_-]?key|private[_-]?key|account[_-]?key|credential|signature|passphrase)[a-z0-9_.-]*)("?(?:\s*=\s*|:\s*))("(?:[^"\\]|\\.)*"|'[^']*'|[^\s,;&"'}\])]+)(\s*(?:->|→|=>)\s*(?:"[^"]*"|[^\s,;]+))?"#
);
// An environment variable as Kubernetes writes it: name and value apart.
pattern!(
    ENV_VALUE,
    r#"(?i)("?name"?\s*:\s*"?[a-z0-9_.-]*(?:passwd|password|pwd|secret|token|api[_-]?key|access[_-]?key|private[_-]?key|credential|passphrase)[a-z0-9_.-]*"?\s*,?\s*"?value"?\s*:\s*)("(?:[^"\\]|\\.)*"|'[^']*'|[^\s,}\]]+)"#
);
pattern!(
    SENSITIVE_KEY,
    r"(?i)(?:passwd|password|pwd|secret|token|api[_-]?key|access[_-]?key|private[_-]?key|account[_-]?key|credential|authorization|passphrase)"
);
// What such a word is about, where it names an object or counts something.
pattern!(HARMLESS_KEY, r"(?i)(?:name|names|namespace|ref|refs|keyref|count|total|type|kind|path|file|ttl|limit|length|expiry|tokens)$");

/// The text without what looks like a credential.
#[must_use]
pub fn redact(text: &str) -> Cow<'_, str> {
    let mut text = Cow::Borrowed(text);
    apply(&mut text, &KEY_BLOCK, |_| REDACTED.to_owned());
    apply(&mut text, &JWT, |_| REDACTED.to_owned());
    apply(&mut text, &SCHEME, scheme);
    apply(&mut text, &SHAPE, |_| REDACTED.to_owned());
    apply(&mut text, &HOOK_PATH, |found| format!("{}{REDACTED}", &found[1]));
    apply(&mut text, &USERINFO, |found| format!("{}{}:{REDACTED}@", &found[1], &found[2]));
    apply(&mut text, &ENV_VALUE, |found| format!("{}{}", &found[1], quoted(&found[2])));
    apply(&mut text, &PAIR, pair);
    text
}

fn apply(text: &mut Cow<'_, str>, pattern: &Regex, with: impl Fn(&Captures<'_>) -> String) {
    if let Cow::Owned(changed) = pattern.replace_all(text, |found: &Captures<'_>| with(found)) {
        *text = Cow::Owned(changed);
    }
}

/// `Bearer abc…`, but not `basic authentication`.
fn scheme(found: &Captures<'_>) -> String {
    let value = &found[2];
    let is_word = value.len() < 20 && value.chars().all(|c| c.is_ascii_alphabetic());
    if is_word { found[0].to_owned() } else { format!("{} {REDACTED}", &found[1]) }
}

fn pair(found: &Captures<'_>) -> String {
    let (key, value) = (&found[1], found[3].trim_matches(['"', '\'']));
    if HARMLESS_KEY.is_match(key) || matches!(value, "" | "true" | "false" | "null" | "none" | "absent" | REDACTED) || value.starts_with("[redacted")
    {
        return found[0].to_owned();
    }
    let arrow = found.get(4).map(|_| format!(" -> {REDACTED}")).unwrap_or_default();
    format!("{key}{}{}{arrow}", &found[2], quoted(&found[3]))
}

/// The replacement, in the quotes of what it replaces.
fn quoted(value: &str) -> String {
    match value.chars().next() {
        Some(quote @ ('"' | '\'')) => format!("{quote}{REDACTED}{quote}"),
        _ => REDACTED.to_owned(),
    }
}

/// The JSON without what looks like a credential: strings as by [`redact`], and every text or number under a key that names one.
#[must_use]
pub fn redact_json(value: Value) -> Value {
    match value {
        Value::String(text) => Value::String(redact(&text).into_owned()),
        Value::Array(items) => Value::Array(items.into_iter().map(redact_json).collect()),
        Value::Object(fields) => {
            // {"name": "DB_PASSWORD", "value": …}
            let names_one = fields.get("name").and_then(Value::as_str).is_some_and(is_sensitive);
            let fields = fields.into_iter().map(|(key, value)| {
                let hide = is_sensitive(&key) || (names_one && key == "value");
                let value = if hide { hide_leaves(value) } else { redact_json(value) };
                (key, value)
            });
            Value::Object(fields.collect())
        }
        other => other,
    }
}

fn is_sensitive(key: &str) -> bool {
    SENSITIVE_KEY.is_match(key) && !HARMLESS_KEY.is_match(key)
}

fn hide_leaves(value: Value) -> Value {
    match value {
        Value::String(text) if text.is_empty() => Value::String(text),
        Value::String(_) | Value::Number(_) => Value::String(REDACTED.to_owned()),
        Value::Array(items) => Value::Array(items.into_iter().map(hide_leaves).collect()),
        Value::Object(fields) => Value::Object(fields.into_iter().map(|(key, value)| (key, hide_leaves(value))).collect()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn credentials_go_and_the_text_around_them_stays() {
        let jwt = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl";
        for (text, expected) in [
            ("Authorization: Bearer abc123.def-456", "Authorization: Bearer [redacted]"),
            ("got Basic dXNlcjpwYXNzd29yZA== from x", "got Basic [redacted] from x"),
            ("dial postgres://app:hunter2@db:5432/shop failed", "dial postgres://app:[redacted]@db:5432/shop failed"),
            ("redis://:hunter2@cache:6379", "redis://:[redacted]@cache:6379"),
            ("DB_PASSWORD=hunter2 PORT=80", "DB_PASSWORD=[redacted] PORT=80"),
            ("password: \"two words\", user: x", "password: \"[redacted]\", user: x"),
            ("{\"api_key\":\"k\",\"a\":1}", "{\"api_key\":\"[redacted]\",\"a\":1}"),
            ("?access_token=abc&x=1", "?access_token=[redacted]&x=1"),
            ("client_secret = 'x' # note", "client_secret = '[redacted]' # note"),
            ("env DB_PASSWORD: hunter2 -> hunter3", "env DB_PASSWORD: [redacted] -> [redacted]"),
            ("- name: DB_PASSWORD\n  value: hunter2\n- name: PORT", "- name: DB_PASSWORD\n  value: [redacted]\n- name: PORT"),
            ("{\"name\":\"TOKEN\",\"value\":\"x y\"}", "{\"name\":\"TOKEN\",\"value\":\"[redacted]\"}"),
            ("key AKIAIOSFODNN7EXAMPLE used", "key [redacted] used"),
            ("https://hooks.slack.com/services/T0/B0/x refused", "https://hooks.slack.com/services/[redacted] refused"),
            ("a\n-----BEGIN RSA PRIVATE KEY-----\nMII\n-----END RSA PRIVATE KEY-----\nb", "a\n[redacted]\nb"),
            ("cut off -----BEGIN PRIVATE KEY-----\nMII", "cut off [redacted]"),
        ] {
            assert_eq!(redact(text), expected, "{text}");
        }
        assert_eq!(redact(&format!("token {jwt} expired")), "token [redacted] expired");
    }

    #[test]
    fn evidence_stays_readable() {
        for text in [
            "Error: secret \"nope\" not found",
            "MountVolume.SetUp failed for volume \"token\" : secret \"x\" not found",
            "secretName: web-tls",
            "secretKeyRef.name=db-credentials",
            "Secret/shop/db-credentials",
            "basic authentication is off, bearer token missing",
            "http://10.0.0.5:8080/healthz: connection refused",
            "max_tokens: 4096",
            "imagePullSecrets[0].name: regcred",
            "image registry.example:5000/web@sha256:0123456789abcdef",
        ] {
            assert_eq!(redact(text), text);
        }
    }

    #[test]
    fn in_json_the_key_decides_too() {
        let value = json!({
            "env": [{"name": "DB_PASSWORD", "value": "x"}, {"name": "PORT", "value": "80"}],
            "apiKey": 12345, "token": {"a": ["b", true]}, "secretName": "web-tls", "tokens": {"input": 5}, "note": "password=x"
        });
        let expected = json!({
            "env": [{"name": "DB_PASSWORD", "value": "[redacted]"}, {"name": "PORT", "value": "80"}],
            "apiKey": "[redacted]", "token": {"a": ["[redacted]", true]}, "secretName": "web-tls", "tokens": {"input": 5}, "note": "password=[redacted]"
        });
        assert_eq!(redact_json(value), expected);
    }

    proptest! {
        #[test]
        fn no_text_breaks_it_and_twice_is_as_good_as_once(text in ".{0,200}") {
            let once = redact(&text).into_owned();
            prop_assert_eq!(redact(&once).into_owned(), once);
        }

        #[test]
        fn a_password_never_survives(before in "[a-z ]{0,10}", value in "[A-Za-z0-9!#$%^*]{6,20}", after in "[a-z ]{0,10}") {
            prop_assume!(!before.contains(&value) && !after.contains(&value) && !"[redacted]password=".contains(&value));
            let text = format!("{} password={} {}", before, value, after);
            prop_assert!(!redact(&text).contains(&value));
        }
    }
}
