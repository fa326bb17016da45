//! The progress line and the summary: rows/s, lag, checkpoint age, CPU-seconds per million rows.

use std::io::IsTerminal;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use aqueduct_engine::runtime::{FlowState, FlowStatus};
use aqueduct_model::PluginKind;
use indicatif::{ProgressBar, ProgressStyle as BarStyle};
use rustix::time::{ClockId, clock_gettime};

use super::arguments::ProgressStyle;
use crate::thousands::thousands;

/// Shows how a flow is doing.
pub(super) struct Meter {
    style: ProgressStyle,
    bar: Option<ProgressBar>,
    started: Instant,
    /// Rows and time at the last reading, for the present rate.
    last: (u64, Instant),
}

impl Meter {
    pub(super) fn start(style: ProgressStyle) -> Self {
        let style = match style {
            ProgressStyle::Auto if std::io::stderr().is_terminal() => ProgressStyle::Bar,
            ProgressStyle::Auto => ProgressStyle::None,
            chosen => chosen,
        };
        let bar = (style == ProgressStyle::Bar).then(|| {
            let bar = ProgressBar::new_spinner();
            // The template is a constant that indicatif knows; without it the default look is used.
            if let Ok(look) = BarStyle::with_template("{spinner} {msg}") {
                bar.set_style(look);
            }
            bar
        });
        Self { style, bar, started: Instant::now(), last: (0, Instant::now()) }
    }

    pub(super) fn bar(&self) -> Option<ProgressBar> {
        self.bar.clone()
    }

    pub(super) fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    /// Takes a reading and shows it.
    pub(super) fn show(&mut self, status: &FlowStatus) {
        let rows = rows_read(status);
        let (before, at) = self.last;
        let seconds = at.elapsed().as_secs_f64();
        if self.style == ProgressStyle::None || seconds < 0.2 {
            return;
        }
        let rate = (rows - before) as f64 / seconds;
        self.last = (rows, Instant::now());
        let line = format!(
            "{}  {}  {} rows  {}/s  lag {} ms  epoch {}  checkpoint {}",
            status.flow,
            status.state.name(),
            thousands(rows),
            thousands(rate as u64),
            lag_ms(status),
            status.checkpoint.epoch,
            checkpoint_age(status),
        );
        match &self.bar {
            Some(bar) => {
                bar.set_message(line);
                bar.tick();
            }
            None => eprintln!("{line}"),
        }
    }

    pub(super) fn clear(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// Rows that all sources have read.
pub(super) fn rows_read(status: &FlowStatus) -> u64 {
    status.tasks.iter().filter(|task| task.kind == PluginKind::Source).map(|task| task.counters.rows_in).sum()
}

fn lag_ms(status: &FlowStatus) -> i64 {
    status.tasks.iter().filter(|task| task.kind == PluginKind::Sink).map(|task| task.counters.lag_ms).max().unwrap_or(0)
}

fn checkpoint_age(status: &FlowStatus) -> String {
    if status.checkpoint.committed_at_ms == 0 {
        return "none yet".to_owned();
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64);
    format!("{:.1} s ago", now.saturating_sub(status.checkpoint.committed_at_ms) as f64 / 1_000.0)
}

/// What a run did, in one line, and its cost.
pub(super) fn summary(status: &FlowStatus, elapsed: Duration) -> String {
    let rows = rows_read(status);
    let bad: u64 = status.tasks.iter().map(|task| task.counters.bad_rows).sum();
    let seconds = elapsed.as_secs_f64().max(1e-9);
    let cpu = clock_gettime(ClockId::ProcessCPUTime);
    let cpu_seconds = cpu.tv_sec as f64 + cpu.tv_nsec as f64 / 1e9;
    let mut line = format!(
        "{} {}: {} rows in {:.2} s, {}/s, epoch {}",
        status.flow,
        status.state.name(),
        thousands(rows),
        seconds,
        thousands((rows as f64 / seconds) as u64),
        status.checkpoint.epoch,
    );
    if rows > 0 {
        line.push_str(&format!(
            ", {:.2} CPU-seconds ({:.3} per million rows)",
            cpu_seconds,
            cpu_seconds * 1e6 / rows as f64
        ));
    } else if status.state == FlowState::Finished {
        line.push_str(", nothing new to read (start over with `aqueduct checkpoint reset`)");
    }
    if bad > 0 {
        line.push_str(&format!(", {} bad rows", thousands(bad)));
    }
    line
}
