//! `Sort` at work.

use aqueduct_model::{
    Batch, Cardinality, Change, ChangeSupport, Epoch, Error, InputPort, Operator, OperatorContext, OperatorPlugin,
    Output, OutputPort, PluginEntry, Properties, Relation, Result, SchemaChange, State, operator,
};
use async_trait::async_trait;

use super::config::SortConfig;
use crate::sql::whole::{SortKey, Target, WholeQuery, Work};

/// The entry of `Sort`.
pub const ENTRY: PluginEntry = operator::<Plugin>();

struct Plugin;

impl OperatorPlugin for Plugin {
    const NAME: &'static str = "Sort";
    const SUMMARY: &'static str = "Gives the rows of a bounded input in order, all of them or the first ones.";
    const NOTES: &'static str = include_str!("notes.md");
    const EXAMPLE: &'static str = include_str!("example.yaml");
    type Config = SortConfig;

    fn properties(_: &SortConfig) -> Properties {
        Properties {
            inputs: (1, usize::MAX),
            changes: ChangeSupport::AppendOnly,
            needs_end: true,
            stateful: true,
            blocking: true,
            cardinality: Cardinality::Any,
            ..Properties::operator()
        }
    }

    fn validate(config: &SortConfig) -> Result<()> {
        config.parse().map(drop)
    }

    fn build(config: SortConfig) -> Result<Box<dyn Operator>> {
        Ok(Box::new(Sort { by: config.parse()?, config, work: None }))
    }
}

struct Sort {
    by: Vec<SortKey>,
    config: SortConfig,
    work: Option<Work>,
}

#[async_trait]
impl Operator for Sort {
    async fn open(&mut self, context: &OperatorContext, state: Option<State>) -> Result<()> {
        self.work = Some(Work::open(context, state.as_ref(), self.config.memory)?);
        Ok(())
    }

    async fn process(&mut self, _port: InputPort, batch: Batch, _out: &mut dyn Output) -> Result<()> {
        // Rows of one table that come by several inputs are one table.
        if self.opened()?.keep(0, &batch, &|_| true)? { self.check(batch.relation()) } else { Ok(()) }
    }

    async fn on_schema(&mut self, _port: InputPort, change: SchemaChange, out: &mut dyn Output) -> Result<()> {
        self.opened()?.follow(0, &change, &|_| true)?;
        match change.change {
            Change::CreateTable | Change::DropTable | Change::Truncate => out.announce(OutputPort::MAIN, change).await,
            // Rows come out with the columns that they have at the end.
            _ => Ok(()),
        }
    }

    async fn snapshot(&mut self, _epoch: Epoch) -> Result<State> {
        self.opened()?.snapshot()
    }

    async fn finish(&mut self, out: &mut dyn Output) -> Result<()> {
        let limit = self.config.limit;
        let Some(work) = &self.work else { return Err(Error::bug("a sort before open")) };
        for table in work.spool().tables() {
            let relation = table.relation();
            if table.num_rows() == 0 {
                continue;
            }
            let query = WholeQuery::sorted(relation, &self.by, limit)?;
            let target = Target {
                name: relation.name().clone(),
                key: relation.key_names().into_iter().map(str::to_owned).collect(),
                version: relation.version(),
            };
            let rows = vec![(relation.clone(), work.spool().view(table))];
            work.run(&query, rows, &target, out).await.map_err(|error| error.with_setting("by"))?;
        }
        Ok(())
    }
}

impl Sort {
    fn opened(&mut self) -> Result<&mut Work> {
        self.work.as_mut().ok_or_else(|| Error::bug("a sort before open"))
    }

    /// Looks at the order as soon as a table is known, so that a mistake does not come out at the end only.
    fn check(&self, relation: &std::sync::Arc<Relation>) -> Result<()> {
        let query = WholeQuery::sorted(relation, &self.by, self.config.limit)?;
        let empty = crate::spool::View::empty(relation.columns().clone());
        query.columns(&[(relation.clone(), empty)]).map(drop).map_err(|error| error.with_setting("by"))
    }
}
