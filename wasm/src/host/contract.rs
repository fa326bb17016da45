//! What a component has to be: it imports nothing, and exports the function.

use wasmtime::Engine;
use wasmtime::component::types::{ComponentInstance, ComponentItem};
use wasmtime::component::{Component, ComponentExportIndex};

use crate::failure::{About, Refused};

/// The type of the function, as people write it.
pub(super) const FUNCTION_TYPE: &str = "func(row: list<value>) -> result<list<value>, string>";

/// Looks for imports. Types may be imported: they are names only, and a `use` in WIT makes such imports.
///
/// # Errors
/// `File` with the name of the first one that is more than a type.
pub(super) fn check_imports(engine: &Engine, component: &Component) -> Result<(), Refused> {
    for (name, import) in component.component_type().imports(engine) {
        let found = match import.ty {
            ComponentItem::Type(_) => None,
            ComponentItem::ComponentInstance(instance) => first_item(engine, &instance),
            other => Some(kind(&other).to_owned()),
        };
        if let Some(what) = found {
            let of_system = if name.starts_with("wasi:") { " and is built without WASI" } else { "" };
            return Err(Refused {
                about: About::File,
                text: format!("the component imports {name} ({what}); a function gets its row and nothing else"),
                hint: format!("build a component that imports nothing{of_system}: no files, clock, chance or network"),
            });
        }
    }
    Ok(())
}

/// What the first item of an instance is that is more than a type.
fn first_item(engine: &Engine, instance: &ComponentInstance) -> Option<String> {
    for (name, export) in instance.exports(engine) {
        match export.ty {
            ComponentItem::Type(_) => {}
            ComponentItem::ComponentInstance(inner) => {
                if let Some(what) = first_item(engine, &inner) {
                    return Some(what);
                }
            }
            other => return Some(format!("its {} {name}", kind(&other))),
        }
    }
    None
}

fn kind(item: &ComponentItem) -> &'static str {
    match item {
        ComponentItem::ComponentFunc(_) | ComponentItem::CoreFunc(_) => "function",
        ComponentItem::Module(_) => "module",
        ComponentItem::Component(_) => "component",
        ComponentItem::ComponentInstance(_) => "instance",
        ComponentItem::Type(_) => "type",
        ComponentItem::Resource(_) => "resource",
    }
}

/// Finds the function: `score` among the exports, or in an interface that is exported if one alone has it; or
/// `shop:prices/scoring#score`, which names the interface.
///
/// # Errors
/// `Function` with the functions that there are.
pub(super) fn find(engine: &Engine, component: &Component, function: &str) -> Result<ComponentExportIndex, Refused> {
    let all = functions(engine, component);
    let is_it = |path: &&(Option<String>, String)| match function.split_once('#') {
        Some((interface, name)) => path.0.as_deref() == Some(interface) && path.1 == name,
        None => path.1 == function,
    };
    let found: Vec<_> = all.iter().filter(is_it).collect();
    let top = found.iter().find(|(interface, _)| interface.is_none());
    let chosen = top.or(if found.len() == 1 { found.first() } else { None });
    let index = chosen.and_then(|(interface, name)| {
        let instance = interface.as_ref().map(|interface| component.get_export_index(None, interface));
        match instance {
            Some(None) => None,
            Some(Some(instance)) => component.get_export_index(Some(&instance), name),
            None => component.get_export_index(None, name),
        }
    });
    index.ok_or_else(|| {
        let names: Vec<String> = all.iter().map(shown).collect();
        let (text, hint) = match (found.is_empty(), names.is_empty()) {
            (true, true) => (format!("the component exports no function, and so not {function}"), export_hint()),
            (true, false) => (format!("the component exports no function {function}"), one_of(&names)),
            (false, _) => (format!("the component exports several functions {function}"), one_of(&names)),
        };
        Refused { about: About::Function, text, hint }
    })
}

fn export_hint() -> String {
    format!("export a function of type `{FUNCTION_TYPE}`, see docs/wasm.md")
}

fn one_of(names: &[String]) -> String {
    format!("it exports {}", names.join(", "))
}

fn shown((interface, name): &(Option<String>, String)) -> String {
    interface.as_ref().map_or_else(|| name.clone(), |interface| format!("{interface}#{name}"))
}

/// Exported functions with their interfaces, in the order of the component.
fn functions(engine: &Engine, component: &Component) -> Vec<(Option<String>, String)> {
    let mut found = Vec::new();
    for (name, export) in component.component_type().exports(engine) {
        match export.ty {
            ComponentItem::ComponentFunc(_) => found.push((None, name.to_owned())),
            ComponentItem::ComponentInstance(instance) => {
                let inner = instance.exports(engine);
                let inner = inner.filter(|(_, export)| matches!(export.ty, ComponentItem::ComponentFunc(_)));
                found.extend(inner.map(|(inner, _)| (Some(name.to_owned()), inner.to_owned())));
            }
            _ => {}
        }
    }
    found
}
