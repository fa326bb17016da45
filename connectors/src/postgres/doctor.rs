//! `aqueduct doctor` for a capture of PostgreSQL.

use aqueduct_model::Finding;

use super::cdc::{Settings, look};
use super::connection::{Purpose, connect};
use super::server::Server;

/// Everything that is missing, all at once, each with the statement that mends it. Changes nothing.
pub(crate) async fn check(settings: &Settings) -> Vec<Finding> {
    let refused =
        |error: aqueduct_model::Error| Finding { ok: false, what: error.chain(), fix: error.hint().map(str::to_owned) };
    let session = match connect(&settings.address, Purpose::Control).await {
        Ok(session) => session,
        Err(error) => return vec![refused(error)],
    };
    let reached = Finding { ok: true, what: format!("the server at {} answers", settings.address), fix: None };
    let looked = async {
        let server = Server::ask(&session).await?;
        look(&session, &server, settings).await
    };
    let found = match looked.await {
        Ok(looked) => looked.findings.into_findings(),
        Err(error) => vec![refused(error)],
    };
    session.close().await;
    std::iter::once(reached).chain(found).collect()
}
