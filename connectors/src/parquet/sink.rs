//! `ParquetOutput`: the format half; folder, epochs and tables are the staged file sink's.

use std::fs::File;

use aqueduct_model::{Error, ErrorKind, Result};
use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, IntervalUnit, SchemaRef};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;

use super::sink_config::{ParquetCompression, ParquetOutputConfig};
use crate::staged_files::{FileFormat, FormatWriter, Refused, StagedFilesConfig, StagedSink};

/// A row group ends at this many encoded bytes: it is held in memory until then.
const ROW_GROUP_BYTES_MAX: usize = 64 << 20;

/// Makes the sink.
pub(super) fn sink(config: ParquetOutputConfig) -> StagedSink<ParquetFormat> {
    let compression = match config.compression {
        ParquetCompression::Zstd => Compression::ZSTD(ZstdLevel::default()),
        ParquetCompression::Snappy => Compression::SNAPPY,
        ParquetCompression::None => Compression::UNCOMPRESSED,
    };
    let properties = WriterProperties::builder()
        .set_compression(compression)
        .set_max_row_group_row_count(Some(config.row_group_rows))
        .set_max_row_group_bytes(Some(ROW_GROUP_BYTES_MAX))
        .set_created_by(concat!("aqueduct ", env!("CARGO_PKG_VERSION")).to_owned())
        .build();
    let staged = StagedFilesConfig {
        root: config.path,
        table: config.table,
        mode: config.mode,
        max_file_rows: config.max_file_rows,
    };
    StagedSink::new(ParquetFormat { properties }, staged)
}

pub(super) struct ParquetFormat {
    properties: WriterProperties,
}

impl FileFormat for ParquetFormat {
    fn extension(&self) -> &str {
        "parquet"
    }

    fn start(&self, file: File, columns: &SchemaRef) -> Result<Box<dyn FormatWriter>> {
        if let Some(field) = columns.fields().iter().find(|field| !has_place(field.data_type())) {
            return Err(Error::new(
                ErrorKind::Schema,
                format!("column {} of type {} has no place in a Parquet file", field.name(), field.data_type()),
            )
            .with_hint("cast or drop the column with a Mapping before this sink"));
        }
        let writer = ArrowWriter::try_new(file, columns.clone(), Some(self.properties.clone())).map_err(|error| {
            Error::new(ErrorKind::Schema, "the table has a column that Parquet cannot hold")
                .with_source(error)
                .with_hint("cast or drop the column with a Mapping before this sink")
        })?;
        Ok(Box::new(ParquetFileWriter { writer }))
    }
}

/// False for the types that the Parquet writer refuses only at the first row, or with a panic.
fn has_place(data_type: &DataType) -> bool {
    match data_type {
        DataType::Union(..) | DataType::RunEndEncoded(..) | DataType::Interval(IntervalUnit::MonthDayNano) => false,
        DataType::List(item)
        | DataType::LargeList(item)
        | DataType::ListView(item)
        | DataType::LargeListView(item)
        | DataType::FixedSizeList(item, _)
        | DataType::Map(item, _) => has_place(item.data_type()),
        DataType::Struct(fields) => fields.iter().all(|field| has_place(field.data_type())),
        DataType::Dictionary(_, values) => has_place(values),
        _ => true,
    }
}

struct ParquetFileWriter {
    writer: ArrowWriter<File>,
}

impl FormatWriter for ParquetFileWriter {
    fn write(&mut self, rows: &RecordBatch) -> Result<Vec<Refused>> {
        self.writer.write(rows).map_err(|error| write_error("cannot write rows to a Parquet file", error))?;
        Ok(Vec::new())
    }

    fn buffered_bytes(&self) -> usize {
        self.writer.memory_size()
    }

    fn spill(&mut self) -> Result<()> {
        self.writer.flush().map_err(|error| write_error("cannot write a row group", error))
    }

    fn finish(self: Box<Self>) -> Result<File> {
        self.writer.into_inner().map_err(|error| write_error("cannot end a Parquet file", error))
    }
}

/// A failing disk is worth another try, everything else is not.
fn write_error(doing: &str, error: ParquetError) -> Error {
    let kind = match &error {
        ParquetError::External(cause) if cause.is::<std::io::Error>() => ErrorKind::Unavailable,
        _ => ErrorKind::Bug,
    };
    Error::new(kind, doing).with_source(error)
}
