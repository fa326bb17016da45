//! Requests on their way, beside the checkpoint: who writes, what is done, and each epoch's requests in a file.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};

use aqueduct_model::{Claim, Cut, Epoch, Error, ErrorKind, Recorded, Result, Token};
use serde::{Deserialize, Serialize};

const LEDGER: &str = "ledger.json";
const PREFIX: &str = "epoch-";

/// What is known of this task's requests.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Ledger {
    /// Tells our keys from those of any other checkpoint: epochs begin anew with it.
    pub instance: String,
    /// The newest writer.
    pub token: Token,
    /// The last epoch whose requests are all done.
    pub cut: Cut,
}

/// A request that waits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Waiting {
    pub url: String,
    pub body: Option<String>,
}

/// The requests of the running epoch.
pub(super) struct Epoched {
    pub name: String,
    pub requests: u64,
    file: BufWriter<File>,
}

/// A folder. Its calls block.
pub(super) struct Folder {
    path: PathBuf,
}

fn failed(path: &Path, error: io::Error) -> Error {
    Error::new(ErrorKind::State, format!("cannot use {}", path.display()))
        .with_hint("the folder belongs to the checkpoint: give it space and rights as the checkpoint has them")
        .with_source(error)
}

impl Folder {
    /// The folder need not be there yet.
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path }
    }

    fn ledger(&self) -> Result<Option<Ledger>> {
        let path = self.path.join(LEDGER);
        match fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes).map(Some).map_err(|error| failed(&path, error.into())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(failed(&path, error)),
        }
    }

    fn write_ledger(&self, ledger: &Ledger) -> Result<()> {
        let path = self.path.join(LEDGER);
        let write = || -> io::Result<()> {
            let unfinished = self.path.join("unfinished");
            let mut file = File::create(&unfinished)?;
            file.write_all(&serde_json::to_vec(ledger)?)?;
            file.sync_all()?;
            fs::rename(&unfinished, &path)?;
            File::open(&self.path)?.sync_all()
        };
        write().map_err(|error| failed(&path, error))
    }

    /// What an earlier run left.
    pub(super) fn recorded(&self) -> Result<Option<Recorded>> {
        Ok(self.ledger()?.map(|ledger| Recorded { token: ledger.token, cut: ledger.cut }))
    }

    /// Makes this run the only writer, and forgets the requests of epochs that were never logged.
    ///
    /// # Errors
    /// `State` when the ledger knows a token that is not lower.
    pub(super) fn claim(&self, claim: &Claim) -> Result<Ledger> {
        fs::create_dir_all(&self.path).map_err(|error| failed(&self.path, error))?;
        let ledger = match self.ledger()? {
            None => {
                Ledger { instance: uuid::Uuid::new_v4().simple().to_string(), token: claim.token, cut: Cut::default() }
            }
            Some(known) if known.token >= claim.token => return Err(fenced()),
            Some(known) => Ledger { token: claim.token, ..known },
        };
        self.write_ledger(&ledger)?;
        for file in fs::read_dir(&self.path).map_err(|error| failed(&self.path, error))? {
            let path = file.map_err(|error| failed(&self.path, error))?.path();
            let name = path.file_name().and_then(|name| name.to_str()).and_then(|name| name.strip_prefix(PREFIX));
            let epoch = name.and_then(|name| name.split('-').next()).and_then(|epoch| epoch.parse().ok()).map(Epoch);
            if epoch.is_some_and(|epoch| epoch > claim.cut.epoch || epoch <= ledger.cut.epoch) {
                fs::remove_file(&path).map_err(|error| failed(&path, error))?;
            }
        }
        Ok(ledger)
    }

    /// The ledger, if it is still this writer's.
    ///
    /// # Errors
    /// `State` when another one has claimed it.
    pub(super) fn mine(&self, token: Token) -> Result<Ledger> {
        self.ledger()?.filter(|ledger| ledger.token == token).ok_or_else(fenced)
    }

    /// Begins an epoch's file.
    pub(super) fn begin(&self, epoch: Epoch, token: Token) -> Result<Epoched> {
        let name = format!("{PREFIX}{epoch}-{token}");
        let path = self.path.join(&name);
        let file = File::create(&path).map_err(|error| failed(&path, error))?;
        Ok(Epoched { name, requests: 0, file: BufWriter::new(file) })
    }

    /// Makes an epoch's file durable.
    pub(super) fn end(&self, epoched: Epoched) -> Result<(String, u64)> {
        let path = self.path.join(&epoched.name);
        let sync = || -> io::Result<()> {
            epoched.file.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()?;
            File::open(&self.path)?.sync_all()
        };
        sync().map_err(|error| failed(&path, error))?;
        Ok((epoched.name, epoched.requests))
    }

    /// Reads an epoch's requests, in order.
    pub(super) fn requests(&self, name: &str) -> Result<impl Iterator<Item = Result<Waiting>> + use<>> {
        let path = self.path.join(name);
        let is_plain =
            name.strip_prefix(PREFIX).is_some_and(|rest| rest.bytes().all(|b| b.is_ascii_digit() || b == b'-'));
        if !is_plain {
            return Err(Error::new(ErrorKind::State, "the prepared commit is not one of HttpWriter"));
        }
        let file = File::open(&path).map_err(|error| failed(&path, error))?;
        Ok(BufReader::new(file).lines().map(move |line| {
            let line = line.map_err(|error| failed(&path, error))?;
            serde_json::from_str(&line).map_err(|error| failed(&path, error.into()))
        }))
    }

    /// Notes that an epoch's requests are done.
    pub(super) fn done(&self, ledger: &Ledger, file: Option<&str>) -> Result<()> {
        self.write_ledger(ledger)?;
        if let Some(file) = file {
            // One that stays is removed by the next claim.
            let _ = fs::remove_file(self.path.join(file));
        }
        Ok(())
    }

    /// Lets go of an epoch that did not end.
    pub(super) fn abandon(&self, epoched: &Epoched) {
        let _ = fs::remove_file(self.path.join(&epoched.name));
    }
}

impl Epoched {
    /// Adds a request.
    pub(super) fn add(&mut self, request: &Waiting) -> Result<()> {
        let write = |file: &mut BufWriter<File>| -> io::Result<()> {
            serde_json::to_writer(&mut *file, request)?;
            file.write_all(b"\n")
        };
        write(&mut self.file).map_err(|error| failed(Path::new(&self.name), error))?;
        self.requests += 1;
        Ok(())
    }
}

fn fenced() -> Error {
    Error::new(ErrorKind::State, "another writer has claimed these requests")
        .with_hint("another daemon has taken over: this one must not go on")
}
