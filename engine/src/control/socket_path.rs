//! The socket's path, short enough for the kernel.

use std::fs::File;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

/// The socket's name in the state folder.
const NAME: &str = "control.sock";

/// The state folder held open, and the socket's path through it.
///
/// A socket address holds at most 108 bytes; going through the open folder works however deep it lies.
pub(super) struct SocketPath {
    pub(super) path: PathBuf,
    _folder: File,
}

impl SocketPath {
    pub(super) fn of(state_dir: &Path) -> std::io::Result<Self> {
        let folder = File::open(state_dir)?;
        let path = PathBuf::from(format!("/proc/self/fd/{}/{NAME}", folder.as_raw_fd()));
        Ok(Self { path, _folder: folder })
    }
}
