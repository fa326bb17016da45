//! What tables looked like when: shapes by their digest, kept beside the checkpoint.
//!
//! A position names the shape of each of its tables, so a restart far behind decodes with the columns of that time. A
//! shape is durable before a position that names it is handed out.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use aqueduct_model::{Error, ErrorKind, Relation, RelationName, Result};
use arrow::datatypes::{DataType, Field, Schema};
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_128;

use super::disk::Disk;
use super::position::ShapeId;

/// Files of shapes begin with this.
pub(super) const PREFIX: &str = "shape-";

/// The words of a shape: a table without its name and version.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Words {
    key: Vec<String>,
    columns: Vec<Column>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Column {
    name: String,
    #[serde(rename = "type")]
    data_type: DataType,
    nullable: bool,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    metadata: BTreeMap<String, String>,
}

impl Words {
    fn of(relation: &Relation) -> Self {
        let columns = relation.columns().fields().iter().map(|field| Column {
            name: field.name().clone(),
            data_type: field.data_type().clone(),
            nullable: field.is_nullable(),
            metadata: field.metadata().iter().map(|(name, value)| (name.clone(), value.clone())).collect(),
        });
        Self { key: relation.key_names().into_iter().map(str::to_owned).collect(), columns: columns.collect() }
    }

    fn relation(self, name: &RelationName, version: u32) -> Result<Relation> {
        let field = |column: Column| {
            Field::new(column.name, column.data_type, column.nullable)
                .with_metadata(column.metadata.into_iter().collect::<HashMap<_, _>>())
        };
        let columns = Schema::new(self.columns.into_iter().map(field).collect::<Vec<_>>());
        Relation::new(name.clone(), Arc::new(columns), &self.key, version)
    }
}

/// The digest of a table's columns and key; name and version do not count.
pub(super) fn digest(relation: &Relation) -> String {
    format!("{:032x}", xxh3_128(&text(relation)))
}

fn text(relation: &Relation) -> Vec<u8> {
    serde_json::to_vec(&Words::of(relation)).expect("columns are plain data")
}

/// The shapes on disk.
pub(super) struct Shapes {
    disk: Arc<dyn Disk>,
    /// What is known to be durable.
    kept: BTreeSet<String>,
    /// The shapes that this value wrote, with the table and version that they were written for.
    born: Vec<(RelationName, ShapeId)>,
    /// How many of them there were when the last ones were removed.
    tidy_at: usize,
}

impl Shapes {
    /// The shapes on that disk.
    pub(super) fn new(disk: Arc<dyn Disk>) -> Self {
        Self { disk, kept: BTreeSet::new(), born: Vec::new(), tidy_at: 0 }
    }

    /// Makes a shape durable.
    pub(super) async fn keep(&mut self, relation: &Relation) -> Result<ShapeId> {
        let text = text(relation);
        let id = ShapeId { version: relation.version(), digest: format!("{:032x}", xxh3_128(&text)) };
        if !self.kept.contains(&id.digest) {
            let (file, draft) = (format!("{PREFIX}{}", id.digest), format!("draft-{PREFIX}{}", id.digest));
            self.disk.remove(&draft).await?;
            self.disk.append(&draft, text).await?;
            self.disk.publish(&draft, &file).await?;
            self.kept.insert(id.digest.clone());
        }
        self.born.push((relation.name().clone(), id.clone()));
        Ok(id)
    }

    /// The table of that shape; `None` when its file is gone.
    ///
    /// # Errors
    /// `State` when the file is damaged.
    pub(super) async fn load(&mut self, name: &RelationName, id: &ShapeId) -> Result<Option<Arc<Relation>>> {
        let file = format!("{PREFIX}{}", id.digest);
        let Some(length) = self.disk.length(&file).await? else { return Ok(None) };
        let Some(text) = self.disk.read(&file, 0, length as usize).await? else { return Ok(None) };
        if format!("{:032x}", xxh3_128(&text)) != id.digest {
            return Err(damaged(name));
        }
        self.kept.insert(id.digest.clone());
        let words: Words = serde_json::from_slice(&text).map_err(|error| damaged(name).with_source(error))?;
        words.relation(name, id.version).map(|relation| Some(Arc::new(relation)))
    }

    /// True when there is nothing to prune: no shape was written since the last time.
    pub(super) fn is_tidy(&self) -> bool {
        self.born.len() <= self.tidy_at
    }

    /// Removes the shapes that neither `durable` nor `current` nor a position between them can name.
    pub(super) async fn prune(
        &mut self,
        durable: &BTreeMap<RelationName, Vec<ShapeId>>,
        current: &BTreeMap<RelationName, Vec<ShapeId>>,
    ) -> Result<()> {
        self.born.retain(|(name, id)| match durable.get(name) {
            Some(shapes) => shapes.iter().any(|durable| id.version >= durable.version),
            None => true,
        });
        let mut needed: BTreeSet<&str> = self.born.iter().map(|(_, id)| id.digest.as_str()).collect();
        needed.extend(durable.values().chain(current.values()).flatten().map(|id| id.digest.as_str()));
        for file in self.disk.list().await? {
            if let Some(digest) = file.strip_prefix(PREFIX).filter(|digest| !needed.contains(digest)) {
                self.disk.remove(&file).await?;
                self.kept.remove(digest);
            }
        }
        self.tidy_at = self.born.len();
        Ok(())
    }
}

fn damaged(name: &RelationName) -> Error {
    Error::new(ErrorKind::State, format!("the kept columns of {name} are damaged"))
        .with_hint("restore the checkpoint folder, or start over with `aqueduct checkpoint reset`")
}
