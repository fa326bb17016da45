//! Fault injection: crash points by the crate `fail`, and planted protocol bugs that the tests must catch.
//!
//! Without the feature `failpoints` both compile to nothing.

/// True while a test has planted the bug of that name.
#[cfg(feature = "failpoints")]
pub(crate) fn planted(bug: &str) -> bool {
    fail::eval(bug, |_| ()).is_some()
}

/// Planted bugs exist in fault-injection builds only.
#[cfg(not(feature = "failpoints"))]
pub(crate) const fn planted(_bug: &str) -> bool {
    false
}
