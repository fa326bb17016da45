//! From the settings to a component that can be called.

use std::fs::File;
use std::io::{ErrorKind as IoKind, Read};
use std::path::Path;

use aqueduct_model::{Error, ErrorKind, Result};
use aqueduct_wasm::{About, Component, FILE_BYTES_MAX, Failed, Limits, Refused, Value};

use super::super::config::{ComponentConfig, Limits as Settings};

/// The most memory that a component can have.
const MEMORY_BYTES_MAX: u64 = 4 << 30;

/// A function that can be called, one row at a time.
pub(super) trait Call: std::fmt::Debug + Send + Sync {
    /// The values of the columns for a row, or why there are none.
    fn call(&self, row: &[Value]) -> Result<Vec<Value>, Failed>;
}

impl Call for Component {
    fn call(&self, row: &[Value]) -> Result<Vec<Value>, Failed> {
        Self::call(self, row)
    }
}

/// Checks what can be checked without the file.
///
/// # Errors
/// `Config` in a build that runs no components, and for limits that none can have.
pub(super) fn check(limits: &Settings) -> Result<()> {
    if limits.memory.0 > MEMORY_BYTES_MAX {
        return Err(Error::config("a component has 4 GiB of memory at most").with_setting("limits.memory"));
    }
    aqueduct_wasm::check_build().map_err(refusal)
}

/// Reads and checks the component. Blocking.
///
/// # Errors
/// `Config` when the file is not there, or is no component with this function; `Unavailable` when it cannot be read.
pub(super) fn load(config: &ComponentConfig, limits: &Settings) -> Result<Component> {
    let file = read(&config.file)?;
    let limits = Limits {
        fuel: limits.fuel.get(),
        memory_bytes: usize::try_from(limits.memory.0).unwrap_or(usize::MAX),
        time: limits.time.0,
    };
    Component::load(&file, &config.function, limits).map_err(refusal)
}

fn read(path: &Path) -> Result<Vec<u8>> {
    let mut content = Vec::new();
    let read = File::open(path).and_then(|file| file.take(FILE_BYTES_MAX + 1).read_to_end(&mut content));
    let refused = |kind, why: &str, hint: &str| {
        let text = format!("cannot read the component {}: {why}", path.display());
        Error::new(kind, text).with_setting("component.file").with_hint(hint)
    };
    match read {
        Ok(_) if content.len() as u64 > FILE_BYTES_MAX => {
            Err(refused(ErrorKind::Config, "it has more than 64 MiB", "strip what the compiler left for debugging"))
        }
        Ok(_) => Ok(content),
        Err(error) => {
            let is_setting = matches!(error.kind(), IoKind::NotFound | IoKind::PermissionDenied | IoKind::IsADirectory);
            let kind = if is_setting { ErrorKind::Config } else { ErrorKind::Unavailable };
            let hint = "a path without `/` in front is one in the folder that the program was started in";
            Err(refused(kind, &error.to_string(), hint).with_source(error))
        }
    }
}

fn refusal(refused: Refused) -> Error {
    let setting = match refused.about {
        About::Build => "component",
        About::File => "component.file",
        About::Function => "component.function",
        About::Limits => "limits",
    };
    Error::config(refused.text).with_setting(setting).with_hint(refused.hint)
}
