//! The plugin, and what the command line asks of a capture.

use aqueduct_model::{Finding, PluginEntry, Properties, Replay, Result, Scan, Source, SourceContext, SourcePlugin};

use super::config::{CdcConfig, Engine};
use super::policy::SnapshotMode;

#[cfg(any(feature = "mysql", feature = "postgres"))]
use super::capture::{Capture, CaptureScan};

/// The catalogue entry.
pub(crate) const ENTRY: PluginEntry = aqueduct_model::source::<CdcInput>();

struct CdcInput;

impl SourcePlugin for CdcInput {
    const NAME: &'static str = "CdcInput";
    const SUMMARY: &'static str = "Reads a database's tables and then every change of them, by whole transactions.";
    const NOTES: &'static str = include_str!("notes.md");
    const EXAMPLE: &'static str = include_str!("example.yaml");
    type Config = CdcConfig;

    fn properties(config: &CdcConfig) -> Properties {
        Properties {
            blocking: blocks(config.engine),
            unbounded: config.snapshot != SnapshotMode::InitialOnly,
            emits_changes: true,
            replay: Replay::Exact,
            ..Properties::source()
        }
    }

    fn validate(config: &CdcConfig) -> Result<()> {
        config.validate()
    }

    fn build(config: CdcConfig) -> Result<Box<dyn Source>> {
        match config.engine {
            #[cfg(feature = "sqlite")]
            Engine::Sqlite => Ok(Box::new(crate::sqlite::cdc::SqliteCapture::new(config.sqlite()))),
            #[cfg(feature = "mysql")]
            Engine::Mysql | Engine::Mariadb => {
                let (settings, system) = (config.capture(), config.mysql()?);
                Ok(Box::new(Capture::new(move |_| Ok(crate::mysql::cdc::MysqlSystem::new(system)), settings)))
            }
            #[cfg(feature = "postgres")]
            Engine::Postgres => {
                let settings = config.capture();
                let make = move |context: &SourceContext| {
                    Ok(crate::postgres::cdc::PostgresSystem::new(config.postgres(context)?))
                };
                Ok(Box::new(Capture::new(make, settings)))
            }
        }
    }

    fn scan(config: CdcConfig) -> Option<Result<Box<dyn Scan>>> {
        Some(match config.engine {
            #[cfg(feature = "sqlite")]
            Engine::Sqlite => Ok(Box::new(crate::sqlite::cdc::Scan::new(config.sqlite()))),
            #[cfg(feature = "mysql")]
            Engine::Mysql | Engine::Mariadb => config.mysql().map(|system| -> Box<dyn Scan> {
                // The flow itself may be running under its number.
                let system = crate::mysql::cdc::MysqlSettings { server_id: None, ..system };
                Box::new(CaptureScan::new(move |_| Ok(crate::mysql::cdc::MysqlSystem::new(system)), config.capture()))
            }),
            #[cfg(feature = "postgres")]
            Engine::Postgres => scan_postgres(&config),
        })
    }

    fn doctor(config: CdcConfig) -> Vec<Finding> {
        check(config)
    }

    fn retire(config: CdcConfig, context: &SourceContext) -> Result<Vec<String>> {
        retire(config, context)
    }
}

/// With a slot of its own, for the flow's is in use; dropped when the scan is closed.
#[cfg(feature = "postgres")]
fn scan_postgres(config: &CdcConfig) -> Result<Box<dyn Scan>> {
    let task = uuid::Uuid::new_v4().simple().to_string();
    let context = SourceContext { flow: "verify".into(), task, ..SourceContext::default() };
    let settings = config.postgres(&context)?;
    let settings = crate::postgres::cdc::Settings { slot: None, heartbeat: None, ..settings };
    let own = settings.clone();
    let scan = CaptureScan::new(move |_| Ok(crate::postgres::cdc::PostgresSystem::new(settings)), config.capture());
    Ok(Box::new(scan.taking_back(move || async move { crate::postgres::cdc::remove_capture(&own).await.map(drop) })))
}

/// SQLite is called, the servers are awaited.
fn blocks(engine: Engine) -> bool {
    match engine {
        #[cfg(feature = "sqlite")]
        Engine::Sqlite => true,
        #[cfg(any(feature = "mysql", feature = "postgres"))]
        _ => false,
    }
}

/// Looks at a database before anything is read or written: rights, settings, tables, log. Changes nothing.
pub fn check(config: CdcConfig) -> Vec<Finding> {
    match config.engine {
        #[cfg(feature = "sqlite")]
        Engine::Sqlite => {
            let found = crate::sqlite::cdc::check(&config.sqlite()).into_iter();
            found.map(|found| Finding { ok: found.ok, what: found.what, fix: found.fix }).collect()
        }
        #[cfg(feature = "mysql")]
        Engine::Mysql | Engine::Mariadb => answered(
            config
                .mysql()
                .and_then(|settings| crate::wait::run_apart(async move { crate::mysql::findings(&settings).await })),
        ),
        #[cfg(feature = "postgres")]
        Engine::Postgres => answered(
            config
                .postgres(&SourceContext::default())
                .and_then(|settings| crate::wait::run_apart(async move { crate::postgres::check(&settings).await })),
        ),
    }
}

/// Takes back what a capture made at its database.
fn retire(config: CdcConfig, context: &SourceContext) -> Result<Vec<String>> {
    match config.engine {
        #[cfg(feature = "sqlite")]
        Engine::Sqlite => {
            let settings = config.sqlite();
            let removed = crate::sqlite::cdc::remove_capture(&settings.path, &settings.log)?;
            Ok(vec![format!("removed the change log `{}`: {removed} triggers and tables", settings.log)])
        }
        // The server keeps nothing for a replica that is not connected.
        #[cfg(feature = "mysql")]
        Engine::Mysql | Engine::Mariadb => Ok(Vec::new()),
        #[cfg(feature = "postgres")]
        Engine::Postgres => {
            let settings = config.postgres(context)?;
            crate::wait::run_apart(async move { crate::postgres::cdc::remove_capture(&settings).await })?
        }
    }
}

#[cfg(any(feature = "mysql", feature = "postgres"))]
fn answered(findings: Result<Vec<Finding>>) -> Vec<Finding> {
    findings
        .unwrap_or_else(|error| vec![Finding { ok: false, what: error.chain(), fix: error.hint().map(str::to_owned) }])
}

/// Runs one statement at the captured database, by a connection of its own: what `aqueduct torture` does as DDL.
///
/// # Errors
/// Those of the system.
pub fn execute(config: CdcConfig, statement: &str) -> Result<()> {
    match config.engine {
        #[cfg(feature = "sqlite")]
        Engine::Sqlite => crate::sqlite::cdc::execute(&config.sqlite(), statement),
        #[cfg(feature = "mysql")]
        Engine::Mysql | Engine::Mariadb => {
            let settings = config.mysql()?;
            crate::wait::run_apart(async move { crate::mysql::execute(&settings.address, statement).await })?
        }
        #[cfg(feature = "postgres")]
        Engine::Postgres => {
            let settings = config.postgres(&SourceContext::default())?;
            crate::wait::run_apart(async move { crate::postgres::execute(&settings.address, statement).await })?
        }
    }
}
