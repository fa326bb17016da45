//! A flow file from its bytes to a [`FlowDef`].

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;

use super::diagnostic::Diagnostics;
use super::expand::Expander;
use super::flow::FlowDef;
use super::node::{Node, Value};
use super::report::Report;
use super::secrets::Secrets;
use super::source::{Format, Source};
use super::{check, json, keys, literal_secrets, overlay, params, xml, yaml};

/// Where expansion finds values.
pub struct Lookup<'a> {
    /// Values of parameters that the caller gives.
    pub params: &'a BTreeMap<String, String>,
    /// The value of an environment variable, if it is set.
    pub env: &'a dyn Fn(&str) -> Option<String>,
    /// The content of a file.
    pub file: &'a dyn Fn(&Path) -> std::io::Result<String>,
}

impl<'a> Lookup<'a> {
    /// The environment and files of this process.
    pub fn of_process(params: &'a BTreeMap<String, String>) -> Self {
        Self { params, env: &|name| std::env::var(name).ok(), file: &read_small }
    }
}

/// A file named by `${file:…}` holds a password or a key, not data.
const EXPANDED_FILE_BYTES_MAX: u64 = 64 << 10;

fn read_small(path: &Path) -> std::io::Result<String> {
    let mut content = String::new();
    let file = std::fs::File::open(path)?;
    file.take(EXPANDED_FILE_BYTES_MAX + 1).read_to_string(&mut content)?;
    if content.len() as u64 > EXPANDED_FILE_BYTES_MAX {
        return Err(std::io::Error::new(std::io::ErrorKind::FileTooLarge, "it is larger than 64 KiB"));
    }
    Ok(content)
}

/// A flow file that was parsed.
#[derive(Debug, Clone)]
pub struct Document {
    source: Source,
    root: Node,
    /// Mistakes that did not keep the tree from being built.
    found: Diagnostics,
}

/// What reading a document gave.
#[derive(Debug)]
pub struct Reading {
    /// The flow, unless there is not even a map at the top.
    pub flow: Option<FlowDef>,
    /// What is to be kept out of every text.
    pub secrets: Secrets,
    /// Mistakes and warnings, in the order of the file.
    pub found: Diagnostics,
}

impl Document {
    /// Reads and parses a file.
    ///
    /// # Errors
    /// Everything that keeps the text from being a tree of values: not readable, too large, not UTF-8, bad syntax.
    pub fn load(path: &Path) -> Result<Self, Diagnostics> {
        Self::parse(Source::read(path)?)
    }

    /// Parses a text.
    ///
    /// # Errors
    /// As [`Document::load`].
    pub fn parse(source: Source) -> Result<Self, Diagnostics> {
        let mut report = Report::new(&source);
        let root = match source.format() {
            Format::Yaml => yaml::parse(&source, &mut report),
            Format::Json => json::parse(&source, &mut report),
            Format::Xml => xml::parse(&source, &mut report),
        };
        let found = report.finish(&Secrets::default());
        match root {
            Some(root) => Ok(Self { root, found, source }),
            None => Err(found),
        }
    }

    /// Changes the flow without touching its file: maps are merged, `null` takes a key out, anything else replaces what is
    /// there. `tasks` is a map by task id.
    pub fn lay_over(&mut self, patch: &serde_json::Map<String, serde_json::Value>) {
        overlay::lay_over(&mut self.root, patch);
    }

    /// The text that was parsed.
    pub fn source(&self) -> &Source {
        &self.source
    }

    /// The tree as written: not expanded, not checked.
    pub fn root(&self) -> &Node {
        &self.root
    }

    /// Expands and checks the tree. All mistakes are reported, so there may be a flow as well as errors.
    pub fn read(&self, lookup: &Lookup) -> Reading {
        let (mut secrets, mut report) = (Secrets::default(), Report::new(&self.source));
        let mut root = self.root.clone();
        // Tests are no part of what runs: their rows are not expanded.
        if let Value::Map(entries) = &mut root.value {
            entries.retain(|entry| entry.key != keys::TESTS);
        }
        literal_secrets::find(&root, &mut secrets, &mut report);
        let mut expander = Expander { lookup, secrets: &mut secrets };
        let params = params::resolve(&root, lookup.params, &mut expander, &mut report);
        if let Value::Map(entries) = &mut root.value {
            for entry in entries.iter_mut().filter(|entry| entry.key != "params") {
                expander.expand(&mut entry.value, Some(&params), &mut report);
            }
        }
        check::flow(&root, &mut report);
        let flow = matches!(root.value, Value::Map(_)).then(|| FlowDef::from_tree(&root, public(&params, &secrets)));
        let mut found = report.finish(&secrets);
        let earlier = self.found.0.iter().cloned().map(|mut diagnostic| {
            diagnostic.redact(&self.source, &secrets);
            diagnostic
        });
        found.0.extend(earlier);
        Reading { flow, secrets, found: found.sorted() }
    }
}

/// The parameters that hold no secret.
fn public(params: &params::Params, secrets: &Secrets) -> BTreeMap<String, serde_json::Value> {
    let shown = |(name, value): (&String, &Value)| {
        let value = Node::new(super::Span::default(), value.clone()).to_json();
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        (secrets.redact(&text) == text).then(|| (name.clone(), value))
    };
    params.iter().filter_map(shown).collect()
}
