use std::collections::BTreeMap;

use kubernaut_core::model::Object;

use super::ClassifyConfig;

/// Business context from labels, else annotations; keys that are absent or empty are left out.
pub(super) fn business(object: &Object, config: &ClassifyConfig) -> BTreeMap<String, String> {
    let read = |key: &String| object.label(key).or_else(|| object.annotation(key)).map(str::trim).filter(|v| !v.is_empty());
    config.business.iter().filter_map(|(name, keys)| Some((name.clone(), keys.iter().find_map(read)?.to_owned()))).collect()
}
