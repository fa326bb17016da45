//! The engine that scripts run in, and what it does not let them do.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use aqueduct_model::{Error, Result};
use rhai::{AST, Dynamic, Engine, EvalAltResult, ParseErrorType, Position, Scope};

use super::super::config::Limits;
use super::decimal;

/// The longest script, in bytes.
const TEXT_BYTES_MAX: usize = 64 << 10;
/// The deepest nesting of expressions, in the script and in its functions.
const DEPTH_MAX: (usize, usize) = (32, 16);
/// The most variables at a time, those of the row included.
const VARIABLES_MAX: usize = 1_024;
/// The most functions that a script defines.
const FUNCTIONS_MAX: usize = 100;
/// The clock is looked at once in so many steps.
const STEPS_PER_LOOK: u64 = 256;

/// An engine with its limits, shared by the scripts of a task.
#[derive(Debug, Clone)]
pub(in super::super) struct Sandbox {
    engine: Arc<Engine>,
    deadline: Arc<Deadline>,
    pub(super) limits: Limits,
}

/// When the row under way has to be done.
#[derive(Debug)]
struct Deadline {
    start: Instant,
    limit: Duration,
    /// Microseconds since `start`.
    until: AtomicU64,
}

impl Deadline {
    fn begin(&self) {
        let until = self.start.elapsed() + self.limit;
        self.until.store(u64::try_from(until.as_micros()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    fn is_over(&self) -> bool {
        self.start.elapsed().as_micros() > u128::from(self.until.load(Ordering::Relaxed))
    }
}

/// A script that was compiled, with the names that it does not define itself, in the order in which they are met.
#[derive(Debug, Clone)]
pub(super) struct Program {
    pub(super) ast: AST,
    pub(super) names: Vec<String>,
}

impl Sandbox {
    pub(in super::super) fn new(limits: &Limits) -> Self {
        let count = |limit: std::num::NonZeroU32| limit.get() as usize;
        let mut engine = Engine::new();
        engine
            .set_max_operations(u64::from(limits.operations.get()))
            .set_max_call_levels(count(limits.calls))
            .set_max_string_size(limits.text.0 as usize)
            .set_max_array_size(count(limits.items))
            .set_max_map_size(count(limits.items))
            .set_max_variables(VARIABLES_MAX)
            .set_max_functions(FUNCTIONS_MAX)
            .set_max_expr_depths(DEPTH_MAX.0, DEPTH_MAX.1)
            // A name that is not there is a mistake, and never NULL.
            .set_strict_variables(true)
            .set_fail_on_invalid_map_property(true);
        engine.disable_symbol("eval");
        engine.on_print(|_| {}).on_debug(|_, _, _| {});
        // The library's own would hold the thread, and no step is counted meanwhile.
        engine.register_fn("sleep", |_: i64| refuse_sleep()).register_fn("sleep", |_: f64| refuse_sleep());
        decimal::register(&mut engine);
        let deadline =
            Arc::new(Deadline { start: Instant::now(), limit: limits.time.0, until: AtomicU64::new(u64::MAX) });
        let clock = deadline.clone();
        engine.on_progress(move |steps| {
            (steps.is_multiple_of(STEPS_PER_LOOK) && clock.is_over()).then_some(Dynamic::UNIT)
        });
        Self { engine: Arc::new(engine), deadline, limits: *limits }
    }

    /// Compiles a script.
    ///
    /// # Errors
    /// `Config` with line and column in the script.
    pub(super) fn compile(&self, text: &str) -> Result<Program> {
        if text.len() > TEXT_BYTES_MAX {
            let text = format!("a script of {} bytes is over the limit of {TEXT_BYTES_MAX}", text.len());
            return Err(Error::config(text));
        }
        let mut scope = Scope::new();
        let mut names: Vec<String> = Vec::new();
        loop {
            let error = match self.engine.compile_with_scope(&scope, text) {
                Ok(ast) => {
                    self.check_functions(text, &names)?;
                    return Ok(Program { ast, names });
                }
                Err(error) => error,
            };
            let rhai::ParseError(kind, position) = error;
            match *kind {
                ParseErrorType::VariableUndefined(name) if names.len() < VARIABLES_MAX => {
                    scope.push_dynamic(name.clone(), Dynamic::UNIT);
                    names.push(name);
                }
                other => return Err(mistake(&other.to_string(), position)),
            }
        }
    }

    /// Finds names of the row inside functions, which see their parameters only. What stands in the scope counts as seen
    /// everywhere; what a script defines itself does not.
    fn check_functions(&self, text: &str, names: &[String]) -> Result<()> {
        let defined: String = names.iter().map(|name| format!("let {name}=();")).collect();
        let compiled = self.engine.compile(format!("{defined}{text}"));
        let Err(rhai::ParseError(kind, position)) = compiled else { return Ok(()) };
        let ParseErrorType::VariableUndefined(name) = *kind else { return Ok(()) };
        let place = match position.line() {
            Some(1) | None => String::new(),
            Some(_) => place(position),
        };
        Err(Error::config(format!("cannot read the script: a function does not see `{name}`{place}"))
            .with_hint("functions see their parameters only: hand it over as one"))
    }

    /// Runs a script for one row.
    pub(super) fn run(&self, program: &Program, scope: &mut Scope<'_>) -> Result<Dynamic, Box<EvalAltResult>> {
        self.deadline.begin();
        self.engine.eval_ast_with_scope::<Dynamic>(scope, &program.ast)
    }
}

fn refuse_sleep() -> Result<(), Box<EvalAltResult>> {
    Err(Box::new(EvalAltResult::ErrorFunctionNotFound("sleep".to_owned(), Position::NONE)))
}

fn mistake(cause: &str, position: Position) -> Error {
    Error::config(format!("cannot read the script: {cause}{}", place(position)))
}

/// Where in the script something is, as people count.
pub(super) fn place(position: Position) -> String {
    match (position.line(), position.position()) {
        (Some(line), Some(column)) => format!(" (line {line}, column {column} of the script)"),
        (Some(line), None) => format!(" (line {line} of the script)"),
        _ => String::new(),
    }
}
