//! Which table a line belongs to, by one of its fields.

use aqueduct_model::Result;

use crate::text_files::wrong;

/// `before{path}after`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TableTemplate {
    before: String,
    /// The field's path.
    pub(super) path: String,
    after: String,
}

impl TableTemplate {
    /// Reads the setting `table`; `None` when it names one table.
    ///
    /// # Errors
    /// `Config` when braces do not match, or there are several.
    pub(super) fn parse(table: &str) -> Result<Option<Self>> {
        if !table.contains(['{', '}']) {
            return Ok(None);
        }
        let parts = table.split_once('{').and_then(|(before, rest)| Some((before, rest.split_once('}')?)));
        match parts {
            Some((before, (path, after)))
                if !path.is_empty() && ![before, path, after].concat().contains(['{', '}']) =>
            {
                Ok(Some(Self { before: before.to_owned(), path: path.to_owned(), after: after.to_owned() }))
            }
            _ => wrong("table", "it does not name one field in braces", "write for example \"{event_type}\""),
        }
    }

    /// The table of a line whose field has this text, as `tables` names it.
    pub(super) fn fill(&self, field: &str) -> String {
        [&self.before, field, &self.after].concat()
    }
}

/// The field names of a path, from the outside in.
pub(super) fn steps(path: &str) -> Vec<&str> {
    path.split('.').collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates() {
        assert_eq!(TableTemplate::parse("orders").unwrap(), None);
        let template = TableTemplate::parse("shop_{meta.kind}_v1").unwrap().unwrap();
        assert_eq!((template.path.as_str(), template.fill("bid")), ("meta.kind", "shop_bid_v1".to_owned()));
        for wrong in ["{", "{}", "}a{", "{a}{b}", "{{a}}", "{a"] {
            assert!(TableTemplate::parse(wrong).is_err(), "{wrong}");
        }
    }
}
