//! Names of folders and files: from tables and epochs, and back.

use aqueduct_model::{Epoch, Error, ErrorKind, RelationName, Result};

/// The longest folder name that is made, in bytes; file systems allow 255.
const FOLDER_NAME_BYTES_MAX: usize = 200;
const STAGED_SUFFIX: &str = ".inprogress";

/// The folder of a table below the output folder.
///
/// `template` may hold `{catalog}`, `{schema}` and `{table}`; without one the full name is used. Whatever a table is
/// called, the result is one path component that is not hidden: other characters than letters, digits, `-`, `_` and
/// inner dots are written as `%XX`.
///
/// # Errors
/// `Schema` when the name would be empty or longer than a file system allows.
pub(super) fn table_folder(template: Option<&str>, relation: &RelationName) -> Result<String> {
    let part = |part: &Option<String>| escaped(part.as_deref().unwrap_or_default());
    let folder = match template {
        Some(template) => template
            .replace("{catalog}", &part(&relation.catalog))
            .replace("{schema}", &part(&relation.schema))
            .replace("{table}", &escaped(&relation.table)),
        None => {
            let parts = [relation.catalog.as_deref(), relation.schema.as_deref(), Some(relation.table.as_str())];
            parts.into_iter().flatten().map(escaped).collect::<Vec<_>>().join(".")
        }
    };
    // Hidden names are ours, names with an underscore in front are skipped by readers such as Spark and Hive.
    let folder = match folder.as_bytes().first() {
        Some(first @ (b'.' | b'_')) => format!("%{first:02X}{}", &folder[1..]),
        _ => folder,
    };
    if folder.is_empty() || folder.len() > FOLDER_NAME_BYTES_MAX {
        return Err(Error::new(ErrorKind::Schema, format!("no folder can be named after table {relation}"))
            .with_setting("table")
            .with_hint(format!("set `table` to a template that gives 1 to {FOLDER_NAME_BYTES_MAX} bytes")));
    }
    Ok(folder)
}

fn escaped(part: &str) -> String {
    let mut text = String::with_capacity(part.len());
    for c in part.chars() {
        if c.is_alphanumeric() || c == '-' || c == '_' {
            text.push(c);
        } else {
            let mut bytes = [0; 4];
            for byte in c.encode_utf8(&mut bytes).bytes() {
                text.push_str(&format!("%{byte:02X}"));
            }
        }
    }
    text
}

/// Checks the setting `table`. Pure.
///
/// # Errors
/// `Config` when something other than letters, digits, `-`, `_`, dots and the three placeholders is in it.
pub(crate) fn check_template(template: Option<&str>) -> Result<()> {
    let Some(template) = template else { return Ok(()) };
    let rest = template.replace("{catalog}", "").replace("{schema}", "").replace("{table}", "");
    let plain = rest.chars().all(|c| c.is_alphanumeric() || matches!(c, '-' | '_' | '.'));
    if template.is_empty() || !plain {
        return Err(Error::config("the table template has a character that a folder name cannot have")
            .with_setting("table")
            .with_hint("use letters, digits, `-`, `_`, `.` and the placeholders {catalog}, {schema}, {table}"));
    }
    Ok(())
}

/// The name of the `number`th file of an epoch in its folder.
pub(super) fn final_name(epoch: Epoch, number: usize, extension: &str) -> String {
    format!("part-{:010}-{number}.{extension}", epoch.0)
}

/// The name of the same file while the epoch is flushed and not committed.
pub(super) fn staged_name(final_name: &str) -> String {
    format!(".{final_name}{STAGED_SUFFIX}")
}

/// What a name in a table's folder stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FileRole {
    /// Being written.
    Open,
    /// Flushed by that epoch.
    Staged(Epoch),
    /// Renamed by the commit of that epoch.
    Final(Epoch),
    /// Not one of ours.
    Foreign,
}

pub(super) fn role(name: &str) -> FileRole {
    let epoch_of = |name: &str| {
        let (epoch, rest) = name.strip_prefix("part-")?.split_once('-')?;
        let (number, _) = rest.split_once('.')?;
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        if epoch.len() < 10 || !digits(epoch) || !digits(number) {
            return None;
        }
        epoch.parse().ok().map(Epoch)
    };
    if name.starts_with(".open-") && name.ends_with(STAGED_SUFFIX) {
        FileRole::Open
    } else if let Some(inner) = name.strip_prefix('.').and_then(|name| name.strip_suffix(STAGED_SUFFIX)) {
        epoch_of(inner).map_or(FileRole::Foreign, FileRole::Staged)
    } else {
        epoch_of(name).map_or(FileRole::Foreign, FileRole::Final)
    }
}
