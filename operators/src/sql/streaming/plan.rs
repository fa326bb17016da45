//! A query with `group by`, taken apart into the settings of operators.

use std::ops::ControlFlow;

use aqueduct_model::{ByteSize, Error, PluginEntry, Result};
use datafusion::sql::sqlparser::ast::{
    Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments, GroupByExpr, Ident, Select, SelectItem, Statement,
    Value as Literal, VisitMut, VisitorMut, visit_expressions, visit_expressions_mut,
};
use serde_json::{Map, Value, json};

use crate::sql::aggregate::AggregateCall;
use crate::sql::expression::parse_all;
use crate::sql::query::{Query, only_select, only_table, refuse_clauses};
use crate::sql::stack::with_room;

/// What the stages call the table of groups.
const TOTALS: &str = "totals";
/// The columns that a window adds.
const EDGES: [&str; 2] = ["window_start", "window_end"];
/// What is refused, and what there is.
const FORM: &str = "in mode `changelog` a query is `select … from <one table> where … group by … having …`";

/// See the module.
#[derive(Debug)]
pub(in crate::sql) struct Plan {
    /// The table that is read.
    pub(super) source: Query,
    condition: Option<String>,
    window: Option<(String, Value)>,
    by: Vec<(String, String)>,
    totals: Vec<String>,
    columns: String,
}

impl Plan {
    /// Reads a query.
    ///
    /// # Errors
    /// `Config` when it is not such a query; the hint says what to write.
    pub(in crate::sql) fn parse(text: &str) -> Result<Self> {
        with_room(|| Self::read(text))
    }

    fn read(text: &str) -> Result<Self> {
        let statement = parse_all(text.trim().trim_end_matches(';'), |parser| parser.parse_statement())?;
        let Statement::Query(query) = statement else {
            return Err(Error::config("only a `select` can be run here").with_hint(FORM));
        };
        let mut select = only_select(*query).map_err(unkept)?;
        let groups = match std::mem::replace(&mut select.group_by, GroupByExpr::Expressions(Vec::new(), Vec::new())) {
            GroupByExpr::Expressions(groups, modifiers) if modifiers.is_empty() && !groups.is_empty() => groups,
            _ => return Err(Error::config("`group by` names what makes a group").with_hint(FORM)),
        };
        let having = select.having.take();
        refuse_clauses(&select).map_err(unkept)?;
        let (table, alias) = only_table(&select).map_err(unkept)?;
        let mut called: Vec<String> = table.last().map(|part| part.value.clone()).into_iter().collect();
        called.extend(alias.map(|alias| alias.value));
        let from: Vec<String> = table.iter().map(Ident::to_string).collect();
        let source = Query::parse(&format!("select * from {}", from.join(".")))?;
        let plain = |mut expression: Expr| {
            unqualify(&mut expression, &called);
            expression
        };
        let mut reading = Reading::default();
        for group in groups.into_iter().map(plain) {
            reading.group(group)?;
        }
        let condition = select.selection.take().map(|condition| plain(condition).to_string());
        let columns = reading.columns(select, having.map(plain), plain)?;
        Ok(Self {
            source,
            condition,
            window: reading.window,
            by: reading.by.into_iter().map(|(name, group)| (name, group.to_string())).collect(),
            totals: reading.totals,
            columns,
        })
    }

    /// Checks the settings of the stages.
    ///
    /// # Errors
    /// `Config` for functions that there are not, and the like.
    pub(in crate::sql) fn check(&self, memory: ByteSize) -> Result<()> {
        self.stages(TOTALS, memory).into_iter().try_for_each(|(entry, settings)| (entry.check)(&settings).map(drop))
    }

    /// The stages with their settings; `table` is the output's name.
    pub(super) fn stages(&self, table: &str, memory: ByteSize) -> Vec<(PluginEntry, Value)> {
        let mut stages = Vec::new();
        if let Some(condition) = &self.condition {
            stages.push((crate::filter::ENTRY, json!({ "where": condition })));
        }
        let by: Vec<Value> = self.by.iter().map(|(name, text)| json!({ name: text })).collect();
        let totals = self.totals.iter().enumerate().map(|(i, total)| (total_name(i), Value::from(total.clone())));
        let mut settings = json!({ "by": by, "totals": Value::Object(totals.collect::<Map<_, _>>()), "table": TOTALS });
        settings["state_memory"] = memory.to_string().into();
        match &self.window {
            None => stages.push((crate::group::ENTRY, settings)),
            Some((time, window)) => {
                settings["time"] = time.clone().into();
                settings["changes"] = true.into();
                for (name, value) in window.as_object().into_iter().flatten() {
                    settings[name] = value.clone();
                }
                stages.push((crate::window::ENTRY, settings));
            }
        }
        stages.push((crate::sql::ENTRY, json!({ "query": self.columns, "table": table })));
        stages
    }

    /// True when rows go out once, when a window closes.
    pub(in crate::sql) fn has_windows(&self) -> bool {
        self.window.is_some()
    }
}

/// What is refused of every query that is not run whole, told for this kind of them.
fn unkept(error: Error) -> Error {
    Error::config("a part of the query cannot be kept while its table changes").with_source(error).with_hint(FORM)
}

fn total_name(i: usize) -> String {
    format!("total_{i}")
}

/// What was read of a query so far.
#[derive(Default)]
struct Reading {
    window: Option<(String, Value)>,
    by: Vec<(String, Expr)>,
    totals: Vec<String>,
}

impl Reading {
    /// Takes in one part of `group by`.
    fn group(&mut self, group: Expr) -> Result<()> {
        if let Expr::Function(function) = &group
            && let Some(window) = window(function)?
        {
            if self.window.replace(window).is_some() {
                return Err(Error::config("a row is in windows of one kind only").with_hint("remove one of them"));
            }
            return Ok(());
        }
        let name = match &group {
            Expr::Identifier(ident) => ident.value.clone(),
            Expr::Value(_) => {
                return Err(Error::config("`group by` names columns and expressions, not places")
                    .with_hint("write the expression again behind `group by`"));
            }
            _ => format!("group_{}", self.by.len()),
        };
        self.by.push((name, group));
        Ok(())
    }

    /// The query over the totals: the list of columns, and `having`.
    fn columns(&mut self, select: Select, having: Option<Expr>, plain: impl Fn(Expr) -> Expr) -> Result<String> {
        let mut columns = Vec::new();
        let mut shown = Vec::new();
        for item in select.projection {
            let (expression, alias) = match item {
                SelectItem::UnnamedExpr(expression) => (plain(expression), None),
                SelectItem::ExprWithAlias { expr, alias } => (plain(expr), Some(alias)),
                other => {
                    return Err(Error::config(format!("`{other}` is not a column of a group"))
                        .with_hint("name what makes the group, and aggregates"));
                }
            };
            let name = match (&alias, &expression) {
                (Some(alias), _) => alias.value.clone(),
                (None, Expr::Identifier(ident)) => ident.value.clone(),
                (None, other) => {
                    return Err(Error::config(format!("the column `{other}` has no name"))
                        .with_hint(format!("name it: `{other} as <name>`")));
                }
            };
            let over_totals = self.over_totals(expression)?;
            if let Expr::Identifier(ident) = &over_totals {
                shown.push(ident.value.clone());
            }
            columns.push(format!("{over_totals} as {}", Ident::with_quote('"', name)));
        }
        let edge = self.window.iter().map(|_| EDGES[0].to_owned());
        let key: Vec<String> = self.by.iter().map(|(name, _)| name.clone()).chain(edge).collect();
        if let Some((i, lacking)) = key.iter().enumerate().find(|(_, name)| !shown.contains(name)) {
            let written = self.by.get(i).map_or(lacking.clone(), |(_, group)| group.to_string());
            return Err(Error::config(format!("`{written}` makes the group and is not selected"))
                .with_hint(format!("add it, because it is the key of the result: `select {written} as <name>, …`")));
        }
        let having = having.map(|having| self.over_totals(having)).transpose()?;
        let condition = having.map(|having| format!(" where {having}")).unwrap_or_default();
        if self.totals.is_empty() {
            // Groups without a total are still counted, to know when they are empty.
            self.totals.push("count(*)".to_owned());
        }
        Ok(format!("select {} from {TOTALS}{condition}", columns.join(", ")))
    }

    /// An expression over the columns of the totals, in place of those of the table.
    fn over_totals(&mut self, mut expression: Expr) -> Result<Expr> {
        let mut rewriting = Rewriting { by: &self.by, totals: &mut self.totals };
        if let ControlFlow::Break(error) = expression.visit(&mut rewriting) {
            return Err(*error);
        }
        let known = |name: &str| {
            let is_edge = self.window.is_some() && EDGES.contains(&name);
            is_edge || self.by.iter().any(|(by, _)| by == name) || (0..self.totals.len()).any(|i| total_name(i) == name)
        };
        let strange: ControlFlow<String> = visit_expressions(&expression, |part| match part {
            Expr::Identifier(ident) if !known(&ident.value) => ControlFlow::Break(ident.value.clone()),
            Expr::CompoundIdentifier(_) => ControlFlow::Break(part.to_string()),
            _ => ControlFlow::Continue(()),
        });
        match strange {
            ControlFlow::Continue(()) => Ok(expression),
            ControlFlow::Break(name) => {
                Err(Error::config(format!("{name} is neither in `group by` nor inside of an aggregate"))
                    .with_hint(format!("write `max({name})`, or add it to `group by`")))
            }
        }
    }
}

/// Puts names of totals and groups into the place of what they are.
struct Rewriting<'a> {
    by: &'a [(String, Expr)],
    totals: &'a mut Vec<String>,
}

impl VisitorMut for Rewriting<'_> {
    type Break = Box<Error>;

    // Before its parts, so that what makes a group is left alone inside of an aggregate.
    fn pre_visit_expr(&mut self, expression: &mut Expr) -> ControlFlow<Box<Error>> {
        if let Some((name, _)) = self.by.iter().find(|(_, group)| group == expression) {
            *expression = Expr::Identifier(Ident::with_quote('"', name));
            return ControlFlow::Continue(());
        }
        let Expr::Function(function) = &*expression else { return ControlFlow::Continue(()) };
        if !AggregateCall::is_one(&function.name.to_string()) {
            return ControlFlow::Continue(());
        }
        let text = expression.to_string();
        if let Err(error) = AggregateCall::parse(&text) {
            return ControlFlow::Break(Box::new(error));
        }
        let place = self.totals.iter().position(|total| *total == text).unwrap_or_else(|| {
            self.totals.push(text);
            self.totals.len() - 1
        });
        *expression = Expr::Identifier(Ident::with_quote('"', total_name(place)));
        ControlFlow::Continue(())
    }
}

/// Takes the table's name away from in front of columns.
fn unqualify(expression: &mut Expr, called: &[String]) {
    let _: ControlFlow<()> = visit_expressions_mut(expression, |part| {
        if let Expr::CompoundIdentifier(parts) = part
            && let [table, column] = parts.as_slice()
            && called.iter().any(|name| name.eq_ignore_ascii_case(&table.value))
        {
            *part = Expr::Identifier(column.clone());
        }
        ControlFlow::Continue(())
    });
}

/// `tumble(ts, '1m')`, `hop(ts, '10m', '1m')` (size and slide), `session(ts, '30s')` as settings of a window.
fn window(function: &Function) -> Result<Option<(String, Value)>> {
    let name = function.name.to_string().to_lowercase();
    let form = match name.as_str() {
        "tumble" => "tumble(created_at, '1m')",
        "hop" => "hop(created_at, '10m', '1m')",
        "session" => "session(created_at, '30s')",
        _ => return Ok(None),
    };
    let wrong = || Error::config(format!("cannot read `{function}` as windows")).with_hint(format!("write `{form}`"));
    let FunctionArguments::List(list) = &function.args else { return Err(wrong()) };
    let argument = |argument: &FunctionArg| match argument {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(expression)) => Some(expression.clone()),
        _ => None,
    };
    let arguments: Option<Vec<Expr>> = list.args.iter().map(argument).collect();
    let arguments = arguments.ok_or_else(wrong)?;
    let length = |expression: &Expr| duration(expression).ok_or_else(wrong);
    let (time, settings) = match (name.as_str(), arguments.as_slice()) {
        ("tumble" | "session", [time, size]) => (time, json!({ name.clone(): length(size)? })),
        ("hop", [time, size, slide]) => (time, json!({ "hop": { "size": length(size)?, "slide": length(slide)? } })),
        _ => return Err(wrong()),
    };
    Ok(Some((time.to_string(), settings)))
}

/// `'10s'` or `interval '10 seconds'` as a setting.
fn duration(expression: &Expr) -> Option<String> {
    let text = |expression: &Expr| match expression {
        Expr::Value(value) => match &value.value {
            Literal::SingleQuotedString(text) => Some(text.clone()),
            Literal::Number(number, _) => Some(number.clone()),
            _ => None,
        },
        _ => None,
    };
    let Expr::Interval(interval) = expression else { return text(expression) };
    let mut written = text(&interval.value)?;
    if let Some(unit) = &interval.leading_field {
        written = format!("{written} {unit}");
    }
    let (number, unit) = written.trim().split_once(char::is_whitespace)?;
    let unit = match unit.trim().to_lowercase().trim_end_matches('s') {
        "millisecond" => "ms",
        "second" => "s",
        "minute" => "m",
        "hour" => "h",
        "day" => "d",
        _ => return None,
    };
    Some(format!("{number}{unit}"))
}
