//! `HttpWriter`: rows as requests to a service.
//!
//! * Nothing is sent before its epoch is logged: the requests are written down beside the checkpoint, synced, and sent when
//!   the epoch is committed, in order. So a request that goes out never depends on where a crash cut the epochs.
//! * Each has a key of the checkpoint's own random name, its epoch and its number, the same one whenever it is sent again.
//! * At least once; exactly once in effect at a service that honours the key.
//! * Not here: answers as rows (HttpInput with an input does that), several requests at a time (they would overtake each
//!   other), dead letters of what a service refuses: `on_status` says whether it counts as done, is dropped, or stops.

mod config;
mod ledger;
mod requests;
mod sink;
mod template;
#[cfg(test)]
mod tests;

use aqueduct_model::{ChangeSupport, Delivery, PluginEntry, Properties, Result, Sink, SinkPlugin};

use self::config::HttpWriterConfig;
use self::sink::HttpWriter;

/// `HttpWriter` in the catalogue.
pub(crate) const ENTRY: PluginEntry = aqueduct_model::sink::<HttpWriterPlugin>();

struct HttpWriterPlugin;

impl SinkPlugin for HttpWriterPlugin {
    const NAME: &'static str = "HttpWriter";
    const ALIASES: &'static [&'static str] = &["HttpOutput"];
    const SUMMARY: &'static str = "Calls an HTTP service with rows, one by one or in lists.";
    const NOTES: &'static str = include_str!("notes.md");
    const EXAMPLE: &'static str = include_str!("example.yaml");
    type Config = HttpWriterConfig;

    fn properties(config: &HttpWriterConfig) -> Properties {
        let reason = "a request whose answer is lost is sent again; if the service recognises its key, say `service_honours_key: true`";
        Properties {
            // The requests of an epoch are a file: writing and syncing it blocks.
            blocking: true,
            delivery: if config.service_honours_key { Delivery::EffectivelyOnce } else { Delivery::AtLeastOnce },
            delivery_reason: (!config.service_honours_key).then(|| reason.to_owned()),
            changes: if config.op_member.is_some() { ChangeSupport::Changes } else { ChangeSupport::AppendOnly },
            ..Properties::sink()
        }
    }

    fn validate(config: &HttpWriterConfig) -> Result<()> {
        config.validate()
    }

    fn build(config: HttpWriterConfig) -> Result<Box<dyn Sink>> {
        Ok(Box::new(HttpWriter::new(config)))
    }
}
