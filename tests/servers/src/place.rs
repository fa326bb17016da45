//! Where servers live on this machine: programs and templates in the cache, data in the temporary folder; ports, users.

use std::fs::{self, File};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

/// Below the ports that systems give to outgoing connections, so that a server finds its own free after a restart.
const PORTS: std::ops::Range<u32> = 12_000..32_000;

/// `~/.cache/aqueduct/servers`: programs that `scripts/servers.sh` fetched, and templates.
pub(crate) fn cache() -> PathBuf {
    let base = std::env::var_os("XDG_CACHE_HOME").filter(|path| !path.is_empty()).map(PathBuf::from);
    let home = || PathBuf::from(std::env::var_os("HOME").unwrap_or_else(|| "/tmp".into())).join(".cache");
    base.unwrap_or_else(home).join("aqueduct/servers")
}

/// True when servers have to be started as somebody else.
pub(crate) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// The folder of all data folders of this user; others may enter it, since servers run as another user under root.
pub(crate) fn work() -> PathBuf {
    let folder = std::env::temp_dir().join(format!("aqueduct-servers-{}", rustix::process::geteuid().as_raw()));
    fs::create_dir_all(&folder).unwrap_or_else(|error| panic!("no folder {}: {error}", folder.display()));
    open_to_all(&folder);
    folder
}

pub(crate) fn open_to_all(path: &Path) {
    // Somebody else's folder stays as it is; what cannot be entered then says so.
    let _ = fs::set_permissions(path, fs::Permissions::from_mode(0o755));
}

/// A folder for one server that nobody else uses.
pub(crate) fn fresh_folder(kind: &str) -> PathBuf {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let folder = work().join(format!("{kind}-{}-{number}", std::process::id()));
    remove(&folder);
    fs::create_dir_all(&folder).unwrap_or_else(|error| panic!("no folder {}: {error}", folder.display()));
    open_to_all(&folder);
    folder
}

/// Removes a folder, whatever is in it.
pub(crate) fn remove(folder: &Path) {
    if folder.exists() {
        run("rm", Command::new("rm").arg("-rf").arg(folder));
    }
}

/// Copies a folder with owners; shares blocks where the disk can.
pub(crate) fn copy(from: &Path, to: &Path) {
    run("cp", Command::new("cp").args(["-a", "--reflink=auto"]).arg(from).arg(to));
}

/// Makes a file or folder once per machine, however many processes ask at once.
pub(crate) fn once_per_machine(path: &Path, make: impl FnOnce(&Path)) {
    if path.exists() {
        return;
    }
    let folder = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder).unwrap_or_else(|error| panic!("no folder {}: {error}", folder.display()));
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let lock = File::create(folder.join(format!(".{name}.lock"))).expect("a lock file in the cache");
    lock.lock().expect("a lock of the cache");
    if path.exists() {
        return;
    }
    let partial = folder.join(format!(".{name}.partial"));
    remove(&partial);
    make(&partial);
    fs::rename(&partial, path).unwrap_or_else(|error| panic!("{} was not made: {error}", path.display()));
}

/// Runs a program to its end.
pub(crate) fn run(what: &str, command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{what} did not start: {error}"));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{what}: {}\n{text}{}", output.status, String::from_utf8_lossy(&output.stderr));
    text
}

/// A program that runs as `user` when we are root, as ourselves otherwise.
pub(crate) fn command_as(user: &str, program: &Path) -> Command {
    if !is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command.args(["--reuid", user, "--regid", user_group(user), "--clear-groups", "--"]).arg(program);
    command
}

/// Gives a folder to the user that a server runs as.
pub(crate) fn give(user: &str, folder: &Path) {
    if is_root() {
        run("chown", Command::new("chown").arg("-R").arg(format!("{user}:{}", user_group(user))).arg(folder));
    }
}

fn user_group(user: &str) -> &str {
    if user == "nobody" { "nogroup" } else { user }
}

/// A port of 127.0.0.1 that nobody listens on now.
#[must_use]
pub fn free_port() -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let clock = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.subsec_nanos());
    let seed = clock ^ std::process::id().wrapping_mul(0x9E37_79B9);
    let width = PORTS.end - PORTS.start;
    for _ in 0..width {
        let step = NEXT.fetch_add(1, Ordering::Relaxed).wrapping_mul(7_919);
        let port = (PORTS.start + seed.wrapping_add(step) % width) as u16;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
    panic!("no port of 127.0.0.1 between {} and {} is free", PORTS.start, PORTS.end)
}

/// Fails the test because a program is missing.
pub(crate) fn missing(what: &str, install: &str) -> ! {
    panic!("{what} is not installed, and this test needs it: run `scripts/servers.sh`, or yourself: `{install}`")
}
