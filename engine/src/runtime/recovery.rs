//! Where a start goes on: one pure decision from what the checkpoint store and the targets remember.
//!
//! The protocol commits a transactional target *before* the epoch is logged. So a target is at the logged epoch or
//! exactly one ahead, never behind. One that is ahead already holds the next epoch: the sources replay exactly that
//! epoch, this target drops it, and the others catch up. Anything else means that the checkpoint folder or the target
//! is an older copy, and the flow refuses to start.

use std::collections::BTreeMap;

use aqueduct_checkpoint::Record;
use aqueduct_model::{
    Claim, Cut, Epoch, Error, ErrorKind, Position, Positions, PreparedCommit, Recorded, Result, Token,
};

/// What a sink says of itself, and what it found in its target.
#[derive(Debug, Clone, Default)]
pub(crate) struct SinkReport {
    /// The ledger in the target moves with every epoch, in the target's own transaction.
    pub(crate) transactional: bool,
    pub(crate) recorded: Option<Recorded>,
}

/// What each task is told at the start.
#[derive(Debug, Default)]
pub(crate) struct Recovery {
    /// The last epoch that is complete everywhere.
    pub(crate) base: Cut,
    /// The epoch that is replayed first because some targets already hold it, with the edge of each source.
    pub(crate) replay: Option<Cut>,
    /// By sink.
    pub(crate) sinks: BTreeMap<String, SinkStart>,
    /// The checkpoint folder was empty and the targets' own records were taken.
    pub(crate) rebuilt_from_targets: bool,
}

/// What a sink is told at the start.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct SinkStart {
    pub(crate) claim: Claim,
    pub(crate) roll_forward: Option<(Epoch, PreparedCommit)>,
    pub(crate) discard: Option<Cut>,
}

/// The lowest token that may be used: higher than any that a target has seen.
///
/// # Errors
/// `State` when a target has seen a later start than this checkpoint folder has: the folder is a copy or was restored.
pub(crate) fn lowest_token(
    record: Option<&Record>,
    token: Token,
    sinks: &BTreeMap<String, SinkReport>,
) -> Result<Token> {
    let mut lowest = token;
    for (task, report) in sinks {
        let Some(recorded) = &report.recorded else { continue };
        if recorded.token < token {
            continue;
        }
        if record.is_some() {
            return Err(Error::new(
                ErrorKind::State,
                format!(
                    "the target was taken over by a later start (token {}) than this checkpoint folder knows ({token})",
                    recorded.token
                ),
            )
            .with_task(task)
            .with_hint(
                "this folder is a copy or an older backup, or another daemon runs the same flow: stop the other one \
                 and use its folder, or run `aqueduct checkpoint reset` here to start over",
            ));
        }
        lowest = lowest.max(recorded.token.next());
    }
    Ok(lowest)
}

/// What of the flow's shape matters for a recovery.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FlowShape {
    /// Every source can replay exactly.
    pub(crate) exact: bool,
    /// No operator keeps state.
    pub(crate) stateless: bool,
}

/// Decides where to go on.
///
/// # Errors
/// `State` when the store and the targets cannot belong together.
pub(crate) fn decide(
    record: Option<&Record>,
    token: Token,
    sinks: &BTreeMap<String, SinkReport>,
    shape: FlowShape,
) -> Result<Recovery> {
    let (base, rebuilt_from_targets) = match record {
        Some(record) => (Cut { epoch: record.epoch, positions: record.positions.clone() }, false),
        None => match cut_of_targets(sinks, shape.stateless)? {
            Some(cut) => (cut, true),
            None => (Cut::default(), false),
        },
    };
    // After a reset, what a target recorded before it says nothing.
    let reset_by = record.filter(|record| record.reset).map(|record| record.token);
    let mut recovery = Recovery { base, replay: None, sinks: BTreeMap::new(), rebuilt_from_targets };
    for (task, report) in sinks {
        let mut start =
            SinkStart { claim: Claim { token, cut: recovery.base.clone() }, roll_forward: None, discard: None };
        if let Some(prepared) = record.and_then(|record| record.prepared.get(task)) {
            start.roll_forward = Some((recovery.base.epoch, prepared.clone()));
        }
        let valid = |recorded: &&Recorded| reset_by.is_none_or(|token| recorded.token >= token);
        if let Some(recorded) = report.recorded.as_ref().filter(valid) {
            check_epoch(task, report.transactional, recorded.cut.epoch, recovery.base.epoch)?;
            if recorded.cut.epoch > recovery.base.epoch && shape.exact {
                start.claim.cut = recorded.cut.clone();
                start.discard = Some(recorded.cut.clone());
                merge_replay(&mut recovery.replay, &recorded.cut)?;
            }
        }
        recovery.sinks.insert(task.clone(), start);
    }
    Ok(recovery)
}

/// A target is where the store is, or one ahead; a staged one may be behind, because it records only its own commits.
fn check_epoch(task: &str, transactional: bool, target: Epoch, store: Epoch) -> Result<()> {
    let problem = if target > store.next() {
        "the checkpoint folder is older than the target"
    } else if target < store && transactional {
        "the target is older than the checkpoint folder"
    } else {
        return Ok(());
    };
    Err(Error::new(ErrorKind::State, format!("{problem}: the target holds epoch {target}, the folder epoch {store}"))
        .with_task(task)
        .with_hint(
            "one of the two was restored from a copy; restore the other to the same moment, or run `aqueduct \
             checkpoint reset` to start over and `aqueduct verify` afterwards",
        ))
}

fn merge_replay(replay: &mut Option<Cut>, held: &Cut) -> Result<()> {
    let merged = replay.get_or_insert_with(|| Cut { epoch: held.epoch, positions: Positions::new() });
    for (source, position) in &held.positions {
        let known: &Position = merged.positions.entry(source.clone()).or_insert_with(|| position.clone());
        if known != position {
            return Err(Error::new(
                ErrorKind::State,
                format!("two targets disagree about where source {source} stood at the end of epoch {}", held.epoch),
            )
            .with_hint("they were written by different runs; run `aqueduct checkpoint reset` to start over"));
        }
    }
    Ok(())
}

fn newest_target(sinks: &BTreeMap<String, SinkReport>) -> Epoch {
    sinks
        .values()
        .filter_map(|report| report.recorded.as_ref())
        .map(|recorded| recorded.cut.epoch)
        .max()
        .unwrap_or_default()
}

/// True when an empty store was lost and is not new: targets hold more than the first record, which has no rows.
pub(crate) fn lost_folder(sinks: &BTreeMap<String, SinkReport>) -> bool {
    newest_target(sinks) > Epoch(1)
}

/// The cut to go on from when the store was lost: the targets' word is taken if they agree on the epoch and no
/// operator's state was lost with the folder.
fn cut_of_targets(sinks: &BTreeMap<String, SinkReport>, stateless: bool) -> Result<Option<Cut>> {
    let recorded = |report: &SinkReport| report.recorded.clone().map(|recorded| recorded.cut);
    let newest = newest_target(sinks);
    if !lost_folder(sinks) {
        return Ok(None);
    }
    if !stateless {
        return Err(empty_folder(format!("the targets hold epoch {newest}, and operators' states are lost")));
    }
    let mut base = Cut { epoch: newest, positions: Positions::new() };
    for (task, report) in sinks {
        match recorded(report) {
            Some(cut) if cut.epoch == newest => base.positions.extend(cut.positions),
            None if !report.transactional => {}
            other => {
                let epoch = other.unwrap_or_default().epoch;
                return Err(empty_folder(format!("the targets stand at different epochs ({epoch} and {newest})"))
                    .with_task(task));
            }
        }
    }
    Ok(Some(base))
}

fn empty_folder(what: String) -> Error {
    Error::new(ErrorKind::State, format!("the checkpoint folder is empty: {what}"))
        .with_hint("restore the checkpoint folder, or empty the targets and run `aqueduct checkpoint reset`")
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHAPE: FlowShape = FlowShape { exact: true, stateless: true };

    fn positions(row: u64) -> Positions {
        Positions::from([("src".to_owned(), Position::single("", row.into()))])
    }

    fn record(epoch: u64) -> Record {
        Record { epoch: Epoch(epoch), token: Token(3), positions: positions(epoch * 10), ..Record::default() }
    }

    fn sink(epoch: u64, token: u64) -> SinkReport {
        let cut = Cut { epoch: Epoch(epoch), positions: positions(epoch * 10) };
        SinkReport { transactional: true, recorded: Some(Recorded { token: Token(token), cut }) }
    }

    fn sinks(reports: &[(&str, SinkReport)]) -> BTreeMap<String, SinkReport> {
        reports.iter().map(|(task, report)| ((*task).to_owned(), report.clone())).collect()
    }

    #[test]
    fn a_first_start_begins_at_the_beginning() {
        let recovery = decide(None, Token(1), &sinks(&[("a", SinkReport::default())]), SHAPE).unwrap();
        assert_eq!(recovery.base, Cut::default());
        assert!(recovery.replay.is_none());
    }

    #[test]
    fn a_target_one_epoch_ahead_is_replayed_and_discards() {
        let found = sinks(&[("ahead", sink(8, 3)), ("level", sink(7, 3))]);
        let recovery = decide(Some(&record(7)), Token(4), &found, SHAPE).unwrap();
        assert_eq!(recovery.base.epoch, Epoch(7));
        assert_eq!(recovery.replay, Some(Cut { epoch: Epoch(8), positions: positions(80) }));
        assert_eq!(recovery.sinks["ahead"].discard.as_ref().map(|cut| cut.epoch), Some(Epoch(8)));
        assert_eq!(recovery.sinks["level"].discard, None);
        assert_eq!(recovery.sinks["level"].claim.cut.epoch, Epoch(7));
    }

    #[test]
    fn a_source_that_cannot_replay_exactly_overwrites_instead() {
        let recovery =
            decide(Some(&record(7)), Token(4), &sinks(&[("ahead", sink(8, 3))]), FlowShape { exact: false, ..SHAPE })
                .unwrap();
        assert!(recovery.replay.is_none());
        assert_eq!(recovery.sinks["ahead"].claim.cut.epoch, Epoch(7));
    }

    #[test]
    fn copies_and_backups_are_refused() {
        let cases: &[(&str, SinkReport, &str)] =
            &[("two ahead", sink(9, 3), "checkpoint folder is older"), ("behind", sink(6, 3), "target is older")];
        for (name, report, expected) in cases {
            let error = decide(Some(&record(7)), Token(4), &sinks(&[("t", report.clone())]), SHAPE).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::State, "{name}");
            assert!(error.to_string().contains(expected), "{name}: {error}");
            assert!(error.hint().is_some(), "{name}");
        }
        let error = lowest_token(Some(&record(7)), Token(4), &sinks(&[("t", sink(7, 4))])).unwrap_err();
        assert!(error.to_string().contains("later start"), "{error}");
    }

    #[test]
    fn an_empty_folder_takes_the_targets_word_if_they_agree() {
        let agreed = sinks(&[("a", sink(7, 3)), ("b", sink(7, 3))]);
        assert_eq!(lowest_token(None, Token(1), &agreed).unwrap(), Token(4));
        let recovery = decide(None, Token(4), &agreed, SHAPE).unwrap();
        assert_eq!((recovery.base.epoch, recovery.rebuilt_from_targets), (Epoch(7), true));
        let stateful = FlowShape { stateless: false, ..SHAPE };
        assert!(decide(None, Token(4), &agreed, stateful).is_err());
        for other in [sink(6, 3), SinkReport { transactional: true, recorded: None }] {
            assert!(decide(None, Token(4), &sinks(&[("a", sink(7, 3)), ("b", other)]), SHAPE).is_err());
        }
    }

    #[test]
    fn targets_that_were_only_claimed_do_not_make_a_folder_lost() {
        assert!(!lost_folder(&sinks(&[("claimed", sink(1, 1)), ("open", SinkReport::default())])));
        assert!(lost_folder(&sinks(&[("written", sink(2, 1))])));
    }

    #[test]
    fn a_reset_ignores_what_the_targets_hold() {
        let reset = Record { reset: true, token: Token(4), positions: Positions::new(), ..record(9) };
        let recovery = decide(Some(&reset), Token(4), &sinks(&[("a", sink(3, 3))]), SHAPE).unwrap();
        assert_eq!(recovery.base, Cut { epoch: Epoch(9), positions: Positions::new() });
        assert!(recovery.replay.is_none());
        // A target that was written after the reset counts again.
        let begun = Record { reset: true, token: Token(4), ..record(10) };
        let recovery = decide(Some(&begun), Token(5), &sinks(&[("a", sink(11, 4)), ("b", sink(3, 3))]), SHAPE).unwrap();
        assert_eq!(recovery.replay.map(|cut| cut.epoch), Some(Epoch(11)));
        assert!(recovery.sinks["b"].discard.is_none());
    }

    #[test]
    fn a_logged_prepared_commit_is_rolled_forward() {
        let mut logged = record(7);
        logged.prepared.insert("files".into(), PreparedCommit("x".into()));
        let staged =
            SinkReport { transactional: false, recorded: Some(Recorded { token: Token(3), cut: Cut::default() }) };
        let recovery = decide(Some(&logged), Token(4), &sinks(&[("files", staged)]), SHAPE).unwrap();
        assert_eq!(recovery.sinks["files"].roll_forward, Some((Epoch(7), PreparedCommit("x".into()))));
    }
}
