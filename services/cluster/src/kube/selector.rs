//! Label selectors as the API takes them in a query.

use serde_json::Value;

/// The text form; `None` if it matches nothing, as one with an operator that does not exist.
pub(crate) fn text(selector: &Value) -> Option<String> {
    let equal = selector["matchLabels"].as_object().into_iter().flatten().map(|(key, value)| Some(format!("{key}={}", value.as_str()?)));
    let expressions = selector["matchExpressions"].as_array().into_iter().flatten().map(expression);
    Some(equal.chain(expressions).collect::<Option<Vec<_>>>()?.join(","))
}

fn expression(expression: &Value) -> Option<String> {
    let key = expression["key"].as_str()?;
    let values = || expression["values"].as_array().into_iter().flatten().filter_map(Value::as_str).collect::<Vec<_>>().join(",");
    match expression["operator"].as_str()? {
        "In" => Some(format!("{key} in ({})", values())),
        "NotIn" => Some(format!("{key} notin ({})", values())),
        "Exists" => Some(key.to_owned()),
        "DoesNotExist" => Some(format!("!{key}")),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn all_operators_have_their_text() {
        let selector = json!({"matchLabels": {"app": "web"}, "matchExpressions": [{"key": "tier", "operator": "In", "values": ["a", "b"]},
            {"key": "env", "operator": "NotIn", "values": ["dev"]}, {"key": "x", "operator": "Exists"}, {"key": "y", "operator": "DoesNotExist"}]});
        assert_eq!(text(&selector).unwrap(), "app=web,tier in (a,b),env notin (dev),x,!y");
        assert_eq!(text(&json!({})).unwrap(), "");
        assert_eq!(text(&json!({"matchExpressions": [{"key": "x", "operator": "Gt", "values": ["1"]}]})), None);
    }
}
