//! What an error of the server or of the client library means for the flow.
//!
//! A server's text may hold cell values ("Duplicate entry '…'"): it is kept only for codes whose texts name objects,
//! accounts and settings.

use aqueduct_model::{Error, ErrorKind};
use mysql_async::{DriverError, IoError, ServerError};

/// "The binary log cannot be read from there": purged, unknown, or a second reader with our id.
pub(crate) const BINLOG_FATAL: u16 = 1236;

/// The number of a server's refusal.
pub(crate) fn server_code(error: &mysql_async::Error) -> Option<u16> {
    match error {
        mysql_async::Error::Server(error) => Some(error.code),
        _ => None,
    }
}

/// Says what `doing` failed of, and whether trying again helps.
///
/// The text of `doing` is lower case and names no cell value: "reading shop.orders".
pub(crate) fn failed(error: mysql_async::Error, doing: impl Into<String>) -> Error {
    let doing = doing.into();
    match error {
        mysql_async::Error::Server(error) => refused(&error, doing),
        mysql_async::Error::Io(IoError::Tls(error)) => tls_failed(doing, &error.to_string()),
        mysql_async::Error::Io(IoError::Io(error)) if is_certificate(&error.to_string()) => {
            tls_failed(doing, &error.to_string())
        }
        mysql_async::Error::Io(error) => Error::new(ErrorKind::Unavailable, doing).with_source(error),
        mysql_async::Error::Driver(error) => driver_failed(error, doing),
        error => Error::new(ErrorKind::Config, doing).with_source(error),
    }
}

fn driver_failed(error: DriverError, doing: String) -> Error {
    match error {
        DriverError::ConnectionClosed | DriverError::PoolDisconnected => {
            Error::new(ErrorKind::Unavailable, format!("{doing}: the connection was closed"))
        }
        DriverError::NoClientSslFlagFromServer => Error::config(format!("{doing}: the server does not offer TLS"))
            .with_setting("tls")
            .with_hint("give the server a certificate (ssl_cert, ssl_key in its my.cnf), or set `tls: preferred`"),
        DriverError::UnknownAuthPlugin { name } => {
            Error::new(ErrorKind::Auth, format!("{doing}: the account uses the password plugin {name}"))
                .with_setting("url")
                .with_hint(
                    "ALTER USER … IDENTIFIED WITH caching_sha2_password (MySQL) or mysql_native_password (MariaDB)",
                )
        }
        DriverError::MysqlOldPasswordDisabled => {
            Error::new(ErrorKind::Auth, format!("{doing}: the account's password has the form of before MySQL 4.1"))
                .with_hint("set the account's password anew: ALTER USER … IDENTIFIED BY …")
        }
        DriverError::CleartextPluginDisabled => {
            Error::new(ErrorKind::Auth, format!("{doing}: the server asks for the password in clear text"))
                .with_hint("use an account with caching_sha2_password, ed25519 or mysql_native_password")
        }
        // Values and rows: their texts may show cells.
        DriverError::FromValue { .. } | DriverError::FromRow { .. } => {
            Error::bug(format!("{doing}: the answer does not have the expected columns"))
        }
        error => Error::new(ErrorKind::Unavailable, doing).with_source(error),
    }
}

fn is_certificate(text: &str) -> bool {
    text.contains("peer certificate") || text.contains("received fatal alert") || text.contains("peer is incompatible")
}

fn tls_failed(doing: String, why: &str) -> Error {
    let hint = if why.contains("UnknownIssuer") || why.contains("BadSignature") || why.contains("CaUsedAsEndEntity") {
        "name the authority that signed the server's certificate in `tls_ca`"
    } else if why.contains("expired") || why.contains("Expired") {
        "renew the server's certificate, then run on the server: ALTER INSTANCE RELOAD TLS (MariaDB: FLUSH SSL)"
    } else if why.contains("not valid for") {
        "connect to a name that the certificate is for, or set `tls: verify_ca`"
    } else if why.contains("alert") {
        "the server wants another certificate of ours: name it in `tls_cert` and `tls_key`"
    } else if why.contains("incompatible") {
        "the server speaks no TLS 1.2 or later: set its tls_version, or `tls: disabled`"
    } else {
        "check `tls_ca`, `tls_cert` and `tls_key`"
    };
    Error::config(format!("{doing}: the encrypted connection was not accepted: {why}"))
        .with_setting("tls")
        .with_hint(hint)
}

fn refused(error: &ServerError, doing: String) -> Error {
    let kind = kind_of(error.code);
    let text = match kind {
        // Their texts quote the value, or the statement with its values.
        ErrorKind::Data | ErrorKind::Bug => format!("{doing}: the server refused it with error {}", error.code),
        _ => format!("{doing}: {} (error {})", sentence(&error.message), error.code),
    };
    let refused = Error::new(kind, text);
    match error.code {
        1045 | 1698 => refused.with_setting("url").with_hint("correct user and password in the URL"),
        1044 => match database_denied(&error.message) {
            Some(grant) => refused.with_setting("url").with_hint(grant),
            None => refused.with_setting("url"),
        },
        1130 => refused.with_setting("url").with_hint("CREATE USER for the host that this program connects from"),
        3159 | 1251 if error.message.contains("secure") => refused.with_setting("tls").with_hint("set `tls: required`"),
        3118 | 4151 => refused.with_hint("ALTER USER … ACCOUNT UNLOCK"),
        1820 | 1862 => refused.with_hint("the password has expired: ALTER USER … IDENTIFIED BY …"),
        1049 => refused.with_setting("url").with_hint("correct the database in the URL, or leave it out"),
        1040 => refused.with_hint("SET GLOBAL max_connections = a larger number"),
        1203 | 1226 => refused.with_hint("raise the account's limits: ALTER USER … WITH MAX_USER_CONNECTIONS 0"),
        1153 => refused.with_hint("SET GLOBAL max_allowed_packet = 1073741824"),
        _ => refused,
    }
}

/// The grant that opens a database: "Access denied for user 'a'@'b' to database 'c'".
fn database_denied(message: &str) -> Option<String> {
    let (account, database) = message.split_once(" for user ")?.1.split_once(" to database '")?;
    let database = database.strip_suffix('\'')?.replace('`', "``");
    Some(format!("GRANT SELECT ON `{database}`.* TO {account};"))
}

/// Server messages begin with a capital and may end with a full stop; ours do not.
fn sentence(message: &str) -> String {
    let message = message.trim_end_matches('.');
    let mut letters = message.chars();
    match letters.next() {
        Some(first) => first.to_lowercase().chain(letters).collect(),
        None => "the server gives no reason".to_owned(),
    }
}

/// Numbers: MySQL 8.0 Error Message Reference, MariaDB Error Codes.
fn kind_of(code: u16) -> ErrorKind {
    match code {
        // Access denied, host not allowed, missing privilege, locked or expired account, no such grant, TLS required.
        1044 | 1045 | 1095 | 1130 | 1142 | 1143 | 1227 | 1251 | 1370 | 1410 | 1419 | 1698 | 1820 | 1862 | 3118
        | 3159 | 3879 | 4151 => ErrorKind::Auth,
        // Too many connections, account limits.
        1040 | 1203 | 1226 => ErrorKind::Throttled,
        // Statement time limits.
        1969 | 3024 => ErrorKind::Timeout,
        // Starting, shutting down, killed, deadlock, lock wait, network, read-only after a failover, table busy.
        1053
        | 1077
        | 1079
        | 1152
        | 1154..=1161
        | 1180
        | 1184
        | 1205
        | 1213
        | 1290
        | 1317
        | 1412
        | 1836
        | 1927
        | 2006
        | 2013
        | 3032
        | 3169
        | 3572
        | 3664 => ErrorKind::Unavailable,
        // Duplicate, too long, out of range, NULL, foreign key, CHECK: the row's fault.
        1022
        | 1048
        | 1062
        | 1169
        | 1216
        | 1217
        | 1264
        | 1265
        | 1292
        | 1364
        | 1366
        | 1367
        | 1406
        | 1411
        | 1416
        | 1451
        | 1452
        | 1525
        | 1557
        | 1586
        | 1690
        | 3140..=3147
        | 3156
        | 3819
        | 4025 => ErrorKind::Data,
        // No such column or table, other shape.
        1050 | 1051 | 1054 | 1060 | 1061 | 1068 | 1091 | 1136 | 1146 | 1246 => ErrorKind::Schema,
        // Our SQL.
        1064 | 1065 | 1109 | 1210 | 1243 => ErrorKind::Bug,
        BINLOG_FATAL => ErrorKind::LostPosition,
        1049 | 1193 | 1231 | 1232 | 1238 => ErrorKind::Config,
        _ => ErrorKind::Unavailable,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(code: u16, message: &str) -> Error {
        let error = ServerError { code, message: message.to_owned(), state: "HY000".to_owned() };
        failed(mysql_async::Error::Server(error), "writing shop.t")
    }

    #[test]
    fn values_are_never_shown() {
        let error = server(1062, "Duplicate entry 'hunter2' for key 'PRIMARY'");
        assert_eq!(error.kind(), ErrorKind::Data);
        assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
        let error = server(1064, "You have an error in your SQL syntax near 'hunter2'");
        assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
    }

    #[test]
    fn kinds_and_hints() {
        for (code, kind) in [
            (1045, ErrorKind::Auth),
            (1040, ErrorKind::Throttled),
            (1213, ErrorKind::Unavailable),
            (1236, ErrorKind::LostPosition),
            (1146, ErrorKind::Schema),
            (3024, ErrorKind::Timeout),
        ] {
            assert_eq!(server(code, "Some text.").kind(), kind, "{code}");
        }
        let closed = server(1044, "Access denied for user 'a'@'%' to database 'shop'");
        assert_eq!(closed.hint(), Some("GRANT SELECT ON `shop`.* TO 'a'@'%';"));
        let denied = server(1045, "Access denied for user 'a'@'b' (using password: YES)");
        assert_eq!(
            denied.to_string(),
            "writing shop.t: access denied for user 'a'@'b' (using password: YES) (error 1045)"
        );
        assert!(denied.hint().is_some_and(|hint| hint.contains("password")));
    }
}
