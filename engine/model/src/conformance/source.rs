//! What every source promises.

use std::time::{Duration, Instant};

use serde_json::json;

use super::caught::caught;
use super::report::Report;
use super::row_text::batch_texts;
use crate::{
    BadRowPolicy, BadRows, Epoch, Error, ErrorKind, PollBudget, Polled, Position, Replay, Result, Source, SourceContext,
};

type BuildSource = dyn Fn() -> Result<Box<dyn Source>> + Send + Sync;

/// A source to check. What it reads must stay as it is while the suite runs.
pub struct SourceCase {
    /// Names the case in the report.
    pub name: String,
    /// Makes a fresh value over the same data.
    pub build: Box<BuildSource>,
    /// What the source says of itself: without exact replay only the checks that hold for it are made.
    pub replay: Replay,
    /// A source that does not finish is read to this many rows; one that does has at most this many.
    pub rows_max: usize,
    /// Rows per poll; small, so that positions are many.
    pub batch_rows: usize,
    /// A run ends after this many polls without data in a row.
    pub idle_polls_max: usize,
    /// The longest wait of one poll.
    pub max_wait: Duration,
    /// At most this many positions are resumed from, evenly spread; the first and the last are among them.
    pub positions_max: usize,
    /// How many rows the source must refuse on the way to the end; `None`: not checked.
    pub bad_rows: Option<usize>,
    /// Positions that the source must refuse, besides those that the suite makes up.
    pub lost_positions: Vec<Position>,
}

impl SourceCase {
    /// A case with the usual limits: 10,000 rows, 37 rows per poll, 40 positions.
    pub fn new(name: &str, build: impl Fn() -> Result<Box<dyn Source>> + Send + Sync + 'static) -> Self {
        Self {
            name: name.to_owned(),
            build: Box::new(build),
            replay: Replay::Exact,
            rows_max: 10_000,
            batch_rows: 37,
            idle_polls_max: 3,
            max_wait: Duration::from_millis(20),
            positions_max: 40,
            bad_rows: None,
            lost_positions: Vec::new(),
        }
    }

    fn budget(&self, batch_rows: usize, until: Option<&Position>) -> PollBudget {
        PollBudget { max_rows: batch_rows, max_wait: self.max_wait, until: until.cloned(), ..PollBudget::default() }
    }
}

/// How late an idle poll may be on a busy machine.
const IDLE_SLACK: Duration = Duration::from_secs(5);
/// Bad rows are counted, never a reason to stop.
const BAD_ROWS_MAX: usize = usize::MAX;

/// Checks every promise of [`Source`]; see the module for what is checked.
pub async fn check_source(case: &SourceCase) -> Report {
    let mut report = Report::new(&case.name);
    report.begin("reads to the end");
    let run = match read(case, None, None, case.rows_max, case.batch_rows, &mut report).await {
        Ok(run) => run,
        Err(error) => {
            report.violated(format!("a first run from the beginning succeeds, but: {error:?}"));
            return report;
        }
    };
    first_run(case, &run, &mut report);
    checks_of_beginning(case, &run, &mut report).await;
    refuses_unknown_positions(case, &mut report).await;
    durable_positions(case, &run, &mut report).await;
    if case.replay == Replay::Exact {
        resumes_everywhere(case, &run, &mut report).await;
        crash_between_poll_and_checkpoint(case, &run, &mut report).await;
        stops_exactly_at_until(case, &run, &mut report).await;
    }
    report
}

/// One run of a fresh value.
struct Run {
    rows: Vec<String>,
    /// Each position seen, with the number of rows before it.
    marks: Vec<(usize, Position)>,
    started_at: Option<Position>,
    ended_at: Option<Position>,
    finished: bool,
    bad: usize,
}

/// Opens a fresh value at `resume` and reads until it is finished, idle, or past `rows_max`; then closes it.
async fn read(
    case: &SourceCase,
    resume: Option<&Position>,
    until: Option<&Position>,
    rows_max: usize,
    batch_rows: usize,
    report: &mut Report,
) -> Result<Run> {
    let mut source = (case.build)()?;
    let mut bad = BadRows::new(BadRowPolicy::Drop, BAD_ROWS_MAX);
    caught(source.open(&SourceContext::default(), resume)).await?;
    let budget = case.budget(batch_rows, until);
    let started_at = source.position();
    let mut run = Run {
        rows: Vec::new(),
        marks: Vec::new(),
        ended_at: None,
        finished: false,
        bad: 0,
        started_at: started_at.clone(),
    };
    run.marks.extend(started_at.map(|position| (0, position)));
    let mut idle_polls = 0;
    while run.rows.len() < rows_max && idle_polls < case.idle_polls_max {
        let asked = Instant::now();
        match caught(source.poll(&budget, &mut bad)).await? {
            Polled::Batch(batch) => {
                idle_polls = 0;
                report.holds(batch.num_rows() > 0, "a batch is not empty");
                report.holds(
                    batch.num_rows() <= batch_rows + 1,
                    format!(
                        "a poll takes at most {batch_rows} rows (one more to end an update), not {}",
                        batch.num_rows()
                    ),
                );
                run.rows.extend(batch_texts(&batch)?);
            }
            Polled::Schema(_) => idle_polls = 0,
            Polled::Idle => {
                idle_polls += 1;
                let late = asked.elapsed().saturating_sub(case.max_wait);
                report.holds(late <= IDLE_SLACK, format!("an idle poll returns in time, not {late:?} late"));
            }
            Polled::Finished => {
                run.finished = true;
                break;
            }
        }
        run.marks.extend(source.position().map(|position| (run.rows.len(), position)));
    }
    run.ended_at = source.position();
    run.bad = bad.count();
    caught(source.close()).await?;
    Ok(run)
}

fn first_run(case: &SourceCase, run: &Run, report: &mut Report) {
    report.holds(run.started_at.is_some(), "a source knows its position before the first poll");
    report.holds(!run.finished || run.ended_at.is_some(), "a finished source still knows its position");
    if let Some(expected) = case.bad_rows {
        report.same(&run.bad, &expected, "every bad row is refused once");
    }
    let stuck = run.marks.windows(2).find(|pair| pair[1].0 > pair[0].0 && pair[1].1 == pair[0].1);
    report.holds(stuck.is_none(), format!("a position moves with the rows, but stands at {stuck:?}"));
}

async fn checks_of_beginning(case: &SourceCase, run: &Run, report: &mut Report) {
    report.begin("the empty position is the beginning");
    tail_is(case, Some(&Position::default()), run, 0, report).await;
    report.begin("the same position twice");
    tail_is(case, None, run, 0, report).await;
    report.begin("close");
    for times in [0, 2] {
        let closed = async {
            let mut source = (case.build)()?;
            caught(source.open(&SourceContext::default(), None)).await?;
            for _ in 0..times {
                caught(source.close()).await?;
            }
            drop(source);
            Ok::<(), Error>(())
        };
        if let Err(error) = closed.await {
            report.violated(format!("an opened value can be dropped, or closed twice, without reading: {error:?}"));
        }
    }
}

/// A fresh value opened at `resume` reads exactly the rows of the first run from number `from` on.
async fn tail_is(case: &SourceCase, resume: Option<&Position>, run: &Run, from: usize, report: &mut Report) {
    let wanted = run.rows.len() - from;
    // One more, so that a source that goes on too long is seen, and stopped.
    let rows_max = if run.finished { wanted + 1 } else { wanted.max(1) };
    match read(case, resume, None, rows_max, case.batch_rows, report).await {
        Ok(mut tail) => {
            let replays = case.replay == Replay::Exact;
            if !run.finished {
                tail.rows.truncate(wanted);
            }
            if replays {
                compare(&tail.rows, &run.rows[from..], &format!("resumed at {resume:?} (row {from})"), report);
            }
        }
        Err(error) => report.violated(format!("a run from {resume:?} (row {from}) succeeds, but: {error:?}")),
    }
}

/// Compares long row lists and reports only the first difference.
fn compare(got: &[String], expected: &[String], what: &str, report: &mut Report) {
    if got == expected {
        return;
    }
    let differs = got.iter().zip(expected).position(|(a, b)| a != b).unwrap_or(got.len().min(expected.len()));
    report.violated(format!(
        "{what}: {} rows instead of {}; the first difference is row {differs}: {:?} instead of {:?}",
        got.len(),
        expected.len(),
        got.get(differs),
        expected.get(differs)
    ));
}

/// Marks to try: evenly spread, the last of those that share a row count, first and last included.
fn chosen(case: &SourceCase, run: &Run) -> Vec<(usize, Position)> {
    let most = case.positions_max.max(2) - 1;
    let step = run.marks.len().div_ceil(most).max(1);
    let mut chosen: Vec<_> = run.marks.iter().step_by(step).cloned().collect();
    if let Some(last) = run.marks.last().filter(|last| chosen.last() != Some(last)) {
        chosen.push(last.clone());
    }
    chosen
}

async fn resumes_everywhere(case: &SourceCase, run: &Run, report: &mut Report) {
    report.begin("resumes at every position");
    for (rows, position) in chosen(case, run) {
        tail_is(case, Some(&position), run, rows, report).await;
    }
}

async fn crash_between_poll_and_checkpoint(case: &SourceCase, run: &Run, report: &mut Report) {
    report.begin("crash between poll and checkpoint");
    let Some((rows, position)) = run.marks.get(run.marks.len() / 3).cloned() else { return };
    let crashed = async {
        let mut source = (case.build)()?;
        let mut bad = BadRows::new(BadRowPolicy::Drop, BAD_ROWS_MAX);
        caught(source.open(&SourceContext::default(), Some(&position))).await?;
        for _ in 0..2 {
            caught(source.poll(&case.budget(case.batch_rows, None), &mut bad)).await?;
        }
        drop(source);
        Ok::<(), Error>(())
    };
    if let Err(error) = crashed.await {
        report.violated(format!("reading on from {position:?} succeeds, but: {error:?}"));
    }
    tail_is(case, Some(&position), run, rows, report).await;
}

/// Replays an epoch between two positions with polls of another size: exactly its rows come, and no more ever.
async fn stops_exactly_at_until(case: &SourceCase, run: &Run, report: &mut Report) {
    report.begin("until is exact");
    let marks = &run.marks;
    let last = marks.len().saturating_sub(1);
    for (a, b) in [(0, last / 3), (last / 3, 2 * last / 3), (last / 2, last)] {
        let (Some((from, start)), Some((to, end))) = (marks.get(a), marks.get(b)) else { continue };
        let odd_size = case.batch_rows * 3 / 2 + 1;
        match read(case, Some(start), Some(end), to - from + 1, odd_size, report).await {
            Ok(epoch) => {
                let what = format!("from {start:?} (row {from}) until {end:?} (row {to})");
                compare(&epoch.rows, &run.rows[*from..*to], &what, report);
                report.same(&epoch.ended_at, &Some(end.clone()), format!("{what}: it stands at the end"));
            }
            Err(error) => report.violated(format!("replay from {start:?} until {end:?} succeeds, but: {error:?}")),
        }
    }
}

async fn refuses_unknown_positions(case: &SourceCase, report: &mut Report) {
    report.begin("refuses positions that are not its own");
    let made_up = [
        Position::single("", json!("garbage")),
        Position::single("", json!({"no": "such", "field": [1, 2, 3]})),
        Position::single("no such split", json!(-1)),
        Position::single("", json!(null)),
    ];
    for position in made_up.iter().chain(&case.lost_positions) {
        let mut source = match (case.build)() {
            Ok(source) => source,
            Err(error) => return report.violated(format!("a value can be built, but: {error:?}")),
        };
        match caught(source.open(&SourceContext::default(), Some(position))).await {
            Ok(()) => report.violated(format!("{position:?} is refused: going on from it is a silent gap")),
            Err(error) => report.holds(
                matches!(error.kind(), ErrorKind::LostPosition | ErrorKind::Config | ErrorKind::State),
                format!("{position:?} is refused as lost_position, state or config, not {error:?}"),
            ),
        }
        if let Err(error) = caught(source.close()).await {
            report.violated(format!("close succeeds after open failed, but: {error:?}"));
        }
    }
}

/// Reads through once more, telling the source at each position that it is durable.
async fn durable_positions(case: &SourceCase, run: &Run, report: &mut Report) {
    report.begin("takes note of durable positions");
    let told = async {
        let mut source = (case.build)()?;
        let mut bad = BadRows::new(BadRowPolicy::Drop, BAD_ROWS_MAX);
        caught(source.open(&SourceContext::default(), None)).await?;
        let mut rows = Vec::new();
        let mut epoch = Epoch(0);
        let mut idle_polls = 0;
        while rows.len() < run.rows.len() && idle_polls < case.idle_polls_max {
            match caught(source.poll(&case.budget(case.batch_rows, None), &mut bad)).await? {
                Polled::Batch(batch) => rows.extend(batch_texts(&batch)?),
                Polled::Schema(_) => {}
                Polled::Idle => idle_polls += 1,
                Polled::Finished => break,
            }
            if let Some(position) = source.position() {
                epoch = epoch.next();
                caught(source.on_checkpoint_durable(epoch, &position)).await?;
            }
        }
        caught(source.close()).await?;
        Ok::<_, Error>(rows)
    };
    match told.await {
        Ok(rows) if case.replay == Replay::Exact => compare(&rows, &run.rows, "while positions become durable", report),
        Ok(_) => {}
        Err(error) => report.violated(format!("every position it had can be declared durable, but: {error:?}")),
    }
}
