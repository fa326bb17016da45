//! A disk that really runs full. The floor is tested in `guards` and `faults`; this is the disk that got past it.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use aqueduct_model::{ErrorKind, Token};

use crate::support::{KINDS, alone, checked_load, filled, open, record};

/// A small disk of its own: a tmpfs where this process may mount one. Elsewhere a file size limit would be the only
/// other way, and it ends the process; there the tests of the floor have to do.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    fn mount() -> Option<Self> {
        let folder = tempfile::tempdir().expect("a folder");
        let mounted = run("mount", &["-t", "tmpfs", "-o", "size=8m,mode=700", "tmpfs"], folder.path());
        mounted.then_some(Self(folder))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        run("umount", &["--lazy"], self.0.path());
    }
}

fn run(program: &str, arguments: &[&str], path: &Path) -> bool {
    let mut command = Command::new(program);
    command.args(arguments).arg(path).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

/// Takes every byte but `left` of the disk.
fn fill(path: &Path, left: usize) {
    let mut file = File::create(path).expect("creates");
    while file.write_all(&[0; 4_096]).is_ok() {}
    let length = file.metadata().expect("metadata").len();
    file.set_len(length.saturating_sub(left as u64)).expect("shrinks");
}

#[test]
fn a_full_disk_loses_nothing_and_the_store_goes_on_when_there_is_space() {
    let _alone = alone();
    for kind in KINDS {
        // Each amount lets the write come a little further: not the draft, the journal only, half of the store.
        for left in [0, 4_096, 8_192, 16_384, 65_536, 262_144] {
            let Some(disk) = SmallDisk::mount() else { return };
            let folder = disk.0.path().join("state");
            let mut store = filled(&folder, kind, 40);
            let filler = disk.0.path().join("filler");
            fill(&filler, left);
            let mut acked = 40;
            while acked < 400 {
                match store.log(&record(acked + 1, Token(1))) {
                    Ok(()) => acked += 1,
                    Err(error) => {
                        assert_eq!(error.kind(), ErrorKind::Unavailable, "{kind}, {left} left: {error:?}");
                        break;
                    }
                }
            }
            drop(store);
            // Whether it opens on a full disk depends on what is left; a refusal says that it may be retried.
            if let Err(error) = open(&folder, kind) {
                assert_eq!(error.kind(), ErrorKind::Unavailable, "{kind}, {left} left: {error:?}");
            }
            std::fs::remove_file(&filler).expect("removes");
            let mut store = open(&folder, kind).unwrap_or_else(|error| panic!("{kind}, {left} left: {error:?}")).store;
            let found = checked_load(store.as_mut());
            assert!(found == acked || found == acked + 1, "{kind}, {left} left: {acked} acknowledged, {found} found");
            let token = store.next_token().expect("a token");
            store.log(&record(found + 1, token)).expect("goes on");
        }
    }
}
