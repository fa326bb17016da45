//! Large transactions that the server sends while they run: kept aside until they commit, without what was rolled back.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{BufReader, Read, Write};
use std::path::{Path, PathBuf};

use aqueduct_model::{Error, ErrorKind, Result};
use bytes::Bytes;

/// So much of a transaction is kept in memory before it goes to a file.
const BUFFER_BYTES: usize = 1 << 20;
/// In front of a message: the subtransaction's number and the message's length.
const HEAD_BYTES: usize = 8;

/// The transactions that run.
#[derive(Debug)]
pub(crate) struct Spool {
    folder: PathBuf,
    running: BTreeMap<u32, Running>,
}

#[derive(Debug, Default)]
struct Running {
    buffer: Vec<u8>,
    file: Option<(PathBuf, File)>,
    rolled_back: BTreeSet<u32>,
}

/// The messages of a transaction that has committed, in order.
#[derive(Debug)]
pub(crate) struct Committed {
    file: Option<(PathBuf, BufReader<File>)>,
    buffer: Bytes,
    rolled_back: BTreeSet<u32>,
}

impl Spool {
    /// In a folder of its own, which is emptied: what an earlier run left there is sent again.
    ///
    /// # Errors
    /// `State` when the folder cannot be used.
    pub(crate) fn open(folder: &Path) -> Result<Self> {
        let failed = |error| state("cannot empty", folder, error);
        if folder.exists() {
            fs::remove_dir_all(folder).map_err(failed)?;
        }
        fs::create_dir_all(folder).map_err(failed)?;
        Ok(Self { folder: folder.to_owned(), running: BTreeMap::new() })
    }

    /// Keeps a message of a transaction.
    ///
    /// # Errors
    /// `State` when the disk refuses.
    pub(crate) fn keep(&mut self, xid: u32, sub: u32, message: &[u8]) -> Result<()> {
        let running = self.running.entry(xid).or_default();
        let length =
            u32::try_from(message.len()).map_err(|_| Error::bug("a message of the log has more than 4 GiB"))?;
        running.buffer.extend_from_slice(&sub.to_be_bytes());
        running.buffer.extend_from_slice(&length.to_be_bytes());
        running.buffer.extend_from_slice(message);
        if running.buffer.len() < BUFFER_BYTES {
            return Ok(());
        }
        if running.file.is_none() {
            let path = self.folder.join(format!("{xid}.transaction"));
            let file = File::options().create_new(true).read(true).write(true).open(&path);
            let file = file.map_err(|error| state("cannot make", &path, error))?;
            running.file = Some((path, file));
        }
        if let Some((path, file)) = &mut running.file {
            file.write_all(&running.buffer).map_err(|error| state("cannot write", path, error))?;
            running.buffer.clear();
        }
        Ok(())
    }

    /// Forgets what a subtransaction did; the whole transaction where `sub` is its own number.
    ///
    /// # Errors
    /// `State` when the file cannot be removed.
    pub(crate) fn roll_back(&mut self, xid: u32, sub: u32) -> Result<()> {
        if sub != xid {
            self.running.entry(xid).or_default().rolled_back.insert(sub);
            return Ok(());
        }
        match self.running.remove(&xid).and_then(|running| running.file) {
            Some((path, _)) => fs::remove_file(&path).map_err(|error| state("cannot remove", &path, error)),
            None => Ok(()),
        }
    }

    /// Hands a transaction out that has committed. One that nothing was kept of is empty.
    ///
    /// # Errors
    /// `State` when the file cannot be read.
    pub(crate) fn commit(&mut self, xid: u32) -> Result<Committed> {
        let running = self.running.remove(&xid).unwrap_or_default();
        let file = match running.file {
            None => None,
            Some((path, _)) => {
                let file = File::open(&path).map_err(|error| state("cannot read", &path, error))?;
                Some((path, BufReader::with_capacity(BUFFER_BYTES, file)))
            }
        };
        Ok(Committed { file, buffer: running.buffer.into(), rolled_back: running.rolled_back })
    }
}

impl Committed {
    /// The next message that was not rolled back.
    ///
    /// # Errors
    /// `State` when the file is damaged.
    pub(crate) fn next(&mut self) -> Result<Option<Bytes>> {
        loop {
            let Some((sub, message)) = self.step()? else { return Ok(None) };
            if !self.rolled_back.contains(&sub) {
                return Ok(Some(message));
            }
        }
    }

    fn step(&mut self) -> Result<Option<(u32, Bytes)>> {
        let numbers = |head: &[u8]| {
            let number = |at: usize| u32::from_be_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
            (number(0), number(4) as usize)
        };
        if let Some((path, file)) = &mut self.file {
            let mut head = [0; HEAD_BYTES];
            let read = file.read(&mut head[..1]).map_err(|error| state("cannot read", path, error))?;
            if read == 1 {
                file.read_exact(&mut head[1..]).map_err(|error| state("cannot read", path, error))?;
                let (sub, length) = numbers(&head);
                let mut message = vec![0; length];
                file.read_exact(&mut message).map_err(|error| state("cannot read", path, error))?;
                return Ok(Some((sub, message.into())));
            }
            fs::remove_file(&*path).map_err(|error| state("cannot remove", path, error))?;
            self.file = None;
        }
        if self.buffer.is_empty() {
            return Ok(None);
        }
        let head = self.buffer.split_to(HEAD_BYTES);
        let (sub, length) = numbers(&head);
        Ok(Some((sub, self.buffer.split_to(length))))
    }
}

fn state(what: &str, path: &Path, error: std::io::Error) -> Error {
    Error::new(ErrorKind::State, format!("{what} {}", path.display())).with_source(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(mut committed: Committed) -> Vec<Vec<u8>> {
        let mut messages = Vec::new();
        while let Some(message) = committed.next().unwrap() {
            messages.push(message.to_vec());
        }
        messages
    }

    #[test]
    fn interleaved_transactions_come_whole_and_without_what_was_rolled_back() {
        let folder = tempfile::tempdir().unwrap();
        let mut spool = Spool::open(folder.path()).unwrap();
        let large = vec![7; BUFFER_BYTES / 3];
        for i in 0..10u8 {
            spool.keep(1, 1, &[&[i], large.as_slice()].concat()).unwrap();
            spool.keep(1, 5, b"rolled back").unwrap();
            spool.keep(2, 2, &[i]).unwrap();
        }
        spool.keep(3, 3, &large).unwrap();
        spool.roll_back(1, 5).unwrap();
        spool.roll_back(3, 3).unwrap();
        let first = all(spool.commit(1).unwrap());
        assert_eq!(first.iter().map(|message| message[0]).collect::<Vec<_>>(), (0..10).collect::<Vec<_>>());
        assert_eq!(all(spool.commit(2).unwrap()).len(), 10);
        assert!(all(spool.commit(3).unwrap()).is_empty());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "no file is left");
    }

    #[test]
    fn what_an_earlier_run_left_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("1.transaction"), b"torn").unwrap();
        let mut spool = Spool::open(folder.path()).unwrap();
        assert!(all(spool.commit(1).unwrap()).is_empty());
    }
}
