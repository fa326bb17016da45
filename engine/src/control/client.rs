//! The side of whoever steers.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;

use aqueduct_model::{Error, ErrorKind, Result};
use serde_json::Value;

use super::Request;
use super::socket_path::SocketPath;

/// Asks the daemon that runs in this state folder; blocks until it answers. Returns the flow's status as JSON.
///
/// # Errors
/// `Unavailable` when no daemon runs there, `Config` when it refuses.
pub fn request(state_dir: &Path, request: Request) -> Result<Value> {
    let unavailable = |error: std::io::Error| {
        Error::new(ErrorKind::Unavailable, format!("no daemon answers in {}", state_dir.display()))
            .with_source(error)
            .with_hint("start it with `aqueduct run FLOW`, or name its state folder by --state")
    };
    let ask = || -> std::io::Result<String> {
        let mut stream = UnixStream::connect(SocketPath::of(state_dir)?.path)?;
        let mut line = serde_json::to_vec(&request)?;
        line.push(b'\n');
        stream.write_all(&line)?;
        let mut reply = String::new();
        BufReader::new(stream).read_line(&mut reply)?;
        Ok(reply)
    };
    let reply = ask().map_err(unavailable)?;
    let reply: Value = serde_json::from_str(&reply)
        .map_err(|error| Error::bug("the daemon's answer is not JSON").with_source(error))?;
    let text = |key: &str| reply[key].as_str().map(str::to_owned);
    match text("error") {
        Some(refused) => Err(Error::config(refused).with_hint(text("hint").unwrap_or_default())),
        None => Ok(reply),
    }
}
