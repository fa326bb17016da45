//! Every row of a batch by every rule: where it goes, and why.

use aqueduct_model::{Batch, Error, ErrorKind, Op, Result};

use super::bound::{Bound, BoundTest};
use super::kept::{Kept, Place, Table, Value, Values};
use super::rule::Checked;
use crate::predicate::{Answer, Answers, absent_reason};
use crate::verdicts::Refused;

/// What the rules say of a batch.
#[derive(Debug)]
pub(super) struct Judged {
    /// Rows that are let through.
    pub(super) passed: Vec<bool>,
    /// Rows that break a rule. An old row may be both, where nobody knows which way it went when it was new.
    pub(super) rejected: Vec<bool>,
    /// All reasons of a row that breaks a rule.
    pub(super) reasons: Vec<Option<String>>,
    /// New rows of which a needed value was not sent, while no rule is surely broken.
    pub(super) refused: Refused,
    /// For each rule, how many new rows it was asked about, and how many of them broke it.
    pub(super) counts: Vec<(u64, u64)>,
}

/// What is said of one row.
enum Verdict {
    /// It keeps all rules.
    Passed,
    /// It breaks some; the reasons.
    Rejected(String),
    /// A value that a rule needs was not sent, and no other rule is broken; the rule.
    Unknown(usize),
    /// An old row that went one way or the other, or never was.
    Either,
}

/// What a rule sees in a batch.
enum Seen {
    Answers(Answers),
    /// Its answer depends on the rows before.
    Unique(Values),
    Reference(Vec<Answer>),
    /// It is not about rows.
    Nothing,
}

impl Judged {
    fn new(rows: usize, rules: usize) -> Self {
        Self {
            passed: vec![false; rows],
            rejected: vec![false; rows],
            reasons: vec![None; rows],
            refused: Vec::new(),
            counts: vec![(0, 0); rules],
        }
    }

    /// New rows that break nothing.
    fn all_passed(mut self) -> Self {
        self.counts.fill((self.passed.len() as u64, 0));
        self.passed.fill(true);
        self
    }
}

impl Seen {
    /// True when no row of the batch breaks the rule, and that is certain.
    fn is_never(&self) -> bool {
        match self {
            Self::Answers(answers) => answers.is_never(),
            Self::Reference(answers) => answers.iter().all(|answer| *answer == Answer::No),
            Self::Unique(_) => false,
            Self::Nothing => true,
        }
    }
}

struct Judge<'a> {
    rules: &'a [Checked],
    /// By rule.
    seen: Vec<Seen>,
    /// The key of each row, where the table has one and a rule needs it.
    rows: Option<Values>,
    /// What `unique` remembers, where there is such a rule.
    memory: Option<(&'a mut Kept, Table)>,
    counts: Vec<(u64, u64)>,
}

/// Judges the rows of a batch in their order, and remembers what became of them.
///
/// # Errors
/// `Data` for an update or delete of a table without a key, where rows have to be told apart; those of the state.
pub(super) fn judge(rules: &[Checked], bound: &Bound, batch: &Batch, mut kept: Option<&mut Kept>) -> Result<Judged> {
    let seen = see(rules, bound, batch, kept.as_deref_mut())?;
    let mut judged = Judged::new(batch.num_rows(), rules.len());
    if batch.is_append_only() && seen.iter().all(Seen::is_never) {
        return Ok(judged.all_passed());
    }
    let rows = bound.row.as_ref().map(|row| row.of(batch)).transpose()?;
    let memory = match kept.filter(|_| bound.has_unique()) {
        Some(kept) => {
            let table = kept.table(batch.relation().name(), &bound.shape)?;
            Some((kept, table))
        }
        None => None,
    };
    let mut judge = Judge { rules, seen, rows, memory, counts: vec![(0, 0); rules.len()] };
    for row in 0..batch.num_rows() {
        let is_old = matches!(batch.op(row), Op::Delete | Op::UpdateBefore);
        let verdict = if is_old { judge.old_row(row, batch)? } else { judge.new_row(row)? };
        match verdict {
            Verdict::Passed => judged.passed[row] = true,
            Verdict::Rejected(why) => {
                judged.rejected[row] = true;
                judged.reasons[row] = Some(why);
            }
            // Deleting what is not there changes nothing.
            Verdict::Either => (judged.passed[row], judged.rejected[row]) = (true, true),
            Verdict::Unknown(rule) => {
                judged.refused.push((row, absent_reason(bound.tests[rule].columns(), batch, row)));
            }
        }
    }
    judged.counts = judge.counts;
    Ok(judged)
}

/// What the rules see that need no other rows of the table.
fn see(rules: &[Checked], bound: &Bound, batch: &Batch, mut kept: Option<&mut Kept>) -> Result<Vec<Seen>> {
    let mut seen = Vec::with_capacity(rules.len());
    let mut references = 0;
    for (i, test) in bound.tests.iter().enumerate() {
        seen.push(match test {
            BoundTest::Row(broken) => Seen::Answers(broken.answer(batch)?),
            BoundTest::Unique(keys) => Seen::Unique(keys.of(batch)?),
            BoundTest::RowCount => Seen::Nothing,
            BoundTest::Reference(keys) => {
                let kept = kept.as_deref_mut().ok_or_else(|| Error::bug("a reference is asked before it is opened"))?;
                if let Some(types) = kept.types(references)?.filter(|types| *types != keys.types()) {
                    let text = format!("the values are of type {}, and those of the reference {types}", keys.types());
                    return Err(Error::config(text)
                        .with_setting(format!("rules[{i}]"))
                        .with_hint("convert one of them in front of this task: a task Mapping with `cast(… as …)`"));
                }
                let answers = missing(&keys.of(batch)?, batch.num_rows(), |value| kept.has(references, value))?;
                references += 1;
                Seen::Reference(answers)
            }
        });
    }
    Ok(seen)
}

/// For each row whether its value is missing in a reference; NULL refers to nothing, and misses nothing.
fn missing(values: &Values, rows: usize, mut has: impl FnMut(&[u8]) -> Result<bool>) -> Result<Vec<Answer>> {
    let answer = |row| -> Result<Answer> {
        Ok(match values.get(row) {
            Value::Absent => Answer::Unknown,
            Value::Null => Answer::No,
            Value::Is(value) if has(value)? => Answer::No,
            Value::Is(_) => Answer::Yes,
        })
    };
    (0..rows).map(answer).collect()
}

impl Judge<'_> {
    /// A row as it is from now on: takes its keys if it is let through.
    fn new_row(&mut self, row: usize) -> Result<Verdict> {
        let mut answers = alone(&self.seen, row);
        let Some((kept, table)) = &mut self.memory else {
            count(&mut self.counts, &answers);
            return Ok(verdict(self.rules, &self.seen, &answers));
        };
        let id = self.rows.as_ref().map(|rows| rows.bytes(row));
        let (mut keys, mut broken) = (Vec::new(), Vec::new());
        for (answer, seen) in answers.iter_mut().zip(&self.seen) {
            let Seen::Unique(values) = seen else { continue };
            let key = match values.get(row) {
                Value::Is(key) => {
                    let holder = kept.holder(table, keys.len(), key)?;
                    let is_taken = holder.is_some_and(|holder| id != Some(holder.as_slice()));
                    *answer = if is_taken { Answer::Yes } else { Answer::No };
                    Some(key.to_vec())
                }
                Value::Null => None,
                Value::Absent => {
                    *answer = Answer::Unknown;
                    None
                }
            };
            keys.push(key);
            broken.push(*answer == Answer::Yes);
        }
        count(&mut self.counts, &answers);
        let verdict = verdict(self.rules, &self.seen, &answers);
        let place = match &verdict {
            Verdict::Passed => Some(Place::Passed(keys)),
            Verdict::Rejected(_) => broken.contains(&true).then_some(Place::Refused(broken)),
            // A bad row changes nothing: downstream stays what was there, and here too.
            Verdict::Unknown(_) | Verdict::Either => return Ok(verdict),
        };
        if let Some(id) = id
            && let Some(before) = kept.place(table, id)?
        {
            kept.free(table, id, &before)?;
        }
        if let Some(place) = place {
            kept.keep(table, id, &place)?;
        }
        Ok(verdict)
    }

    /// A row as it was: gives its keys back.
    fn old_row(&mut self, row: usize, batch: &Batch) -> Result<Verdict> {
        let mut answers = alone(&self.seen, row);
        let Some((kept, table)) = &mut self.memory else {
            return Ok(match verdict(self.rules, &self.seen, &answers) {
                Verdict::Unknown(_) => Verdict::Either,
                known => known,
            });
        };
        let id = self.rows.as_ref().ok_or_else(|| without_key(batch))?.bytes(row);
        let place = kept.place(table, id)?;
        if let Some(place) = &place {
            kept.free(table, id, place)?;
        }
        match place {
            Some(Place::Passed(_)) => return Ok(Verdict::Passed),
            Some(Place::Refused(broken)) => {
                let unique = answers.iter_mut().zip(&self.seen).filter(|(_, seen)| matches!(seen, Seen::Unique(_)));
                for ((answer, _), broken) in unique.zip(broken) {
                    *answer = if broken { Answer::Yes } else { Answer::No };
                }
            }
            None => {}
        }
        Ok(match verdict(self.rules, &self.seen, &answers) {
            Verdict::Rejected(why) => Verdict::Rejected(why),
            // A row that was let through has its place, so this one never was, or by its own values was rejected.
            _ => Verdict::Either,
        })
    }
}

/// The answers of all rules that need no other rows of the table; the others say no.
fn alone(seen: &[Seen], row: usize) -> Vec<Answer> {
    let answer = |seen: &Seen| match seen {
        Seen::Answers(answers) => answers.get(row),
        Seen::Reference(answers) => answers[row],
        Seen::Unique(_) | Seen::Nothing => Answer::No,
    };
    seen.iter().map(answer).collect()
}

fn verdict(rules: &[Checked], seen: &[Seen], answers: &[Answer]) -> Verdict {
    let mut reasons: Vec<String> = Vec::new();
    let mut unknown = None;
    for (i, (rule, answer)) in rules.iter().zip(answers).enumerate() {
        match (answer, &seen[i]) {
            (Answer::No, _) => {}
            // A row that cannot be checked is not a good one.
            (Answer::Failed(index), Seen::Answers(answers)) => {
                reasons.push(format!("{} ({})", rule.reason, answers.reason(*index)));
            }
            (Answer::Yes | Answer::Failed(_), _) => reasons.push(rule.reason.clone()),
            (Answer::Unknown, _) => unknown = unknown.or(Some(i)),
        }
    }
    match (reasons.is_empty(), unknown) {
        (false, _) => Verdict::Rejected(reasons.join("; ")),
        (true, Some(rule)) => Verdict::Unknown(rule),
        (true, None) => Verdict::Passed,
    }
}

/// Counts what the rules said of a new row.
fn count(counts: &mut [(u64, u64)], answers: &[Answer]) {
    for ((checked, broken), answer) in counts.iter_mut().zip(answers) {
        *checked += u64::from(*answer != Answer::Unknown);
        *broken += u64::from(matches!(answer, Answer::Yes | Answer::Failed(_)));
    }
}

fn without_key(batch: &Batch) -> Error {
    let text = format!(
        "an update or delete of {}, which has no key: a rule `unique` cannot tell which row it is",
        batch.relation().name()
    );
    Error::new(ErrorKind::Data, text)
        .with_setting("rules")
        .with_hint("give the table a key at its source, or read it as it is, with a source that emits inserts only")
}
