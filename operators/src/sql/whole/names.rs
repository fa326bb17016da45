//! Names in a whole query: found exactly first, then without case when only one fits.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    Expr, Ident, Query as Syntax, Select, SelectItem, Statement, TableAlias, TableFactor, Visit, VisitMut, Visitor,
    VisitorMut,
};

/// Writes columns and tables the way they are called, where the query writes them in other letters. `columns` are those of
/// all its tables, `tables` what these may be called in front of a column.
pub(super) fn settle(statement: &mut Statement, columns: BTreeSet<String>, tables: BTreeSet<String>) {
    let mut own = Own { columns, tables };
    let _: ControlFlow<()> = Visit::visit(&*statement, &mut own);
    let _: ControlFlow<()> = VisitMut::visit(statement, &mut Settler(own));
}

/// The names that there are, with those that the query gives itself.
struct Own {
    columns: BTreeSet<String>,
    tables: BTreeSet<String>,
}

impl Own {
    fn take(&mut self, alias: &TableAlias) {
        self.tables.insert(alias.name.value.clone());
        self.columns.extend(alias.columns.iter().map(|column| column.name.value.clone()));
    }
}

impl Visitor for Own {
    type Break = ();

    fn pre_visit_query(&mut self, query: &Syntax) -> ControlFlow<()> {
        query.with.iter().flat_map(|with| &with.cte_tables).for_each(|cte| self.take(&cte.alias));
        ControlFlow::Continue(())
    }

    fn pre_visit_select(&mut self, select: &Select) -> ControlFlow<()> {
        let aliases = select.projection.iter().filter_map(|item| match item {
            SelectItem::ExprWithAlias { alias, .. } => Some(alias.value.clone()),
            _ => None,
        });
        self.columns.extend(aliases);
        ControlFlow::Continue(())
    }

    fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> ControlFlow<()> {
        match factor {
            TableFactor::Table { alias: Some(alias), .. }
            | TableFactor::Derived { alias: Some(alias), .. }
            | TableFactor::UNNEST { alias: Some(alias), .. }
            | TableFactor::NestedJoin { alias: Some(alias), .. } => self.take(alias),
            _ => {}
        }
        ControlFlow::Continue(())
    }
}

struct Settler(Own);

impl VisitorMut for Settler {
    type Break = ();

    fn pre_visit_expr(&mut self, expression: &mut Expr) -> ControlFlow<()> {
        match expression {
            Expr::Identifier(column) => settle_one(column, &self.0.columns),
            Expr::CompoundIdentifier(parts) => {
                let last = parts.len() - 1;
                for (i, part) in parts.iter_mut().enumerate() {
                    // A column with fields of its own may stand in front too.
                    let names = if i < last && fitting(part, &self.0.tables).is_some() {
                        &self.0.tables
                    } else {
                        &self.0.columns
                    };
                    settle_one(part, names);
                }
            }
            _ => {}
        }
        ControlFlow::Continue(())
    }
}

fn settle_one(ident: &mut Ident, names: &BTreeSet<String>) {
    if let Some(name) = fitting(ident, names) {
        *ident = Ident::with_quote('"', name);
    }
}

fn fitting(ident: &Ident, names: &BTreeSet<String>) -> Option<String> {
    if names.contains(&ident.value) || ident.quote_style.is_some() {
        return names.get(&ident.value).cloned();
    }
    let wanted = ident.value.to_lowercase();
    let mut fitting = names.iter().filter(|name| name.to_lowercase() == wanted);
    let first = fitting.next()?;
    fitting.next().is_none().then(|| first.clone())
}
