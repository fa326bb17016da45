//! One DuckDB instance per file and process.
//!
//! DuckDB locks a file against other processes only: opened twice by one process, each instance writes over the other
//! without a word (measured with 1.5.4; its locks are POSIX record locks). Two tasks of a flow, or a task that was
//! given up and its successor, are such a case. So all of them get connections of one instance.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use duckdb::{Config, Connection};

struct Instance {
    path: PathBuf,
    users: usize,
    connection: Connection,
}

/// The instances of this process. Global because what it guards against is: the lock is the process's.
static INSTANCES: Mutex<Vec<Instance>> = Mutex::new(Vec::new());

/// A connection that closes the file when it was the last one.
pub(super) struct SharedConnection {
    /// `None` only while it is dropped.
    connection: Option<Connection>,
    path: PathBuf,
}

impl SharedConnection {
    /// Connects to the file's instance, or opens it with `config`.
    pub fn open(path: &Path, config: Config) -> duckdb::Result<Self> {
        // Held while opening and while closing: a file that is being closed must not be opened a second time.
        let mut instances = instances();
        let path = canonical(path);
        if let Some(instance) = instances.iter_mut().find(|instance| instance.path == path) {
            let connection = instance.connection.try_clone()?;
            instance.users += 1;
            return Ok(Self { connection: Some(connection), path });
        }
        let root = Connection::open_with_flags(&path, config)?;
        let connection = root.try_clone()?;
        instances.push(Instance { path: path.clone(), users: 1, connection: root });
        Ok(Self { connection: Some(connection), path })
    }
}

impl std::ops::Deref for SharedConnection {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        self.connection.as_ref().expect("a connection is taken only by drop")
    }
}

impl Drop for SharedConnection {
    fn drop(&mut self) {
        let mut instances = instances();
        self.connection = None;
        if let Some(at) = instances.iter().position(|instance| instance.path == self.path) {
            instances[at].users -= 1;
            if instances[at].users == 0 {
                instances.swap_remove(at);
            }
        }
    }
}

fn instances() -> MutexGuard<'static, Vec<Instance>> {
    // A panic leaves the list whole: it is changed by single pushes and removals.
    INSTANCES.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The path that all names of a file come to; the file itself may not exist yet.
fn canonical(path: &Path) -> PathBuf {
    if let Ok(path) = path.canonicalize() {
        return path;
    }
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    match (folder.canonicalize(), path.file_name()) {
        (Ok(folder), Some(name)) => folder.join(name),
        _ => path.to_owned(),
    }
}
