//! How the program ends.

use std::fmt;
use std::process::ExitCode;

use aqueduct_engine::definition::Diagnostics;
use aqueduct_engine::runtime::FailureReport;
use aqueduct_model::{Error, ErrorKind};

/// An exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Exit {
    /// 0.
    Ok,
    /// 1: the flow failed, or source and target differ.
    Failed,
    /// 2: the flow file or the command line is wrong.
    BadFlow,
    /// 3: something outside is missing: a server, a privilege, space, a lock.
    Environment,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Ok => 0,
            Exit::Failed => 1,
            Exit::BadFlow => 2,
            Exit::Environment => 3,
        })
    }
}

/// Why a command could not do its work.
#[derive(Debug)]
pub(super) enum Failure {
    /// Mistakes in a flow file.
    Flow(Diagnostics),
    /// Anything else.
    Report(FailureReport),
}

impl Failure {
    pub(super) fn exit(&self) -> Exit {
        match self {
            Self::Flow(_) => Exit::BadFlow,
            Self::Report(report) => match report.kind {
                "config" => Exit::BadFlow,
                "unavailable" | "timeout" | "throttled" | "auth" | "state" => Exit::Environment,
                _ => Exit::Failed,
            },
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Report(FailureReport::of_error(&error))
    }
}

impl From<FailureReport> for Failure {
    fn from(report: FailureReport) -> Self {
        Self::Report(report)
    }
}

impl From<Diagnostics> for Failure {
    fn from(diagnostics: Diagnostics) -> Self {
        Self::Flow(diagnostics)
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Error::new(ErrorKind::Unavailable, "cannot read or write").with_source(error).into()
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let report = match self {
            Self::Flow(diagnostics) => return write!(f, "{diagnostics}"),
            Self::Report(report) => report,
        };
        write!(f, "error[{}]: {}", report.kind, report.message)?;
        if let Some(task) = &report.task {
            write!(f, "\n   task: {task}")?;
        }
        if let Some(setting) = &report.setting {
            write!(f, "\nsetting: {setting}")?;
        }
        if let Some(hint) = &report.hint {
            write!(f, "\n   help: {hint}")?;
        }
        Ok(())
    }
}
