//! Everything the demo says, in both languages.

use std::fmt::Display;
use std::time::Duration;

use crate::daemon::Reading;
use crate::thousands::thousands;

/// The languages that the demo speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Language {
    /// English.
    En,
    /// Chinese.
    Zh,
}

impl Language {
    /// Chinese when the environment says so, else English.
    pub fn of_environment() -> Self {
        let set = ["LC_ALL", "LC_MESSAGES", "LANG"]
            .iter()
            .find_map(|name| std::env::var(name).ok().filter(|v| !v.is_empty()));
        if set.is_some_and(|value| value.starts_with("zh")) { Self::Zh } else { Self::En }
    }

    /// The one of two texts that is in this language.
    fn pick(self, en: &'static str, zh: &'static str) -> &'static str {
        match self {
            Self::En => en,
            Self::Zh => zh,
        }
    }

    pub(super) fn title(self) -> &'static str {
        self.pick(
            "Aqueduct: a shop, a warehouse, and a daemon that is killed on the way",
            "Aqueduct 演示:一个商店、一个数据仓库,以及一个途中被杀死的守护进程",
        )
    }

    pub(super) fn shop_phase(self) -> &'static str {
        self.pick("A shop that never sleeps", "永不停歇的商店")
    }

    pub(super) fn shop_made(self, customers: u32, orders: u32) -> String {
        let (customers, orders) = (thousands(customers), thousands(orders));
        match self {
            Self::En => format!("shop.db: {customers} customers and {orders} orders in SQLite"),
            Self::Zh => format!("shop.db:SQLite 中有 {customers} 位客户、{orders} 笔订单"),
        }
    }

    pub(super) fn writer_started(self, pid: u32, rate: u32) -> String {
        let rate = thousands(rate);
        match self {
            Self::En => format!(
                "process {pid} writes up to {rate} changes/s: inserts, updates, deletes; both tables in every transaction"
            ),
            Self::Zh => format!("进程 {pid} 每秒最多写入 {rate} 次变更:插入、更新、删除;每个事务同时修改两张表"),
        }
    }

    pub(super) fn flow_phase(self) -> &'static str {
        self.pick("A flow keeps DuckDB and Parquet in step", "数据流让 DuckDB 与 Parquet 保持同步")
    }

    pub(super) fn ready(self, after: Duration) -> String {
        let ms = after.as_millis();
        match self {
            Self::En => format!("daemon ready after {ms} ms"),
            Self::Zh => format!("守护进程 {ms} 毫秒后就绪"),
        }
    }

    pub(super) fn live(self, reading: &Reading, rate: f64) -> String {
        let (rows, rate, lag, epoch) = (thousands(reading.rows), thousands(rate as u64), reading.lag_ms, reading.epoch);
        match self {
            Self::En => format!("{rows} rows read · {rate}/s · {lag} ms behind · epoch {epoch}"),
            Self::Zh => format!("已读取 {rows} 行 · {rate}/秒 · 延迟 {lag} 毫秒 · 第 {epoch} 个检查点"),
        }
    }

    pub(super) fn kill_phase(self, kills: u32) -> String {
        match self {
            Self::En => format!("kill -9, {}, at random moments", times(kills)),
            Self::Zh => format!("在随机时刻 kill -9 共 {kills} 次"),
        }
    }

    pub(super) fn killed(self, pid: u32, after: Duration, epoch: u64) -> String {
        let seconds = after.as_secs_f64();
        match self {
            Self::En => format!("SIGKILL to process {pid} after {seconds:.1} s, somewhere in epoch {}", epoch + 1),
            Self::Zh => format!("进程 {pid} 运行 {seconds:.1} 秒后被 SIGKILL 杀死,正处于第 {} 个检查点途中", epoch + 1),
        }
    }

    pub(super) fn restarted(self, ready: Duration, first_rows: Duration) -> String {
        let (ready, first_rows) = (ready.as_millis(), first_rows.as_millis());
        match self {
            Self::En => format!("restarted: ready after {ready} ms, first new rows committed after {first_rows} ms"),
            Self::Zh => format!("已重启:{ready} 毫秒后就绪,{first_rows} 毫秒后提交首批新数据"),
        }
    }

    pub(super) fn drain_phase(self) -> &'static str {
        self.pick("Stop the shop, let the flow drain, compare", "停止写入,排空数据流,逐行比对")
    }

    pub(super) fn writer_stopped(self, transactions: u64, changes: u64) -> String {
        let (transactions, changes) = (thousands(transactions), thousands(changes));
        match self {
            Self::En => format!("writer stopped after {transactions} transactions with {changes} changes"),
            Self::Zh => format!("写入进程已停止:共 {transactions} 个事务、{changes} 次变更"),
        }
    }

    pub(super) fn drained(self, after: Duration) -> String {
        let ms = after.as_millis();
        match self {
            Self::En => format!("flow caught up and stopped by SIGTERM within {ms} ms"),
            Self::Zh => format!("数据流在 {ms} 毫秒内追平,并经 SIGTERM 正常退出"),
        }
    }

    pub(super) fn verifying(self) -> &'static str {
        self.pick(
            "aqueduct verify: every row of source and targets is compared",
            "aqueduct verify:比对源与目标的每一行",
        )
    }

    pub(super) fn differ(self) -> &'static str {
        self.pick("source and targets differ:", "源与目标不一致:")
    }

    pub(super) fn warehouse_phase(self) -> &'static str {
        self.pick("What is in the warehouse now", "数据仓库里的内容")
    }

    pub(super) fn lake(self, files: usize, bytes: u64) -> String {
        let (files, kib) = (thousands(files as u64), thousands(bytes.div_ceil(1024)));
        match self {
            Self::En => format!("lake/: {files} Parquet files, {kib} KiB: every change, with its operation and epoch"),
            Self::Zh => format!("lake/:{files} 个 Parquet 文件,共 {kib} KiB:包含每一次变更及其操作与检查点"),
        }
    }

    pub(super) fn figures(self, figures: &Figures) -> Vec<String> {
        let Figures { rows, seconds, rows_per_second_max, cpu_seconds, peak_bytes, kills, recovery_max } = figures;
        let per_million = cpu_seconds / (*rows).max(1) as f64 * 1e6;
        let rate = thousands((*rows as f64 / seconds.max(0.001)) as u64);
        let (rows, fastest, mib) =
            (thousands(*rows), thousands(*rows_per_second_max as u64), peak_bytes.div_ceil(1 << 20));
        let recovery = recovery_max.as_millis();
        match self {
            Self::En => vec![
                format!(
                    "{rows} rows moved (an update is two, before and after), {kills} × SIGKILL, slowest recovery {recovery} ms"
                ),
                format!("{rate} rows/s on average, as the shop wrote them, {fastest} rows/s when catching up"),
                format!("{per_million:.1} CPU-seconds per million rows, {mib} MiB of memory at most (quick build)"),
            ],
            Self::Zh => vec![
                format!("共搬运 {rows} 行(一次更新计前后两行),{kills} 次 SIGKILL,最慢恢复 {recovery} 毫秒"),
                format!("平均 {rate} 行/秒(取决于商店的写入速度),追赶时 {fastest} 行/秒"),
                format!("每百万行消耗 {per_million:.1} CPU 秒,内存峰值 {mib} MiB(快速构建)"),
            ],
        }
    }

    pub(super) fn explore(self, folder: &dyn Display) -> String {
        match self {
            Self::En => format!("everything is in {folder}/: flow.yaml, shop.db, warehouse.duckdb, lake/, daemon.log"),
            Self::Zh => format!("所有文件都在 {folder}/:flow.yaml、shop.db、warehouse.duckdb、lake/、daemon.log"),
        }
    }
}

/// What a demo measured.
#[derive(Debug, Clone, Default)]
pub(super) struct Figures {
    /// Rows read over all lives of the daemon; an update is two.
    pub(super) rows: u64,
    /// How long the daemon lived in all.
    pub(super) seconds: f64,
    /// The most rows per second seen over half a second.
    pub(super) rows_per_second_max: f64,
    /// User and system time of all lives.
    pub(super) cpu_seconds: f64,
    /// The most resident memory of any life.
    pub(super) peak_bytes: u64,
    pub(super) kills: u32,
    /// The longest time from a restart to the first new rows.
    pub(super) recovery_max: Duration,
}

fn times(n: u32) -> String {
    match n {
        1 => "once".to_owned(),
        2 => "twice".to_owned(),
        _ => format!("{n} times"),
    }
}
