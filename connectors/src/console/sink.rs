//! Prints batches as they come, or when their epoch ends.

use std::io::{ErrorKind as IoErrorKind, Write};

use aqueduct_model::{
    BadRows, Batch, Claim, Cut, Error, ErrorKind, PreparedCommit, Recorded, Result, SchemaChange, Sink, SinkContext,
    SinkInput,
};
use async_trait::async_trait;

use super::config::{ConsoleConfig, Format};
use super::render;

/// With `epoch: true`, text beyond this is printed before its epoch ends, so that memory stays bounded.
const HELD_BYTES_MAX: usize = 16 << 20;

/// Writes text to standard output.
pub(super) struct ConsoleSink {
    config: ConsoleConfig,
    out: Box<dyn Write + Send>,
    held: String,
    printed: u64,
    left_out: u64,
}

impl ConsoleSink {
    /// A sink that prints to `out`.
    pub(super) fn new(config: ConsoleConfig, out: Box<dyn Write + Send>) -> Self {
        Self { config, out, held: String::new(), printed: 0, left_out: 0 }
    }

    fn add(&mut self, batch: Batch) -> Result<()> {
        let room = self.config.limit.map_or(u64::MAX, |limit| limit.saturating_sub(self.printed));
        let rows = batch.num_rows().min(usize::try_from(room).unwrap_or(usize::MAX));
        self.left_out += (batch.num_rows() - rows) as u64;
        if rows == 0 {
            return Ok(());
        }
        self.printed += rows as u64;
        let text = render::render(&batch.slice(0, rows), &self.config)?;
        self.held.push_str(&text);
        Ok(())
    }

    fn announce(&mut self, change: &SchemaChange) {
        if self.config.format == Format::Json || self.config.limit.is_some_and(|limit| self.printed >= limit) {
            return;
        }
        let name = render::escaped(&change.relation.name().to_string(), self.config.cell_chars);
        let what = render::escaped(&format!("{:?}", change.change), self.config.cell_chars);
        self.held.push_str(&format!("-- {name}: {what}\n"));
    }

    fn print(&mut self) -> Result<()> {
        let text = std::mem::take(&mut self.held);
        self.out.write_all(text.as_bytes()).and_then(|()| self.out.flush()).map_err(|error| {
            if error.kind() == IoErrorKind::BrokenPipe {
                Error::config("stdout was closed")
                    .with_hint("the program behind the pipe has ended; use `limit` to print fewer rows")
            } else {
                Error::new(ErrorKind::Unavailable, "cannot write to stdout").with_source(error)
            }
        })
    }
}

#[async_trait]
impl Sink for ConsoleSink {
    async fn open(&mut self, _context: &SinkContext) -> Result<Option<Recorded>> {
        Ok(None)
    }

    async fn claim(&mut self, _claim: &Claim) -> Result<()> {
        Ok(())
    }

    async fn write(&mut self, input: SinkInput, _bad: &mut BadRows) -> Result<()> {
        match input {
            SinkInput::Batch(batch) => self.add(batch)?,
            SinkInput::Schema(change) => self.announce(&change),
        }
        if self.config.epoch && self.held.len() <= HELD_BYTES_MAX || self.held.is_empty() {
            return Ok(());
        }
        self.print()
    }

    async fn flush(&mut self, _cut: &Cut, _bad: &mut BadRows) -> Result<Option<PreparedCommit>> {
        if !self.held.is_empty() {
            self.print()?;
        }
        Ok(None)
    }

    async fn close(&mut self) -> Result<()> {
        self.held.clear();
        if self.left_out > 0 && self.config.format != Format::Json {
            self.held = format!("({} more rows)\n", self.left_out);
            self.left_out = 0;
            self.print()?;
        }
        Ok(())
    }
}
