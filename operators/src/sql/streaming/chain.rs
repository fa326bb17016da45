//! Operators one behind the other, as one.

use aqueduct_model::{
    BadRow, Batch, Epoch, Error, ErrorKind, InputPort, Operator, OperatorContext, Output, OutputPort, Result,
    SchemaChange, State, Watermark,
};
use async_trait::async_trait;

/// The length of a stage's state stands in front of it in so many bytes.
const LENGTH_BYTES: usize = 8;

/// See the module.
pub(super) struct Chain(pub(super) Vec<Box<dyn Operator>>);

/// The stages behind one, and what is behind them all.
struct Onward<'a> {
    stages: &'a mut [Box<dyn Operator>],
    out: &'a mut dyn Output,
}

#[async_trait]
impl Output for Onward<'_> {
    async fn emit(&mut self, _port: OutputPort, batch: Batch) -> Result<()> {
        match self.stages.split_first_mut() {
            Some((next, stages)) => {
                next.process(InputPort(0), batch, &mut Onward { stages, out: &mut *self.out }).await
            }
            None => self.out.emit(OutputPort::MAIN, batch).await,
        }
    }

    async fn announce(&mut self, _port: OutputPort, change: SchemaChange) -> Result<()> {
        match self.stages.split_first_mut() {
            Some((next, stages)) => {
                next.on_schema(InputPort(0), change, &mut Onward { stages, out: &mut *self.out }).await
            }
            None => self.out.announce(OutputPort::MAIN, change).await,
        }
    }

    fn reject(&mut self, row: BadRow) -> Result<()> {
        self.out.reject(row)
    }
}

#[async_trait]
impl Operator for Chain {
    async fn open(&mut self, context: &OperatorContext, state: Option<State>) -> Result<()> {
        let mut states = state.as_ref().map(|state| state.0.as_slice());
        for (i, stage) in self.0.iter_mut().enumerate() {
            let mut context = context.clone();
            context.state_dir = context.state_dir.map(|folder| folder.join(i.to_string()));
            let state = states.as_mut().map(take).transpose()?;
            stage.open(&context, state).await?;
        }
        Ok(())
    }

    async fn process(&mut self, _port: InputPort, batch: Batch, out: &mut dyn Output) -> Result<()> {
        Onward { stages: &mut self.0, out }.emit(OutputPort::MAIN, batch).await
    }

    async fn on_schema(&mut self, _port: InputPort, change: SchemaChange, out: &mut dyn Output) -> Result<()> {
        Onward { stages: &mut self.0, out }.announce(OutputPort::MAIN, change).await
    }

    async fn on_watermark(&mut self, watermark: Watermark, out: &mut dyn Output) -> Result<Option<Watermark>> {
        let mut watermark = watermark;
        let mut stages = self.0.as_mut_slice();
        while let Some((stage, behind)) = std::mem::take(&mut stages).split_first_mut() {
            let mut onward = Onward { stages: &mut *behind, out: &mut *out };
            match stage.on_watermark(watermark, &mut onward).await? {
                Some(passed) => watermark = passed,
                None => return Ok(None),
            }
            stages = behind;
        }
        Ok(Some(watermark))
    }

    async fn snapshot(&mut self, epoch: Epoch) -> Result<State> {
        let mut bytes = Vec::new();
        for stage in &mut self.0 {
            let State(state) = stage.snapshot(epoch).await?;
            bytes.extend((state.len() as u64).to_le_bytes());
            bytes.extend(state);
        }
        Ok(State(bytes))
    }

    async fn finish(&mut self, out: &mut dyn Output) -> Result<()> {
        let mut stages = self.0.as_mut_slice();
        while let Some((stage, behind)) = std::mem::take(&mut stages).split_first_mut() {
            stage.finish(&mut Onward { stages: &mut *behind, out: &mut *out }).await?;
            stages = behind;
        }
        Ok(())
    }
}

/// The state of the next stage, from the front.
fn take(states: &mut &[u8]) -> Result<State> {
    let mut next = || {
        let (length, rest) = states.split_at_checked(LENGTH_BYTES)?;
        let length = usize::try_from(u64::from_le_bytes(length.try_into().ok()?)).ok()?;
        let (state, rest) = rest.split_at_checked(length)?;
        *states = rest;
        Some(State(state.to_vec()))
    };
    next().ok_or_else(|| Error::new(ErrorKind::State, "the kept state is not that of this query"))
}
