//! Is the chain of receipts whole, and do the targets agree with it?

use std::collections::BTreeMap;

use aqueduct_model::{Cut, Epoch, Result};

use super::ledger::{ORIGIN, hash};
use super::{Content, Receipt};

/// What a target's own ledger says: the last epoch that is committed there, and where its sources ended.
pub type TargetState = BTreeMap<String, Cut>;

/// What an audit found.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Audit {
    /// How many receipts there are.
    pub receipts: usize,
    /// The first and last epoch.
    pub epochs: Option<(Epoch, Epoch)>,
    /// Everything that each target was given, by task id; without digests.
    pub totals: BTreeMap<String, Content>,
    /// What is wrong, in the order of the file. Empty: no gap, no overlap, nothing changed afterwards.
    pub faults: Vec<String>,
}

/// Checks the chain, then that every target agrees with it.
///
/// `receipts` are to be read after the targets' ledgers, and `settled` is the last epoch with a receipt before that: a
/// transactional target commits an epoch before its receipt is written, so it stands at `settled` or later, and at most
/// one epoch ahead of the last receipt.
///
/// # Errors
/// `Bug` when a receipt cannot be hashed.
pub fn audit(receipts: &[Receipt], targets: &TargetState, settled: Epoch) -> Result<Audit> {
    let mut found = Audit { receipts: receipts.len(), ..Audit::default() };
    let mut before: Option<&Receipt> = None;
    for receipt in receipts {
        let epoch = receipt.epoch;
        if receipt.hash != hash(receipt)? {
            found.faults.push(format!("epoch {epoch}: the receipt was changed after it was written"));
        }
        if receipt.previous != before.map_or(ORIGIN, |before| before.hash.as_str()) {
            found.faults.push(format!("epoch {epoch}: the receipt before it is missing or was replaced"));
        }
        if let Some(before) = before.filter(|_| !receipt.begins) {
            judge(before, receipt, &mut found.faults);
        }
        if before.is_some_and(|before| receipt.token < before.token || epoch <= before.epoch) {
            found.faults.push(format!("epoch {epoch}: epochs or tokens go back"));
        }
        for (task, content) in &receipt.targets {
            let total = found.totals.entry(task.clone()).or_default();
            total.inserts += content.inserts;
            total.updates += content.updates;
            total.deletes += content.deletes;
            total.schema_changes += content.schema_changes;
        }
        before = Some(receipt);
    }
    found.epochs = receipts.first().zip(before).map(|(first, last)| (first.epoch, last.epoch));
    if let Some(last) = before {
        for (task, cut) in targets {
            if cut.epoch < settled || cut.epoch > last.epoch.next() {
                found.faults.push(format!("{task} stands at epoch {}, the receipts end at {}", cut.epoch, last.epoch));
            } else if !receipts.iter().rev().find(|receipt| receipt.epoch <= cut.epoch).is_none_or(|r| agrees(r, cut)) {
                found.faults.push(format!("{task} stands at other positions than the receipt of epoch {}", cut.epoch));
            }
        }
    }
    Ok(found)
}

/// A target knows the sources that feed it, a receipt knows all.
fn agrees(receipt: &Receipt, cut: &Cut) -> bool {
    receipt.epoch != cut.epoch || cut.positions.iter().all(|(source, at)| receipt.to.get(source) == Some(at))
}

/// Two receipts that should follow each other.
fn judge(before: &Receipt, receipt: &Receipt, faults: &mut Vec<String>) {
    if receipt.epoch != before.epoch.next() {
        faults.push(format!("a gap: no receipt between epochs {} and {}", before.epoch, receipt.epoch));
    }
    for (source, from) in &receipt.from {
        if before.to.get(source).is_some_and(|to| to != from) {
            faults.push(format!("epoch {}: {source} does not begin where epoch {} ended", receipt.epoch, before.epoch));
        }
    }
}

#[cfg(test)]
mod tests {
    use aqueduct_model::{Position, Positions, Token};

    use super::*;
    use crate::receipts::{Ledger, ReceiptKind, read};

    fn at(row: u64) -> Positions {
        Positions::from([("log".to_owned(), Position::single("", row.into()))])
    }

    fn receipt(epoch: u64, to: u64) -> Receipt {
        let content = Content { inserts: 5, ..Content::default() };
        Receipt {
            epoch: Epoch(epoch),
            token: Token(1),
            at_ms: 0,
            begins: false,
            from: Positions::new(),
            to: at(to),
            targets: BTreeMap::from([("store".to_owned(), content)]),
            previous: String::new(),
            hash: String::new(),
        }
    }

    fn written(folder: &std::path::Path) -> Vec<Receipt> {
        let mut ledger = Ledger::new(folder, ReceiptKind::Counts);
        ledger.open(Epoch(1), &at(0), false).unwrap();
        (2..6).for_each(|epoch| ledger.write(receipt(epoch, epoch * 10)).unwrap());
        read(folder).unwrap()
    }

    #[test]
    fn a_whole_chain_is_proven_and_summed_up() {
        let folder = tempfile::tempdir().unwrap();
        let receipts = written(folder.path());
        let targets = TargetState::from([("store".to_owned(), Cut { epoch: Epoch(5), positions: at(50) })]);
        let found = audit(&receipts, &targets, Epoch(5)).unwrap();
        assert_eq!((found.receipts, found.epochs), (4, Some((Epoch(2), Epoch(5)))));
        assert_eq!(found.totals["store"].inserts, 20);
        assert!(found.faults.is_empty(), "{:?}", found.faults);
    }

    #[test]
    fn every_kind_of_tampering_is_seen() {
        let folder = tempfile::tempdir().unwrap();
        let whole = written(folder.path());
        let faults = |change: &dyn Fn(&mut Vec<Receipt>)| {
            let mut receipts = whole.clone();
            change(&mut receipts);
            audit(&receipts, &TargetState::new(), Epoch(0)).unwrap().faults
        };
        assert!(!faults(&|receipts| drop(receipts.remove(1))).is_empty(), "one taken out");
        assert!(!faults(&|receipts| receipts.swap(1, 2)).is_empty(), "two swapped");
        assert!(!faults(&|receipts| receipts[1].to = at(7)).is_empty(), "a position changed");
        let counted = |receipts: &mut Vec<Receipt>| receipts[2].targets.clear();
        assert!(!faults(&counted).is_empty(), "counts changed");
        let late = TargetState::from([("store".to_owned(), Cut { epoch: Epoch(3), positions: at(30) })]);
        assert!(audit(&whole, &late, Epoch(5)).unwrap().faults[0].contains("stands at epoch 3"));
    }

    #[test]
    fn a_restart_cuts_off_what_was_not_logged_and_goes_on() {
        let folder = tempfile::tempdir().unwrap();
        written(folder.path());
        let path = folder.path().join("receipts.jsonl");
        let torn = std::fs::read_to_string(&path).unwrap() + "{\"epoch\":6,";
        std::fs::write(&path, torn).unwrap();
        let mut ledger = Ledger::new(folder.path(), ReceiptKind::Counts);
        ledger.open(Epoch(4), &at(40), false).unwrap();
        ledger.write(receipt(5, 55)).unwrap();
        let receipts = read(folder.path()).unwrap();
        assert_eq!(receipts.iter().map(|receipt| receipt.epoch.0).collect::<Vec<_>>(), [2, 3, 4, 5]);
        assert!(audit(&receipts, &TargetState::new(), Epoch(0)).unwrap().faults.is_empty());
    }
}
