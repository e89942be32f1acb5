//! Kubernetes quantities such as `128Mi` or `250m`.

use serde_json::Value;

const SUFFIXES: &[(&str, f64)] = &[
    ("Ki", 1024.0),
    ("Mi", 1_048_576.0),
    ("Gi", 1_073_741_824.0),
    ("Ti", 1_099_511_627_776.0),
    ("Pi", 1_125_899_906_842_624.0),
    ("Ei", 1_152_921_504_606_846_976.0),
    ("n", 1e-9),
    ("u", 1e-6),
    ("m", 1e-3),
    ("k", 1e3),
    ("M", 1e6),
    ("G", 1e9),
    ("T", 1e12),
    ("P", 1e15),
    ("E", 1e18),
];

/// The amount; `None` if it is not a quantity.
pub(crate) fn parse(value: &Value) -> Option<f64> {
    let text = match value {
        Value::Number(number) => return number.as_f64(),
        Value::String(text) => text,
        _ => return None,
    };
    let with_suffix = SUFFIXES.iter().find_map(|(suffix, factor)| Some((text.strip_suffix(suffix)?, factor)));
    let (digits, factor) = with_suffix.unwrap_or((text, &1.0));
    // The parser of floats would also take words such as `inf` and `nan`.
    let numeric = digits.starts_with(|c: char| c.is_ascii_digit() || "+-.".contains(c)) && digits.ends_with(|c: char| c.is_ascii_digit() || c == '.');
    numeric.then(|| digits.parse::<f64>().ok()).flatten().map(|n| n * factor)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn quantities_compare_across_their_notations() {
        for (a, b) in [(json!("1Gi"), json!("1024Mi")), (json!("500m"), json!(0.5)), (json!("1e3"), json!("1k")), (json!(2), json!("2"))] {
            assert_eq!(parse(&a), parse(&b), "{a} {b}");
            assert!(parse(&a).is_some());
        }
        for bad in [json!("lots"), json!("inf"), json!("Mi"), json!(""), json!(null), json!("1 Gi")] {
            assert_eq!(parse(&bad), None, "{bad}");
        }
    }
}
