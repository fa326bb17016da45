//! The tables seen so far, and how a file becomes part of one.

use std::collections::BTreeMap;
use std::sync::Arc;

use aqueduct_model::Result;

use super::config::CsvInputConfig;
use super::dialect::Dialect;
use super::layout::{Layout, Table, names_of_header, needs_inference, typed_columns};
use crate::text_files::{
    CellRules, FileSettings, Guess, Limits, Opened, Progress, Reader, Shape, Taken, TextFile, TextFormat, decode,
    open_file, stem,
};

/// Text that is tokenised at once while types are inferred.
const INFER_BYTES: usize = 4 << 20;

/// Makes readers for files.
pub(super) struct Tables {
    config: CsvInputConfig,
    rules: CellRules,
    dialect: Dialect,
    files: FileSettings,
    known: BTreeMap<String, Arc<Table>>,
}

impl Tables {
    /// No tables yet.
    ///
    /// # Errors
    /// `Config` as [`CsvInputConfig::validate`].
    pub(super) fn new(config: CsvInputConfig) -> Result<Self> {
        config.validate()?;
        Ok(Self {
            dialect: Dialect::new(&config)?,
            files: config.files()?,
            rules: CellRules {
                null_values: config.null_values.clone(),
                trim: config.trim,
                quoted_is_value: false,
                number_is_moment: false,
            },
            known: BTreeMap::new(),
            config,
        })
    }

    /// Limits for reading a few records.
    fn few(&self, rows: usize, width: Option<usize>) -> Limits {
        Limits {
            rows,
            bytes: INFER_BYTES,
            until: None,
            last: !self.config.watch,
            width,
            line_bytes: self.files.max_line_bytes,
        }
    }

    fn reader(&self, path: &str) -> Result<Reader<Dialect>> {
        let text = TextFile::new(path, open_file(path)?, self.files.format)?;
        Ok(Reader::new(path, self.dialect.clone(), text))
    }

    fn table(
        &mut self,
        name: &str,
        path: &str,
        header: Option<&[String]>,
        progress: &mut Progress,
    ) -> Result<Option<Arc<Table>>> {
        if let Some(known) = self.known.get(name) {
            return Ok(Some(known.clone()));
        }
        let columns = match progress.columns(name)? {
            Some(columns) => columns,
            None => {
                let header = match header {
                    Some(header) => header.to_vec(),
                    None => match self.names_without_header(path)? {
                        Some(names) => names,
                        None => return Ok(None),
                    },
                };
                let infer = needs_inference(&header, &self.config);
                let inferred = if infer {
                    let Some(guesses) = self.infer(path, header.len())? else { return Ok(None) };
                    Some(guesses.into_iter().map(Guess::data_type).collect())
                } else {
                    None
                };
                let columns = typed_columns(path, &header, inferred, &self.config)?;
                if infer {
                    let texts = columns.iter().map(|(name, kind)| (name.clone(), kind.to_string())).collect();
                    progress.types.insert(name.to_owned(), texts);
                }
                columns
            }
        };
        let table = Arc::new(Table::new(name, columns, &self.config)?);
        self.known.insert(name.to_owned(), table.clone());
        Ok(Some(table))
    }

    /// The settings' columns, else `column_1` and so on for as many cells as the first record has.
    fn names_without_header(&self, path: &str) -> Result<Option<Vec<String>>> {
        let given = &self.config.columns.0;
        if !given.is_empty() {
            return Ok(Some(given.iter().map(|(name, _)| name.clone()).collect()));
        }
        let first = self.reader(path)?.first_record(&self.few(1, None))?;
        Ok(first.map(|cells| (1..=cells.len()).map(|i| format!("column_{i}")).collect()))
    }

    /// Looks at the first rows. `None` when there is none and the file is still growing.
    fn infer(&self, path: &str, width: usize) -> Result<Option<Vec<Guess>>> {
        let mut reader = self.reader(path)?;
        if self.config.header {
            reader.first_record(&self.few(1, None))?;
        }
        let mut guesses = vec![Guess::default(); width];
        let (mut seen, mut refused) = (0, 0);
        loop {
            let more = reader.read(&self.few(self.config.infer_rows - seen - refused, Some(width)))?;
            refused += reader.take_refused().len();
            let records = reader.records(width)?;
            for (column, guess) in guesses.iter_mut().enumerate() {
                for cell in records.column(column) {
                    if let Some(text) = self.rules.value(cell, false) {
                        *guess = guess.and(text);
                    }
                }
            }
            seen += records.len();
            if !more || seen + refused >= self.config.infer_rows {
                break;
            }
        }
        Ok((seen > 0 || !self.config.watch).then_some(guesses))
    }
}

impl TextFormat for Tables {
    type Scanner = Dialect;
    type Layout = Layout;

    fn settings(&self) -> &FileSettings {
        &self.files
    }

    fn open(&mut self, path: &str, progress: &mut Progress) -> Result<Option<Opened<Dialect, Layout>>> {
        let mut reader = self.reader(path)?;
        let header = if self.config.header {
            let Some(cells) = reader.first_record(&self.few(1, None))? else { return Ok(None) };
            Some(names_of_header(path, cells.iter().map(String::as_str))?)
        } else {
            None
        };
        let (offset, line, _) = reader.place();
        reader.go_to(offset, line, 0)?;
        let name = self.config.table.clone().unwrap_or_else(|| stem(path).to_owned());
        let Some(table) = self.table(&name, path, header.as_deref(), progress)? else { return Ok(None) };
        let layout = match &header {
            Some(header) => table.in_file(path, header, !self.config.select.is_empty())?,
            None => table.by_position(),
        };
        Ok(Some(Opened { reader, width: Some(layout.width), layout }))
    }

    fn take(&mut self, opened: &mut Opened<Dialect, Layout>) -> Result<Taken> {
        let relation = &opened.layout.table.relation;
        let shape = Shape { relation, places: &opened.layout.places, given: &self.config.columns.0 };
        let mut refused = opened.reader.take_refused();
        let mut decoded = decode(shape, &self.rules, opened.reader.records(opened.layout.width)?)?;
        refused.extend(opened.reader.refuse(std::mem::take(&mut decoded.refused)));
        for row in &mut refused {
            row.relation = Some(relation.name().clone());
        }
        Ok(Taken { batches: decoded.batch(relation)?.into_iter().collect(), refused })
    }
}
