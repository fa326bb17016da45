//! The reference pages: one per plugin and the table in the READMEs, made from the plugins' own types.

use std::fmt::Write;
use std::fs;
use std::path::Path;

use aqueduct_model::{Catalogue, Error, PluginEntry};
use serde_json::Value;

use super::exit::{Exit, Failure};

const BEGIN: &str = "<!-- plugins:begin -->";
const END: &str = "<!-- plugins:end -->";

/// One plugin's page, in Markdown.
pub(super) fn page(entry: &PluginEntry) -> Result<String, Failure> {
    let mut text = format!("# {}\n\n{}\n\n", entry.name, entry.summary);
    let kind = format!("{:?}", entry.kind()).to_lowercase();
    let aliases = match entry.aliases {
        [] => String::new(),
        aliases => {
            format!(" Also loads as {}.", aliases.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", "))
        }
    };
    let _ = writeln!(text, "Kind: {kind}.{aliases}\n\n## Settings\n");
    let schema = (entry.schema)().to_value();
    let _ = writeln!(text, "| setting | type | default | what it does |\n|---|---|---|---|");
    settings(&schema, &schema, "", &mut text);
    let _ = writeln!(text, "\n## Guarantees and limits\n\n{}\n", entry.notes.trim());
    let _ = writeln!(text, "## Example\n\n```yaml\n{}\n```", entry.example.trim());
    Ok(text)
}

/// One row per setting; nested objects with a dotted path.
fn settings(root: &Value, schema: &Value, prefix: &str, text: &mut String) {
    let schema = resolve(root, schema);
    let required: Vec<&str> = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    for variant in schema["oneOf"].as_array().into_iter().chain(schema["anyOf"].as_array()).flatten() {
        settings(root, variant, prefix, text);
    }
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        let target = resolve(root, property);
        let path = format!("{prefix}{name}");
        let default = match (&property["default"], required.contains(&name.as_str())) {
            (_, true) => "required".to_owned(),
            (Value::Null, false) => String::new(),
            (default, false) => format!("`{default}`"),
        };
        let description = property["description"].as_str().or(target["description"].as_str()).unwrap_or_default();
        let description = description.replace('\n', " ").replace('|', "\\|");
        let row = format!("| `{path}` | {} | {default} | {description} |", type_of(root, property));
        if !text.contains(&row) {
            let _ = writeln!(text, "{row}");
        }
        // One level down is what a table can carry; deeper objects name their own settings in the description.
        if prefix.is_empty() && target["properties"].is_object() {
            settings(root, target, &format!("{path}."), text);
        }
    }
}

fn resolve<'a>(root: &'a Value, schema: &'a Value) -> &'a Value {
    let reference = schema["$ref"].as_str().or_else(|| schema["allOf"][0]["$ref"].as_str());
    match reference.and_then(|path| root.pointer(path.trim_start_matches('#'))) {
        Some(target) => target,
        None => schema,
    }
}

fn type_of(root: &Value, schema: &Value) -> String {
    let target = resolve(root, schema);
    if let Some(choices) = target["enum"].as_array() {
        return choices
            .iter()
            .map(|choice| format!("`{}`", choice.as_str().unwrap_or_default()))
            .collect::<Vec<_>>()
            .join(" ");
    }
    let variants: Vec<&Value> =
        target["oneOf"].as_array().into_iter().chain(target["anyOf"].as_array()).flatten().collect();
    if !variants.is_empty() {
        let mut names: Vec<String> =
            variants.iter().map(|variant| type_of(root, variant)).filter(|name| name != "null").collect();
        names.dedup();
        return names.join(" or ");
    }
    if let Some(constant) = target["const"].as_str() {
        return format!("`{constant}`");
    }
    match &target["type"] {
        Value::String(name) if name == "array" => format!("list of {}", type_of(root, &target["items"])),
        Value::String(name) if name == "object" && target["additionalProperties"].is_object() => {
            format!("map to {}", type_of(root, &target["additionalProperties"]))
        }
        Value::String(name) => name.clone(),
        Value::Array(names) => {
            names.iter().filter_map(Value::as_str).filter(|name| *name != "null").collect::<Vec<_>>().join(" or ")
        }
        _ => "any".to_owned(),
    }
}

/// The table of all plugins.
fn table(catalogue: &Catalogue) -> String {
    let mut text = String::from("| plugin | kind | what it does |\n|---|---|---|\n");
    for entry in catalogue.entries() {
        let kind = format!("{:?}", entry.kind()).to_lowercase();
        let _ = writeln!(
            text,
            "| [`{}`](docs/plugins/{}.md) | {kind} | {} |",
            entry.name,
            entry.name.to_lowercase(),
            entry.summary
        );
    }
    text
}

/// Writes every page and renews the tables; with `check`, only says whether that would change anything.
pub(super) fn write_pages(
    catalogue: &Catalogue,
    out: &Path,
    readmes: &[impl AsRef<Path>],
    check: bool,
) -> Result<Exit, Failure> {
    let mut stale = Vec::new();
    let mut put = |path: &Path, text: &str| -> Result<(), Failure> {
        if fs::read_to_string(path).is_ok_and(|present| present == text) {
            return Ok(());
        }
        stale.push(path.display().to_string());
        if !check {
            fs::write(path, text)?;
        }
        Ok(())
    };
    if !check {
        fs::create_dir_all(out)?;
    }
    for entry in catalogue.entries() {
        put(&out.join(format!("{}.md", entry.name.to_lowercase())), &page(entry)?)?;
    }
    let schema = format!("{:#}\n", aqueduct_engine::definition::json_schema(catalogue));
    put(&out.join("flow.schema.json"), &schema)?;
    for readme in readmes {
        let readme = readme.as_ref();
        let text = fs::read_to_string(readme)?;
        let (Some(begin), Some(end)) = (text.find(BEGIN), text.find(END)) else {
            return Err(Error::config(format!("{} has no {BEGIN} … {END}", readme.display())).into());
        };
        put(readme, &format!("{}\n{}{}", &text[..begin + BEGIN.len()], table(catalogue), &text[end..]))?;
    }
    if check && !stale.is_empty() {
        return Err(Error::config(format!("out of date: {}", stale.join(", ")))
            .with_hint("run `make docs` and commit")
            .into());
    }
    println!("{} pages, {} changed", catalogue.entries().len(), stale.len());
    Ok(Exit::Ok)
}
