//! Builds without WebAssembly.

use crate::failure::{About, Failed, Refused};
use crate::limits::Limits;
use crate::value::Value;

/// A component that can be called: there is none in this build.
#[derive(Debug)]
pub enum Component {}

/// Says whether this build runs components.
///
/// # Errors
/// Always: it does not.
pub fn check_build() -> Result<(), Refused> {
    Err(absent())
}

fn absent() -> Refused {
    Refused {
        about: About::Build,
        text: "this build of aqueduct runs no WebAssembly components".to_owned(),
        hint: "build it with `cargo build --release --locked --features wasm`, or write the function as a `script`"
            .to_owned(),
    }
}

impl Component {
    /// Reads a component.
    ///
    /// # Errors
    /// Always: this build runs none.
    pub fn load(_file: &[u8], _function: &str, _limits: Limits) -> Result<Self, Refused> {
        Err(absent())
    }

    /// Calls the function for one row.
    ///
    /// # Errors
    /// None: there is no component to call.
    pub fn call(&self, _row: &[Value]) -> Result<Vec<Value>, Failed> {
        match *self {}
    }
}
