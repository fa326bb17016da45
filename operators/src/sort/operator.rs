//! `Sort` at work.

use aqueduct_model::{
    Batch, Cardinality, Change, ChangeSupport, Epoch, Error, InputPort, Operator, OperatorContext, OperatorPlugin,
    Output, OutputPort, PluginEntry, Properties, Relation, Result, SchemaChange, State, operator,
};
use async_trait::async_trait;

use super::config::{Settings, SortConfig};
use super::windowed::Windowed;
use crate::sql::whole::{Target, WholeQuery, Work};
use crate::window::Late;

/// The entry of `Sort`.
pub const ENTRY: PluginEntry = operator::<Plugin>();

struct Plugin;

impl OperatorPlugin for Plugin {
    const NAME: &'static str = "Sort";
    const SUMMARY: &'static str =
        "Gives rows in order, all of them or the first ones: at the end of the input, or window by window.";
    const NOTES: &'static str = include_str!("notes.md");
    const EXAMPLE: &'static str = include_str!("example.yaml");
    type Config = SortConfig;

    fn properties(config: &SortConfig) -> Properties {
        let mut outputs = vec!["out".to_owned()];
        outputs.extend((config.late == Late::Port).then(|| "late".to_owned()));
        Properties {
            inputs: (1, if config.until.is_some() { 1 } else { usize::MAX }),
            outputs,
            changes: ChangeSupport::AppendOnly,
            needs_end: config.until.is_none(),
            needs_event_time: config.until.is_some(),
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
        let settings = config.parse()?;
        Ok(match settings.until.clone() {
            Some(until) => Box::new(Windowed::new(settings, until)),
            None => Box::new(Sort { settings, work: None }),
        })
    }
}

struct Sort {
    settings: Settings,
    work: Option<Work>,
}

#[async_trait]
impl Operator for Sort {
    async fn open(&mut self, context: &OperatorContext, state: Option<State>) -> Result<()> {
        self.work = Some(Work::open(context, state.as_ref(), self.settings.memory)?);
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
        let Some(work) = &self.work else { return Err(Error::bug("a sort before open")) };
        for table in work.spool().tables() {
            let relation = table.relation();
            if table.num_rows() == 0 {
                continue;
            }
            let query = self.query(relation)?;
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

    fn query(&self, relation: &Relation) -> Result<WholeQuery> {
        let Settings { by, per, first, .. } = &self.settings;
        for column in per {
            relation.column(column).map_err(|error| error.with_setting("per"))?;
        }
        WholeQuery::sorted(relation, by, per, *first)
    }

    /// Looks at the order as soon as a table is known, so that a mistake does not come out at the end only.
    fn check(&self, relation: &std::sync::Arc<Relation>) -> Result<()> {
        let query = self.query(relation)?;
        let empty = crate::spool::View::empty(relation.columns().clone());
        query.columns(&[(relation.clone(), empty)]).map(drop).map_err(|error| error.with_setting("by"))
    }
}
