//! `verify`: prints what the comparison found. Exit code 0 when both sides agree, 1 when they differ.

use super::arguments::VerifyArguments;
use super::exit::{Exit, Failure};
use super::log::Log;
use super::plan::load;
use crate::thousands::thousands;
use crate::verify::{Options, Report, verify as compare};

/// Compares source and target.
pub(super) fn verify(arguments: &VerifyArguments, log: &Log) -> Result<Exit, Failure> {
    let planned = load(&arguments.flow, log)?;
    let report =
        compare(&planned.plan, Options { repair: arguments.repair, rows: arguments.rows, show: arguments.show })?;
    if arguments.json {
        let text = serde_json::to_string(&report)
            .map_err(|error| aqueduct_model::Error::bug("the report is not JSON").with_source(error))?;
        println!("{}", log.redact(&text));
    } else {
        print!("{}", log.redact(&text(&report)));
    }
    Ok(if report.is_good() { Exit::Ok } else { Exit::Failed })
}

fn text(report: &Report) -> String {
    let mut text = format!(
        "{:<16} {:<20} {:>6} {:>13} {:>13} {:>8} {:>6} {:>10}  checksum\n",
        "target", "table", "epoch", "source rows", "target rows", "missing", "extra", "different"
    );
    for table in &report.tables {
        let mark = match (table.is_equal(), table.repaired) {
            (true, _) if table.is_by_checksum() => "✓ no row read",
            (true, _) => "✓",
            (false, true) => "mended",
            (false, false) => "✗",
        };
        text.push_str(&format!(
            "{:<16} {:<20} {:>6} {:>13} {:>13} {:>8} {:>6} {:>10}  {} {mark}\n",
            table.sink,
            table.table,
            table.epoch,
            thousands(table.source_rows.unsigned_abs()),
            thousands(table.target_rows.unsigned_abs()),
            table.missing,
            table.extra,
            table.different,
            &table.source_checksum[..16],
        ));
        for found in &table.keys {
            let difference = format!("{:?}", found.difference).to_lowercase();
            let columns =
                if found.columns.is_empty() { String::new() } else { format!(": {}", found.columns.join(", ")) };
            text.push_str(&format!("    {difference:<10} {}{columns}\n", found.key));
        }
    }
    for skipped in &report.skipped {
        text.push_str(&format!("not verified: {skipped}\n"));
    }
    let (missing, extra, different) = report.totals();
    text.push_str(&format!("{missing} missing, {extra} extra, {different} different\n"));
    text
}
