//! The tables of the files, and whose row a line is.

use std::collections::BTreeMap;
use std::sync::Arc;

use aqueduct_model::{Relation, RelationName, Result};
use arrow::datatypes::{Field, Schema};

use super::config::{JsonInputConfig, JsonTable, OtherTables};
use super::infer::infer;
use super::scan::JsonScanner;
use super::template::{TableTemplate, steps};
use crate::text_files::{
    Cell, CellRules, ColumnType, FileSettings, Opened, Progress, ReadSize, Reader, Records, Refused, Shape, Taken,
    TextFile, TextFormat, decode, open_file, stem,
};

/// Lines that are parted by table at once. Within them one table's rows go out behind another's, so this decides the order
/// of rows: it must not depend on what the engine asks for.
const PARTED: ReadSize = ReadSize { rows: 8_192, bytes: 16 << 20 };

/// A table: what its rows belong to, and which cells of a line are its columns.
#[derive(Debug)]
struct Table {
    relation: Arc<Relation>,
    places: Vec<usize>,
    given: Vec<(String, ColumnType)>,
}

/// The tables of a file.
#[derive(Debug)]
pub(super) struct Layout {
    scanner: JsonScanner,
    tables: Vec<Table>,
    /// Says which line is whose, from this cell; `None` where there is one table.
    chosen: Option<Chosen>,
}

#[derive(Debug)]
struct Chosen {
    place: usize,
    template: TableTemplate,
    others: OtherTables,
    /// Rows go out in the order of the lines, in as many batches as that takes: where a file grows, what one read sees
    /// depends on when it looks.
    in_line_order: bool,
}

/// Rows of one table in a read: its cells alone, and the number of the record that each row was.
struct Share {
    table: usize,
    cells: Vec<Cell>,
    numbers: Vec<usize>,
}

/// Makes readers for files.
pub(super) struct JsonTables {
    config: JsonInputConfig,
    files: FileSettings,
    rules: CellRules,
    /// By relation; by the empty name where a field says the relation.
    known: BTreeMap<String, Arc<Layout>>,
    parted: ReadSize,
}

impl JsonTables {
    /// No tables yet.
    ///
    /// # Errors
    /// `Config` as [`JsonInputConfig::validate`].
    pub(super) fn new(config: JsonInputConfig) -> Result<Self> {
        config.validate()?;
        Ok(Self {
            files: config.files()?,
            rules: CellRules {
                null_values: vec![String::new()],
                trim: false,
                quoted_is_value: true,
                number_is_moment: true,
            },
            known: BTreeMap::new(),
            parted: PARTED,
            config,
        })
    }

    /// The same with other reads, for files of several tables.
    #[cfg(test)]
    pub(super) fn with_parted(config: JsonInputConfig, rows: usize) -> Result<Self> {
        Ok(Self { parted: ReadSize { rows, ..PARTED }, ..Self::new(config)? })
    }

    /// The tables of a file. `None` when there are no lines (yet) to tell the columns from.
    fn layout(&mut self, path: &str, progress: &mut Progress) -> Result<Option<Arc<Layout>>> {
        let template = self.config.template()?;
        let name = match (&template, &self.config.table) {
            (Some(_), _) => String::new(),
            (None, Some(table)) => table.clone(),
            (None, None) => stem(path).to_owned(),
        };
        if let Some(known) = self.known.get(&name) {
            return Ok(Some(known.clone()));
        }
        let mut layout = Layout { scanner: JsonScanner::default(), tables: Vec::new(), chosen: None };
        match template {
            Some(template) => {
                for (name, table) in &self.config.tables {
                    layout.add(name, table, &table.columns.0)?;
                }
                let place = layout.scanner.place(&steps(&template.path));
                let others = self.config.other_tables;
                layout.chosen = Some(Chosen { place, template, others, in_line_order: self.config.watch });
            }
            None => {
                let own = self.config.own_table();
                let columns = match own.columns.0.is_empty() {
                    false => own.columns.0.clone(),
                    true => {
                        let Some(columns) = self.inferred(&name, path, progress)? else { return Ok(None) };
                        layout.scanner.is_closed = true;
                        columns
                    }
                };
                layout.add(&name, &own, &columns)?;
            }
        }
        let layout = Arc::new(layout);
        self.known.insert(name, layout.clone());
        Ok(Some(layout))
    }

    fn inferred(&self, name: &str, path: &str, progress: &mut Progress) -> Result<Option<Vec<(String, ColumnType)>>> {
        if let Some(columns) = progress.columns(name)? {
            return Ok(Some(columns));
        }
        let columns = infer(path, &self.files, self.config.infer_rows)?;
        if let Some(columns) = &columns {
            let texts = columns.iter().map(|(name, kind)| (name.clone(), kind.to_string())).collect();
            progress.types.insert(name.to_owned(), texts);
        }
        Ok(columns)
    }
}

impl Layout {
    fn add(&mut self, name: &str, table: &JsonTable, columns: &[(String, ColumnType)]) -> Result<()> {
        let mut fields = Vec::with_capacity(columns.len());
        let mut places = Vec::with_capacity(columns.len());
        for (column, kind) in columns {
            fields.push(Field::new(column, kind.0.clone(), !table.key.contains(column)));
            places.push(self.scanner.place(&table.path(column)));
        }
        let relation = Relation::new(RelationName::table(name), Arc::new(Schema::new(fields)), &table.key, 1)?;
        self.tables.push(Table { relation: Arc::new(relation), places, given: table.columns.0.clone() });
        Ok(())
    }

    /// Parts the records of a read by table. A record of no table is refused, or left out.
    fn shares(&self, chosen: &Chosen, records: Records<'_>) -> (Vec<Share>, Vec<(usize, String)>) {
        let share = |table| Share { table, cells: Vec::new(), numbers: Vec::new() };
        let mut shares: Vec<Share> = match chosen.in_line_order {
            true => Vec::new(),
            false => (0..self.tables.len()).map(share).collect(),
        };
        let names: Vec<String> = self.tables.iter().map(|table| table.relation.name().table.clone()).collect();
        let mut by_text: BTreeMap<&str, Option<usize>> = BTreeMap::new();
        let mut strangers = Vec::new();
        for (record, (text, is_quoted)) in records.column(chosen.place).enumerate() {
            if text.is_empty() && !is_quoted {
                strangers.push((record, format!("it has no field {}, which names its table", chosen.template.path)));
                continue;
            }
            let table = *by_text.entry(text).or_insert_with(|| {
                let name = chosen.template.fill(text);
                names.iter().position(|known| *known == name)
            });
            match table {
                Some(table) => {
                    let cells = records.cells(record);
                    if chosen.in_line_order && shares.last().is_none_or(|last| last.table != table) {
                        shares.push(share(table));
                    }
                    let at = if chosen.in_line_order { shares.len() - 1 } else { table };
                    shares[at].cells.extend(self.tables[table].places.iter().map(|&place| cells[place]));
                    shares[at].numbers.push(record);
                }
                None if chosen.others == OtherTables::Drop => {}
                None => strangers.push((record, "its table is not one of `tables`".to_owned())),
            }
        }
        (shares, strangers)
    }
}

impl TextFormat for JsonTables {
    type Scanner = JsonScanner;
    type Layout = Arc<Layout>;

    fn settings(&self) -> &FileSettings {
        &self.files
    }

    fn fixed_size(&self) -> Option<ReadSize> {
        (!self.config.tables.is_empty() && !self.config.watch).then_some(self.parted)
    }

    fn open(&mut self, path: &str, progress: &mut Progress) -> Result<Option<Opened<JsonScanner, Arc<Layout>>>> {
        let Some(layout) = self.layout(path, progress)? else { return Ok(None) };
        let text = TextFile::new(path, open_file(path)?, self.files.format)?;
        let reader = Reader::new(path, layout.scanner.clone(), text);
        Ok(Some(Opened { reader, width: None, layout }))
    }

    fn take(&mut self, opened: &mut Opened<JsonScanner, Arc<Layout>>) -> Result<Taken> {
        let layout = opened.layout.clone();
        let mut taken = Taken { batches: Vec::new(), refused: opened.reader.take_refused() };
        let width = layout.scanner.width();
        let Some(chosen) = &layout.chosen else {
            let [table] = layout.tables.as_slice() else { return Ok(taken) };
            let mut decoded = decode(table.shape(&table.places), &self.rules, opened.reader.records(width)?)?;
            let refused = std::mem::take(&mut decoded.refused);
            taken.add(table, opened.reader.refuse(refused));
            taken.batches.extend(decoded.batch(&table.relation)?);
            return Ok(taken);
        };
        let records = opened.reader.records(width)?;
        let (shares, strangers) = layout.shares(chosen, records);
        taken.refused.extend(opened.reader.refuse(strangers));
        for share in shares {
            let table = &layout.tables[share.table];
            let places: Vec<usize> = (0..table.places.len()).collect();
            let own = records.with_cells(&share.cells, places.len());
            let mut decoded = decode(table.shape(&places), &self.rules, own)?;
            let refused = std::mem::take(&mut decoded.refused);
            let refused = refused.into_iter().map(|(row, reason)| (share.numbers[row], reason)).collect();
            taken.add(table, opened.reader.refuse(refused));
            taken.batches.extend(decoded.batch(&table.relation)?);
        }
        Ok(taken)
    }
}

impl Table {
    fn shape<'a>(&'a self, places: &'a [usize]) -> Shape<'a> {
        Shape { relation: &self.relation, places, given: &self.given }
    }
}

impl Taken {
    fn add(&mut self, table: &Table, refused: Vec<Refused>) {
        let name = table.relation.name();
        self.refused.extend(refused.into_iter().map(|row| Refused { relation: Some(name.clone()), ..row }));
    }
}
