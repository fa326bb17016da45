//! Ends a server and removes its folder when the test process is gone, however it went.
//!
//! A shell waits at a pipe from the test process. A parent-death signal would not do: it belongs to the *thread* that
//! started the server, and the threads of tests end early.

use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// Waits for the end of its input; then kills what `pid` names if it still is a server of this folder.
const SCRIPT: &str = r#"
trap '' INT TERM HUP
cat >/dev/null
folder=$1
pid=$(cat "$folder/pid" 2>/dev/null)
if [ -n "$pid" ] && tr '\0' ' ' <"/proc/$pid/cmdline" 2>/dev/null | grep -qF "$folder"; then
    kill -KILL "$pid"
fi
tries=0
while ! rm -rf "$folder" 2>/dev/null && [ $tries -lt 50 ]; do
    tries=$((tries + 1))
    sleep 0.1
done
"#;

/// See the module.
#[derive(Debug)]
pub(crate) struct Guardian {
    shell: Child,
}

impl Guardian {
    pub(crate) fn of(folder: &Path) -> Self {
        let shell = Command::new("sh")
            .args(["-c", SCRIPT, "guardian"])
            .arg(folder)
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("a shell starts");
        Self { shell }
    }
}

impl Drop for Guardian {
    fn drop(&mut self) {
        drop(self.shell.stdin.take());
        // Whether the folder could be removed changes nothing for the test.
        let _ = self.shell.wait();
    }
}
