//! Kubernetes quantities (`512Mi`, `250m`, `1.5`, `2e3`) as whole bytes and millicores.

use kubernaut_core::{Error, Result};

const OPERATION: &str = "executor.quantity";

/// Bytes, rounded up.
///
/// # Errors
/// `InvalidInput` for what is not a quantity, is negative or does not fit.
pub fn bytes(text: &str) -> Result<u64> {
    scaled(text, 1)
}

/// Thousandths of a core, rounded up.
///
/// # Errors
/// As [`bytes`].
pub fn millicpu(text: &str) -> Result<u64> {
    scaled(text, 1000)
}

/// `text` times `factor`, rounded up, exact up to then.
fn scaled(text: &str, factor: u128) -> Result<u64> {
    let parts = split(text).ok_or_else(|| not_a_quantity(text))?;
    parts.times(factor).ok_or_else(|| Error::invalid(OPERATION, "quantity is too large").with("value", text))
}

fn not_a_quantity(text: &str) -> Error {
    Error::invalid(OPERATION, "not a quantity, expected a number with a unit such as 512Mi or 250m").with("value", text)
}

/// `digits * numerator / denominator`.
struct Parts {
    digits: u128,
    numerator: u128,
    denominator: u128,
}

impl Parts {
    fn times(&self, factor: u128) -> Option<u64> {
        let product = self.digits.checked_mul(self.numerator)?.checked_mul(factor)?;
        u64::try_from(product.div_ceil(self.denominator)).ok().filter(|v| i64::try_from(*v).is_ok())
    }
}

fn split(text: &str) -> Option<Parts> {
    let number_end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, suffix) = text.split_at(number_end);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let digits = format!("{whole}{fraction}");
    if digits.is_empty() || digits.len() > 30 || fraction.contains('.') {
        return None;
    }
    let (up, down) = unit(suffix)?;
    let places = u32::try_from(fraction.len()).ok()?;
    Some(Parts { digits: digits.parse().ok()?, numerator: up, denominator: 10u128.checked_pow(places)?.checked_mul(down)? })
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

    use super::*;

    #[test]
    fn units_follow_kubernetes() {
        for (text, expected) in
            [("512Mi", 536_870_912), ("1.5Gi", 1_610_612_736), ("128974848", 128_974_848), ("129e6", 129_000_000), ("129M", 129_000_000)]
        {
            assert_eq!(bytes(text).unwrap(), expected, "{text}");
        }
        for (text, expected) in [("250m", 250), ("0.1", 100), ("2", 2000), ("1e-1", 100), ("100u", 1)] {
            assert_eq!(millicpu(text).unwrap(), expected, "{text}");
        }
    }

    #[test]
    fn what_is_not_a_quantity_is_refused_and_named() {
        for text in ["", ".", "Mi", "-1Mi", "1 Gi", "1gi", "1.2.3", "1e", "1e+", "99Ei", "1e99", "١Mi"] {
            assert!(bytes(text).unwrap_err().to_string().contains(&format!("value={text}")), "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_text_gives_a_value_or_an_error(text in "\\PC{0,12}") {
            let _ = (bytes(&text), millicpu(&text));
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
