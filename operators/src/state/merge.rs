//! Merging the newest files into one, beside the stream.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use aqueduct_model::{Error, Result};

use super::cursor::Merged;
use super::run::{Run, RunName, Writer};

/// Files that may lie beside each other before the newest of them are merged.
const RUNS_MAX: usize = 4;
/// Files that may lie beside each other before the stream waits for a merge.
pub(super) const RUNS_MAX_BESIDE: usize = 8;

/// A merge at work.
pub(super) struct Merge {
    /// The place of the first merged file among all, and how many are.
    pub(super) from: usize,
    pub(super) count: usize,
    /// The number of the file that it makes.
    pub(super) id: u64,
    cancelled: Arc<AtomicBool>,
    thread: Option<JoinHandle<Result<Option<RunName>>>>,
}

impl Merge {
    /// Begins to merge the newest files, where they are many: each merge takes all that are not much larger than what is
    /// newer, so that every entry is written a few times only.
    pub(super) fn begin(folder: &Path, runs: &[Arc<Run>], id: u64) -> Result<Option<Self>> {
        let Some(from) = first_to_merge(&runs.iter().map(|run| run.name.bytes).collect::<Vec<_>>()) else {
            return Ok(None);
        };
        let (folder, merged, cancelled) = (folder.to_owned(), runs[from..].to_vec(), Arc::new(AtomicBool::new(false)));
        let (stop, forgets) = (cancelled.clone(), from == 0);
        let thread = std::thread::Builder::new()
            .name("aqueduct-merge".to_owned())
            .spawn(move || merge(&folder, id, &merged, forgets, &stop))
            .map_err(|error| Error::bug("a thread could not be started").with_source(error))?;
        Ok(Some(Self { from, count: runs.len() - from, id, cancelled, thread: Some(thread) }))
    }

    /// True when it has come to its end.
    pub(super) fn is_done(&self) -> bool {
        self.thread.as_ref().is_none_or(JoinHandle::is_finished)
    }

    /// The file that it made; `None` when nothing was left.
    pub(super) fn finish(mut self) -> Result<Option<RunName>> {
        let Some(thread) = self.thread.take() else { return Ok(None) };
        thread.join().map_err(|_| Error::bug("merging files of state panicked"))?
    }
}

impl Drop for Merge {
    /// Nobody else may write under its number meanwhile.
    fn drop(&mut self) {
        self.cancelled.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // What it made is named by no checkpoint, and removed at the next start.
            let _ = thread.join();
        }
    }
}

/// Where the files to be merged begin, by their sizes, the oldest first.
fn first_to_merge(bytes: &[u64]) -> Option<usize> {
    let (mut from, mut newer) = (bytes.len(), 0_u64);
    while from > 0 && (bytes.len() - from < 2 || bytes[from - 1] <= 2 * newer) {
        from -= 1;
        newer += bytes[from];
    }
    (bytes.len() > RUNS_MAX && bytes.len() - from >= 2).then_some(from)
}

fn merge(
    folder: &Path,
    id: u64,
    runs: &[Arc<Run>],
    forgets_removed: bool,
    cancelled: &AtomicBool,
) -> Result<Option<RunName>> {
    let mut entries = Merged::from(runs, &[])?;
    let mut writer = Writer::new(folder, id)?;
    while let Some((key, value)) = entries.peek() {
        if cancelled.load(Ordering::Relaxed) {
            return Ok(None);
        }
        if value.is_some() || !forgets_removed {
            writer.push(key, value)?;
        }
        entries.advance()?;
    }
    writer.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_like_size_are_merged_and_large_old_ones_are_left_alone() {
        assert_eq!(first_to_merge(&[10, 10, 10, 10]), None);
        assert_eq!(first_to_merge(&[10, 10, 10, 10, 10]), Some(0));
        assert_eq!(first_to_merge(&[1_000, 10, 10, 10, 10]), Some(1));
        assert_eq!(first_to_merge(&[1_000, 900, 100, 10, 10, 10]), Some(3));
        assert_eq!(first_to_merge(&[60, 50, 40, 10, 10]), Some(0));
    }
}
