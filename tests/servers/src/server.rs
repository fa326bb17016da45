//! A running server, and databases on it.

use std::collections::HashMap;
use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};
use std::time::{Duration, Instant};

use crate::client::{Client, Rows, SqlError, number_of, shortened, text_of};
use crate::guardian::Guardian;
use crate::mysql_client::MySqlClient;
use crate::options::{Kind, Options, Version};
use crate::place;
use crate::postgres_client::PostgresClient;
use crate::{mysql, postgres};

/// The longest that a start may take, recovery included, on a busy machine.
const START_LIMIT: Duration = Duration::from_secs(120);
/// The longest that an orderly stop may take before it becomes a kill.
const STOP_LIMIT: Duration = Duration::from_secs(60);

/// Starts MariaDB.
#[derive(Debug, Clone, Copy)]
pub struct MariaDb;

/// Starts MySQL 8.
#[derive(Debug, Clone, Copy)]
pub struct MySql8;

/// Starts PostgreSQL.
#[derive(Debug, Clone, Copy)]
pub struct Postgres;

impl MariaDb {
    /// A server of the test's own.
    #[must_use]
    pub fn start(options: Options) -> Server {
        Server::start(Kind::MariaDb, options)
    }
}

impl MySql8 {
    /// A server of the test's own.
    #[must_use]
    pub fn start(options: Options) -> Server {
        Server::start(Kind::MySql8, options)
    }
}

impl Postgres {
    /// A server of the test's own.
    #[must_use]
    pub fn start(version: Version, options: Options) -> Server {
        Server::start(version.kind(), options)
    }
}

/// A server; stopped and deleted with the value.
#[derive(Debug)]
pub struct Server {
    kind: Kind,
    port: u16,
    folder: PathBuf,
    options: Mutex<Options>,
    child: Mutex<Option<Child>>,
    guardian: Option<Guardian>,
}

impl Server {
    /// Starts a server of the test's own and waits until it answers.
    #[must_use]
    pub fn start(kind: Kind, options: Options) -> Self {
        let template = if kind.is_mysql() {
            mysql::template(kind, |folder| settle(kind, folder))
        } else {
            postgres::template(kind, |folder| settle(kind, folder))
        };
        let folder = place::fresh_folder(kind.name());
        let guardian = Guardian::of(&folder);
        place::copy(&template, &folder.join("data"));
        let server = Self::of(kind, folder, options, Some(guardian));
        server.launch();
        server
    }

    fn of(kind: Kind, folder: PathBuf, options: Options, guardian: Option<Guardian>) -> Self {
        let port = place::free_port();
        Self { kind, port, folder, options: Mutex::new(options), child: Mutex::new(None), guardian }
    }

    fn child(&self) -> MutexGuard<'_, Option<Child>> {
        self.child.lock().expect("no holder of this lock panics")
    }

    fn launch(&self) {
        let options = self.options.lock().expect("no holder of this lock panics").clone();
        if self.kind.is_mysql() {
            mysql::configure(self.kind, &self.folder, self.port, &options);
        } else {
            postgres::configure(&self.folder, self.port, &options);
            // Left by a killed server; nothing of it runs any more.
            let _ = fs::remove_file(self.folder.join("data/postmaster.pid"));
        }
        place::give(self.os_user(), &self.folder);
        let mut command = if self.kind.is_mysql() {
            mysql::command(self.kind, &self.folder)
        } else {
            postgres::command(self.kind, &self.folder)
        };
        let log = fs::OpenOptions::new().create(true).append(true).open(self.folder.join("log")).expect("a log");
        command.envs(options.environment).process_group(0).current_dir(&self.folder).stdin(Stdio::null());
        command.stdout(log.try_clone().expect("a second handle")).stderr(log);
        let child = command.spawn().unwrap_or_else(|error| panic!("{command:?} did not start: {error}"));
        fs::write(self.folder.join("pid"), child.id().to_string()).expect("a file for the guardian");
        *self.child() = Some(child);
        self.wait_until_ready();
    }

    fn wait_until_ready(&self) {
        let start = Instant::now();
        loop {
            let error = match self.try_connect(self.first_database()) {
                Ok(_) => return,
                Err(error) => error,
            };
            let ended = self.child().as_mut().and_then(|child| child.try_wait().expect("a child can be asked"));
            if ended.is_some() || start.elapsed() > START_LIMIT {
                panic!("{} is not ready ({ended:?}, {error}); its log:\n{}", self.kind.name(), self.log_end());
            }
            std::thread::park_timeout(Duration::from_millis(10));
        }
    }

    fn os_user(&self) -> &'static str {
        if self.kind.is_mysql() { mysql::os_user(self.kind) } else { postgres::OS_USER }
    }

    const fn first_database(&self) -> &'static str {
        if self.kind.is_mysql() { "mysql" } else { "postgres" }
    }

    /// What it is.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The port on 127.0.0.1; the same after a restart.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Its folder: `data`, `log`, `tls`, the socket file.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The socket file: MySQL's, or the folder of PostgreSQL's.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        if self.kind.is_mysql() { mysql::socket(&self.folder) } else { self.folder.clone() }
    }

    /// The process id of the running server.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.child().as_ref().map(Child::id)
    }

    /// `mysql://user:user@127.0.0.1:port` or `postgres://user:user@127.0.0.1:port/postgres`. Users that exist, each
    /// with its name as the password: `cdc` (may do everything); MySQL: `cdcn` (the same, old password plugin), `root`.
    #[must_use]
    pub fn url(&self, user: &str) -> String {
        let database = if self.kind.is_mysql() { "" } else { "/postgres" };
        format!("{}://{user}:{user}@127.0.0.1:{}{database}", self.scheme(), self.port)
    }

    fn scheme(&self) -> &'static str {
        if self.kind.is_mysql() { "mysql" } else { "postgres" }
    }

    /// A session of the administrator in the database `mysql` or `postgres`.
    #[track_caller]
    #[must_use]
    pub fn connect(&self) -> Client {
        self.connect_to(self.first_database())
    }

    /// A session of the administrator in a database.
    #[track_caller]
    #[must_use]
    pub fn connect_to(&self, database: &str) -> Client {
        self.try_connect(database).unwrap_or_else(|error| panic!("no session with {}: {error}", self.kind.name()))
    }

    /// The same, while the server may be down.
    ///
    /// # Errors
    /// Why there is no session.
    pub fn try_connect(&self, database: &str) -> Result<Client, SqlError> {
        if self.kind.is_mysql() {
            MySqlClient::connect(&mysql::socket(&self.folder), Some(database)).map(Client::mysql)
        } else {
            PostgresClient::connect(&postgres::socket(&self.folder, self.port), database).map(Client::postgres)
        }
    }

    /// Runs statements as the administrator, in a session of their own.
    #[track_caller]
    pub fn admin(&self, sql: &str) -> Rows {
        self.connect().sql(sql)
    }

    /// A fresh, empty database with a name that no other test has.
    #[track_caller]
    #[must_use]
    pub fn database(&self) -> Database<'_> {
        static NEXT: AtomicU32 = AtomicU32::new(1);
        let name = format!("t{}_{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        self.named_database(&name)
    }

    /// A fresh, empty database with this name.
    #[track_caller]
    #[must_use]
    pub fn named_database(&self, name: &str) -> Database<'_> {
        let quote = if self.kind.is_mysql() { '`' } else { '"' };
        self.admin(&format!("CREATE DATABASE {quote}{name}{quote}"));
        Database { server: self, name: name.to_owned() }
    }

    /// SIGKILL, and waits until nothing of it runs. Data, port and settings stay for [`Server::restart`].
    pub fn kill(&self) {
        self.end(None);
    }

    /// An orderly stop; waits for the end.
    pub fn stop(&self) {
        // PostgreSQL's SIGINT does not wait for sessions to end by themselves.
        let signal = if self.kind.is_mysql() { rustix::process::Signal::TERM } else { rustix::process::Signal::INT };
        self.end(Some(signal));
    }

    /// Starts it again, on the same data and port; stops it before if it runs.
    pub fn restart(&self) {
        self.stop();
        self.launch();
    }

    /// The same with other options.
    pub fn restart_with(&self, options: Options) {
        self.stop();
        *self.options.lock().expect("no holder of this lock panics") = options;
        self.launch();
    }

    fn end(&self, signal: Option<rustix::process::Signal>) {
        let Some(mut child) = self.child().take() else { return };
        let descendants = children_of(child.id());
        if let Some(signal) = signal {
            // An error says that it ended by itself.
            let _ = rustix::process::kill_process(rustix::process::Pid::from_child(&child), signal);
            let start = Instant::now();
            while start.elapsed() < STOP_LIMIT && child.try_wait().expect("a child can be asked").is_none() {
                std::thread::park_timeout(Duration::from_millis(5));
            }
        }
        let _ = child.kill();
        child.wait().expect("a killed child ends");
        let _ = fs::remove_file(self.folder.join("pid"));
        let start = Instant::now();
        while descendants.iter().any(|pid| is_running(*pid)) && start.elapsed() < STOP_LIMIT {
            std::thread::park_timeout(Duration::from_millis(5));
        }
    }

    /// The server's own log.
    #[must_use]
    pub fn log(&self) -> String {
        let bytes = fs::read(self.folder.join("log")).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    fn log_end(&self) -> String {
        const LINES: usize = 25;
        let log = self.log();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(LINES)..].join("\n")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
        // The guardian removes the folder.
        self.guardian.take();
    }
}

/// Puts the users into a template's data folder.
fn settle(kind: Kind, folder: &Path) {
    let options = if kind.is_mysql() { Options::new().config("skip-log-bin") } else { Options::new() };
    let server = Server::of(kind, folder.to_owned(), options, None);
    server.launch();
    let users = if kind.is_mysql() { mysql::users(kind) } else { postgres::USERS.to_owned() };
    server.admin(&users);
    server.stop();
}

fn children_of(pid: u32) -> Vec<u32> {
    let text = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    text.split_whitespace().filter_map(|pid| pid.parse().ok()).collect()
}

fn is_running(pid: u32) -> bool {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    status.lines().any(|line| line.starts_with("State:") && !line.contains('Z'))
}

/// The server of this kind that all tests of this process share; started by the first.
#[must_use]
pub fn shared(kind: Kind) -> &'static Server {
    shared_with(kind, Options::new())
}

/// The same for one set of options.
#[must_use]
pub fn shared_with(kind: Kind, options: Options) -> &'static Server {
    type Slot = Arc<OnceLock<&'static Server>>;
    static SERVERS: OnceLock<Mutex<HashMap<(Kind, Options), Slot>>> = OnceLock::new();
    let slot = {
        let mut servers = SERVERS.get_or_init(Mutex::default).lock().expect("no holder of this lock panics");
        servers.entry((kind, options.clone())).or_default().clone()
    };
    slot.get_or_init(|| Box::leak(Box::new(Server::start(kind, options))))
}

/// A database of one test.
#[derive(Debug)]
pub struct Database<'a> {
    server: &'a Server,
    name: String,
}

impl<'a> Database<'a> {
    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its server.
    #[must_use]
    pub fn server(&self) -> &'a Server {
        self.server
    }

    /// As [`Server::url`], with this database.
    #[must_use]
    pub fn url(&self, user: &str) -> String {
        self.url_through(self.server.port, user)
    }

    /// The same through another port of 127.0.0.1, such as a proxy's.
    #[must_use]
    pub fn url_through(&self, port: u16, user: &str) -> String {
        format!("{}://{user}:{user}@127.0.0.1:{port}/{}", self.server.scheme(), self.name)
    }

    /// A session of the administrator.
    #[track_caller]
    #[must_use]
    pub fn connect(&self) -> Client {
        self.server.connect_to(&self.name)
    }

    /// Runs statements as the administrator, in a session of their own.
    #[track_caller]
    pub fn sql(&self, sql: &str) -> Rows {
        match self.connect().run(sql) {
            Ok(rows) => rows,
            Err(error) => panic!("{error}\nin: {}", shortened(sql)),
        }
    }

    /// As [`Client::text`].
    #[track_caller]
    #[must_use]
    pub fn text(&self, sql: &str) -> String {
        text_of(&self.sql(sql))
    }

    /// As [`Client::number`].
    #[track_caller]
    #[must_use]
    pub fn number(&self, sql: &str) -> i64 {
        number_of(&self.sql(sql))
    }
}
