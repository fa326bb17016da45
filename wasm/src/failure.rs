//! Why a component is not used, and why a function gives nothing for a row. Texts never hold a value of a row.

/// What of a component is at fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum About {
    /// This build, which has no WebAssembly.
    Build,
    /// The file.
    File,
    /// The name of the function, or its type.
    Function,
    /// What it takes before it has seen a row.
    Limits,
}

/// A component that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// What is at fault.
    pub about: About,
    /// Why, lower case and without a full stop.
    pub text: String,
    /// What to do about it.
    pub hint: String,
}

/// A function that gave nothing for a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failed {
    /// The row is bad, in every run; the reason.
    Row(String),
    /// It took too long, which another run may find otherwise.
    Time,
    /// The program cannot run it, whatever the row; why.
    Host(String),
}
