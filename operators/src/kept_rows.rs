//! Rows as text, in an operator's state.

use std::io::Cursor;

use aqueduct_model::{Error, ErrorKind, Result};
use arrow::array::RecordBatch;
use arrow::compute::concat_batches;
use arrow::ipc::reader::StreamReader;
use arrow::ipc::writer::StreamWriter;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// Writes rows, with the names and types of their columns: Arrow's IPC stream, in base 64 because states are JSON.
pub(crate) fn write(rows: &RecordBatch) -> Result<String> {
    let failed = |error| Error::bug("cannot write the rows of a state").with_source(error);
    let mut bytes = Vec::new();
    let mut writer = StreamWriter::try_new(&mut bytes, rows.schema_ref()).map_err(failed)?;
    writer.write(rows).map_err(failed)?;
    writer.finish().map_err(failed)?;
    drop(writer);
    Ok(STANDARD.encode(bytes))
}

/// Reads what [`write`] wrote.
///
/// # Errors
/// `State` when it did not.
pub(crate) fn read(text: &str) -> Result<RecordBatch> {
    let failed = || Error::new(ErrorKind::State, "cannot read the rows of a state");
    let bytes = STANDARD.decode(text).map_err(|error| failed().with_source(error))?;
    let reader = StreamReader::try_new(Cursor::new(bytes), None).map_err(|error| failed().with_source(error))?;
    let columns = reader.schema();
    let parts = reader.collect::<Result<Vec<_>, _>>().map_err(|error| failed().with_source(error))?;
    concat_batches(&columns, &parts).map_err(|error| failed().with_source(error))
}
