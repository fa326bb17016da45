//! The beginning of a run: where to go on, and every task started there.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use aqueduct_checkpoint::Record;
use aqueduct_model::{Epoch, Error, PluginKind, Result, Token};
use tracing::{info, warn};

use super::super::epoch::{EpochOrder, EpochUnderWay};
use super::super::operator_task::stored_state;
use super::super::protocol::{Command, Event};
use super::super::recovery::{FlowShape, Recovery, SinkReport, decide, lost_folder, lowest_token};
use super::super::task_line::TaskLine;
use super::{Coordinator, Run, next_event};

impl Coordinator {
    /// Opens the targets, decides where to go on, and starts every task there.
    pub(super) async fn recover(&mut self) -> Result<Run> {
        self.status.send_modify(|status| status.ready = false);
        let record = self.store.load()?;
        let token = self.store.next_token()?;
        let sinks = self.collect_sinks().await?;
        let lowest = lowest_token(record.as_ref(), token, &sinks)?;
        let token = if lowest > token {
            self.store.raise_token(lowest)?;
            lowest
        } else {
            token
        };
        let shape = FlowShape {
            exact: self.tasks.iter().all(|task| task.replays_exactly),
            stateless: !self.tasks.iter().any(|task| task.stateful),
        };
        let begun = match &record {
            Some(record) => !(record.reset && record.positions.is_empty()),
            None => lost_folder(&sinks),
        };
        if !begun {
            let record = self.begin_anew(record.as_ref(), token).await?;
            return self.start(Some(&record), token, &sinks, shape, false).await;
        }
        self.start(record.as_ref(), token, &sinks, shape, true).await
    }

    /// The first start of a flow, or the first after a reset: opens the sources and logs where they begin, before any
    /// target is claimed. A crash in the first epoch then replays from there, and not from a newer beginning.
    async fn begin_anew(&mut self, reset: Option<&Record>, token: Token) -> Result<Record> {
        self.start_readers(None, &Recovery::default()).await?;
        let mut record = Record {
            epoch: reset.map_or(Epoch(0), |reset| reset.epoch).next(),
            token,
            reset: reset.is_some(),
            ..Record::default()
        };
        let begins = |task: &TaskLine| task.kind == PluginKind::Source && task.turn == 0;
        let mut waiting = self.tasks.iter().filter(|task| begins(task)).count();
        let mut early = VecDeque::new();
        while waiting > 0 {
            let (task, event) = self.next_event().await?;
            if let (Event::Ready { position }, true) = (&event, begins(&self.tasks[task])) {
                let id = self.tasks[task].id.clone();
                let position =
                    position.clone().ok_or_else(|| Error::bug(format!("source {id} opened inside a transaction")))?;
                record.positions.insert(id, position);
                waiting -= 1;
            }
            early.push_back((task, event));
        }
        self.write(&record)?;
        self.early = early;
        Ok(record)
    }

    /// Claims the targets and, unless they were started before, the readers.
    async fn start(
        &mut self,
        record: Option<&Record>,
        token: Token,
        sinks: &BTreeMap<String, SinkReport>,
        shape: FlowShape,
        start_readers: bool,
    ) -> Result<Run> {
        let recovery = decide(record, token, sinks, shape)?;
        if recovery.rebuilt_from_targets {
            warn!(
                epoch = recovery.base.epoch.0,
                "the checkpoint folder was empty; going on from what the targets recorded"
            );
        }
        self.dead_letters.roll_back(recovery.base.epoch)?;
        let reset = record.is_some_and(|record| record.reset);
        self.receipts.open(recovery.base.epoch, &recovery.base.positions, reset)?;
        self.start_sinks(&recovery).await?;
        let under_way = if start_readers { self.start_readers(record, &recovery).await? } else { None };
        info!(epoch = recovery.base.epoch.0, token = token.0, replay = under_way.is_some(), "flow started");
        let order = EpochOrder::at(recovery.base.epoch);
        self.status.send_modify(|status| status.epoch = recovery.base.epoch);
        let ready = BTreeSet::new();
        Ok(Run {
            token,
            order,
            under_way,
            finished: BTreeSet::new(),
            at_end: BTreeSet::new(),
            lingering: BTreeSet::new(),
            changes_seen: None,
            ready,
            turn: 0,
            ends_turn: None,
        })
    }

    /// Waits until every sink has connected.
    async fn collect_sinks(&mut self) -> Result<BTreeMap<String, SinkReport>> {
        let expected = self.tasks.iter().filter(|task| task.kind == PluginKind::Sink).count();
        let mut sinks = BTreeMap::new();
        while sinks.len() < expected {
            let (task, event) = self.next_event().await?;
            let Event::Opened { recorded } = event else {
                return Err(Error::bug(format!("task {} spoke before the sinks were open", self.tasks[task].id)));
            };
            let transactional = self.tasks[task].transactional;
            sinks.insert(self.tasks[task].id.clone(), SinkReport { transactional, recorded });
        }
        Ok(sinks)
    }

    async fn next_event(&mut self) -> Result<(usize, Event)> {
        next_event(&mut self.early, &mut self.events, &mut self.cancel).await
    }

    async fn start_sinks(&mut self, recovery: &Recovery) -> Result<()> {
        let mut waiting = 0;
        for task in self.tasks.iter().filter(|task| task.kind == PluginKind::Sink) {
            let start = recovery.sinks.get(&task.id).ok_or_else(|| Error::bug("a sink was not decided about"))?;
            let command = Command::Claim {
                claim: start.claim.clone(),
                roll_forward: start.roll_forward.clone(),
                discard: start.discard.clone(),
            };
            task.send(command).await?;
            waiting += 1;
        }
        // Readers may have been started already; what they say is heard later.
        let mut early = VecDeque::new();
        while waiting > 0 {
            let (task, event) = self.next_event().await?;
            match (&event, self.tasks[task].kind) {
                (Event::Ready { .. }, PluginKind::Sink) => waiting -= 1,
                _ => early.push_back((task, event)),
            }
        }
        self.early = early;
        Ok(())
    }

    /// Starts operators and sources; returns the replayed epoch, if there is one.
    async fn start_readers(&mut self, record: Option<&Record>, recovery: &Recovery) -> Result<Option<EpochUnderWay>> {
        let replay = recovery.replay.as_ref();
        // What a flow kept that came to its end, or that begins anew, says nothing.
        let stored = record.filter(|record| !record.reset && !record.finished);
        for task in &self.tasks {
            match task.kind {
                PluginKind::Operator => {
                    let (state, finished) = match stored.and_then(|record| record.states.get(&task.id)) {
                        Some(stored) => stored_state(stored)?,
                        None => (None, false),
                    };
                    task.send(Command::StartOperator { state, finished }).await?;
                }
                PluginKind::Source => {
                    let resume = recovery.base.positions.get(&task.id).cloned();
                    let edge = replay.and_then(|cut| Some((cut.epoch, cut.positions.get(&task.id)?.clone())));
                    let asked = edge.is_some();
                    let waits = task.turn > 0 && !asked;
                    let ended = resume.is_some() && stored.is_some_and(|record| record.ended.contains(&task.id));
                    task.send(Command::StartSource { resume, replay: edge, waits, ended }).await?;
                    if let (Some(cut), false) = (replay, asked) {
                        task.send(Command::Barrier { epoch: cut.epoch, stop: false }).await?;
                    }
                }
                PluginKind::Sink => {}
            }
        }
        Ok(replay.map(|cut| EpochUnderWay::new(cut.epoch, false, false, (0..self.tasks.len()).collect())))
    }
}
