//! `plugins list|show|schema|docs`.

use aqueduct_model::{Catalogue, Error, PluginEntry};

use super::arguments::PluginAction;
use super::exit::{Exit, Failure};
use super::plugin_pages::{page, write_pages};

/// Lists and explains plugins.
pub(super) fn plugins(action: PluginAction) -> Result<Exit, Failure> {
    let catalogue = crate::catalogue()?;
    match action {
        PluginAction::List => {
            for entry in catalogue.entries() {
                println!("{:<10} {:<16} {}", format!("{:?}", entry.kind()).to_lowercase(), entry.name, entry.summary);
            }
        }
        PluginAction::Show { name } => print!("{}", page(find(&catalogue, &name)?)?),
        PluginAction::Schema { name: Some(name) } => {
            let schema = (find(&catalogue, &name)?.schema)();
            println!("{:#}", schema.to_value());
        }
        PluginAction::Schema { name: None } => {
            println!("{:#}", aqueduct_engine::definition::json_schema(&catalogue));
        }
        PluginAction::Docs { out, readme, check } => return write_pages(&catalogue, &out, &readme, check),
    }
    Ok(Exit::Ok)
}

fn find<'a>(catalogue: &'a Catalogue, name: &str) -> Result<&'a PluginEntry, Failure> {
    if let Some(entry) = catalogue.get(name) {
        return Ok(entry);
    }
    let near = catalogue
        .entries()
        .iter()
        .map(|entry| (strsim::jaro_winkler(&entry.name.to_lowercase(), &name.to_lowercase()), entry.name))
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .filter(|(likeness, _)| *likeness > 0.75);
    let hint = match near {
        Some((_, near)) => format!("did you mean {near}? `aqueduct plugins list` shows all"),
        None => "`aqueduct plugins list` shows all".to_owned(),
    };
    Err(Error::config(format!("there is no plugin {name}")).with_hint(hint).into())
}
