//! How MariaDB and MySQL 8 are set up and started.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::certificates::certificates;
use crate::guardian::Guardian;
use crate::options::{Kind, Options};
use crate::place;

/// Changes with anything that goes into a template.
const RECIPE: u32 = 3;

/// Users of every server: the password is the name. `cdc` has the server's default plugin, `cdcn` the old one.
pub(crate) fn users(kind: Kind) -> String {
    let old = match kind {
        Kind::MariaDb => "VIA mysql_native_password USING PASSWORD('cdcn')",
        _ => "WITH mysql_native_password BY 'cdcn'",
    };
    format!(
        "CREATE USER 'cdc'@'%' IDENTIFIED BY 'cdc'; GRANT ALL ON *.* TO 'cdc'@'%' WITH GRANT OPTION;
         CREATE USER 'cdcn'@'%' IDENTIFIED {old}; GRANT ALL ON *.* TO 'cdcn'@'%';
         CREATE USER 'root'@'%' IDENTIFIED BY 'root'; GRANT ALL ON *.* TO 'root'@'%' WITH GRANT OPTION;"
    )
}

/// The user that MariaDB runs as under root. MySQL 8 runs as root: its programs are in root's cache.
const MARIADB_USER: &str = "mysql";

pub(crate) fn os_user(kind: Kind) -> &'static str {
    if kind == Kind::MariaDb { MARIADB_USER } else { "root" }
}

/// The server's program, or the test fails with the command that installs it.
fn program(kind: Kind) -> PathBuf {
    if kind == Kind::MariaDb {
        let candidates = ["/usr/sbin/mariadbd", "/usr/bin/mariadbd", "/usr/local/sbin/mariadbd"].map(PathBuf::from);
        let found = candidates.into_iter().find(|path| path.exists());
        return found.unwrap_or_else(|| place::missing("MariaDB", "apt-get install mariadb-server"));
    }
    let program = mysql8_home().join("bin/mysqld");
    if !program.exists() {
        place::missing("MySQL 8", "scripts/servers.sh mysql8");
    }
    program
}

fn mysql8_home() -> PathBuf {
    place::cache().join("mysql-8.0.31")
}

fn version(kind: Kind) -> String {
    let text = place::run(kind.name(), Command::new(program(kind)).args(["--no-defaults", "--version"]));
    let words = text.split_whitespace();
    words.skip_while(|word| *word != "Ver").nth(1).unwrap_or("unknown").to_owned()
}

/// The data folder that is copied for every server; made on first use.
pub(crate) fn template(kind: Kind, settle: impl FnOnce(&Path)) -> PathBuf {
    let path = place::cache().join(format!("template-{}-{}-{RECIPE}", kind.name(), version(kind)));
    place::once_per_machine(&path, |partial| {
        let folder = place::fresh_folder(kind.name());
        // Removes the folder in the end, also when something below fails.
        let _guardian = Guardian::of(&folder);
        place::give(os_user(kind), &folder);
        initialise(kind, &folder);
        settle(&folder);
        // Every copy makes an identity of its own.
        let _ = fs::remove_file(folder.join("data/auto.cnf"));
        place::copy(&folder.join("data"), partial);
    });
    path
}

fn initialise(kind: Kind, folder: &Path) {
    let data = folder.join("data");
    // A server that starts removes the temporary tables of all others from a common folder.
    let temporary = format!("--tmpdir={}", folder.display());
    if kind == Kind::MariaDb {
        let mut command = Command::new("mariadb-install-db");
        command.args(["--no-defaults", "--auth-root-authentication-method=normal", "--skip-test-db"]);
        command.arg("--innodb-log-file-size=16M").arg(&temporary).arg(format!("--datadir={}", data.display()));
        if place::is_root() {
            command.arg(format!("--user={MARIADB_USER}"));
        }
        place::run("mariadb-install-db", &mut command);
        return;
    }
    let home = mysql8_home();
    let mut command = Command::new(program(kind));
    command.args(["--no-defaults", "--initialize-insecure", "--innodb-flush-method=nosync"]);
    command.arg("--innodb-redo-log-capacity=16M").arg(&temporary);
    command.arg(format!("--basedir={}", home.display())).arg(format!("--datadir={}", data.display()));
    command.arg(format!("--lc-messages-dir={}", home.join("share").display()));
    if place::is_root() {
        command.arg("--user=root");
    }
    place::run("mysqld --initialize-insecure", &mut command);
}

/// Writes the server's configuration file.
pub(crate) fn configure(kind: Kind, folder: &Path, port: u16, options: &Options) {
    let at = folder.display();
    let mut lines = vec!["[mysqld]".to_owned()];
    lines
        .push(format!("datadir={at}/data\nsocket={}\npid-file={at}/mysqld.pid\ntmpdir={at}", socket(folder).display()));
    lines.push(format!("port={port}\nserver-id={port}\nbind-address=127.0.0.1\nskip-name-resolve"));
    lines.push("log-bin=binlog\nbinlog-format=ROW\nbinlog-row-image=FULL\nbinlog-row-metadata=FULL".to_owned());
    lines.push("character-set-server=utf8mb4\nmax-connections=200\nperformance-schema=OFF".to_owned());
    // A killed server keeps what it wrote to the page cache; only a killed machine would not.
    lines.push("innodb-flush-method=nosync\ninnodb-flush-log-at-trx-commit=2\nsync-binlog=0".to_owned());
    lines.push("innodb-buffer-pool-size=64M\ninnodb-doublewrite=0".to_owned());
    if kind == Kind::MariaDb {
        lines
            .push("gtid-strict-mode=1\ngtid-domain-id=0\ninnodb-log-file-size=16M\nplugin-maturity=unknown".to_owned());
    } else {
        let home = mysql8_home();
        lines.push("gtid-mode=ON\nenforce-gtid-consistency=ON\nmysqlx=OFF\ninnodb-redo-log-capacity=16M".to_owned());
        lines.push(format!("basedir={}\nlc-messages-dir={}", home.display(), home.join("share").display()));
        if place::is_root() {
            lines.push("user=root".to_owned());
        }
    }
    if let Some(name) = options.tls {
        let tls = certificates().copy_to(folder, os_user(kind), name);
        lines.push(format!("ssl-ca={}", tls.authority.display()));
        lines.push(format!("ssl-cert={}", tls.server.display()));
        lines.push(format!("ssl-key={}", tls.server_key.display()));
    }
    lines.extend(options.config.iter().cloned());
    fs::write(folder.join("my.cnf"), lines.join("\n") + "\n").expect("a configuration file");
}

pub(crate) fn socket(folder: &Path) -> PathBuf {
    folder.join("s.sock")
}

/// The command that runs the server in the foreground.
pub(crate) fn command(kind: Kind, folder: &Path) -> Command {
    let mut command = match kind {
        Kind::MariaDb => place::command_as(MARIADB_USER, &program(kind)),
        _ => Command::new(program(kind)),
    };
    command.arg(format!("--defaults-file={}", folder.join("my.cnf").display()));
    command
}
