//! Requests of an epoch are written down, logged with it, and then sent.

use aqueduct_model::{
    BadRows, Change, Claim, Cut, Epoch, Error, ErrorKind, PreparedCommit, Recorded, Result, SchemaChange, Sink,
    SinkContext, SinkInput, Token,
};
use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use tracing::warn;

use super::super::client::{Call, Client, service_url, status_error};
use super::config::{HttpWriterConfig, Method, OnStatus};
use super::ledger::{Epoched, Folder, Ledger, Waiting};
use super::requests::Gathered;

/// See the module.
pub(super) struct HttpWriter {
    config: HttpWriterConfig,
    client: Option<Client>,
    folder: Option<Folder>,
    token: Token,
    epoch: Epoch,
    gathered: Gathered,
    running: Option<Epoched>,
}

/// What an epoch's log record says of its requests.
#[derive(Debug, Serialize, Deserialize)]
struct Prepared {
    cut: Cut,
    /// `None` when there are none.
    file: Option<String>,
    requests: u64,
}

impl HttpWriter {
    pub(super) fn new(config: HttpWriterConfig) -> Self {
        let gathered = Gathered::new(config.clone());
        Self { config, client: None, folder: None, token: Token(0), epoch: Epoch(0), gathered, running: None }
    }

    fn folder(&self) -> Result<&Folder> {
        self.folder.as_ref().ok_or_else(|| {
            Error::new(ErrorKind::State, "there is no checkpoint folder to keep requests in")
                .with_hint("run the flow with a checkpoint folder")
        })
    }

    fn keep(&mut self, requests: impl IntoIterator<Item = Waiting>) -> Result<()> {
        for request in requests {
            if self.running.is_none() {
                self.running = Some(self.folder()?.begin(self.epoch, self.token)?);
            }
            if let Some(running) = &mut self.running {
                running.add(&request)?;
            }
        }
        Ok(())
    }

    fn call(&self, ledger: &Ledger, epoch: Epoch, number: u64, waiting: Waiting) -> Result<Call> {
        let mut headers: Vec<(String, String)> =
            self.config.headers.iter().map(|(name, value)| (name.clone(), value.expose().to_owned())).collect();
        if waiting.body.is_some() && !self.config.headers.keys().any(|name| name.eq_ignore_ascii_case("content-type")) {
            headers.push(("Content-Type".to_owned(), "application/json".to_owned()));
        }
        if !self.config.idempotency_header.is_empty() {
            headers.push((self.config.idempotency_header.clone(), format!("{}-{epoch}-{number}", ledger.instance)));
        }
        let method = match self.config.method {
            Method::Post => "POST",
            Method::Put => "PUT",
            Method::Patch => "PATCH",
            Method::Delete => "DELETE",
        };
        let body = waiting.body.unwrap_or_default().into_bytes();
        Ok(Call { method: method.to_owned(), url: service_url(&waiting.url, "url")?, headers, body })
    }

    /// Sends an epoch's requests, in order.
    async fn send(&self, ledger: &Ledger, epoch: Epoch, file: &str) -> Result<u64> {
        let client = self.client.as_ref().ok_or_else(|| Error::bug("a sink commits before it is opened"))?;
        let (mut sent, mut dropped) = (0, 0u64);
        for waiting in self.folder()?.requests(file)? {
            let call = self.call(ledger, epoch, sent, waiting?)?;
            let answer = client.call(&call).await?;
            match self.config.on_status(answer.status) {
                OnStatus::Ok => {}
                OnStatus::Drop => dropped += 1,
                OnStatus::Fail if matches!(answer.status, 401 | 403) => return Err(status_error(&call, answer.status)),
                OnStatus::Fail => {
                    let (shown, status) = (call.shown(), answer.status);
                    return Err(Error::config(format!("{shown} answered {status}"))
                        .with_setting("on_status")
                        .with_hint(format!(
                            "correct the request, or say what it leads to: `on_status: {{ \"{status}\": ok }}`"
                        )));
                }
            }
            sent += 1;
        }
        if dropped > 0 {
            warn!(%epoch, dropped, "requests were given up, as `on_status` says");
        }
        Ok(sent)
    }
}

fn on_schema(change: &SchemaChange) -> Result<()> {
    match change.change {
        Change::Truncate => {
            let text = format!("{} was truncated, and no request says so", change.relation.name());
            Err(Error::new(ErrorKind::Schema, text)
                .with_hint("leave the table out, or empty it at the service by hand"))
        }
        // Each row says by itself what it holds.
        _ => Ok(()),
    }
}

#[async_trait]
impl Sink for HttpWriter {
    async fn open(&mut self, context: &SinkContext) -> Result<Option<Recorded>> {
        self.client = Some(Client::new(self.config.client.clone(), self.config.auth.clone())?);
        self.folder = context.state_dir.clone().map(Folder::new);
        self.folder.as_ref().map_or(Ok(None), Folder::recorded)
    }

    async fn claim(&mut self, claim: &Claim) -> Result<()> {
        self.folder()?.claim(claim)?;
        (self.token, self.epoch) = (claim.token, claim.cut.epoch.next());
        Ok(())
    }

    async fn write(&mut self, input: SinkInput, _bad: &mut BadRows) -> Result<()> {
        match input {
            SinkInput::Batch(batch) => {
                let requests = self.gathered.add(&batch)?;
                self.keep(requests)
            }
            SinkInput::Schema(change) => on_schema(&change),
        }
    }

    async fn flush(&mut self, cut: &Cut, _bad: &mut BadRows) -> Result<Option<PreparedCommit>> {
        let rest = self.gathered.end()?;
        self.keep(rest)?;
        let folder = self.folder()?;
        folder.mine(self.token)?;
        let (file, requests) = match self.running.take() {
            Some(running) => {
                let (name, requests) = self.folder()?.end(running)?;
                (Some(name), requests)
            }
            None => (None, 0),
        };
        self.epoch = cut.epoch.next();
        let prepared = Prepared { cut: cut.clone(), file, requests };
        let prepared =
            serde_json::to_value(prepared).map_err(|error| Error::bug("a commit has no text").with_source(error))?;
        Ok(Some(PreparedCommit(prepared)))
    }

    async fn commit(&mut self, epoch: Epoch, prepared: &PreparedCommit) -> Result<()> {
        let prepared: Prepared = serde_json::from_value(prepared.0.clone()).map_err(|error| {
            Error::new(ErrorKind::State, "the prepared commit is not one of HttpWriter").with_source(error)
        })?;
        let ledger = self.folder()?.mine(self.token)?;
        if ledger.cut.epoch >= epoch {
            return Ok(());
        }
        if let Some(file) = &prepared.file {
            let sent = self.send(&ledger, epoch, file).await?;
            if sent != prepared.requests {
                let text = format!("epoch {epoch} has {} requests, and {sent} were kept", prepared.requests);
                return Err(Error::new(ErrorKind::State, text).with_hint("restore the checkpoint folder"));
            }
        }
        // Between the last request and this note a crash sends them again, under the same keys.
        self.folder()?.done(&Ledger { cut: prepared.cut, ..ledger }, prepared.file.as_deref())?;
        self.epoch = self.epoch.max(epoch.next());
        Ok(())
    }

    async fn close(&mut self) -> Result<()> {
        if let (Some(running), Some(folder)) = (self.running.take(), &self.folder) {
            folder.abandon(&running);
        }
        self.client = None;
        Ok(())
    }
}
