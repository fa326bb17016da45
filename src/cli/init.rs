//! `init`: a first flow that runs as it is.

use std::fs;
use std::io::Write;
use std::path::Path;

use aqueduct_model::Error;

use super::exit::{Exit, Failure};

const FLOW: &str = include_str!("first_flow.yaml");

/// Writes `flow.yaml`; never overwrites one.
pub(super) fn init(folder: &Path) -> Result<Exit, Failure> {
    fs::create_dir_all(folder)?;
    let path = folder.join("flow.yaml");
    let mut file = fs::OpenOptions::new().write(true).create_new(true).open(&path).map_err(|error| {
        Error::config(format!("cannot create {}", path.display()))
            .with_source(error)
            .with_hint("choose an empty folder: aqueduct init my_flow")
    })?;
    file.write_all(FLOW.as_bytes())?;
    println!("wrote {}\n\n  aqueduct run {0}\n  aqueduct verify {0}", path.display());
    Ok(Exit::Ok)
}
