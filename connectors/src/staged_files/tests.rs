//! The staged sink with a format of one text line per row.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use aqueduct_model::conformance::{NULL_TEXT, Orders, SinkCase, SinkTarget, Tables, check_sink, record_texts};
use aqueduct_model::{
    BadRowPolicy, BadRows, Batch, Change, Claim, Cut, Epoch, Error, ErrorKind, Op, PreparedCommit, RelationName,
    Result, SchemaChange, Sink, SinkContext, SinkInput, Token,
};
use arrow::array::{BooleanArray, RecordBatch};
use arrow::datatypes::SchemaRef;
use tempfile::TempDir;

use super::changelog::Mode;
use super::folder::committed_files;
use super::name::{FileRole, final_name, role, staged_name, table_folder};
use super::sink::{FileFormat, FormatWriter, Refused, StagedFilesConfig, StagedSink};

pub(crate) fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

pub(crate) fn context() -> SinkContext {
    SinkContext { flow: "conformance".into(), task: "sink".into(), state_dir: None }
}

/// One line per row, in the form that the suite compares.
pub(super) struct Lines;

struct LinesWriter(File);

impl FileFormat for Lines {
    fn extension(&self) -> &str {
        "txt"
    }

    fn start(&self, file: File, _: &SchemaRef) -> Result<Box<dyn FormatWriter>> {
        Ok(Box::new(LinesWriter(file)))
    }
}

impl FormatWriter for LinesWriter {
    fn write(&mut self, rows: &RecordBatch) -> Result<Vec<Refused>> {
        let mut refused = Vec::new();
        for (row, text) in record_texts(rows)?.into_iter().enumerate() {
            if text.contains("|name 4242.0|") {
                refused.push(Refused { row, reason: "4242".into() });
            } else {
                writeln!(self.0, "{text}").map_err(|error| Error::bug("disk").with_source(error))?;
            }
        }
        Ok(refused)
    }

    fn buffered_bytes(&self) -> usize {
        0
    }

    fn spill(&mut self) -> Result<()> {
        Ok(())
    }

    fn finish(self: Box<Self>) -> Result<File> {
        Ok(self.0)
    }
}

pub(super) fn lines_sink(root: &Path, mode: Mode, max_file_rows: u64) -> StagedSink<Lines> {
    StagedSink::new(Lines, StagedFilesConfig { root: root.to_owned(), table: None, mode, max_file_rows })
}

/// What a reader of the manifest sees; a changelog is folded by the first column.
pub(super) fn read_lines(root: &Path, mode: Mode) -> Result<Tables> {
    let mut tables = Tables::new();
    for entry in committed_files(root)?.1 {
        let rows = tables.entry(entry.table.table.clone()).or_default();
        let text = fs::read_to_string(root.join(&entry.path)).unwrap();
        assert_eq!(text.lines().count() as u64, entry.rows, "{entry:?}");
        assert_eq!(text.len() as u64, entry.bytes, "{entry:?}");
        for line in text.lines() {
            if mode == Mode::Append {
                rows.push(line.to_owned());
                continue;
            }
            let (op, row) = line.split_once('|').unwrap();
            let (epoch, row) = row.split_once('|').unwrap();
            assert_eq!(epoch, entry.epoch.to_string());
            let key = |row: &str| row.split('|').next().unwrap().to_owned();
            rows.retain(|old: &String| op != "T" && key(old) != key(row));
            if op == "I" || op == "U" {
                rows.push(row.to_owned());
            }
        }
    }
    Ok(tables)
}

pub(super) fn suite(mode: Mode, max_file_rows: u64) -> std::result::Result<(), Vec<String>> {
    let target = move || {
        let folder = Arc::new(TempDir::new().unwrap());
        let build = folder.clone();
        Ok(SinkTarget::new(
            move || Ok(Box::new(lines_sink(&build.path().join("out"), mode, max_file_rows)) as Box<dyn Sink>),
            move || read_lines(&folder.path().join("out"), mode),
        ))
    };
    let case = SinkCase { changes: mode == Mode::Changelog, large_rows: 3_000, ..SinkCase::staged("lines", target) };
    let mut found = run(check_sink(&case)).into_result().err().unwrap_or_default();
    found.extend(run(leftovers(mode)).into_iter().map(|name| format!("no commit, and there is {name}")));
    if found.is_empty() { Ok(()) } else { Err(found) }
}

/// What shows of an epoch that was flushed, and what a claim leaves of it and of one that was being written.
async fn leftovers(mode: Mode) -> Vec<String> {
    let folder = TempDir::new().unwrap();
    let orders = Orders::new("orders").unwrap();
    let mut shown = Vec::new();
    for token in [1, 2] {
        let mut session = Session::start(lines_sink(folder.path(), mode, 5), token, 0).await.unwrap();
        session.write(orders.inserts(0..9).unwrap()).await.unwrap();
        if token == 1 {
            session.flush().await.unwrap();
            // Hidden from those who list the folder, too.
            shown.extend(names_below(folder.path()).into_iter().filter(|name| !name.contains("/.")));
        }
    }
    drop(Session::start(lines_sink(folder.path(), mode, 5), 3, 0).await.unwrap());
    shown.extend(names_below(folder.path()));
    shown
}

/// A sink that is open and has claimed.
pub(super) struct Session<F> {
    pub(super) sink: StagedSink<F>,
    pub(super) bad: BadRows,
    pub(super) epoch: u64,
}

pub(super) fn claim(token: u64, epoch: u64) -> Claim {
    Claim { token: Token(token), cut: Cut { epoch: Epoch(epoch), ..Cut::default() } }
}

impl<F: FileFormat> Session<F> {
    pub(super) async fn start(mut sink: StagedSink<F>, token: u64, epoch: u64) -> Result<Self> {
        sink.open(&context()).await?;
        sink.claim(&claim(token, epoch)).await?;
        Ok(Self { sink, bad: BadRows::new(BadRowPolicy::DeadLetter, 1_000), epoch })
    }

    pub(super) async fn write(&mut self, batch: Batch) -> Result<()> {
        self.sink.write(SinkInput::Batch(batch), &mut self.bad).await
    }

    pub(super) async fn flush(&mut self) -> Result<PreparedCommit> {
        self.epoch += 1;
        let cut = Cut { epoch: Epoch(self.epoch), ..Cut::default() };
        Ok(self.sink.flush(&cut, &mut self.bad).await?.unwrap())
    }

    pub(super) async fn end_epoch(&mut self) -> Result<()> {
        let prepared = self.flush().await?;
        self.sink.commit(Epoch(self.epoch), &prepared).await
    }
}

fn names_below(root: &Path) -> Vec<String> {
    let mut names = Vec::new();
    for folder in fs::read_dir(root).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_dir()) {
        for file in fs::read_dir(&folder).unwrap() {
            let name = file.unwrap().file_name();
            names.push(format!("{}/{}", folder.file_name().unwrap().to_string_lossy(), name.to_string_lossy()));
        }
    }
    names.sort();
    names
}

#[test]
fn table_names_cannot_leave_the_folder() {
    let name = |schema: Option<&str>, table: &str| RelationName {
        catalog: None,
        schema: schema.map(Into::into),
        table: table.into(),
    };
    for (relation, folder) in [
        (name(None, "orders"), "orders"),
        (name(Some("shop"), "orders"), "shop.orders"),
        (name(Some("a.b"), "c"), "a%2Eb.c"),
        (name(None, ".."), "%2E%2E"),
        (name(None, "../../etc/passwd"), "%2E%2E%2F%2E%2E%2Fetc%2Fpasswd"),
        (name(None, "_hidden"), "%5Fhidden"),
        (name(None, "订单"), "订单"),
        (name(None, "a\0b c"), "a%00b%20c"),
    ] {
        assert_eq!(table_folder(None, &relation).unwrap(), folder);
    }
    assert_eq!(table_folder(Some("{schema}-{table}"), &name(Some("s"), "../t")).unwrap(), "s-%2E%2E%2Ft");
    assert_eq!(table_folder(None, &name(None, "")).unwrap_err().kind(), ErrorKind::Schema);
    assert_eq!(table_folder(None, &name(None, &"x".repeat(300))).unwrap_err().kind(), ErrorKind::Schema);
    for bad in ["", "a/b", "{other}", "..\\x"] {
        assert!(super::check_template(Some(bad)).is_err(), "{bad}");
    }
}

#[test]
fn names_tell_their_role() {
    let name = final_name(Epoch(7), 2, "csv.gz");
    assert_eq!(name, "part-0000000007-2.csv.gz");
    assert_eq!(role(&name), FileRole::Final(Epoch(7)));
    assert_eq!(role(&staged_name(&name)), FileRole::Staged(Epoch(7)));
    assert_eq!(role(&final_name(Epoch(u64::MAX), 0, "x")), FileRole::Final(Epoch(u64::MAX)));
    assert_eq!(role(".open-3-1.inprogress"), FileRole::Open);
    for foreign in ["part-7-2.csv", "part-0000000007.csv", "notes.txt", ".part-x.inprogress", "part-00000000+7-1.csv"] {
        assert_eq!(role(foreign), FileRole::Foreign, "{foreign}");
    }
}

#[test]
fn keeps_every_promise() {
    for (mode, max_file_rows) in [(Mode::Append, 1_000_000), (Mode::Append, 7), (Mode::Changelog, 11)] {
        assert_eq!(suite(mode, max_file_rows).err().unwrap_or_default(), [""; 0], "{mode:?} {max_file_rows}");
    }
}

#[test]
fn rolls_files_and_names_them_by_epoch() {
    let folder = TempDir::new().unwrap();
    let root = folder.path().join("out");
    run(async {
        let mut session = Session::start(lines_sink(&root, Mode::Append, 4), 1, 0).await.unwrap();
        let orders = Orders::new("orders").unwrap();
        session.write(orders.inserts(20..30).unwrap()).await.unwrap();
        session.end_epoch().await.unwrap();
        session.end_epoch().await.unwrap();
        session.write(orders.inserts(30..34).unwrap()).await.unwrap();
        session.end_epoch().await.unwrap();
    });
    let expected = ["1-0", "1-1", "1-2", "3-0"].map(|name| format!("orders/part-000000000{name}.txt"));
    assert_eq!(names_below(&root), expected);
    let rows: Vec<u64> = committed_files(&root).unwrap().1.iter().map(|entry| entry.rows).collect();
    assert_eq!(rows, [4, 4, 2, 4]);
}

#[test]
fn more_tables_than_open_files() {
    let folder = TempDir::new().unwrap();
    run(async {
        let mut session = Session::start(lines_sink(folder.path(), Mode::Append, 1_000), 1, 0).await.unwrap();
        for _ in 0..2 {
            for table in 0..300 {
                session.write(Orders::new(&format!("t{table}")).unwrap().inserts(0..2).unwrap()).await.unwrap();
            }
        }
        session.end_epoch().await.unwrap();
    });
    let tables = read_lines(folder.path(), Mode::Append).unwrap();
    assert_eq!((tables.len(), tables.values().map(Vec::len).sum::<usize>()), (300, 1_200));
}

#[test]
fn refuses_folders_of_others() {
    let folder = TempDir::new().unwrap();
    let root = folder.path().join("out");
    run(async {
        let start = || Session::start(lines_sink(&root, Mode::Append, 9), 1, 0);
        fs::create_dir(&root).unwrap();
        fs::write(root.join("family.jpg"), "x").unwrap();
        let error = start().await.err().unwrap();
        assert_eq!((error.kind(), error.setting()), (ErrorKind::Config, Some("path")));
        fs::remove_file(root.join("family.jpg")).unwrap();
        fs::write(root.join(".gitkeep"), "").unwrap();
        drop(start().await.unwrap());

        let mut other = lines_sink(&root, Mode::Append, 9);
        let error = other
            .open(&SinkContext { flow: "another".into(), task: "sink".into(), state_dir: None })
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config);
        assert!(error.to_string().contains("flow conformance"), "{error}");

        fs::write(root.join("_aqueduct_manifest.json"), "{\"format\": 9}").unwrap();
        assert_eq!(lines_sink(&root, Mode::Append, 9).open(&context()).await.unwrap_err().kind(), ErrorKind::State);
    });
}

#[test]
fn a_checkpoint_that_is_behind_the_folder_is_refused() {
    let folder = TempDir::new().unwrap();
    run(async {
        let mut session = Session::start(lines_sink(folder.path(), Mode::Append, 9), 1, 0).await.unwrap();
        for _ in 0..3 {
            session.write(Orders::new("orders").unwrap().inserts(0..2).unwrap()).await.unwrap();
            session.end_epoch().await.unwrap();
        }
        let error = Session::start(lines_sink(folder.path(), Mode::Append, 9), 2, 2).await.err().unwrap();
        assert_eq!(error.kind(), ErrorKind::State);
        assert!(Session::start(lines_sink(folder.path(), Mode::Append, 9), 2, 3).await.is_ok());
    });
}

#[test]
fn a_torn_list_counts_up_to_the_manifest() {
    let folder = TempDir::new().unwrap();
    run(async {
        let mut session = Session::start(lines_sink(folder.path(), Mode::Append, 9), 1, 0).await.unwrap();
        let orders = Orders::new("orders").unwrap();
        session.write(orders.inserts(0..2).unwrap()).await.unwrap();
        session.end_epoch().await.unwrap();
        let list = folder.path().join("_aqueduct_files.jsonl");
        let mut file = fs::OpenOptions::new().append(true).open(&list).unwrap();
        file.write_all(b"{\"path\": \"half a li").unwrap();
        assert_eq!(committed_files(folder.path()).unwrap().1.len(), 1);
        session.write(orders.inserts(2..4).unwrap()).await.unwrap();
        session.end_epoch().await.unwrap();
        assert_eq!(committed_files(folder.path()).unwrap().1.len(), 2);
        File::options().write(true).open(&list).unwrap().set_len(10).unwrap();
        assert_eq!(committed_files(folder.path()).unwrap_err().kind(), ErrorKind::State);
    });
}

#[test]
fn a_prepared_commit_cannot_name_other_files() {
    let folder = TempDir::new().unwrap();
    run(async {
        let mut session = Session::start(lines_sink(folder.path(), Mode::Append, 9), 1, 0).await.unwrap();
        session.write(Orders::new("orders").unwrap().inserts(0..2).unwrap()).await.unwrap();
        let prepared = session.flush().await.unwrap();
        for path in ["../../etc/passwd", "/etc/passwd", "", "orders/part-0000000001-7.txt"] {
            let mut evil = prepared.clone();
            evil.0["files"][0]["path"] = path.into();
            assert_eq!(session.sink.commit(Epoch(1), &evil).await.unwrap_err().kind(), ErrorKind::State, "{path}");
        }
        assert_eq!(session.sink.commit(Epoch(2), &prepared).await.unwrap_err().kind(), ErrorKind::Bug);
        // A file of someone else under our name is not overwritten.
        fs::write(folder.path().join("orders/part-0000000001-0.txt"), "mine").unwrap();
        assert_eq!(session.sink.commit(Epoch(1), &prepared).await.unwrap_err().kind(), ErrorKind::State);
        fs::remove_file(folder.path().join("orders/part-0000000001-0.txt")).unwrap();
        session.sink.commit(Epoch(1), &prepared).await.unwrap();
    });
}

#[test]
fn changes_in_append_mode_and_absent_values_are_refused() {
    let folder = TempDir::new().unwrap();
    run(async {
        let orders = Orders::new("orders").unwrap();
        let mut session = Session::start(lines_sink(folder.path(), Mode::Append, 9), 1, 0).await.unwrap();
        let error = session.write(orders.changes(&[(Op::Delete, 1, 0)]).unwrap()).await.unwrap_err();
        assert_eq!((error.kind(), error.setting()), (ErrorKind::Config, Some("mode")));
        let truncate = SinkInput::Schema(SchemaChange::new(orders.relation().clone(), Change::Truncate));
        assert_eq!(session.sink.write(truncate, &mut session.bad).await.unwrap_err().kind(), ErrorKind::Config);
        let part = orders.inserts(0..3).unwrap().with_present(1, BooleanArray::from(vec![true, false, true])).unwrap();
        session.write(part).await.unwrap();
        assert_eq!(session.bad.take().len(), 1);
        session.write(orders.inserts(4241..4244).unwrap()).await.unwrap();
        assert_eq!(session.bad.take()[0].row["id"], "4242");
        session.end_epoch().await.unwrap();
    });
    assert_eq!(read_lines(folder.path(), Mode::Append).unwrap()["orders"].len(), 4);
}

#[test]
fn a_changelog_says_what_happened() {
    use Op::{Delete, Insert, UpdateAfter, UpdateBefore};
    let folder = TempDir::new().unwrap();
    run(async {
        let orders = Orders::new("orders").unwrap();
        let mut session = Session::start(lines_sink(folder.path(), Mode::Changelog, 99), 1, 0).await.unwrap();
        let same_key = [(UpdateBefore, 1, 0), (UpdateAfter, 1, 1)];
        let new_key = [(UpdateBefore, 2, 0), (UpdateAfter, 5, 1)];
        let others = [(Insert, 6, 0), (UpdateAfter, 6, 1), (Delete, 6, 1)];
        let all = [&same_key[..], &new_key, &others].concat();
        session.write(orders.changes(&all).unwrap()).await.unwrap();
        let truncate = SinkInput::Schema(SchemaChange::new(orders.relation().clone(), Change::Truncate));
        session.sink.write(truncate, &mut session.bad).await.unwrap();
        // The old row of a delete may lack everything but its key; a new row may not.
        let partial = orders.changes(&[(Delete, 8, 0), (UpdateAfter, 9, 0)]).unwrap();
        session.write(partial.with_present(1, BooleanArray::from(vec![false, false])).unwrap()).await.unwrap();
        assert_eq!(session.bad.take().len(), 1);
        session.end_epoch().await.unwrap();
    });
    let text = fs::read_to_string(folder.path().join("orders/part-0000000001-0.txt")).unwrap();
    let ops: Vec<String> =
        text.lines().map(|line| line.split('|').step_by(2).take(2).collect::<Vec<_>>().join(" ")).collect();
    let truncation = format!("T {NULL_TEXT}");
    assert_eq!(ops, ["U 1", "D 2", "U 5", "I 6", "U 6", "D 6", truncation.as_str(), "D 8"]);
}
