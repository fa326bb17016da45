//! Crash points and planted bugs for tests. Without the feature `failpoints` both compile to nothing.

use aqueduct_model::Result;

/// A named place where a test makes the process die (`return(abort)`), or the call fail (`return`).
#[cfg(feature = "failpoints")]
pub(crate) fn point(name: &str) -> Result<()> {
    match fail::eval(name, |action| action) {
        None => Ok(()),
        Some(action) if action.as_deref() == Some("abort") => std::process::abort(),
        Some(_) => {
            Err(aqueduct_model::Error::new(aqueduct_model::ErrorKind::Unavailable, format!("injected at {name}")))
        }
    }
}

#[cfg(not(feature = "failpoints"))]
pub(crate) fn point(_name: &str) -> Result<()> {
    Ok(())
}

/// Whether a test asked for this bug, to prove that the suite notices it.
#[cfg(feature = "failpoints")]
pub(crate) fn planted(name: &str) -> bool {
    fail::eval(name, |_| ()).is_some()
}

#[cfg(not(feature = "failpoints"))]
pub(crate) fn planted(_name: &str) -> bool {
    false
}
