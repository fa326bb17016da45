//! Crash points and planted bugs of the commit protocol; both compile to nothing without the feature `failpoints`.

use aqueduct_model::Result;

/// Fails with `Unavailable` when the crash point is set to `return` (for every flow) or `return(flow)` (for one).
///
/// Scoped by flow because the points are process-wide and tests run in parallel.
#[cfg(feature = "failpoints")]
pub(crate) fn point(name: &str, flow: &str) -> Result<()> {
    match fail::eval(name, |scope| scope.is_none_or(|scope| scope == flow)) {
        Some(true) => {
            Err(aqueduct_model::Error::new(aqueduct_model::ErrorKind::Unavailable, format!("injected fault at {name}")))
        }
        _ => Ok(()),
    }
}

/// True when the bug of that name is planted: `return` (for every flow) or `return(flow)`.
#[cfg(feature = "failpoints")]
pub(crate) fn planted(name: &str, flow: &str) -> bool {
    fail::eval(name, |scope| scope.is_none_or(|scope| scope == flow)).unwrap_or(false)
}

#[cfg(not(feature = "failpoints"))]
pub(crate) fn point(_name: &str, _flow: &str) -> Result<()> {
    Ok(())
}

#[cfg(not(feature = "failpoints"))]
pub(crate) fn planted(_name: &str, _flow: &str) -> bool {
    false
}
