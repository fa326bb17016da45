//! The file of receipts: appended to, cut back to what was logged, read.

use std::fs::{self, File, OpenOptions};
use std::io::{BufRead, BufReader, ErrorKind as IoErrorKind, Write};
use std::path::{Path, PathBuf};

use aqueduct_model::{Epoch, Error, ErrorKind, Positions, Result};
use sha2::{Digest, Sha256};

use super::{Receipt, ReceiptKind};

const FILE: &str = "receipts.jsonl";
/// The hash before the first line.
pub(super) const ORIGIN: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// Writes the receipts of one run of a flow.
pub(crate) struct Ledger {
    pub(crate) kind: ReceiptKind,
    path: PathBuf,
    file: Option<File>,
    last_hash: String,
    /// Where the next epoch begins.
    pub(crate) from: Positions,
    /// The next receipt is the first of a flow, or of one that was reset.
    pub(crate) begins: bool,
}

impl Ledger {
    pub(crate) fn new(state_dir: &Path, kind: ReceiptKind) -> Self {
        Self {
            kind,
            path: state_dir.join(FILE),
            file: None,
            last_hash: ORIGIN.to_owned(),
            from: Positions::new(),
            begins: true,
        }
    }

    /// Cuts off the receipts of epochs behind `logged` and goes on from there, at these positions.
    ///
    /// # Errors
    /// `Unavailable` when the file cannot be read or cut.
    pub(crate) fn open(&mut self, logged: Epoch, from: &Positions, reset: bool) -> Result<()> {
        if self.kind == ReceiptKind::None {
            return Ok(());
        }
        self.from = from.clone();
        let (kept, last) = self.kept(logged).map_err(|error| self.failed("read", error))?;
        self.begins = reset || last.as_ref().is_none_or(|last| last.epoch != logged || last.to != *from);
        self.last_hash = last.map_or_else(|| ORIGIN.to_owned(), |last| last.hash);
        let opened = fs::create_dir_all(self.path.parent().unwrap_or(Path::new("."))).and_then(|()| {
            let file = OpenOptions::new().create(true).append(true).open(&self.path)?;
            file.set_len(kept)?;
            file.sync_all()?;
            Ok(file)
        });
        self.file = Some(opened.map_err(|error| self.failed("open", error))?);
        Ok(())
    }

    /// How many bytes of the file are receipts of logged epochs, and the last of them. A torn last line is cut off too.
    fn kept(&self, logged: Epoch) -> std::io::Result<(u64, Option<Receipt>)> {
        let file = match File::open(&self.path) {
            Err(error) if error.kind() == IoErrorKind::NotFound => return Ok((0, None)),
            file => file?,
        };
        let (mut kept, mut last, mut line) = (0, None, String::new());
        let mut lines = BufReader::new(file);
        loop {
            line.clear();
            let bytes = lines.read_line(&mut line)? as u64;
            let Some(receipt) = whole(&line).filter(|receipt| receipt.epoch <= logged) else { break };
            kept += bytes;
            last = Some(receipt);
        }
        Ok((kept, last))
    }

    /// Makes an epoch's receipt durable. Writes nothing when receipts are off.
    pub(crate) fn write(&mut self, mut receipt: Receipt) -> Result<()> {
        if self.file.is_none() {
            return Ok(());
        }
        receipt.begins = std::mem::take(&mut self.begins);
        receipt.from = std::mem::replace(&mut self.from, receipt.to.clone());
        receipt.previous = std::mem::take(&mut self.last_hash);
        receipt.hash = hash(&receipt)?;
        self.last_hash.clone_from(&receipt.hash);
        let mut line = text(&receipt)?;
        line.push('\n');
        let Some(file) = &mut self.file else { return Ok(()) };
        file.write_all(line.as_bytes()).and_then(|()| file.sync_data()).map_err(|error| self.failed("write", error))
    }

    fn failed(&self, doing: &str, error: std::io::Error) -> Error {
        Error::new(ErrorKind::Unavailable, format!("cannot {doing} the receipts"))
            .with_source(error)
            .with_hint(format!("check space and permissions of {}", self.path.display()))
    }
}

/// The receipt of a line that has its end.
fn whole(line: &str) -> Option<Receipt> {
    serde_json::from_str(line.strip_suffix('\n')?).ok()
}

fn text(receipt: &Receipt) -> Result<String> {
    serde_json::to_string(receipt).map_err(|error| Error::bug("a receipt is not JSON").with_source(error))
}

/// The hash that the receipt should have.
pub(super) fn hash(receipt: &Receipt) -> Result<String> {
    let bare = Receipt { hash: String::new(), ..receipt.clone() };
    let digest = Sha256::digest(text(&bare)?.as_bytes());
    Ok(digest.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Reads a flow's receipts, oldest first. A running flow may be writing: a last line without an end is left out.
///
/// # Errors
/// `State` when a line is not a receipt; `Unavailable` when the file cannot be read.
pub fn read(state_dir: &Path) -> Result<Vec<Receipt>> {
    let path = state_dir.join(FILE);
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == IoErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => {
            let failed = Error::new(ErrorKind::Unavailable, format!("cannot read {}", path.display()));
            return Err(failed.with_source(error));
        }
    };
    let lines = text.split_inclusive('\n').filter(|line| line.ends_with('\n'));
    lines
        .enumerate()
        .map(|(i, line)| {
            serde_json::from_str(line).map_err(|error| {
                Error::new(ErrorKind::State, format!("line {} of {} is not a receipt", i + 1, path.display()))
                    .with_source(error)
                    .with_hint("the file was changed by something else; restore it from a backup")
            })
        })
        .collect()
}
