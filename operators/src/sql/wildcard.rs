//! `*` with its options: `* except (a)`, `* exclude (a)`, `* replace (upper(a) as a)`, `* rename (a as b)`.

use aqueduct_model::{Error, Relation, Result};
use datafusion::sql::sqlparser::ast::{
    ExcludeSelectItem, Expr, Ident, IdentWithAlias, ObjectName, RenameSelectItem, WildcardAdditionalOptions,
};

use super::expression::Expression;
use super::names;
use crate::projection::Origin;

/// Checks that there is nothing but the four options.
pub(super) fn check(options: &WildcardAdditionalOptions) -> Result<()> {
    if options.opt_ilike.is_some() || options.opt_alias.is_some() {
        return Err(
            Error::config("`* ilike` and `* as` are not known").with_hint("name the columns, or use `* except (…)`")
        );
    }
    Ok(())
}

/// What replaces columns: the expression and the column.
pub(super) fn replacements(options: &WildcardAdditionalOptions) -> impl Iterator<Item = (&Expr, &Ident)> {
    options.opt_replace.iter().flat_map(|replace| &replace.items).map(|item| (&item.expr, &item.column_name))
}

/// The columns that the wildcard stands for.
///
/// # Errors
/// `Config` when an option names a column that does not exist.
pub(super) fn expand(
    options: &WildcardAdditionalOptions,
    relation: &Relation,
    tables: &[&str],
) -> Result<Vec<(String, Origin)>> {
    let fields = relation.columns().fields();
    let mut columns: Vec<Option<(String, Origin)>> =
        fields.iter().enumerate().map(|(i, field)| Some((field.name().clone(), Origin::Column(i)))).collect();
    for (expression, column) in replacements(options) {
        let index = names::resolve(relation, column)?;
        let bound = Expression::from_syntax(expression.clone()).bind_as(relation, tables)?;
        columns[index] = Some((fields[index].name().clone(), bound.into()));
    }
    for IdentWithAlias { ident, alias } in renames(options) {
        if let Some((name, _)) = &mut columns[names::resolve(relation, ident)?] {
            name.clone_from(&alias.value);
        }
    }
    for column in excluded(options)? {
        columns[names::resolve(relation, column)?] = None;
    }
    Ok(columns.into_iter().flatten().collect())
}

fn renames(options: &WildcardAdditionalOptions) -> &[IdentWithAlias] {
    match &options.opt_rename {
        None => &[],
        Some(RenameSelectItem::Single(one)) => std::slice::from_ref(one),
        Some(RenameSelectItem::Multiple(several)) => several,
    }
}

fn excluded(options: &WildcardAdditionalOptions) -> Result<Vec<&Ident>> {
    let names: &[ObjectName] = match &options.opt_exclude {
        None => &[],
        Some(ExcludeSelectItem::Single(one)) => std::slice::from_ref(one),
        Some(ExcludeSelectItem::Multiple(several)) => several,
    };
    let mut columns = Vec::new();
    for name in names {
        let [part] = name.0.as_slice() else {
            return Err(Error::config(format!("`{name}` is not a column")).with_hint("name the column alone"));
        };
        columns.extend(part.as_ident());
    }
    if let Some(except) = &options.opt_except {
        columns.push(&except.first_element);
        columns.extend(&except.additional_elements);
    }
    Ok(columns)
}
