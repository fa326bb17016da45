//! `CSVOutput`: the format half; folder, epochs and tables are the staged file sink's.

use std::fs::File;
use std::io::{self, BufWriter, Write};

use aqueduct_model::{
    ChangeSupport, Delivery, Error, ErrorKind, PluginEntry, Properties, Result, Sink, SinkPlugin, sink,
};
use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use flate2::write::GzEncoder;

use super::sink_config::{CsvOutputConfig, Encoding, FileCompression};
use super::sink_encode::{Cells, Shown, Style, quoted};
use crate::staged_files::{FileFormat, FormatWriter, Mode, Refused, StagedFilesConfig, StagedSink};

/// `CSVOutput` in the catalogue.
pub const OUTPUT: PluginEntry = sink::<CsvOutput>();

/// Bytes between the encoder and the file.
const BUFFER_BYTES: usize = 256 << 10;
const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

struct CsvOutput;

impl SinkPlugin for CsvOutput {
    const NAME: &'static str = "CSVOutput";
    const SUMMARY: &'static str =
        "Writes CSV files, a folder per table: appended rows or a changelog, exactly once for readers of its manifest.";
    const NOTES: &'static str = include_str!("sink_notes.md");
    const EXAMPLE: &'static str = include_str!("sink_example.yaml");
    type Config = CsvOutputConfig;

    fn properties(config: &CsvOutputConfig) -> Properties {
        Properties {
            blocking: true,
            delivery: Delivery::ExactlyOnce,
            changes: match config.mode {
                Mode::Append => ChangeSupport::AppendOnly,
                Mode::Changelog => ChangeSupport::Changes,
            },
            ..Properties::sink()
        }
    }

    fn validate(config: &CsvOutputConfig) -> Result<()> {
        config.validate()
    }

    fn build(config: CsvOutputConfig) -> Result<Box<dyn Sink>> {
        Ok(Box::new(csv_sink(config)?))
    }
}

/// Makes the sink.
pub(super) fn csv_sink(config: CsvOutputConfig) -> Result<StagedSink<CsvFormat>> {
    let format = CsvFormat {
        style: Style::new(&config)?,
        header: config.header,
        encoding: config.encoding,
        compression: config.compression,
    };
    let staged = StagedFilesConfig {
        root: config.path,
        table: config.table,
        mode: config.mode,
        max_file_rows: config.max_file_rows,
    };
    Ok(StagedSink::new(format, staged))
}

pub(super) struct CsvFormat {
    style: Style,
    header: bool,
    encoding: Encoding,
    compression: FileCompression,
}

impl FileFormat for CsvFormat {
    fn extension(&self) -> &str {
        match self.compression {
            FileCompression::None => "csv",
            FileCompression::Gzip => "csv.gz",
            FileCompression::Zstd => "csv.zst",
        }
    }

    fn start(&self, file: File, columns: &SchemaRef) -> Result<Box<dyn FormatWriter>> {
        for field in columns.fields() {
            if field.data_type().is_nested() {
                return Err(Error::new(
                    ErrorKind::Schema,
                    format!("column {} of type {} has no place in a CSV cell", field.name(), field.data_type()),
                )
                .with_hint("turn it into a text with a Mapping or SQL before this sink, or write Parquet"));
            }
        }
        let file = BufWriter::with_capacity(BUFFER_BYTES, file);
        let mut target = match self.compression {
            FileCompression::None => Target::Plain(file),
            FileCompression::Gzip => Target::Gzip(GzEncoder::new(file, flate2::Compression::default())),
            FileCompression::Zstd => {
                let level = zstd::DEFAULT_COMPRESSION_LEVEL;
                Target::Zstd(zstd::Encoder::new(file, level).map_err(write_error)?)
            }
        };
        let mut start = Vec::new();
        if self.encoding == Encoding::Utf8Bom {
            start.extend_from_slice(BYTE_ORDER_MARK);
        }
        if self.header {
            for (i, field) in columns.fields().iter().enumerate() {
                if i > 0 {
                    start.push(self.style.delimiter);
                }
                quoted(&mut start, field.name(), &self.style);
            }
            start.extend_from_slice(self.style.line_ending);
        }
        target.write_all(&start).map_err(write_error)?;
        Ok(Box::new(CsvFileWriter { target, style: self.style.clone(), lines: Vec::new() }))
    }
}

struct CsvFileWriter {
    target: Target,
    style: Style,
    /// The lines of one batch; kept for its capacity.
    lines: Vec<u8>,
}

impl FormatWriter for CsvFileWriter {
    fn write(&mut self, rows: &RecordBatch) -> Result<Vec<Refused>> {
        let shown = Shown::new(rows)?;
        let cells = Cells::new(&shown, &self.style)?;
        let mut refused = Vec::new();
        self.lines.clear();
        for row in 0..rows.num_rows() {
            let start = self.lines.len();
            if let Err(column) = cells.write(row, &mut self.lines) {
                self.lines.truncate(start);
                let name = rows.schema_ref().field(column).name().clone();
                refused
                    .push(Refused { row, reason: format!("the value of column {name} cannot be written as a text") });
            }
        }
        self.target.write_all(&self.lines).map_err(write_error)?;
        Ok(refused)
    }

    fn buffered_bytes(&self) -> usize {
        self.lines.capacity() + BUFFER_BYTES
    }

    fn spill(&mut self) -> Result<()> {
        self.lines = Vec::new();
        Ok(())
    }

    fn finish(self: Box<Self>) -> Result<File> {
        let file = match self.target {
            Target::Plain(file) => file,
            Target::Gzip(encoder) => encoder.finish().map_err(write_error)?,
            Target::Zstd(encoder) => encoder.finish().map_err(write_error)?,
        };
        file.into_inner().map_err(|error| write_error(error.into_error()))
    }
}

enum Target {
    Plain(BufWriter<File>),
    Gzip(GzEncoder<BufWriter<File>>),
    Zstd(zstd::Encoder<'static, BufWriter<File>>),
}

impl Write for Target {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(target) => target.write(bytes),
            Self::Gzip(target) => target.write(bytes),
            Self::Zstd(target) => target.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(target) => target.flush(),
            Self::Gzip(target) => target.flush(),
            Self::Zstd(target) => target.flush(),
        }
    }
}

fn write_error(error: io::Error) -> Error {
    Error::new(ErrorKind::Unavailable, "cannot write to a CSV file").with_source(error)
}
