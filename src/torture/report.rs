//! What was survived.

use std::collections::BTreeMap;
use std::time::Duration;

use super::Fault;

/// One kind of fault, over all its turns.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Line {
    /// How often it was done.
    pub(crate) times: u32,
    /// After how many the flow went on by itself.
    pub(crate) survived: u32,
    /// From the fault's end to the next commit, sorted when shown.
    pub(crate) back_after: Vec<Duration>,
}

/// What a session showed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Report {
    /// Per fault that was done.
    pub(crate) lines: BTreeMap<Fault, Line>,
    /// Faults that this flow does not offer, and why.
    pub(crate) impossible: Vec<(Fault, &'static str)>,
    /// What went wrong, a sentence each.
    pub(crate) complaints: Vec<String>,
    /// Missing, extra and different rows, where the targets can be compared.
    pub(crate) differences: Option<(u64, u64, u64)>,
    /// True when the receipts prove that no epoch is missing or there twice.
    pub(crate) audited: bool,
    /// Begins the same random choices again.
    pub(crate) seed: u64,
}

impl Report {
    /// True when everything was survived and nothing differs.
    pub(crate) fn is_good(&self) -> bool {
        let survived = self.lines.values().all(|line| line.survived == line.times);
        let equal = self.differences.is_none_or(|differences| differences == (0, 0, 0));
        survived && equal && self.audited && self.complaints.is_empty() && !self.lines.is_empty()
    }

    /// The table.
    pub(crate) fn text(&self) -> String {
        let mut text =
            format!("{:<28} {:>6} {:>9} {:>14} {:>14}\n", "fault", "times", "survived", "back: median", "at most");
        for (fault, line) in &self.lines {
            let mut back = line.back_after.clone();
            back.sort();
            let show = |time: Option<&Duration>| time.map_or("–".to_owned(), |t| format!("{} ms", t.as_millis()));
            text.push_str(&format!(
                "{:<28} {:>6} {:>9} {:>14} {:>14}\n",
                fault.words(),
                line.times,
                line.survived,
                show(back.get(back.len() / 2)),
                show(back.last()),
            ));
        }
        for (fault, why) in &self.impossible {
            text.push_str(&format!("{:<28} {:>6}  {why}\n", fault.words(), "–"));
        }
        for complaint in &self.complaints {
            text.push_str(&format!("✗ {complaint}\n"));
        }
        match self.differences {
            Some((missing, extra, different)) => {
                text.push_str(&format!("{missing} missing, {extra} extra, {different} different"));
            }
            None => text.push_str("the targets cannot be read back, so rows were not compared"),
        }
        let audit = if self.audited { "receipts without gap or overlap" } else { "the receipts do not prove it" };
        text.push_str(&format!("; {audit}; seed {}\n", self.seed));
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_survived_everything_and_is_equal_is_good() {
        let line = Line { times: 2, survived: 2, back_after: vec![Duration::from_millis(7); 2] };
        let good = Report {
            lines: [(Fault::Kill, line)].into(),
            differences: Some((0, 0, 0)),
            audited: true,
            ..Report::default()
        };
        assert!(good.is_good());
        assert!(good.text().contains("SIGKILL                           2         2           7 ms           7 ms"));
        assert!(!Report { differences: Some((0, 1, 0)), ..good.clone() }.is_good());
        assert!(!Report { audited: false, ..good.clone() }.is_good());
        assert!(!Report { lines: BTreeMap::new(), ..good.clone() }.is_good());
        let mut hurt = good;
        hurt.lines.entry(Fault::Kill).or_default().times = 3;
        assert!(!hurt.is_good());
    }
}
