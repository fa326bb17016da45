//! Goes from file to file and remembers how far.

use std::collections::VecDeque;
use std::fs::File;
use std::time::{Duration, Instant};

use aqueduct_model::{BadRow, BadRows, Batch, Error, PollBudget, Polled, Position, Result, Source, SourceContext};
use async_trait::async_trait;

use super::files;
use super::format::{Opened, ReadSize, TextFormat};
use super::inventory;
use super::offset::{FileOffset, Progress};
use super::reader::Limits;

/// Most text of one batch, whatever the budget: cells are addressed by 30 bits.
const BATCH_BYTES_MAX: usize = 64 << 20;

/// Reads the files of the settings, one after the other.
pub(crate) struct TextSource<F: TextFormat> {
    format: F,
    progress: Progress,
    /// Files that have something to read, as far as known.
    queue: VecDeque<String>,
    current: Option<Current<F>>,
    /// Read and not handed out yet: a read may find rows of several tables.
    pending: VecDeque<Batch>,
    /// When `watch` looks again.
    next_look: Instant,
}

/// The file that is being read.
struct Current<F: TextFormat> {
    path: String,
    /// For its length.
    file: File,
    opened: Opened<F::Scanner, F::Layout>,
}

impl<F: TextFormat> TextSource<F> {
    /// A source of files of this format.
    pub(crate) fn new(format: F) -> Self {
        Self {
            format,
            progress: Progress::default(),
            queue: VecDeque::new(),
            current: None,
            pending: VecDeque::new(),
            next_look: Instant::now(),
        }
    }

    /// Lists the files and queues those that have something to read.
    fn look(&mut self) -> Result<()> {
        let settings = self.format.settings();
        let listed = files::list(settings, |path| self.progress.files.contains_key(path))?;
        self.queue = inventory::reconcile(&mut self.progress, &listed, settings.watch)?.into();
        self.next_look = Instant::now() + settings.watch_interval;
        Ok(())
    }

    /// Opens a file at its recorded place. False when there is nothing to read in it (yet).
    fn open_file(&mut self, path: &str, until: Option<&Progress>) -> Result<bool> {
        let file = files::open(path)?;
        let recorded = self.progress.files.get(path);
        let known = recorded.or_else(|| until?.files.get(path)).map(|offset| offset.identity.clone());
        let identity = match known {
            Some(identity) if files::is_same(path, &file, &identity)? => identity,
            Some(_) => return Err(inventory::replaced(path)),
            None => files::identify(path, &file)?,
        };
        let length = files::length(path, &file)?;
        let start = FileOffset { offset: 0, line: 1, row: 0, done: None, identity };
        let offset = self.progress.files.entry(path.to_owned()).or_insert(start).clone();
        let Some(mut opened) = self.format.open(path, &mut self.progress)? else {
            self.note(path, (offset.offset, offset.line, offset.row), Some(length));
            return Ok(false);
        };
        if offset.offset > 0 {
            opened.reader.go_to(offset.offset, offset.line, offset.row)?;
        }
        self.current = Some(Current { path: path.to_owned(), file, opened });
        Ok(true)
    }

    fn note(&mut self, path: &str, (offset, line, row): (u64, u64, u64), done: Option<u64>) {
        if let Some(file) = self.progress.files.get_mut(path) {
            (file.offset, file.line, file.row, file.done) = (offset, line, row, done);
        }
    }

    /// Reads on in the current file, which is closed at its end or edge.
    fn read(&mut self, budget: &PollBudget, until: Option<&Progress>, bad: &mut BadRows) -> Result<()> {
        let Some(mut current) = self.current.take() else { return Ok(()) };
        let edge = match until {
            None => None,
            Some(until) => match until.files.get(&current.path) {
                Some(edge) => Some(edge),
                // Not read before the edge at all.
                None => return Ok(()),
            },
        };
        // Taken before reading: what is appended in between makes the file longer than this, and it is looked at again.
        let length = files::length(&current.path, &current.file)?;
        let asked = ReadSize { rows: budget.max_rows.max(1), bytes: budget.max_bytes.clamp(1, BATCH_BYTES_MAX) };
        let size = self.format.fixed_size().unwrap_or(asked);
        let limits = Limits {
            rows: size.rows,
            bytes: size.bytes,
            until: edge.map(|edge| edge.offset),
            last: !self.format.settings().watch,
            width: current.opened.width,
            line_bytes: self.format.settings().max_line_bytes,
        };
        let more = current.opened.reader.read(&limits)?;
        self.take(&mut current, asked.rows, bad)?;
        let place = current.opened.reader.place();
        let reached = limits.until.is_some_and(|until| place.0 >= until);
        if !more && !reached && limits.until.is_some() {
            return Err(inventory::replaced(&current.path));
        }
        self.note(&current.path, place, (!more && !reached).then_some(length));
        if more && !reached {
            self.current = Some(current);
        }
        Ok(())
    }

    /// Takes what the last read found, in batches of at most so many rows.
    fn take(&mut self, current: &mut Current<F>, rows: usize, bad: &mut BadRows) -> Result<()> {
        let mut taken = self.format.take(&mut current.opened)?;
        taken.refused.sort_by_key(|refused| refused.line);
        for row in taken.refused {
            bad.reject(BadRow {
                relation: row.relation,
                row: row.text.into(),
                reasons: vec![row.reason],
                position: Some(format!("{} line {}", current.path, row.line)),
            })?;
        }
        for batch in taken.batches {
            if batch.num_rows() <= rows {
                self.pending.push_back(batch);
                continue;
            }
            for from in (0..batch.num_rows()).step_by(rows) {
                self.pending.push_back(batch.slice(from, rows.min(batch.num_rows() - from)));
            }
        }
        Ok(())
    }

    /// The next file to open: the first that is not at its edge, or the next in the queue.
    fn next_path(&mut self, until: Option<&Progress>) -> Result<Option<String>> {
        let Some(until) = until else { return Ok(self.queue.pop_front()) };
        for (path, edge) in &until.files {
            let at = self.progress.files.get(path).map_or(0, |file| file.offset);
            if at > edge.offset {
                return Err(Error::bug(format!("{path} was read beyond the edge of the epoch that is replayed")));
            }
            if at < edge.offset {
                return Ok(Some(path.clone()));
            }
        }
        Ok(None)
    }

    /// Nothing is left to read for now. `None`: look again.
    fn at_rest(&mut self, until: Option<Progress>, deadline: Instant) -> Result<Option<Polled>> {
        if let Some(until) = until {
            // Lengths, identities and files without rows as they were when the edge was recorded.
            self.progress = until;
            self.look()?;
            return Ok(Some(Polled::Idle));
        }
        if !self.format.settings().watch {
            return Ok(Some(Polled::Finished));
        }
        let now = Instant::now();
        if now < self.next_look {
            // The task has a thread of its own.
            std::thread::sleep(self.next_look.min(deadline).saturating_duration_since(now));
        }
        if Instant::now() >= self.next_look {
            self.look()?;
            if !self.queue.is_empty() {
                return Ok(None);
            }
        }
        Ok((Instant::now() >= deadline).then_some(Polled::Idle))
    }
}

#[async_trait]
impl<F: TextFormat> Source for TextSource<F> {
    async fn open(&mut self, _context: &SourceContext, resume: Option<&Position>) -> Result<()> {
        self.progress = resume.map(Progress::from_position).transpose()?.unwrap_or_default();
        self.current = None;
        self.pending.clear();
        self.look()
    }

    async fn poll(&mut self, budget: &PollBudget, bad: &mut BadRows) -> Result<Polled> {
        if let Some(batch) = self.pending.pop_front() {
            return Ok(Polled::Batch(batch));
        }
        let deadline = Instant::now() + budget.max_wait.min(Duration::from_secs(3_600));
        let until = budget.until.as_ref().map(Progress::from_position).transpose()?;
        if let Some(until) = &until {
            self.progress.types.extend(until.types.clone());
        }
        loop {
            if self.current.is_none() {
                match self.next_path(until.as_ref())? {
                    Some(path) => {
                        let opened = self.open_file(&path, until.as_ref())?;
                        if !opened && until.is_some() {
                            return Err(inventory::replaced(&path));
                        }
                    }
                    None => match self.at_rest(until.clone(), deadline)? {
                        Some(polled) => return Ok(polled),
                        None => continue,
                    },
                }
            }
            self.read(budget, until.as_ref(), bad)?;
            if let Some(batch) = self.pending.pop_front() {
                return Ok(Polled::Batch(batch));
            }
            if Instant::now() >= deadline {
                return Ok(Polled::Idle);
            }
        }
    }

    fn position(&self) -> Option<Position> {
        // Between the tables of one read no epoch may end.
        self.pending.is_empty().then(|| self.progress.to_position())
    }
}
