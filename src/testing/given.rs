//! From the steps of a test to what its sources give: every mistake is found here, before anything runs.

use std::collections::BTreeMap;
use std::sync::Arc;

use aqueduct_engine::definition::{Entry, Node, Report, Span, Value, check_keys, nearest};
use aqueduct_model::{Relation, RelationName};
use arrow::datatypes::{Field, Schema};

use super::column_type::{self, TYPES};
use super::ddl;
use super::infer;
use super::keys;
use super::rows::{Row, message, row, rows};
use super::script::{Gift, Script, Step};
use super::table::{GivenTable, Written};

/// At most this many steps in a test.
const STEPS_MAX: usize = 10_000;

/// A source of the flow.
pub(super) struct Giver {
    pub(super) id: String,
    /// Its plugin.
    pub(super) plugin: &'static str,
    /// It gives updates, deletes and DDL.
    pub(super) changes: bool,
}

/// What is said of a table before its first row.
#[derive(Default, Clone)]
struct Declared {
    columns: Vec<Field>,
    key: Option<Vec<String>>,
}

/// Puts a test's script together.
pub(super) struct Composer<'c, 'a> {
    report: &'c mut Report<'a>,
    sources: &'c [Giver],
    declared: BTreeMap<(String, String), Declared>,
    /// All rows that are written for a table, for the inference, without columns that DDL brings.
    written: BTreeMap<(String, String), Vec<Row>>,
    /// Columns that DDL brings, so far.
    brought: BTreeMap<(String, String), Vec<String>>,
    tables: BTreeMap<(String, String), GivenTable>,
    script: Script,
}

/// Reads `tables` and `given` of a test; mistakes go into the report.
pub(super) fn compose(test: &Node, sources: &[Giver], report: &mut Report) -> Script {
    let mut composer = Composer {
        report,
        sources,
        declared: BTreeMap::new(),
        written: BTreeMap::new(),
        brought: BTreeMap::new(),
        tables: BTreeMap::new(),
        script: Script::default(),
    };
    for table in test.get("tables").map(Node::items).unwrap_or_default() {
        composer.declare(table);
    }
    let Some(given) = test.get("given") else { return Script::default() };
    if !matches!(given.value, Value::List(_)) {
        let hint = "write `- { rows: [ … ] }`, `- checkpoint` or `- restart` lines under it";
        composer.error(given.span, &format!("`given` must be a list of steps, found {}", given.describe()), hint);
    }
    for step in given.items() {
        composer.look_ahead(step);
    }
    for step in given.items().iter().take(STEPS_MAX) {
        composer.step(step);
    }
    if let Some(step) = given.items().get(STEPS_MAX) {
        composer.error(step.span, &format!("a test has at most {STEPS_MAX} steps"), "split it into several tests");
    }
    composer.script.without_empty_checkpoints()
}

impl Composer<'_, '_> {
    fn error(&mut self, span: Span, cause: &str, hint: &str) {
        self.report.error(span, message(cause, hint));
    }

    /// The source and the table that an item speaks of.
    fn place(&mut self, item: &Node) -> Option<(String, String)> {
        let ids: Vec<&str> = self.sources.iter().map(|source| source.id.as_str()).collect();
        let source = match (item.get("source"), &ids[..]) {
            (Some(node), _) => {
                let id = node.text()?.to_owned();
                if !ids.contains(&id.as_str()) {
                    let near = nearest(&id, ids.iter().copied()).map(|near| format!("did you mean `{near}`? "));
                    let hint = format!("{}the sources are: {}", near.unwrap_or_default(), ids.join(", "));
                    self.error(node.span, &format!("the flow has no source `{id}`"), &hint);
                    return None;
                }
                id
            }
            (None, [only]) => (*only).to_owned(),
            (None, _) => {
                let hint = format!("add `source:` with one of: {}", ids.join(", "));
                self.error(item.span, "the flow has several sources", &hint);
                return None;
            }
        };
        let table = item.get("table").and_then(Node::text).unwrap_or(&source).to_owned();
        Some((source, table))
    }

    fn declare(&mut self, item: &Node) {
        check_keys(item, keys::TABLE, "the table", "tables.", self.report);
        let Some(place) = self.place(item) else { return };
        let columns = item.get("columns").map(|columns| self.fields(columns)).unwrap_or_default();
        let key = item.get("key").map(texts);
        self.declared.insert(place, Declared { columns, key });
    }

    /// Columns with their types.
    fn fields(&mut self, node: &Node) -> Vec<Field> {
        if !matches!(node.value, Value::Map(_)) {
            let hint = format!("write `name: type` lines; the types are {TYPES}");
            self.error(node.span, &format!("columns are a map of types, found {}", node.describe()), &hint);
        }
        let mut fields = Vec::new();
        for entry in node.entries() {
            match entry.value.text().and_then(|text| column_type::field(&entry.key, text, true)) {
                Some(field) => fields.push(field),
                None => {
                    let cause = format!("{} is not the type of a column", entry.value.describe());
                    self.error(entry.value.span, &cause, &format!("the types are {TYPES}"));
                }
            }
        }
        fields
    }

    /// Collects the rows of a step for the inference; mistakes in them are reported when the step is read.
    fn look_ahead(&mut self, step: &Node) {
        let mut silent = Report::new(self.report.source());
        let one = |table: Option<&Node>| table.and_then(Node::text).map(str::to_owned);
        let source = one(step.get("source"))
            .or_else(|| self.sources.first().map(|source| source.id.clone()))
            .unwrap_or_default();
        let table = one(step.get("table")).unwrap_or_else(|| source.clone());
        let place = (source, table);
        let brought = self.brought.entry(place.clone()).or_default();
        if let Some(ddl) = step.get("ddl") {
            let entries = |key: &str| ddl.get(key).map(Node::entries).unwrap_or_default();
            brought.extend(entries("add_columns").iter().map(|entry| entry.key.clone()));
            brought.extend(entries("rename_column").iter().filter_map(|entry| entry.value.text().map(str::to_owned)));
        }
        let mut found = Vec::new();
        if let Some(node) = step.get("rows") {
            found.extend(rows(node, &mut silent));
        }
        for change in step.get("changes").map(Node::items).unwrap_or_default() {
            for entry in change.entries() {
                let parts =
                    before_after(entry).map_or_else(|| vec![&entry.value], |(before, after)| vec![before, after]);
                found.extend(parts.into_iter().filter_map(|part| row(part, &mut silent)));
            }
        }
        for row in &mut found {
            row.cells.retain(|(name, _)| !brought.contains(name));
        }
        self.written.entry(place).or_default().extend(found);
    }

    fn step(&mut self, step: &Node) {
        match (step.text(), &step.value) {
            (Some("checkpoint"), _) => self.script.steps.push(Step::Checkpoint),
            (Some("restart"), _) => self.script.steps.push(Step::Restart),
            (_, Value::Map(_)) => self.gift(step),
            _ => {
                let cause = format!("a step cannot be {}", step.describe());
                self.error(
                    step.span,
                    &cause,
                    "write `checkpoint`, `restart`, or a map with `rows`, `changes` or `ddl`",
                );
            }
        }
    }

    fn gift(&mut self, step: &Node) {
        check_keys(step, keys::STEP, "the step", "given.", self.report);
        let Some(place) = self.place(step) else { return };
        let kinds: Vec<&Entry> =
            step.entries().iter().filter(|e| ["rows", "changes", "ddl"].contains(&e.key.as_str())).collect();
        let [kind] = kinds[..] else {
            let cause = format!("a step has one of `rows`, `changes` and `ddl`, found {}", kinds.len());
            return self.error(step.span, &cause, "make each of them a step of its own");
        };
        let giver = self.sources.iter().find(|source| source.id == place.0);
        if let Some(giver) = giver.filter(|giver| !giver.changes && kind.key != "rows") {
            let cause = format!("{} gives new rows only, no updates, deletes or DDL", giver.plugin);
            return self.error(kind.key_span, &cause, "use `rows`, or test a flow whose source captures changes");
        }
        if kind.key == "ddl" {
            return self.ddl(place, &kind.value);
        }
        let changes = match kind.key.as_str() {
            "rows" => rows(&kind.value, self.report).into_iter().map(Written::Insert).collect(),
            _ => self.changes(&kind.value),
        };
        let Some(table) = self.table(&place, step.span) else { return };
        match table.batch(&changes, step.span) {
            Ok(Some(batch)) => self.give(place.0, Gift::Batch(batch)),
            Ok(None) => {}
            Err((span, cause, hint)) => self.error(span, &cause, &hint),
        }
    }

    fn give(&mut self, source: String, gift: Gift) {
        let step = self.script.steps.len();
        self.script.steps.push(Step::Gift);
        self.script.gifts.entry(source).or_default().insert(step, gift);
    }

    fn changes(&mut self, node: &Node) -> Vec<Written> {
        let mut changes = Vec::new();
        if !matches!(node.value, Value::List(_)) {
            let hint = "write `- insert: { … }`, `- update: { … }`, `- upsert: { … }` or `- delete: { … }` lines";
            self.error(node.span, &format!("changes are a list, found {}", node.describe()), hint);
        }
        for item in node.items() {
            check_keys(item, keys::CHANGE, "the change", "changes.", self.report);
            let [entry] = item.entries() else {
                self.error(item.span, "a change has one key", "write one of: insert, update, upsert, delete");
                continue;
            };
            let written = match (entry.key.as_str(), before_after(entry)) {
                ("update", Some((before, after))) => {
                    row(before, self.report).zip(row(after, self.report)).map(|(b, a)| Written::Update(b, Some(a)))
                }
                ("insert", _) => row(&entry.value, self.report).map(Written::Insert),
                ("update", None) => row(&entry.value, self.report).map(|row| Written::Update(row, None)),
                ("upsert", _) => row(&entry.value, self.report).map(Written::Upsert),
                ("delete", _) => row(&entry.value, self.report).map(Written::Delete),
                _ => None,
            };
            changes.extend(written);
        }
        changes
    }

    /// The table as it is now; made from what is declared and written, the first time.
    fn table(&mut self, place: &(String, String), span: Span) -> Option<&mut GivenTable> {
        if !self.tables.contains_key(place) {
            let declared = self.declared.get(place).cloned().unwrap_or_default();
            let written = self.written.get(place).map(Vec::as_slice).unwrap_or_default();
            let fields = match declared.columns.is_empty() {
                true => infer::columns(written),
                false => declared.columns,
            };
            if fields.is_empty() {
                let hint = "give a row, or declare it under `tables:` with its columns";
                self.error(span, &format!("nothing is known of the columns of {}", place.1), hint);
                return None;
            }
            let has_id = fields.iter().any(|field| field.name() == "id");
            let key = declared.key.unwrap_or_else(|| if has_id { vec!["id".to_owned()] } else { Vec::new() });
            let fields = fields.into_iter().map(|field| {
                let nullable = !key.contains(field.name());
                field.with_nullable(nullable)
            });
            let columns = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
            match Relation::new(relation_name(&place.1), columns, &key, 1) {
                Ok(relation) => {
                    self.tables.insert(place.clone(), GivenTable::new(relation));
                }
                Err(error) => {
                    self.error(span, &error.chain(), error.hint().unwrap_or("name other columns"));
                    return None;
                }
            }
        }
        self.tables.get_mut(place)
    }

    fn ddl(&mut self, place: (String, String), node: &Node) {
        check_keys(node, keys::DDL, "the DDL", "ddl.", self.report);
        let [entry] = node.entries() else {
            let names: Vec<&str> = keys::DDL.iter().map(|key| key.name).collect();
            return self.error(node.span, "DDL has one key", &format!("write one of: {}", names.join(", ")));
        };
        let fields = match entry.key.as_str() {
            "add_columns" | "alter_columns" => self.fields(&entry.value),
            _ => Vec::new(),
        };
        let Some(table) = self.table(&place, node.span) else { return };
        match ddl::change(&table.relation, entry, fields) {
            Ok((change, origins, name)) => {
                table
                    .rows
                    .iter_mut()
                    .for_each(|row| *row = origins.iter().map(|o| o.and_then(|o| row[o].clone())).collect());
                if ddl::empties(&change.change) {
                    table.rows.clear();
                }
                table.relation = change.relation.clone();
                if let Some(name) = name
                    && let Some(table) = self.tables.remove(&place)
                {
                    self.tables.insert((place.0.clone(), name), table);
                }
                self.give(place.0, Gift::Schema(change));
            }
            Err((span, cause, hint)) => self.error(span, &cause, &hint),
        }
    }
}

/// `{ before: …, after: … }` of an update.
fn before_after(entry: &Entry) -> Option<(&Node, &Node)> {
    let (before, after) = (entry.value.get("before")?, entry.value.get("after")?);
    (entry.key == "update" && entry.value.entries().len() == 2).then_some((before, after))
}

/// `table`, `schema.table` or `catalog.schema.table`.
pub(super) fn relation_name(text: &str) -> RelationName {
    let parts: Vec<&str> = text.splitn(3, '.').collect();
    let owned = |part: &str| Some(part.to_owned());
    match parts[..] {
        [catalog, schema, table] => {
            RelationName { catalog: owned(catalog), schema: owned(schema), table: table.to_owned() }
        }
        [schema, table] => RelationName { catalog: None, schema: owned(schema), table: table.to_owned() },
        _ => RelationName::table(text),
    }
}

/// One text or a list of texts.
pub(super) fn texts(node: &Node) -> Vec<String> {
    match node.text() {
        Some(text) => vec![text.to_owned()],
        None => node.items().iter().filter_map(Node::text).map(str::to_owned).collect(),
    }
}
