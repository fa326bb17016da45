//! The output folder: claim, stage, commit.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::ErrorKind as IoKind;
use std::path::{Component, Path, PathBuf};

use aqueduct_model::{Claim, Cut, Epoch, Error, ErrorKind, PreparedCommit, Recorded, Result, SinkContext, Token};
use serde::{Deserialize, Serialize};

#[cfg(feature = "failpoints")]
use super::faults::injected;
use super::faults::planted;
use super::manifest::{FileEntry, Lock, MANIFEST_FILE, Manifest};
use super::name::{FileRole, final_name, role, staged_name};

/// One sink task's folder, under the token of this run.
pub(super) struct Folder {
    root: PathBuf,
    owner: SinkContext,
    token: Token,
    /// Files opened by this value, so that their names differ.
    opened: u64,
}

/// A file that is written, closed and not yet part of a flushed epoch.
pub(super) struct WrittenFile {
    /// The table's folder, below the root.
    pub(super) folder: String,
    /// Where it is now.
    pub(super) path: PathBuf,
    pub(super) file: File,
    pub(super) extension: String,
    /// Path and epoch are filled in when it is staged.
    pub(super) entry: FileEntry,
}

/// What a flush hands to the commit.
#[derive(Debug, Serialize, Deserialize)]
struct Prepared {
    cut: Cut,
    files: Vec<FileEntry>,
}

impl Folder {
    /// Looks at the folder and changes nothing; returns what an earlier run recorded there.
    pub(super) fn open(root: &Path, owner: &SinkContext) -> Result<(Self, Option<Recorded>)> {
        let folder = Self { root: root.to_owned(), owner: owner.clone(), token: Token(0), opened: 0 };
        let recorded = folder.manifest()?.map(|manifest| Recorded { token: manifest.token, cut: manifest.cut });
        if recorded.is_none() {
            folder.refuse_foreign_files()?;
        }
        Ok((folder, recorded))
    }

    /// The manifest, which must be this task's.
    fn manifest(&self) -> Result<Option<Manifest>> {
        let Some(manifest) = Manifest::read(&self.root)? else { return Ok(None) };
        if (&manifest.flow, &manifest.task) != (&self.owner.flow, &self.owner.task) {
            let owner = format!("task {} of flow {}", manifest.task, manifest.flow);
            return Err(Error::config(format!("the folder {} belongs to {owner}", self.root.display()))
                .with_setting("path")
                .with_hint("give every file sink a folder of its own"));
        }
        Ok(Some(manifest))
    }

    fn refuse_foreign_files(&self) -> Result<()> {
        let entries = match fs::read_dir(&self.root) {
            Ok(entries) => entries,
            Err(error) if error.kind() == IoKind::NotFound => return Ok(()),
            Err(error) => return Err(io_error("cannot list", &self.root, error).with_setting("path")),
        };
        for entry in entries {
            let entry = entry.map_err(|error| io_error("cannot list", &self.root, error))?;
            let name = entry.file_name();
            let name = name.to_string_lossy();
            if !name.starts_with('.') && !name.starts_with("_aqueduct_") {
                return Err(Error::config(format!(
                    "the folder {} holds {name} and no {MANIFEST_FILE}: it was not made by this flow",
                    self.root.display()
                ))
                .with_setting("path")
                .with_hint("point `path` at an empty or a new folder"));
            }
        }
        Ok(())
    }

    /// Makes this run the only writer and removes what epochs behind the claimed one left.
    pub(super) fn claim(&mut self, claim: &Claim) -> Result<()> {
        fs::create_dir_all(&self.root)
            .map_err(|error| io_error("cannot make the folder", &self.root, error).with_setting("path"))?;
        let _lock = Lock::take_blocking(&self.root)?;
        let mut manifest = match self.manifest()? {
            Some(manifest) if manifest.token >= claim.token => {
                return Err(Error::new(
                    ErrorKind::State,
                    format!(
                        "the folder {} was claimed with token {}, this run has {}",
                        self.root.display(),
                        manifest.token,
                        claim.token
                    ),
                )
                .with_hint(
                    "another daemon writes there, or this checkpoint folder is an old copy: stop one of the two",
                ));
            }
            Some(manifest) => manifest,
            None => {
                self.refuse_foreign_files()?;
                Manifest::new(&self.owner.flow, &self.owner.task, claim.token)
            }
        };
        if manifest.cut.epoch > claim.cut.epoch {
            return Err(Error::new(
                ErrorKind::State,
                format!(
                    "the folder {} is committed up to epoch {}, the checkpoint only up to {}",
                    self.root.display(),
                    manifest.cut.epoch,
                    claim.cut.epoch
                ),
            )
            .with_hint(
                "going on would write rows twice: restore the newer checkpoint, or point `path` at an empty folder",
            ));
        }
        manifest.token = claim.token;
        manifest.write(&self.root)?;
        self.token = claim.token;
        self.remove_leftovers(manifest.cut.epoch, claim.cut.epoch)
    }

    /// Removes files that no commit will ask for: half written, or of epochs outside `(committed, claimed]`.
    fn remove_leftovers(&self, committed: Epoch, claimed: Epoch) -> Result<()> {
        if planted("mutant.staged_keeps_leftovers") {
            return Ok(());
        }
        for folder in sorted_entries(&self.root)? {
            if !folder.is_dir() || folder.is_symlink() {
                continue;
            }
            for path in sorted_entries(&folder)? {
                let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
                let leftover = match role(&name) {
                    FileRole::Open => true,
                    FileRole::Staged(epoch) => epoch > claimed || epoch <= committed,
                    FileRole::Final(epoch) => epoch > claimed,
                    FileRole::Foreign => false,
                };
                if leftover {
                    fs::remove_file(&path).map_err(|error| io_error("cannot remove the leftover", &path, error))?;
                }
            }
        }
        Ok(())
    }

    /// Makes a new file in a table's folder; it does not show.
    pub(super) fn create(&mut self, folder: &str) -> Result<(PathBuf, File)> {
        let directory = self.root.join(folder);
        match fs::create_dir(&directory) {
            Ok(()) => fsync_folder(&self.root)?,
            Err(error) if error.kind() == IoKind::AlreadyExists => {}
            Err(error) => return Err(io_error("cannot make the folder", &directory, error)),
        }
        if !directory.is_dir() || directory.is_symlink() {
            return Err(Error::config(format!("{} is not a folder, or is a link", directory.display()))
                .with_setting("path")
                .with_hint("point `path` at an empty or a new folder"));
        }
        self.opened += 1;
        let path = directory.join(format!(".open-{}-{}.inprogress", self.token, self.opened));
        // `read`, because an earlier file is looked at again for its length; `create_new` follows no link.
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .open(&path)
            .map_err(|error| io_error("cannot make the file", &path, error))?;
        Ok((path, file))
    }

    /// Makes an epoch's files durable under names of that epoch that do not show.
    pub(super) fn stage(&self, cut: &Cut, files: Vec<WrittenFile>) -> Result<PreparedCommit> {
        fail::fail_point!("sink.flush", |_| Err(injected("sink.flush")));
        for written in &files {
            written.file.sync_all().map_err(|error| io_error("cannot make durable", &written.path, error))?;
        }
        let lock = Lock::take_blocking(&self.root)?;
        self.check_token()?;
        let mut entries: Vec<FileEntry> = Vec::with_capacity(files.len());
        let mut folders = BTreeSet::new();
        for written in files {
            let number = entries.iter().filter(|entry| entry.path.split('/').next() == Some(&written.folder)).count();
            let name = final_name(cut.epoch, number, &written.extension);
            let shown = planted("mutant.staged_visible_before_commit");
            let staged = self.root.join(&written.folder).join(if shown { name.clone() } else { staged_name(&name) });
            fs::rename(&written.path, &staged).map_err(|error| io_error("cannot rename", &written.path, error))?;
            let path = format!("{}/{name}", written.folder);
            entries.push(FileEntry { path, epoch: cut.epoch.0, ..written.entry });
            folders.insert(self.root.join(written.folder));
        }
        for folder in &folders {
            fsync_folder(folder)?;
        }
        drop(lock);
        fail::fail_point!("sink.precommit", |_| Err(injected("sink.precommit")));
        let prepared = serde_json::to_value(Prepared { cut: cut.clone(), files: entries });
        prepared.map(PreparedCommit).map_err(|error| Error::bug("cannot write a prepared commit").with_source(error))
    }

    fn check_token(&self) -> Result<Manifest> {
        match self.manifest()? {
            Some(manifest) if manifest.token == self.token => Ok(manifest),
            Some(manifest) => Err(Error::new(
                ErrorKind::State,
                format!(
                    "the folder {} was claimed with token {}, this run has {}",
                    self.root.display(),
                    manifest.token,
                    self.token
                ),
            )
            .with_hint("another daemon has taken over: this one must not go on")),
            None => Err(Error::new(ErrorKind::State, format!("{} has no manifest any more", self.root.display()))
                .with_hint(
                    "the folder was removed or replaced while the flow ran: restore it, or start with a new folder",
                )),
        }
    }

    /// Shows a flushed epoch; does nothing when it shows already.
    pub(super) fn commit(&self, epoch: Epoch, prepared: &PreparedCommit) -> Result<()> {
        fail::fail_point!("sink.commit_before", |_| Err(injected("sink.commit_before")));
        let prepared: Prepared = serde_json::from_value(prepared.0.clone()).map_err(|error| {
            Error::new(ErrorKind::State, "the prepared commit is not one of a file sink").with_source(error)
        })?;
        if prepared.cut.epoch != epoch {
            return Err(Error::bug(format!(
                "epoch {epoch} is to be committed with what epoch {} prepared",
                prepared.cut.epoch
            )));
        }
        let _lock = Lock::take_blocking(&self.root)?;
        let mut manifest = self.check_token()?;
        if manifest.cut.epoch >= epoch {
            return Ok(());
        }
        let mut folders = BTreeSet::new();
        for entry in &prepared.files {
            fail::fail_point!("file.rename_before", |_| Err(injected("file.rename_before")));
            folders.insert(self.show(entry)?);
            fail::fail_point!("file.rename_after", |_| Err(injected("file.rename_after")));
        }
        for folder in &folders {
            fsync_folder(folder)?;
        }
        manifest.append(&self.root, &prepared.files)?;
        manifest.cut = prepared.cut;
        manifest.write(&self.root)?;
        fail::fail_point!("sink.commit_after_no_reply", |_| Err(injected("sink.commit_after_no_reply")));
        Ok(())
    }

    /// Gives one file its final name and returns its folder.
    fn show(&self, entry: &FileEntry) -> Result<PathBuf> {
        let relative = Path::new(&entry.path);
        let plain = relative.components().all(|component| matches!(component, Component::Normal(_)));
        let (Some(name), Some(folder), true) = (relative.file_name(), relative.parent(), plain) else {
            return Err(Error::new(ErrorKind::State, "a prepared commit names a file outside its folder"));
        };
        let folder = self.root.join(folder);
        let shown = folder.join(name);
        let staged = folder.join(staged_name(&name.to_string_lossy()));
        match (staged.symlink_metadata().is_ok(), shown.symlink_metadata().is_ok()) {
            (true, false) => {
                fs::rename(&staged, &shown).map_err(|error| io_error("cannot rename", &staged, error))?;
            }
            // A commit that was broken off had come this far.
            (false, true) => {}
            (true, true) => {
                return Err(Error::new(
                    ErrorKind::State,
                    format!("{} exists and is not of this flow", shown.display()),
                )
                .with_hint("move the file away"));
            }
            (false, false) => {
                return Err(Error::new(ErrorKind::State, format!("{} of a flushed epoch is gone", staged.display()))
                    .with_hint("restore the folder, or start with a new folder and a reset checkpoint"));
            }
        }
        Ok(folder)
    }
}

/// What is committed in a folder: the cut, where there is one, and the files in the order of their commits.
pub(crate) fn committed_files(root: &Path) -> Result<(Option<Cut>, Vec<FileEntry>)> {
    match Manifest::read(root)? {
        Some(manifest) => {
            let entries = manifest.entries(root)?;
            Ok((Some(manifest.cut), entries))
        }
        None => Ok((None, Vec::new())),
    }
}

fn sorted_entries(folder: &Path) -> Result<BTreeSet<PathBuf>> {
    let mut paths = BTreeSet::new();
    for entry in fs::read_dir(folder).map_err(|error| io_error("cannot list", folder, error))? {
        paths.insert(entry.map_err(|error| io_error("cannot list", folder, error))?.path());
    }
    Ok(paths)
}

/// Makes renames and new names in a folder durable.
pub(super) fn fsync_folder(folder: &Path) -> Result<()> {
    let synced = File::open(folder).and_then(|folder| folder.sync_all());
    synced.map_err(|error| io_error("cannot make durable", folder, error))
}

/// A failed file operation: what was being done, to which file, and whether trying again can help.
pub(crate) fn io_error(doing: &str, path: &Path, error: std::io::Error) -> Error {
    let (kind, hint) = match error.kind() {
        IoKind::PermissionDenied | IoKind::ReadOnlyFilesystem => {
            (ErrorKind::Auth, Some("give the user that runs the daemon write access"))
        }
        IoKind::StorageFull | IoKind::QuotaExceeded => (ErrorKind::Unavailable, Some("free space on the disk")),
        IoKind::NotADirectory | IoKind::InvalidFilename => (ErrorKind::Config, None),
        _ => (ErrorKind::Unavailable, None),
    };
    let failed = Error::new(kind, format!("{doing} {}", path.display())).with_source(error);
    match hint {
        Some(hint) => failed.with_hint(hint),
        None => failed,
    }
}
