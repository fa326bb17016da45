//! One measured number, its bound, and how it is printed.

use std::fmt;

/// Which side of the bound is good.
#[derive(Clone, Copy)]
pub enum Bound {
    AtMost(f64),
    AtLeast(f64),
}

/// A figure: the median of several runs.
pub struct Figure {
    pub name: String,
    pub unit: &'static str,
    pub values: Vec<f64>,
    pub bound: Bound,
}

impl Figure {
    pub fn new(name: impl Into<String>, unit: &'static str, bound: Bound, values: Vec<f64>) -> Self {
        assert!(!values.is_empty(), "a figure comes from at least one run");
        Self { name: name.into(), unit, values, bound }
    }

    pub fn median(&self) -> f64 {
        let sorted = self.sorted();
        let middle = sorted.len() / 2;
        if sorted.len() % 2 == 1 { sorted[middle] } else { (sorted[middle - 1] + sorted[middle]) / 2.0 }
    }

    pub fn passes(&self) -> bool {
        match self.bound {
            Bound::AtMost(bound) => self.median() <= bound,
            Bound::AtLeast(bound) => self.median() >= bound,
        }
    }

    fn sorted(&self) -> Vec<f64> {
        let mut sorted = self.values.clone();
        sorted.sort_by(f64::total_cmp);
        sorted
    }
}

impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sorted = self.sorted();
        let (least, most) = (sorted[0], sorted[sorted.len() - 1]);
        let (sign, bound) = match self.bound {
            Bound::AtMost(bound) => ('≤', bound),
            Bound::AtLeast(bound) => ('≥', bound),
        };
        let spread = format!("[{} … {}] n={}", number(least), number(most), sorted.len());
        let verdict = if self.passes() { "pass" } else { "MISS" };
        let (median, bound, unit) = (number(self.median()), number(bound), self.unit);
        write!(f, "{:<34} {median:>9} {unit:<18} {sign} {bound:<8} {verdict}  {spread}", self.name)
    }
}

/// Three digits that matter.
fn number(value: f64) -> String {
    match value.abs() {
        size if size >= 1_000.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.3}"),
    }
}

/// What else was going on, and how this was built: figures without it mean nothing.
pub fn print_surroundings() {
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let build = env!("AQUEDUCT_BUILD");
    let failpoints = if cfg!(feature = "failpoints") { "with" } else { "without" };
    println!("build {build}, {failpoints} failpoints; {cores} cores, load average {}", load.trim());
}

/// Says on stderr how a long measurement is getting on.
pub fn progress(what: &str) {
    eprintln!("  … {what}");
}
