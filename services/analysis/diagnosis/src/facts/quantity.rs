//! Kubernetes quantities as numbers in base units (bytes, cores, pieces).

use serde_json::Value;

const UNITS: &[(&str, f64)] = &[
    ("Ki", 1024.0),
    ("Mi", 1_048_576.0),
    ("Gi", 1_073_741_824.0),
    ("Ti", 1_099_511_627_776.0),
    ("Pi", 1_125_899_906_842_624.0),
    ("m", 1e-3),
    ("k", 1e3),
    ("M", 1e6),
    ("G", 1e9),
    ("T", 1e12),
    ("P", 1e15),
];

/// The number that a quantity stands for; `None` if it is not one.
pub(crate) fn parse(text: &str) -> Option<f64> {
    let text = text.trim();
    let found = UNITS.iter().find_map(|(suffix, factor)| Some((text.strip_suffix(suffix)?, *factor)));
    let (number, factor) = found.unwrap_or((text, 1.0));
    number.parse::<f64>().ok().filter(|n| n.is_finite()).map(|n| n * factor)
}

/// The quantity in a JSON string or number.
pub(crate) fn of(value: &Value) -> Option<f64> {
    match value {
        Value::String(s) => parse(s),
        Value::Number(n) => n.as_f64(),
        _ => None,
    }
}

/// Bytes as the shortest exact `Mi` or `Gi` quantity, rounded up to whole `Mi`.
pub(crate) fn memory(bytes: f64) -> String {
    let mib = (bytes / 1_048_576.0).ceil().max(1.0) as u64;
    if mib.is_multiple_of(1024) { format!("{}Gi", mib / 1024) } else { format!("{mib}Mi") }
}

/// Cores as whole millicores, rounded down, at least one.
pub(crate) fn cpu(cores: f64) -> String {
    let milli = (cores * 1000.0 + 1e-6).floor().max(1.0) as u64;
    if milli.is_multiple_of(1000) { (milli / 1000).to_string() } else { format!("{milli}m") }
}

/// A quantity of that resource, in its usual notation.
pub(crate) fn render(resource: &str, value: f64) -> String {
    if resource.ends_with("cpu") {
        cpu(value)
    } else if resource.ends_with("memory") || resource.ends_with("storage") {
        memory(value)
    } else {
        format!("{}", value.ceil() as i64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_are_read_and_written_in_kubernetes_notation() {
        assert_eq!(parse("100Mi"), Some(104_857_600.0));
        assert_eq!(parse("250m"), Some(0.25));
        assert_eq!(parse("1e3"), Some(1000.0));
        assert_eq!(parse("fast"), None);
        assert_eq!(memory(200.0 * 1_048_576.0), "200Mi");
        assert_eq!(memory(2.0 * 1_073_741_824.0), "2Gi");
        assert_eq!(cpu(0.1 / 3.0), "33m");
        assert_eq!(cpu(2.0), "2");
    }
}
