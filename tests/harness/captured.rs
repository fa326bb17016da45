//! A capture under test: a database of a real server, the program as a daemon, a SQLite file as the target, and the
//! comparison of both through clients that share no code with the product.

use std::time::Duration;

use aqueduct_test_servers::{Database, Rows, Server};

use super::daemon::{Daemon, log_end_of, log_of};
use super::texts;
use super::{Finished, Work, eventually};

/// The longest that a target may take to catch up, on a busy machine.
pub const LIMIT: Duration = Duration::from_secs(90);

/// See the module. Built with settings, then [`Captured::start`].
pub struct Captured<'a> {
    pub database: Database<'a>,
    pub work: Work,
    /// Patterns for the setting `tables`.
    pub tables: Vec<String>,
    url: String,
    settings: Vec<String>,
    environment: Vec<(String, String)>,
    sinks: String,
    options: String,
    daemon: Option<Daemon>,
    marker: i64,
}

impl<'a> Captured<'a> {
    /// A fresh database, all of whose tables are captured into `copy.db`.
    pub fn on(server: &'a Server) -> Self {
        Self::of(server.database())
    }

    /// All tables of a database are captured into `copy.db`.
    pub fn of(database: Database<'a>) -> Self {
        let schema = if database.server().kind().is_mysql() { database.name() } else { "public" };
        let tables = vec![format!("{schema}.*")];
        database.sql("CREATE TABLE zz_marker (id INT PRIMARY KEY)");
        Self {
            url: database.url("cdc"),
            tables,
            work: Work::new(),
            settings: Vec::new(),
            environment: Vec::new(),
            sinks: "  - { id: copy, plugin: SQLiteOutput, from: origin, config: { path: copy.db } }".to_owned(),
            options: "checkpoint: { interval: 40ms }".to_owned(),
            daemon: None,
            marker: 0,
            database,
        }
    }

    /// A line of the source's settings.
    pub fn setting(mut self, line: &str) -> Self {
        self.settings.push(line.to_owned());
        self
    }

    /// Removes the settings that begin like this and adds a line.
    pub fn change_setting(&mut self, start: &str, line: &str) {
        self.settings.retain(|setting| !setting.starts_with(start));
        self.settings.push(line.to_owned());
    }

    /// Settings of the target.
    pub fn sink_settings(mut self, settings: &str) -> Self {
        let config = format!("path: copy.db, {settings}");
        self.sinks = format!("  - {{ id: copy, plugin: SQLiteOutput, from: origin, config: {{ {config} }} }}");
        self
    }

    /// The lines of all tasks behind the source, which is called `origin`; `copy.db` is what is compared.
    pub fn sinks(mut self, lines: &str) -> Self {
        self.sinks = lines.to_owned();
        self
    }

    /// Only these tables, by patterns.
    pub fn only(mut self, tables: &[&str]) -> Self {
        self.tables = tables.iter().map(|table| self.qualified(table)).collect();
        self
    }

    /// `database.table` (MySQL) or `public.table` (PostgreSQL).
    pub fn qualified(&self, table: &str) -> String {
        let schema = if self.database.server().kind().is_mysql() { self.database.name() } else { "public" };
        format!("{schema}.{table}")
    }

    /// Another way to the server.
    pub fn url(mut self, url: String) -> Self {
        self.url = url;
        self
    }

    /// The same, between two starts.
    pub fn change_url(&mut self, url: String) {
        self.url = url;
    }

    /// An environment variable of the daemon, such as `FAILPOINTS`.
    pub fn environment(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The same, between two starts.
    pub fn set_environment(&mut self, name: &str, value: &str) {
        self.environment.retain(|(known, _)| known != name);
        self.environment.push((name.to_owned(), value.to_owned()));
    }

    fn write_flow(&self) {
        let tables: Vec<String> = self.tables.iter().map(|table| format!("{table:?}")).collect();
        let settings: String = self.settings.iter().map(|line| format!("      {line}\n")).collect();
        let (options, engine, tables) = (&self.options, self.database.server().kind().engine(), tables.join(", "));
        let flow = format!(
            "flow: flow\ndelivery: exactly_once\n{options}\ntasks:\n  - id: origin\n    plugin: CdcInput\n    \
             config:\n      engine: {engine}\n      url: \"${{env:SOURCE_URL}}\"\n      tables: [{tables}]\n{settings}{}\n",
            self.sinks
        );
        self.work.write("flow.yaml", flow);
    }

    fn variables(&self) -> Vec<(&str, &str)> {
        let own = self.environment.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        own.chain([("SOURCE_URL", self.url.as_str())]).collect()
    }

    /// Starts the daemon.
    pub fn start(&mut self) {
        self.write_flow();
        self.daemon = Some(Daemon::start(self.work.path(), "flow.yaml", "state", &self.variables()));
    }

    /// Runs a command on the flow: `doctor`, `verify`, `validate`.
    pub fn command(&self, arguments: &[&str]) -> Finished {
        self.write_flow();
        self.work.aqueduct_with(arguments, &self.variables())
    }

    /// The running daemon.
    #[track_caller]
    pub fn daemon(&mut self) -> &mut Daemon {
        self.daemon.as_mut().expect("the daemon was started")
    }

    /// SIGKILL, if it runs.
    pub fn kill(&mut self) {
        if let Some(daemon) = self.daemon.take() {
            daemon.kill();
        }
    }

    /// SIGKILL, and starts it again.
    pub fn crash(&mut self) {
        self.kill();
        self.start();
    }

    /// Drains and ends it.
    #[track_caller]
    pub fn stop(&mut self) {
        let code = self.daemon.take().expect("the daemon was started").stop();
        assert_eq!(code, Some(0), "{}", self.log());
    }

    /// What the daemons of this flow logged.
    pub fn log(&self) -> String {
        log_of(self.work.path())
    }

    fn log_end(&self) -> String {
        log_end_of(self.work.path())
    }

    /// Waits until the daemon has ended by itself with an error; its log.
    #[track_caller]
    pub fn fails(&mut self) -> String {
        eventually("the daemon gives up", LIMIT, || self.daemon().has_ended());
        let code = self.daemon.take().and_then(|mut daemon| daemon.wait());
        assert_ne!(code, Some(0), "it ended well: {}", self.log());
        self.log()
    }

    /// Starts, waits until it has ended with an error, and checks that the log names all of these.
    #[track_caller]
    pub fn is_refused(&mut self, words: &[&str]) {
        self.start();
        let log = self.fails();
        for word in words {
            assert!(log.contains(word), "{word:?} is not in:\n{log}");
        }
    }

    /// Runs statements at the source.
    #[track_caller]
    pub fn sql(&self, sql: &str) -> Rows {
        self.database.sql(sql)
    }

    /// Waits until something holds, as long as the daemon lives.
    #[track_caller]
    pub fn until(&mut self, what: &str, mut check: impl FnMut(&Self) -> bool) {
        let start = std::time::Instant::now();
        while !check(self) {
            assert!(start.elapsed() < LIMIT, "not within {LIMIT:?}: {what}\n{}", self.log_end());
            if let Some(daemon) = &mut self.daemon {
                assert!(!daemon.has_ended(), "the daemon ended before: {what}\n{}", log_end_of(self.work.path()));
            }
            std::thread::park_timeout(Duration::from_millis(5));
        }
    }

    /// Waits until everything that is committed at the source now is in the target.
    #[track_caller]
    pub fn caught_up(&mut self) {
        self.marker += 1;
        let marker = self.marker;
        self.sql(&format!("INSERT INTO zz_marker VALUES ({marker})"));
        let sql = format!("SELECT count(*) FROM zz_marker WHERE id = {marker}");
        self.until("the last row of the source in the target", |case| case.copied_number(&sql) == 1);
    }

    /// Waits until the target equals the source, and checks that it still does after one more transaction.
    #[track_caller]
    pub fn settle(&mut self) {
        self.caught_up();
        let start = std::time::Instant::now();
        while let Some(difference) = self.difference() {
            assert!(start.elapsed() < LIMIT, "the target differs: {difference}\n{}", self.log_end());
            assert!(!self.daemon().has_ended(), "the daemon ended: {difference}\n{}", self.log());
            std::thread::park_timeout(Duration::from_millis(20));
        }
        self.caught_up();
        self.same();
    }

    /// Kills it, starts it again, and waits for equality.
    #[track_caller]
    pub fn survives_a_kill(&mut self) {
        self.crash();
        self.settle();
    }

    /// The target equals the source now.
    #[track_caller]
    pub fn same(&self) {
        if let Some(difference) = self.difference() {
            panic!("the target differs: {difference}\n{}", self.log_end());
        }
    }

    /// The first difference between the source's and the target's tables.
    pub fn difference(&self) -> Option<String> {
        let tables = texts::tables(&self.database);
        let mut source = self.database.connect();
        tables.iter().find_map(|table| {
            let expected = table.source_rows(&mut source);
            let found = table.copied_rows(&self.work.file("copy.db"));
            texts::first_difference(&expected, &found).map(|text| format!("{}: {text}", table.name))
        })
    }

    /// A number from the target; 0 while it has no such table.
    pub fn copied_number(&self, sql: &str) -> i64 {
        texts::lite(&self.work.file("copy.db"), sql)
            .and_then(|rows| rows.first()?.first()?.as_ref()?.parse().ok())
            .unwrap_or(0)
    }

    /// All values from the target: `|` between columns, a line break between rows.
    #[track_caller]
    pub fn copied(&self, sql: &str) -> String {
        let rows = texts::lite(&self.work.file("copy.db"), sql).unwrap_or_else(|| panic!("{sql} does not run"));
        let row = |row: &Vec<Option<String>>| {
            row.iter().map(|value| value.clone().unwrap_or_else(|| "NULL".to_owned())).collect::<Vec<_>>().join("|")
        };
        rows.iter().map(row).collect::<Vec<_>>().join("\n")
    }

    /// The most memory that the daemon ever had, in MiB.
    pub fn memory_peak_mib(&mut self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.daemon().pid())).unwrap_or_default();
        let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap_or_default();
        line.split_whitespace().nth(1).and_then(|text| text.parse::<u64>().ok()).unwrap_or(0) / 1024
    }
}

/// A shared server has a limited number of slots: a case that went well gives its own back.
impl Drop for Captured<'_> {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() || self.database.server().kind().is_mysql() {
            return;
        }
        let own = "FROM pg_replication_slots WHERE database = current_database()";
        let give_back = || {
            let mut session = self.database.connect();
            let _ = session.run(&format!("SELECT pg_terminate_backend(active_pid, 5000) {own} AND active"));
            let _ = session.run(&format!("SELECT pg_drop_replication_slot(slot_name) {own} AND NOT active"));
        };
        // The case may have stopped its server.
        let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(give_back));
    }
}

/// Values of a table are the same from the snapshot, from the stream, and after an update and a kill.
///
/// `columns` are the definitions behind `id INT PRIMARY KEY`; each of `values` is a row of them.
#[track_caller]
pub fn both_ways<'a>(mut case: Captured<'a>, columns: &str, values: &[&str]) -> Captured<'a> {
    for table in ["snapped", "streamed"] {
        case.sql(&format!("CREATE TABLE {table} (id INT PRIMARY KEY, {columns})"));
    }
    let mut session = case.database.connect();
    if case.database.server().kind().is_mysql() {
        session.sql("SET sql_mode = 'ALLOW_INVALID_DATES,NO_AUTO_VALUE_ON_ZERO', time_zone = '+03:00'");
    } else {
        session.sql("SET timezone = 'Asia/Tokyo'");
    }
    let lists = session.text(&insertable(&case.database, "snapped"));
    let mut insert = |table: &str| {
        for (i, row) in values.iter().enumerate() {
            session.sql(&format!("INSERT INTO {table} ({lists}) VALUES ({i}, {row})"));
        }
    };
    insert("snapped");
    case.start();
    case.settle();
    insert("streamed");
    case.settle();
    case.identical("snapped", "streamed");
    session.sql("UPDATE streamed SET id = id + 1000; UPDATE snapped SET id = id + 1000");
    case.survives_a_kill();
    case.identical("snapped", "streamed");
    case
}

/// A query for the columns that a row can be given for, in order.
fn insertable(database: &Database<'_>, table: &str) -> String {
    if database.server().kind().is_mysql() {
        format!(
            "SET SESSION group_concat_max_len = 1000000; SELECT GROUP_CONCAT(CONCAT('`', column_name, '`') ORDER BY ordinal_position) FROM information_schema.columns
             WHERE table_schema = '{}' AND table_name = '{table}' AND coalesce(generation_expression, '') = ''",
            database.name()
        )
    } else {
        format!(
            "SELECT string_agg(quote_ident(attname), ',' ORDER BY attnum) FROM pg_attribute
             WHERE attrelid = '{table}'::regclass AND attnum > 0 AND attgenerated = '' AND NOT attisdropped"
        )
    }
}

impl Captured<'_> {
    /// Two tables of the target hold the same values, bit for bit.
    #[track_caller]
    fn identical(&self, one: &str, other: &str) {
        let columns = texts::lite(&self.work.file("copy.db"), &format!("SELECT name FROM pragma_table_info('{one}')"));
        let quoted: Vec<String> =
            columns.unwrap_or_default().iter().flatten().flatten().map(|name| format!("quote(\"{name}\")")).collect();
        assert!(!quoted.is_empty(), "the target has no table {one}");
        // In parts: SQLite compiles expressions of a limited length.
        for part in quoted.chunks(50) {
            let rows = |table: &str| self.copied(&format!("SELECT id, {} FROM {table} ORDER BY id", part.join(", ")));
            let (left, right) = (rows(one), rows(other));
            let differing = left.lines().zip(right.lines()).find(|(left, right)| left != right);
            assert!(left == right, "snapshot and stream differ: {differing:?}");
        }
    }
}
