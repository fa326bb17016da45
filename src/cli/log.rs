//! Log lines on standard error: clear of secrets, and not across the progress line.

use std::io::{self, Write};
use std::sync::{Arc, Mutex, MutexGuard};

use aqueduct_engine::definition::Secrets;
use indicatif::ProgressBar;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

use super::arguments::LogFormat;

/// What log writers share.
#[derive(Debug, Default)]
struct Shared {
    secrets: Secrets,
    bar: Option<ProgressBar>,
}

/// The program's log.
#[derive(Debug, Clone, Default)]
pub(super) struct Log(Arc<Mutex<Shared>>);

impl Log {
    /// Starts logging to standard error.
    pub(super) fn start(filter: &str, format: LogFormat) -> Self {
        let log = Self::default();
        let filter = EnvFilter::try_new(filter).unwrap_or_else(|_| EnvFilter::new("info"));
        let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(log.clone());
        match format {
            LogFormat::Text => builder.with_target(false).with_ansi(io::IsTerminal::is_terminal(&io::stderr())).init(),
            LogFormat::Json => builder.json().init(),
        }
        log
    }

    fn shared(&self) -> MutexGuard<'_, Shared> {
        // A writer that panicked leaves nothing half done here.
        self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Keeps these values out of everything that is printed from now on.
    pub(super) fn hide(&self, secrets: &Secrets) {
        self.shared().secrets.extend(secrets);
    }

    /// The text without any secret.
    pub(super) fn redact(&self, text: &str) -> String {
        self.shared().secrets.redact(text)
    }

    /// Keeps log lines from running into a progress line.
    pub(super) fn step_around(&self, bar: Option<ProgressBar>) {
        self.shared().bar = bar;
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

impl Write for Log {
    /// Gets one whole event at a time from the subscriber, so a secret is never split between two calls.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let text = self.redact(&String::from_utf8_lossy(bytes));
        let print = || io::stderr().write_all(text.as_bytes());
        let bar = self.shared().bar.clone();
        match bar {
            Some(bar) => bar.suspend(print)?,
            None => print()?,
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}
