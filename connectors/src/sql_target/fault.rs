//! Crash points and planted bugs of the commit protocol; both compile to nothing without the feature `failpoints`.
//!
//! A point `sink.flush` is also `sink.flush@shop` for the flow `shop`: points are process-wide, and a test that runs
//! beside others wants to hit its own flow only.

use aqueduct_model::Result;

/// Fails with `Unavailable` when the crash point is set to `return`.
#[cfg(feature = "failpoints")]
pub(crate) fn point(name: &str, flow: &str) -> Result<()> {
    if !planted(name, flow) {
        return Ok(());
    }
    Err(aqueduct_model::Error::new(aqueduct_model::ErrorKind::Unavailable, format!("injected fault at {name}")))
}

/// True when the bug of that name is planted by `return`.
#[cfg(feature = "failpoints")]
pub(crate) fn planted(name: &str, flow: &str) -> bool {
    fail::eval(name, |_| ()).is_some() || fail::eval(&format!("{name}@{flow}"), |_| ()).is_some()
}

#[cfg(not(feature = "failpoints"))]
pub(crate) fn point(_name: &str, _flow: &str) -> Result<()> {
    Ok(())
}

#[cfg(not(feature = "failpoints"))]
pub(crate) fn planted(_name: &str, _flow: &str) -> bool {
    false
}
