//! The daemon's side.

use std::path::Path;

use aqueduct_model::{Error, ErrorKind, Result};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tracing::debug;

use super::Request;
use super::socket_path::SocketPath;
use crate::runtime::FlowHandle;

/// Longest request, in bytes.
const REQUEST_BYTES_MAX: u64 = 4_096;

/// Listens for requests to one flow.
#[derive(Debug)]
pub struct ControlServer {
    listener: UnixListener,
}

impl ControlServer {
    /// Listens in a flow's state folder. The caller holds the folder's lock, so a socket that is there is a dead one.
    ///
    /// # Errors
    /// `Unavailable` when the folder does not allow a socket.
    pub fn bind(state_dir: &Path) -> Result<Self> {
        let bind = || {
            let socket = SocketPath::of(state_dir)?;
            match std::fs::remove_file(&socket.path) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
            UnixListener::bind(&socket.path)
        };
        let listener = bind().map_err(|error| {
            Error::new(ErrorKind::Unavailable, format!("cannot listen for control requests in {}", state_dir.display()))
                .with_source(error)
        })?;
        Ok(Self { listener })
    }

    /// Serves requests, one after the other, until dropped.
    pub async fn serve(self, flow: FlowHandle) {
        loop {
            match self.listener.accept().await {
                Ok((stream, _)) => {
                    if let Err(error) = answer(stream, &flow).await {
                        debug!("a control request failed: {error}");
                    }
                }
                Err(error) => debug!("cannot accept a control request: {error}"),
            }
        }
    }
}

async fn carry_out(request: Request, flow: &FlowHandle) -> Result<()> {
    match request {
        Request::Status => {}
        Request::Pause => drop(flow.pause().await),
        Request::Resume => flow.resume().await,
        Request::Stop => flow.stop().await,
        Request::Run { name, what } => flow.steer_run(&name, what).await?,
    }
    Ok(())
}

async fn answer(stream: UnixStream, flow: &FlowHandle) -> std::io::Result<()> {
    let (read, mut write) = stream.into_split();
    let mut line = String::new();
    BufReader::new(read.take(REQUEST_BYTES_MAX)).read_line(&mut line).await?;
    let done = match serde_json::from_str(&line) {
        Ok(request) => carry_out(request, flow).await,
        Err(error) => Err(Error::bug(format!("not a request: {error}"))),
    };
    let reply = match done {
        Ok(()) => serde_json::to_vec(&flow.status()),
        Err(error) => serde_json::to_vec(&serde_json::json!({ "error": error.chain(), "hint": error.hint() })),
    };
    let mut reply = reply.map_err(std::io::Error::other)?;
    reply.push(b'\n');
    write.write_all(&reply).await?;
    write.shutdown().await
}
