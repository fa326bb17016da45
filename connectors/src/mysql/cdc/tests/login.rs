//! Password plugins and TLS, on both kinds of connections.

use std::path::PathBuf;

use aqueduct_model::ErrorKind;
use aqueduct_test_servers::{Options, certificates};

use super::*;
use crate::mysql::connection::{Purpose, connect, disconnect};
use crate::mysql::tls::TlsMode;

/// Connects and streams, with TLS as given; the error, if there is one.
async fn try_login(url: &str, tls: Tls) -> Result<()> {
    let address = Address::parse(&Secret::new(url), tls).expect("a URL");
    let mut system = MysqlSystem::new(MysqlSettings { address, ..settings(url, &["nothing_*"]) });
    system.connect().await?;
    let mark = system.end_of_log().await?;
    system.start(&mark, &[]).await?;
    try_read_to(&mut system, &mark, false).await?;
    system.close().await
}

#[tokio::test]
async fn every_password_plugin() {
    let mariadb = server(Kind::MariaDb).database();
    mariadb.sql("INSTALL PLUGIN IF NOT EXISTS ed25519 SONAME 'auth_ed25519'");
    let mysql = server(Kind::MySql8).database();
    const PASSWORD: &str = "p@:/%#ä?";
    for (database, user, how) in [
        (&mariadb, "native", "VIA mysql_native_password USING PASSWORD('p@:/%#ä?')"),
        (&mariadb, "ed", "VIA ed25519 USING PASSWORD('p@:/%#ä?')"),
        (&mysql, "native", "WITH mysql_native_password BY 'p@:/%#ä?'"),
        (&mysql, "sha2", "WITH caching_sha2_password BY 'p@:/%#ä?'"),
    ] {
        let user = format!("{user}_{}", database.name());
        database.sql(&format!("CREATE USER {user} IDENTIFIED {how}; GRANT ALL ON *.* TO {user}"));
        let at = format!("@127.0.0.1:{}/{}", database.server().port(), database.name());
        let escaped = "p%40%3A%2F%25%23%C3%A4%3F";
        for url in [format!("mysql://{user}:{PASSWORD}{at}"), format!("mysql://{user}:{escaped}{at}")] {
            try_login(&url, Tls::default()).await.unwrap_or_else(|error| panic!("{user}: {error:?}"));
            // Without TLS, too: with the server's public key.
            database.sql("FLUSH PRIVILEGES");
            let plain = Tls { mode: TlsMode::Disabled, ..Tls::default() };
            try_login(&url, plain).await.unwrap_or_else(|error| panic!("{user} without TLS: {error:?}"));
        }
        let error =
            try_login(&format!("mysql://{user}:wrong{at}"), Tls::default()).await.expect_err("a wrong password");
        assert_eq!((error.kind(), error.setting()), (ErrorKind::Auth, Some("url")), "{error:?}");
        // A new password counts at once.
        database.sql(&format!("ALTER USER {user} IDENTIFIED BY 'new'"));
        let old =
            try_login(&format!("mysql://{user}:{escaped}{at}"), Tls::default()).await.expect_err("the old password");
        assert_eq!(old.kind(), ErrorKind::Auth);
        try_login(&format!("mysql://{user}:new{at}"), Tls::default()).await.expect("the new password");
        database.sql(&format!("DROP USER {user}"));
    }
}

#[tokio::test]
async fn a_challenge_may_end_in_any_byte() {
    /// So many that one of them is very likely to end in a zero byte.
    const LOGINS: usize = 1_500;
    let mariadb = server(Kind::MariaDb).database();
    mariadb.sql("INSTALL PLUGIN IF NOT EXISTS ed25519 SONAME 'auth_ed25519'");
    let (user, port) = (format!("often_{}", mariadb.name()), mariadb.server().port());
    mariadb.sql(&format!("CREATE USER {user} IDENTIFIED VIA ed25519 USING PASSWORD('p')"));
    let plain = Tls { mode: TlsMode::Disabled, ..Tls::default() };
    let address = Address::parse(&Secret::new(format!("mysql://{user}:p@127.0.0.1:{port}")), plain).expect("a URL");
    for login in 0..LOGINS {
        let connection = connect(&address, Purpose::Read).await.unwrap_or_else(|error| panic!("{login}: {error:?}"));
        disconnect(connection).await;
    }
    mariadb.sql(&format!("DROP USER {user}"));
}

#[tokio::test]
async fn the_servers_socket() {
    for kind in KINDS {
        let server = server(kind);
        let url = format!("mysql://cdc:cdc@localhost?socket={}", server.socket().display());
        try_login(&url, Tls::default()).await.unwrap_or_else(|error| panic!("{kind:?}: {error:?}"));
    }
}

fn tls(mode: TlsMode, ca: Option<PathBuf>) -> Tls {
    Tls { mode, ca, ..Tls::default() }
}

#[tokio::test]
async fn every_tls_mode() {
    let files = certificates();
    for kind in KINDS {
        let server = Server::start(kind, Options::new().tls());
        server.admin("CREATE USER x IDENTIFIED BY 'x' REQUIRE X509; GRANT ALL ON *.* TO x; CREATE USER s IDENTIFIED BY 's' REQUIRE SSL; GRANT ALL ON *.* TO s");
        let url = |user: &str| format!("mysql://{user}:{user}@localhost:{}", server.port());
        let ca = Some(files.authority.clone());
        for mode in [TlsMode::Preferred, TlsMode::Required, TlsMode::VerifyCa, TlsMode::VerifyIdentity] {
            try_login(&url("s"), tls(mode, ca.clone()))
                .await
                .unwrap_or_else(|error| panic!("{kind:?} {mode:?}: {error:?}"));
        }
        let error = try_login(&url("s"), tls(TlsMode::Disabled, None)).await.expect_err("REQUIRE SSL");
        assert_eq!(error.kind(), ErrorKind::Auth, "{kind:?}: {error:?}");
        for mode in [TlsMode::VerifyCa, TlsMode::VerifyIdentity] {
            let error = try_login(&url("s"), tls(mode, Some(files.other_authority.clone())))
                .await
                .expect_err("another authority");
            assert_eq!(
                (error.kind(), error.setting()),
                (ErrorKind::Config, Some("tls")),
                "{kind:?} {mode:?}: {error:?}"
            );
            assert!(error.hint().is_some_and(|hint| hint.contains("tls_ca")), "{error:?}");
        }
        let with_client = Tls {
            cert: Some(files.client.clone()),
            key: Some(files.client_key.clone()),
            ..tls(TlsMode::VerifyIdentity, ca.clone())
        };
        try_login(&url("x"), with_client).await.unwrap_or_else(|error| panic!("{kind:?}: {error:?}"));
        let error = try_login(&url("x"), tls(TlsMode::VerifyIdentity, ca)).await.expect_err("no client certificate");
        assert_eq!(error.kind(), ErrorKind::Auth, "{kind:?}: {error:?}");
    }
}

#[tokio::test]
async fn bad_certificates() {
    let files = certificates();
    let ca = Some(files.authority);
    for kind in KINDS {
        let server = Server::start(kind, Options::new().tls_with("wrong-name"));
        let url = format!("mysql://cdc:cdc@localhost:{}", server.port());
        try_login(&url, tls(TlsMode::VerifyCa, ca.clone())).await.unwrap_or_else(|error| panic!("{kind:?}: {error:?}"));
        let error = try_login(&url, tls(TlsMode::VerifyIdentity, ca.clone())).await.expect_err("another name");
        assert!(error.hint().is_some_and(|hint| hint.contains("verify_ca")), "{kind:?}: {error:?}");
        server.restart_with(Options::new().tls_with("expired"));
        let error = try_login(&url, tls(TlsMode::VerifyCa, ca.clone())).await.expect_err("expired");
        assert!(error.hint().is_some_and(|hint| hint.contains("renew")), "{kind:?}: {error:?}");
    }
}
