//! Crash points and planted bugs; nothing of it is left without the feature `failpoints`.

/// True when a test planted that bug.
#[cfg(feature = "failpoints")]
pub(super) fn planted(name: &str) -> bool {
    fail::eval(name, |_| ()).is_some()
}

/// True when a test planted that bug: never in this build.
#[cfg(not(feature = "failpoints"))]
pub(super) fn planted(_name: &str) -> bool {
    false
}

/// The error that a crash point answers with when a test asks for one.
#[cfg(feature = "failpoints")]
pub(super) fn injected(name: &str) -> aqueduct_model::Error {
    aqueduct_model::Error::new(aqueduct_model::ErrorKind::Unavailable, format!("injected at {name}"))
}
