//! How a run ended, on disk.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use aqueduct_model::{Error, ErrorKind, Result, RunFailure};
use serde::{Deserialize, Serialize};

use crate::runtime::FailureReport;

const ENDED: &str = "ended.json";
const BEGAN: &str = "began.json";
const INSTANCE: &str = "instance.json";

/// What `ended.json` says.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Ended {
    pub(super) failure: Option<Failure>,
    pub(super) took_ms: u64,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Failure {
    kind: String,
    task: Option<String>,
    message: String,
    hint: Option<String>,
}

impl Failure {
    pub(super) fn of(report: &FailureReport) -> Self {
        Self {
            kind: report.kind.to_owned(),
            task: report.task.clone(),
            message: report.message.clone(),
            hint: report.hint.clone(),
        }
    }
}

impl Failure {
    /// That of a run which somebody has ended.
    pub(super) fn cancelled() -> Self {
        Self {
            kind: ErrorKind::Cancelled.name().to_owned(),
            task: None,
            message: "the run was cancelled".to_owned(),
            hint: Some(
                "started again, the flow goes on with it, unless `on_error: continue` leaves it behind".to_owned(),
            ),
        }
    }
}

impl From<Failure> for RunFailure {
    fn from(failure: Failure) -> Self {
        // A panic is a bug as seen from outside.
        let kind = ErrorKind::named(&failure.kind).unwrap_or(ErrorKind::Bug);
        Self { kind, task: failure.task, message: failure.message, hint: failure.hint }
    }
}

#[derive(Debug, Serialize, Deserialize)]
struct Began {
    at_ms: u64,
}

/// Since when the run has been under way; now, when it is new.
pub(super) fn began_ms(folder: &Path) -> Result<u64> {
    if let Some(Began { at_ms }) = read(&folder.join(BEGAN))? {
        return Ok(at_ms);
    }
    std::fs::create_dir_all(folder).map_err(|error| unwritable(folder, error))?;
    let at_ms = now_ms();
    write(folder, BEGAN, &Began { at_ms })?;
    Ok(at_ms)
}

/// How a run ended, if it has.
pub(super) fn ended(folder: &Path) -> Result<Option<Ended>> {
    read(&folder.join(ENDED))
}

/// What tells the runs of this folder from those of another one, or of this one before it was reset, in what they leave
/// in their targets.
pub(super) fn instance(folder: &Path) -> Result<String> {
    if let Some(instance) = read(&folder.join(INSTANCE))? {
        return Ok(instance);
    }
    std::fs::create_dir_all(folder).map_err(|error| unwritable(folder, error))?;
    let instance = format!("{:08x}", rand::random::<u32>());
    write(folder, INSTANCE, &instance)?;
    Ok(instance)
}

/// Says how a run ended: one durable step.
pub(super) fn end(folder: &Path, ended: &Ended) -> Result<()> {
    write(folder, ENDED, ended)
}

/// Takes back what [`end`] said.
pub(super) fn take_back(folder: &Path) -> Result<()> {
    match std::fs::remove_file(folder.join(ENDED)) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(unwritable(folder, error)),
        _ => Ok(()),
    }
}

pub(super) fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}

fn read<T: for<'a> Deserialize<'a>>(path: &Path) -> Result<Option<T>> {
    match std::fs::read(path) {
        Ok(bytes) => serde_json::from_slice(&bytes).map(Some).map_err(|error| {
            Error::new(ErrorKind::State, format!("{} cannot be read", path.display()))
                .with_hint("the checkpoint folder was damaged; start over with `aqueduct checkpoint reset`")
                .with_source(error)
        }),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(unwritable(path, error)),
    }
}

fn write(folder: &Path, name: &str, value: &impl Serialize) -> Result<()> {
    let draft = folder.join(format!("{name}.draft"));
    let failed = |error| unwritable(folder, error);
    let text =
        serde_json::to_vec(value).map_err(|error| Error::bug("a run's end cannot be written").with_source(error))?;
    let mut file = File::create(&draft).map_err(failed)?;
    file.write_all(&text).and_then(|()| file.sync_all()).map_err(failed)?;
    std::fs::rename(&draft, folder.join(name)).map_err(failed)?;
    sync_folder(folder)
}

/// Makes names in a folder durable.
pub(super) fn sync_folder(folder: &Path) -> Result<()> {
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(|error| unwritable(folder, error))
}

pub(super) fn unwritable(path: &Path, error: std::io::Error) -> Error {
    Error::new(ErrorKind::Unavailable, format!("{} cannot be read or written", path.display()))
        .with_hint("look at the free space and the rights of the checkpoint folder")
        .with_source(error)
}
