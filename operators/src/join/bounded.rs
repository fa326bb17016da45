//! Joining two tables whole, at the end of their inputs.

use aqueduct_model::{
    Batch, Epoch, Error, ErrorKind, InputPort, Operator, OperatorContext, Output, Relation, RelationName, Result,
    SchemaChange, State,
};
use async_trait::async_trait;

use super::config::{JoinConfig, Kind};
use super::query::Layout;
use crate::sql::whole::{Input, Target, WholeQuery, Work, all_known, quoted};

/// A bounded join.
pub(super) struct Bounded {
    config: JoinConfig,
    task: String,
    started: Option<Started>,
}

struct Started {
    work: Work,
    left: String,
    right: String,
    /// A query over both tables, which says which they are.
    both: WholeQuery,
}

impl Bounded {
    pub(super) fn new(config: JoinConfig) -> Self {
        Self { config, task: String::new(), started: None }
    }

    fn started(&mut self) -> Result<&mut Started> {
        self.started.as_mut().ok_or_else(|| Error::bug("a join before open"))
    }

    /// Looks at the join as soon as both tables are known, so that a mistake does not come out at the end only.
    fn check(&mut self) -> Result<()> {
        let started = self.started.as_ref().ok_or_else(|| Error::bug("a join before open"))?;
        let tables = started.work.tables(&started.both, &self.config.columns)?;
        let known: Option<Vec<Input>> = tables.into_iter().map(|(_, input)| input).collect();
        match known {
            Some(tables) => started.query(&self.config, &tables)?.0.columns(&tables).map(drop),
            None => Ok(()),
        }
    }
}

impl Started {
    fn is_ours(&self, port: usize, relation: &Relation) -> Result<()> {
        let input = self.work.input(port);
        if self.both.names(relation.name(), input) {
            return Ok(());
        }
        let text =
            format!("rows of {} came by {input}, which is neither {} nor {}", relation.name(), self.left, self.right);
        Err(Error::config(text).with_setting("left").with_hint(
            "name the two tables: `left: orders`, `right: customers`; let others pass by with the task's `tables: […]`",
        ))
    }

    /// The query for these tables, and the key of its output.
    fn query(&self, config: &JoinConfig, tables: &[Input]) -> Result<(WholeQuery, Vec<String>)> {
        let [(left, _), (right, _)] = tables else { return Err(Error::bug("a join of other than two tables")) };
        let layout = Layout::new(config, (&self.left, left), (&self.right, right))?;
        Ok((WholeQuery::made(&layout.text, &[&self.left, &self.right])?, layout.key))
    }
}

#[async_trait]
impl Operator for Bounded {
    async fn open(&mut self, context: &OperatorContext, state: Option<State>) -> Result<()> {
        self.task.clone_from(&context.task);
        let side = |name: &Option<String>, port: usize, setting: &str| {
            name.clone().or_else(|| context.inputs.get(port).cloned()).ok_or_else(|| {
                Error::config(format!("there is no {setting} table")).with_setting(setting).with_hint(format!(
                    "name two inputs (`from: [orders, customers]`), or the table: `{setting}: customers`"
                ))
            })
        };
        let left = side(&self.config.left, 0, "left")?;
        let right = side(&self.config.right, 1, "right")?;
        let both = format!("select * from {}, {}", quoted(&left), quoted(&right));
        let both = WholeQuery::made(&both, &[&left, &right])?;
        let work = Work::open(context, state.as_ref(), self.config.memory)?;
        self.started = Some(Started { work, left, right, both });
        Ok(())
    }

    async fn process(&mut self, port: InputPort, batch: Batch, _out: &mut dyn Output) -> Result<()> {
        let started = self.started()?;
        started.is_ours(port.0, batch.relation())?;
        if started.work.keep(port.0, &batch, &|_| true)? { self.check() } else { Ok(()) }
    }

    async fn on_schema(&mut self, port: InputPort, change: SchemaChange, _out: &mut dyn Output) -> Result<()> {
        let started = self.started()?;
        started.is_ours(port.0, &change.relation)?;
        if started.work.follow(port.0, &change, &|_| true)? { self.check() } else { Ok(()) }
    }

    async fn snapshot(&mut self, _epoch: Epoch) -> Result<State> {
        self.started()?.work.snapshot()
    }

    async fn finish(&mut self, out: &mut dyn Output) -> Result<()> {
        let started = self.started.as_ref().ok_or_else(|| Error::bug("a join before open"))?;
        let tables = started.work.tables(&started.both, &self.config.columns)?;
        let name = RelationName::table(self.config.table.as_ref().unwrap_or(&self.task));
        let is_known: Vec<bool> = tables.iter().map(|(_, input)| input.is_some()).collect();
        let gives_none = match (self.config.kind, is_known.as_slice()) {
            (_, [false, false]) => true,
            (Kind::Inner | Kind::Semi, [left, right]) => !left || !right,
            (Kind::Left | Kind::Anti, [left, _]) => !left,
            (Kind::Right, [_, right]) => !right,
            _ => false,
        };
        if gives_none {
            return Ok(());
        }
        if let (Kind::Anti, [(_, Some((left, rows))), (_, None)]) = (self.config.kind, tables.as_slice()) {
            // Nothing came of the right table, so no row has a partner.
            let query = WholeQuery::made(&format!("select * from {}", quoted(&started.left)), &[&started.left])?;
            let key = self.config.key.clone();
            let key = key.unwrap_or_else(|| left.key_names().into_iter().map(str::to_owned).collect());
            let target = Target { name, key, version: 1 };
            return started.work.run(&query, vec![(left.clone(), rows.clone())], &target, out).await;
        }
        let tables = all_known(tables)?;
        let (query, key) = started.query(&self.config, &tables)?;
        let target = Target { name, key, version: 1 };
        let done = started.work.run(&query, tables, &target, out).await;
        done.map_err(|error| if error.kind() == ErrorKind::Config { error.with_setting("where") } else { error })
    }
}
