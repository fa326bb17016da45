//! How a capture begins, or goes on from a position.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use aqueduct_model::{Error, ErrorKind, Position, Relation, RelationName, Result};

use super::ahead::Ahead;
use super::chunks::Chunks;
use super::disk::Disk;
use super::found::{Found, with_version};
use super::journal::Journal;
use super::left::Left;
use super::position::{Phase, ShapeId, State, TableState};
use super::progress::Progress;
use super::readers::Readers;
use super::settings::CaptureSettings;
use super::shapes::{Shapes, digest};
use super::table::Table;
use super::work::{Lane, Work};
use super::{System, TableInfo};
use crate::cdc::SnapshotMode;

/// How often tables are described until two descriptions agree: DDL may go on meanwhile.
const DESCRIPTIONS_MAX: usize = 20;

/// The tables, and a place in the log at which they were like that: described before and after it alike.
pub(super) async fn described<S: System>(system: &mut S) -> Result<(Vec<TableInfo>, S::Mark)> {
    let outline = |infos: &[TableInfo]| -> Vec<(RelationName, String)> {
        infos.iter().map(|info| (info.relation.name().clone(), digest(&info.relation))).collect()
    };
    let mut before = system.tables().await?;
    for _ in 0..DESCRIPTIONS_MAX {
        let mark = system.end_of_log().await?;
        let after = system.tables().await?;
        if outline(&before) == outline(&after) {
            return Ok((after, mark));
        }
        before = after;
    }
    Err(Error::new(ErrorKind::Unavailable, "tables change faster than they can be described"))
}

impl<S: System> Work<S> {
    /// Connects, and begins or goes on.
    pub(super) async fn open(
        mut system: S,
        settings: Arc<CaptureSettings>,
        disk: Arc<dyn Disk>,
        resume: Option<&Position>,
    ) -> Result<Self> {
        let resume = resume.filter(|position| !position.0.is_empty()).map(State::parse).transpose()?;
        system.connect().await?;
        let readers = Readers::new(settings.chunk_rows, settings.max_source_load);
        let (state, found) = match resume {
            Some(state) => (state, None),
            None => {
                for file in disk.list().await? {
                    disk.remove(&file).await?;
                }
                let (new, at) = described(&mut system).await?;
                let state = State { log: at.clone(), entry: 0, done: 0, left: 0, tables: BTreeMap::new() };
                let snapshot = settings.snapshot != SnapshotMode::Never;
                (state, Some(Found { at, new, remade: Vec::new(), gone: Vec::new(), snapshot }))
            }
        };
        let mut work = Self {
            journal: Journal::new(disk.clone()),
            shapes: Shapes::new(disk.clone()),
            left: Left::new(disk.clone()),
            settings,
            system,
            disk,
            state,
            tables: BTreeMap::new(),
            out: VecDeque::new(),
            inside: false,
            lane: Lane::Main,
            log_since: 0,
            handing: None,
            limit: None,
            chunks: Chunks::new(),
            readers,
            edges: None,
            judge: None,
            live: false,
            ahead: Ahead::Nothing,
            found,
            created: Vec::new(),
            todo: VecDeque::new(),
            edges_wait: None,
            looked_at: None,
            progress: Progress::new(),
            target: None,
        };
        work.left.load(work.state.left).await?;
        work.load_shapes().await?;
        if let Some(found) = &work.found {
            // The tables are those of this very place: nothing of them is missed, whatever is read of them.
            let relations: Vec<Arc<Relation>> = found.new.iter().map(|info| info.relation.clone()).collect();
            work.system.start(&found.at, &relations).await?;
        } else {
            work.start().await?;
        }
        Ok(work)
    }

    /// Streams from the position on; where that is lost, all is to be read anew, if that is the policy.
    pub(super) async fn start(&mut self) -> Result<()> {
        self.lane = Lane::Main;
        match self.system.start(&self.state.log, &self.streamed_tables()).await {
            Err(error) if error.kind() == ErrorKind::LostPosition && self.settings.resnapshots() => {
                self.position_is_lost(&error);
                Ok(())
            }
            other => other,
        }
    }

    /// What lies ahead in the journal, or was found in the log, was to come behind what is lost.
    pub(super) fn position_is_lost(&mut self, error: &Error) {
        tracing::warn!(error = error.chain(), "the position is lost");
        (self.lane, self.found) = (Lane::Lost, None);
        self.ahead_is_stale();
    }

    /// The columns of every table of the position, as they were there.
    async fn load_shapes(&mut self) -> Result<()> {
        let mut today: Option<Vec<TableInfo>> = None;
        for (name, TableState { shape, shown_as, .. }) in self.state.tables.clone() {
            let source = match self.shapes.load(&name, &shape).await? {
                Some(source) => source,
                None => {
                    if today.is_none() {
                        today = Some(self.system.tables().await?);
                    }
                    let source = unchanged(&name, &shape, today.as_deref().unwrap_or_default())?;
                    self.shapes.keep(&source).await?;
                    source
                }
            };
            let shown = match shown_as {
                None => source.clone(),
                Some(id) => self.shapes.load(&name, &id).await?.ok_or_else(|| shape_is_gone(&name))?,
            };
            self.tables.insert(name, Table { source, shown });
        }
        Ok(())
    }

    /// Everything before the position is durable: the server may forget it, and so may we.
    pub(super) async fn durable(&mut self, position: &Position) -> Result<()> {
        let state: State<S::Mark> = State::parse(position)?;
        let mut mark = state.log.clone();
        for table in state.tables.values() {
            if let Phase::Parked { at, .. } | Phase::CatchUp { at, .. } = &table.phase
                && self.system.reached(&mark, at)
            {
                mark = at.clone();
            }
        }
        let waits = |phase: &Phase<S::Mark>| matches!(phase, Phase::Parked { .. } | Phase::Failed { .. });
        let settled = state.tables.iter().filter(|(_, table)| !waits(&table.phase)).map(|(name, _)| name);
        for name in super::approval::approved(self.disk.as_ref(), settled).await? {
            if self.state.tables.get(&name).is_some_and(|table| !waits(&table.phase)) {
                super::approval::settled(self.disk.as_ref(), &name).await?;
            }
        }
        self.journal.prune(state.entry).await?;
        if self.live && self.handing.is_none() && state.done == 0 && !self.shapes.is_tidy() {
            let (durable, current) = (named(&state), named(&self.state));
            self.shapes.prune(&durable, &current).await?;
        }
        if self.lane != Lane::Lost && state.entry >= self.log_since {
            fail::fail_point!("cdc.durable_before");
            self.system.durable(&mark).await?;
        }
        Ok(())
    }
}

fn named<M: super::Mark>(state: &State<M>) -> BTreeMap<RelationName, Vec<ShapeId>> {
    let shapes = |table: &TableState<M>| std::iter::once(table.shape.clone()).chain(table.shown_as.clone()).collect();
    state.tables.iter().map(|(name, table)| (name.clone(), shapes(table))).collect()
}

/// The table as it is today, when that is the shape that is wanted.
fn unchanged(name: &RelationName, shape: &ShapeId, today: &[TableInfo]) -> Result<Arc<Relation>> {
    let info = today.iter().find(|info| info.relation.name() == name);
    match info.filter(|info| digest(&info.relation) == shape.digest) {
        Some(info) => with_version(&info.relation, shape.version),
        None => Err(shape_is_gone(name)),
    }
}

/// The columns of a table at the position are not known any more.
pub(super) fn shape_is_gone(name: &RelationName) -> Error {
    let text =
        format!("which columns {name} had at the recorded position is not known any more, and they changed since");
    Error::new(ErrorKind::LostPosition, text).with_setting("on_lost_position").with_hint(
        "restore the checkpoint folder with its `sources` folder, or start over with `aqueduct checkpoint reset`",
    )
}
