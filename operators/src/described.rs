//! Descriptions of settings that are variants of a choice.

use schemars::Schema;
use serde_json::Value;

/// Gives each variant's property the description of its variant, where forms and documentation pages look for it.
pub(crate) fn variants(schema: &mut Schema) {
    let Some(variants) = schema.get_mut("oneOf").and_then(Value::as_array_mut) else { return };
    for variant in variants {
        let description = variant.get("description").cloned();
        let properties = variant.get_mut("properties").and_then(Value::as_object_mut);
        if let (Some(description), Some(properties)) = (description, properties) {
            let described = properties.values_mut().filter_map(Value::as_object_mut);
            described.for_each(|property| drop(property.insert("description".to_owned(), description.clone())));
        }
    }
}
