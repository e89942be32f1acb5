//! Kubernetes quantities (`512Mi`, `250m`, `1.5`, `2e3`), exact up to the last step.

use std::fmt;

use serde_json::Value;

use crate::{Error, Result};

const OPERATION: &str = "quantity.parse";
const MEBI: f64 = 1_048_576.0;

/// Bytes (or pieces) as a whole number, rounded up.
///
/// # Errors
/// `InvalidInput` for what is not a quantity, is negative or does not fit into 63 bits.
pub fn bytes(text: &str) -> Result<u64> {
    whole(text, 1)
}

/// Thousandths of a core as a whole number, rounded up.
///
/// # Errors
/// As [`bytes`].
pub fn millicpu(text: &str) -> Result<u64> {
    whole(text, 1000)
}

/// Millicores of a `cpu` resource, whole units of any other; rounded up.
///
/// # Errors
/// As [`bytes`].
pub fn amount(resource: &str, text: &str) -> Result<u64> {
    if is_cpu(resource) { millicpu(text) } else { bytes(text) }
}

/// The number in base units (bytes, cores, pieces); `None` if the text is not a quantity.
#[must_use]
pub fn parse(text: &str) -> Option<f64> {
    split(text).map(|exact| exact.to_f64())
}

/// The number that a JSON string or number stands for, in base units; `None` if it is not a quantity.
#[must_use]
pub fn of(value: &Value) -> Option<f64> {
    match value {
        Value::String(text) => parse(text),
        Value::Number(number) => number.as_f64(),
        _ => None,
    }
}

/// Whether both are quantities of the same amount, whatever their notations.
#[must_use]
pub fn same(a: &Value, b: &Value) -> bool {
    let text = |value: &Value| match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    };
    let (Some(a), Some(b)) = (text(a), text(b)) else { return false };
    match (split(&a), split(&b)) {
        (Some(a), Some(b)) => a.equals(&b),
        _ => false,
    }
}

/// Bytes as the shortest exact `Mi` or `Gi` quantity, rounded up to whole `Mi`, at least one.
#[must_use]
pub fn memory(bytes: f64) -> String {
    let mib = (bytes / MEBI).ceil().max(1.0) as u64;
    if mib.is_multiple_of(1024) { format!("{}Gi", mib / 1024) } else { format!("{mib}Mi") }
}

/// Cores as whole millicores, rounded down, at least one.
#[must_use]
pub fn cpu(cores: f64) -> String {
    let milli = (cores * 1000.0 + 1e-6).floor().max(1.0) as u64;
    if milli.is_multiple_of(1000) { (milli / 1000).to_string() } else { format!("{milli}m") }
}

/// An amount of that resource in its usual notation.
#[must_use]
pub fn render(resource: &str, value: f64) -> String {
    if is_cpu(resource) {
        cpu(value)
    } else if resource.ends_with("memory") || resource.ends_with("storage") {
        memory(value)
    } else {
        format!("{}", value.ceil() as i64)
    }
}

fn is_cpu(resource: &str) -> bool {
    resource.ends_with("cpu")
}

fn whole(text: &str, factor: u128) -> Result<u64> {
    let invalid = |message: &'static str| Error::invalid(OPERATION, message).with("value", text);
    let exact = split(text)
        .filter(|exact| !exact.negative || exact.digits == 0)
        .ok_or_else(|| invalid("not a quantity, expected a number with a unit such as 512Mi or 250m"))?;
    exact.times(factor).ok_or_else(|| invalid("quantity is too large"))
}

/// `digits * numerator / denominator`, with a sign.
struct Exact {
    negative: bool,
    digits: u128,
    numerator: u128,
    denominator: u128,
}

impl Exact {
    fn times(&self, factor: u128) -> Option<u64> {
        let product = self.digits.checked_mul(self.numerator)?.checked_mul(factor)?;
        u64::try_from(product.div_ceil(self.denominator)).ok().filter(|v| i64::try_from(*v).is_ok())
    }

    fn to_f64(&self) -> f64 {
        let size = self.digits as f64 * self.numerator as f64 / self.denominator as f64;
        if self.negative { -size } else { size }
    }

    fn equals(&self, other: &Self) -> bool {
        let cross = |a: &Self, b: &Self| a.digits.checked_mul(a.numerator)?.checked_mul(b.denominator);
        match (cross(self, other), cross(other, self)) {
            (Some(a), Some(b)) => a == b && (self.negative == other.negative || a == 0),
            _ => self.to_f64() == other.to_f64(),
        }
    }
}

impl fmt::Debug for Exact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.to_f64())
    }
}

fn split(text: &str) -> Option<Exact> {
    let (negative, text) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let number_end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, suffix) = text.split_at(number_end);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let digits = format!("{whole}{fraction}");
    if digits.is_empty() || digits.len() > 30 || fraction.contains('.') {
        return None;
    }
    let (up, down) = unit(suffix)?;
    let places = u32::try_from(fraction.len()).ok()?;
    let denominator = 10u128.checked_pow(places)?.checked_mul(down)?;
    Some(Exact { negative, digits: digits.parse().ok()?, numerator: up, denominator })
}

/// The unit as numerator and denominator.
fn unit(suffix: &str) -> Option<(u128, u128)> {
    const THOUSAND: u128 = 1000;
    const KIBI: u128 = 1024;
    Some(match suffix {
        "n" => (1, THOUSAND.pow(3)),
        "u" => (1, THOUSAND.pow(2)),
        "m" => (1, THOUSAND),
        "" => (1, 1),
        "k" => (THOUSAND, 1),
        "M" => (THOUSAND.pow(2), 1),
        "G" => (THOUSAND.pow(3), 1),
        "T" => (THOUSAND.pow(4), 1),
        "P" => (THOUSAND.pow(5), 1),
        "E" => (THOUSAND.pow(6), 1),
        "Ki" => (KIBI, 1),
        "Mi" => (KIBI.pow(2), 1),
        "Gi" => (KIBI.pow(3), 1),
        "Ti" => (KIBI.pow(4), 1),
        "Pi" => (KIBI.pow(5), 1),
        "Ei" => (KIBI.pow(6), 1),
        _ => return exponent(suffix),
    })
}

fn exponent(suffix: &str) -> Option<(u128, u128)> {
    let power = suffix.strip_prefix(['e', 'E'])?;
    let digits = power.strip_prefix(['+', '-']).unwrap_or(power);
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let factor = 10u128.checked_pow(digits.parse::<u32>().ok().filter(|p| *p <= 18)?)?;
    Some(if power.starts_with('-') { (1, factor) } else { (factor, 1) })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn units_follow_kubernetes() {
        for (text, expected) in [
            ("512Mi", 536_870_912),
            ("1.5Gi", 1_610_612_736),
            ("128974848", 128_974_848),
            ("129e6", 129_000_000),
            ("129M", 129_000_000),
            ("+1k", 1000),
        ] {
            assert_eq!(bytes(text).unwrap(), expected, "{text}");
        }
        for (text, expected) in [("250m", 250), ("0.1", 100), ("2", 2000), ("1e-1", 100), ("100u", 1), (".5", 500), ("5.", 5000)] {
            assert_eq!(millicpu(text).unwrap(), expected, "{text}");
        }
        assert_eq!((amount("limits.cpu", "1").unwrap(), amount("memory", "1Ki").unwrap()), (1000, 1024));
    }

    #[test]
    fn what_is_not_a_quantity_is_refused_and_named() {
        for text in ["", ".", "Mi", "-1Mi", "1 Gi", "1gi", "1.2.3", "1e", "1e+", "99Ei", "1e99", "١Mi", "inf", "nan", "+-1"] {
            assert!(bytes(text).unwrap_err().to_string().contains(&format!("value={text}")), "{text}");
        }
        for value in [json!("lots"), json!("inf"), json!(null), json!([1])] {
            assert_eq!(of(&value), None, "{value}");
        }
    }

    #[test]
    fn amounts_are_the_same_across_notations() {
        for (a, b) in [
            (json!("1Gi"), json!("1024Mi")),
            (json!("500m"), json!(0.5)),
            (json!("1e3"), json!("1k")),
            (json!(2), json!("2")),
            (json!("-0"), json!("0")),
        ] {
            assert!(same(&a, &b), "{a} {b}");
            assert_eq!(of(&a), of(&b), "{a} {b}");
        }
        assert!(!same(&json!("1Gi"), &json!("1G")) && !same(&json!("-1"), &json!("1")) && !same(&json!("x"), &json!("x")));
        assert_eq!(parse("-1.5k"), Some(-1500.0));
    }

    #[test]
    fn amounts_are_written_in_their_usual_notation() {
        assert_eq!((memory(200.0 * MEBI), memory(2048.0 * MEBI), memory(1.0)), ("200Mi".into(), "2Gi".into(), "1Mi".into()));
        assert_eq!((cpu(0.1 / 3.0), cpu(2.0)), ("33m".into(), "2".into()));
        assert_eq!((render("requests.cpu", 0.5), render("limits.memory", MEBI), render("pods", 3.2)), ("500m".into(), "1Mi".into(), "4".into()));
    }

    proptest! {
        #[test]
        fn any_text_gives_a_value_or_an_error(text in "\\PC{0,12}") {
            let _ = (bytes(&text), millicpu(&text), parse(&text));
        }

        #[test]
        fn a_larger_unit_never_shrinks(n in 0u64..1_000_000) {
            let sizes: Vec<u64> = ["", "k", "Ki", "M", "Mi", "G", "Gi"].iter().map(|u| bytes(&format!("{n}{u}")).unwrap()).collect();
            prop_assert!(sizes.windows(2).all(|w| w[0] <= w[1]));
            prop_assert_eq!(bytes(&n.to_string()).unwrap(), n);
            prop_assert_eq!(millicpu(&format!("{n}m")).unwrap(), n);
        }
    }
}
