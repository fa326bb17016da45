//! `HttpInput`: the pages of a service as rows.
//!
//! * A page is kept beside the checkpoint, synced, before its first row goes out, and until every target has its rows: a
//!   replay reads the page as it was, whatever the service would answer now.
//! * A position names the page and the row in it, and how the page behind is asked for. Without the kept page (a folder
//!   that was lost) the page is asked for again, and compared with the digest in the position.
//! * One page is in memory; the next is asked for when its rows were handed out.
//! * Not here: pages that are asked for in a POST's body, and webhooks.

mod config;
mod kept;
mod page;
mod place;
mod rows;
mod source;
#[cfg(test)]
mod tests;

use aqueduct_model::{PluginEntry, Properties, Result, Source, SourcePlugin};

use self::config::HttpInputConfig;
use self::source::HttpInput;

/// `HttpInput` in the catalogue.
pub(crate) const ENTRY: PluginEntry = aqueduct_model::source::<HttpInputPlugin>();

struct HttpInputPlugin;

impl SourcePlugin for HttpInputPlugin {
    const NAME: &'static str = "HttpInput";
    const SUMMARY: &'static str = "Reads the pages of an HTTP service as rows, once or again and again.";
    const NOTES: &'static str = include_str!("notes.md");
    const EXAMPLE: &'static str = include_str!("example.yaml");
    type Config = HttpInputConfig;

    fn properties(config: &HttpInputConfig) -> Properties {
        // Kept pages are files: reading and syncing them blocks.
        Properties { blocking: true, unbounded: config.poll.is_some(), ..Properties::source() }
    }

    fn validate(config: &HttpInputConfig) -> Result<()> {
        config.validate()
    }

    fn build(config: HttpInputConfig) -> Result<Box<dyn Source>> {
        Ok(Box::new(HttpInput::new(config)))
    }
}
