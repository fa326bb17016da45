//! What PostgresOutput needs of its role, all of it at once, with the statement that grants it.

use aqueduct_model::{Finding, Result};

use super::target::Settings;
use crate::postgres::connection::{Purpose, Session, connect};
use crate::postgres::error::failed;
use crate::sql_target::{Dialect, quote_ident};
use crate::wait::run_apart;

/// Looks at the server; changes nothing.
pub(super) fn findings(settings: Result<Settings>) -> Vec<Finding> {
    let looked = settings.and_then(|settings| run_apart(async move { look(&settings).await })?);
    looked
        .unwrap_or_else(|error| vec![Finding { ok: false, what: error.chain(), fix: error.hint().map(str::to_owned) }])
}

fn finding(ok: bool, what: impl Into<String>, fix: impl Into<String>) -> Finding {
    Finding { ok, what: what.into(), fix: (!ok).then(|| fix.into()) }
}

async fn look(settings: &Settings) -> Result<Vec<Finding>> {
    let session = connect(&settings.address, Purpose::Write).await?;
    let schema = quote_ident(Dialect::Postgres, &settings.schema)?;
    let mut findings = rights(&session, settings, &schema).await?;
    findings.extend(tables(&session, settings, &schema).await?);
    session.close().await;
    Ok(findings)
}

/// Rights over the database and the schema, and whether the server takes writes at all.
async fn rights(session: &Session, settings: &Settings, schema: &str) -> Result<Vec<Finding>> {
    let row = session
        .query_one(
            "SELECT current_user::text, quote_ident(current_database()), pg_is_in_recovery(), \
             has_database_privilege(current_database(), 'CREATE'), n.oid IS NOT NULL, \
             COALESCE(has_schema_privilege(n.oid, 'USAGE'), false), \
             COALESCE(has_schema_privilege(n.oid, 'CREATE'), false), quote_ident(current_user), \
             current_setting('fsync') = 'on' \
             FROM (SELECT $1::text AS name) wanted LEFT JOIN pg_namespace n ON n.nspname = wanted.name",
            &[&settings.schema],
        )
        .await
        .map_err(|error| failed("cannot look at the role's rights", error))?;
    let (role, database, quoted_role): (String, String, String) = (row.get(0), row.get(1), row.get(7));
    let (standby, may_create, exists, usage, create): (bool, bool, bool, bool, bool) =
        (row.get(2), row.get(3), row.get(4), row.get(5), row.get(6));
    let mut findings = vec![
        finding(true, format!("connected to {} as {role}", settings.address), ""),
        finding(!standby, "the server takes writes (it is no standby)", "set `url` to the primary"),
        finding(row.get(8), "the server puts commits on disk", "ALTER SYSTEM SET fsync = on; then restart the server"),
    ];
    if exists {
        findings.push(finding(
            usage,
            format!("role {role} may use schema {schema}"),
            format!("GRANT USAGE ON SCHEMA {schema} TO {quoted_role};"),
        ));
        findings.push(finding(
            create,
            format!("role {role} may create tables in schema {schema}"),
            format!("GRANT CREATE ON SCHEMA {schema} TO {quoted_role};"),
        ));
    } else {
        findings.push(finding(
            may_create,
            format!("schema {schema} does not exist; role {role} may create it"),
            format!("CREATE SCHEMA {schema} AUTHORIZATION {quoted_role}; -- or GRANT CREATE ON DATABASE {database} TO {quoted_role};"),
        ));
    }
    Ok(findings)
}

/// Rights over tables that are there: those that the role may only partly write.
async fn tables(session: &Session, settings: &Settings, schema: &str) -> Result<Vec<Finding>> {
    let rows = session
        .query(
            "SELECT quote_ident(c.relname), quote_ident(current_user), array_to_string(ARRAY( \
               SELECT p FROM unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE']) p \
               WHERE NOT has_table_privilege(c.oid, p)), ', ') \
             FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
             WHERE n.nspname = $1 AND c.relname LIKE '\\_aqueduct\\_%' AND c.relkind IN ('r', 'p') ORDER BY 1",
            &[&settings.schema],
        )
        .await
        .map_err(|error| failed("cannot look at the tables' rights", error))?;
    Ok(rows
        .iter()
        .map(|row| {
            let (table, role, missing): (String, String, String) = (row.get(0), row.get(1), row.get(2));
            finding(
                missing.is_empty(),
                format!("role {role} may read and write {schema}.{table}"),
                format!("GRANT {missing} ON {schema}.{table} TO {role};"),
            )
        })
        .collect())
}
