//! A component that was checked, and calls of its function.

use std::fmt;
use std::sync::{Mutex, PoisonError};

use wasmtime::component::{Component as Compiled, ComponentExportIndex, InstancePre, Linker, TypedFunc};
use wasmtime::{Engine, Store, UpdateDeadline};

use super::clock::Clock;
use super::contract::{FUNCTION_TYPE, check_imports, find};
use super::engine::engine;
use super::meter::Meter;
use super::reason::{failure, own};
use crate::failure::{About, Failed, Refused};
use crate::limits::Limits;
use crate::value::Value;

type Function<'a> = TypedFunc<(&'a [Value],), (Result<Vec<Value>, String>,)>;

/// A component of which one function is called, one row at a time.
pub struct Component {
    engine: Engine,
    ready: InstancePre<Meter>,
    function: ComponentExportIndex,
    limits: Limits,
    /// The binary, for the texts in it.
    file: Vec<u8>,
    clock: Clock,
    /// Whose turn it is: the pool has room for one instance.
    turn: Mutex<()>,
}

impl fmt::Debug for Component {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Component")
            .field("bytes", &self.file.len())
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

/// Says whether this build runs components.
///
/// # Errors
/// None in this build.
pub fn check_build() -> Result<(), Refused> {
    Ok(())
}

fn refused(about: About, text: &str, error: &wasmtime::Error, hint: &str) -> Refused {
    Refused { about, text: format!("{text}: {error:#}"), hint: hint.to_owned() }
}

impl Component {
    /// Compiles a component (binary, or text as WAT has it), and checks its imports and the function. Makes one
    /// instance and drops it, so that a component that cannot start is found here and not with the first row.
    ///
    /// # Errors
    /// What is at fault with the component, or with this machine.
    pub fn load(file: &[u8], function: &str, limits: Limits) -> Result<Self, Refused> {
        let binary = binary(file)?;
        let engine = engine(limits).map_err(|error| {
            refused(About::Limits, "this machine cannot run components", &error, "lower `limits.memory`")
        })?;
        let compiled = Compiled::from_binary(&engine, &binary).map_err(|error| {
            let hint = "`wasm-tools validate` says more; threads, 64-bit memory and relaxed SIMD are off, and what it \
                        takes from the start has to fit `limits.memory`";
            refused(About::File, "the component cannot be used", &error, hint)
        })?;
        check_imports(&engine, &compiled)?;
        let function = find(&engine, &compiled, function)?;
        let broken =
            |error| refused(About::File, "the component cannot be linked", &error, "`wasm-tools validate` says more");
        let ready = Linker::new(&engine).instantiate_pre(&compiled).map_err(broken)?;
        let clock = Clock::start(engine.clone(), limits.time).map_err(|error| {
            refused(About::Limits, "this machine cannot run components", &error.into(), "see the limits of the process")
        })?;
        let component = Self { engine, ready, function, limits, file: binary, clock, turn: Mutex::default() };
        component.try_out()?;
        Ok(component)
    }

    /// Makes an instance, and looks at the type of the function.
    fn try_out(&self) -> Result<(), Refused> {
        let mut store = self.store().map_err(|error| cannot_start(&failure(&error, false)))?;
        let instance = self.clock.while_ticking(|| self.ready.instantiate(&mut store));
        let instance = instance.map_err(|error| cannot_start(&failure(&error, false)))?;
        let typed: wasmtime::Result<Function<'_>> = instance.get_typed_func(&mut store, &self.function);
        typed.map(drop).map_err(|error| {
            let hint = format!("its type is to be `{FUNCTION_TYPE}`, see docs/wasm.md");
            refused(About::Function, "the function has another type", &error, &hint)
        })
    }

    fn store(&self) -> wasmtime::Result<Store<Meter>> {
        let mut store = Store::new(&self.engine, Meter::new(self.limits));
        store.limiter(|meter| meter);
        store.set_fuel(self.limits.fuel)?;
        // What comes back may name the same bytes again and again; the host would hold as many copies.
        store.set_hostcall_fuel(self.limits.memory_bytes);
        store.set_epoch_deadline(1);
        store.epoch_deadline_callback(|context| {
            Ok(if context.data().is_over() { UpdateDeadline::Interrupt } else { UpdateDeadline::Continue(1) })
        });
        Ok(store)
    }

    /// Calls the function for one row, in an instance of its own. Waits for a call under way in another thread.
    ///
    /// # Errors
    /// Why it gives nothing; the text holds no value of the row.
    pub fn call(&self, row: &[Value]) -> Result<Vec<Value>, Failed> {
        // A call that panicked leaves nothing behind: its store is gone.
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let mut store = self.store().map_err(|error| Failed::Host(format!("{error:#}")))?;
        let mut started = false;
        let given = self.clock.while_ticking(|| {
            let instance = self.ready.instantiate(&mut store)?;
            let function: Function<'_> = instance.get_typed_func(&mut store, &self.function)?;
            started = true;
            function.call(&mut store, (row,))
        });
        match given {
            Ok((Ok(values),)) => Ok(values),
            Ok((Err(text),)) => Err(Failed::Row(own(&text, &self.file))),
            Err(error) => Err(failure(&error, started)),
        }
    }
}

/// A component as binary; text is assembled.
fn binary(file: &[u8]) -> Result<Vec<u8>, Refused> {
    let is_core = file.starts_with(b"\0asm\x01\0\0\0");
    let refused = |text: String, hint: &str| Refused { about: About::File, text, hint: hint.to_owned() };
    if is_core || is_core_text(file) {
        let hint = "make one of it with `wasm-tools component new`";
        return Err(refused("the file is a core module and not a component".to_owned(), hint));
    }
    if file.starts_with(b"\0asm") {
        return Ok(file.to_vec());
    }
    let hint = "give a component, in binary or as text (WAT)";
    let is_text = std::str::from_utf8(file).is_ok_and(|text| text.contains("(component"));
    if !is_text {
        return Err(refused("the file is no WebAssembly".to_owned(), hint));
    }
    match wat::parse_bytes(file) {
        Ok(binary) => Ok(binary.into_owned()),
        Err(error) => Err(refused(format!("the component's text cannot be read: {error}"), hint)),
    }
}

fn cannot_start(why: &Failed) -> Refused {
    let why = match why {
        Failed::Row(why) | Failed::Host(why) => why.as_str(),
        Failed::Time => "it takes too long",
    };
    Refused {
        about: About::Limits,
        text: format!("the component cannot start: {why}"),
        hint: "what it does and takes before it sees a row has to be within `limits`".to_owned(),
    }
}

fn is_core_text(file: &[u8]) -> bool {
    std::str::from_utf8(file).is_ok_and(|text| text.trim_start().starts_with("(module"))
}
