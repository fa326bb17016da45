//! The replication connection to real servers: TLS, passwords, connections that break, and consumers that stand still.

use std::time::Duration;

use aqueduct_model::{ErrorKind, Result};
use aqueduct_test_servers::{Direction, Fault, Kind, Options, Proxy, Server, certificates, shared};
use tokio::time::Instant;

use crate::postgres::address::Address;
use crate::postgres::cdc::feed::{Fed, Feed};
use crate::postgres::cdc::mark::Lsn;
use crate::postgres::cdc::wire::Wire;
use crate::postgres::connection::{Purpose, connect};

/// A password that an address has to escape.
const PASSWORD: &str = "p@s:s/w%#r'd?";
/// Longest wait for what has to happen.
const LIMIT: Duration = Duration::from_secs(60);

/// Logs in both ways, which have to agree.
async fn login(url: &str) -> Result<()> {
    let address = Address::parse(url)?;
    let replication = Wire::connect(&address).await.map(drop);
    let query = connect(&address, Purpose::Control).await.map(drop);
    match (&replication, &query) {
        (Ok(()), Ok(())) => {}
        (Err(one), Err(other)) => {
            assert_eq!(one.kind(), other.kind(), "{one:?} {other:?}");
            for error in [one, other] {
                assert!(!format!("{error:?}").contains("cdc:cdc"), "no password is shown: {error:?}");
            }
        }
        _ => panic!("the two ways in differ for {address}: {replication:?} {query:?}"),
    }
    replication
}

fn escaped(password: &str) -> String {
    password.bytes().map(|byte| format!("%{byte:02x}")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn case_092_tls_by_its_modes() {
    let files = certificates();
    let (root, other) = (files.authority.display().to_string(), files.other_authority.display().to_string());
    for (certificate, expected) in [
        ("server", [true, true, true, true, false, true]),
        ("wrong-name", [true, true, true, false, false, false]),
        ("expired", [true, true, false, false, false, false]),
    ] {
        let server =
            Server::start(Kind::Postgres15, Options::new().tls_with(certificate).hba("hostnossl all cdc all reject"));
        let port = server.port();
        let parameters = [
            "sslmode=prefer".to_owned(),
            "sslmode=require".to_owned(),
            format!("sslmode=verify-ca&sslrootcert={root}"),
            format!("sslmode=verify-full&sslrootcert={root}"),
            format!("sslmode=verify-full&sslrootcert={other}"),
            format!("sslmode=verify-full&sslrootcert={root}&channel_binding=require"),
        ];
        for (parameter, expected) in parameters.iter().zip(expected) {
            let found = login(&format!("postgres://cdc:cdc@localhost:{port}/postgres?{parameter}")).await;
            assert_eq!(found.is_ok(), expected, "{certificate} {parameter}: {found:?}");
            if let Err(error) = found {
                assert_eq!(error.kind(), ErrorKind::Config, "{error:?}");
                assert!(error.hint().unwrap().contains("sslrootcert"), "{error:?}");
            }
        }
        let plain = login(&format!("postgres://cdc:cdc@localhost:{port}/postgres?sslmode=disable")).await.unwrap_err();
        assert_eq!(plain.kind(), ErrorKind::Auth, "{plain:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn case_092_servers_without_tls_and_client_certificates() {
    let plain = shared(Kind::Postgres15).url("cdc");
    login(&format!("{plain}?sslmode=prefer")).await.unwrap();
    let refused = login(&format!("{plain}?sslmode=require")).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Config, "{refused:?}");
    let unbound = login(&format!("{plain}?channel_binding=require")).await.unwrap_err();
    assert_eq!(unbound.kind(), ErrorKind::Auth, "{unbound:?}");

    let files = certificates();
    let server = Server::start(Kind::Postgres15, Options::new().tls().hba("hostssl all cdc all cert"));
    let url = format!(
        "postgres://cdc@localhost:{}/postgres?sslmode=verify-full&sslrootcert={}",
        server.port(),
        files.authority.display()
    );
    let own = format!("{url}&sslcert={}&sslkey={}", files.client.display(), files.client_key.display());
    login(&own).await.unwrap_or_else(|error| panic!("{error:?}"));
    assert!(login(&url).await.is_err(), "a certificate is asked for");
}

#[tokio::test(flavor = "multi_thread")]
async fn case_093_passwords_by_every_method() {
    let mut options = Options::new();
    for (role, method) in
        [("by_md5", "md5"), ("by_scram", "scram-sha-256"), ("by_password", "password"), ("by_trust", "trust")]
    {
        options = options.hba(format!("host all {role} all {method}"));
    }
    let server = Server::start(Kind::Postgres15, options);
    let (port, quoted) = (server.port(), PASSWORD.replace('\'', "''"));
    server.admin("SET password_encryption = 'md5'; CREATE ROLE by_md5 LOGIN REPLICATION PASSWORD 'x'");
    for (role, encryption) in
        [("by_md5", "md5"), ("by_scram", "scram-sha-256"), ("by_password", "scram-sha-256"), ("by_trust", "md5")]
    {
        if role != "by_md5" {
            server.admin(&format!("CREATE ROLE {role} LOGIN REPLICATION"));
        }
        server.admin(&format!("SET password_encryption = '{encryption}'; ALTER ROLE {role} PASSWORD '{quoted}'"));
        login(&format!("postgres://{role}:{}@127.0.0.1:{port}/postgres", escaped(PASSWORD)))
            .await
            .unwrap_or_else(|error| panic!("{role}: {error:?}"));
        let wrong = login(&format!("postgres://{role}:wrong@127.0.0.1:{port}/postgres")).await;
        let none = login(&format!("postgres://{role}@127.0.0.1:{port}/postgres")).await;
        for found in [wrong, none] {
            assert_eq!(found.is_ok(), role == "by_trust", "{role}: {found:?}");
            if let Err(error) = found {
                assert_eq!(error.kind(), ErrorKind::Auth, "{error:?}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn case_098_a_login_that_breaks_off_is_tried_again() {
    let server = shared(Kind::Postgres15);
    let proxy = Proxy::to(server.port());
    let address = Address::parse(&format!("postgres://cdc:cdc@127.0.0.1:{}/postgres", proxy.port())).unwrap();
    for bytes in (0..240).step_by(7) {
        proxy.set(Fault::CutAfter(Direction::ToClient, bytes));
        let Err(error) = Wire::connect(&address).await.map(drop) else { panic!("logged in by {bytes} bytes") };
        assert_eq!(error.kind(), ErrorKind::Unavailable, "after {bytes} bytes: {error:?}");
    }
}

/// A slot and a publication of all tables on a fresh database, and the stream from them.
async fn streaming(server: &Server, database: &str, port: u16, sender_timeout: Duration) -> Feed {
    let mut client = server.connect_to(database);
    client.sql(&format!("CREATE PUBLICATION \"{database}\" FOR ALL TABLES"));
    client.sql(&format!("SELECT pg_create_logical_replication_slot('{database}', 'pgoutput')"));
    let address = Address::parse(&format!("postgres://cdc:cdc@127.0.0.1:{port}/{database}")).unwrap();
    let command = format!(
        "START_REPLICATION SLOT \"{database}\" LOGICAL 0/0 (proto_version '1', publication_names '\"{database}\"')"
    );
    Feed::start(&address, &command, Lsn(0), Some(sender_timeout)).await.unwrap_or_else(|error| panic!("{error:?}"))
}

/// Takes messages until `wanted` inserts came.
async fn take_inserts(feed: &mut Feed, wanted: usize) -> Result<()> {
    let deadline = Instant::now() + LIMIT;
    let mut inserts = 0;
    while inserts < wanted {
        match feed.next(Some(deadline), false).await? {
            Some(Fed::Message(message)) => inserts += usize::from(message[0] == b'I'),
            Some(Fed::Passed(_)) => {}
            None => panic!("{inserts} of {wanted} rows came"),
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn case_099_a_consumer_that_stands_still_keeps_its_connection() {
    let server = Server::start(Kind::Postgres15, Options::new().config("wal_sender_timeout=1s"));
    let database = server.database();
    database.sql("CREATE TABLE t (id int PRIMARY KEY, v text)");
    let mut feed = streaming(&server, database.name(), server.port(), Duration::from_secs(1)).await;
    database.sql("INSERT INTO t SELECT i, repeat('x', 1000) FROM generate_series(1, 50000) i");
    take_inserts(&mut feed, 1).await.unwrap();
    // Nobody takes anything: the server has much more to send than is buffered, and hears from us all the same.
    let sender = database.text("SELECT pid FROM pg_stat_replication");
    let begun = database.text("SELECT clock_timestamp()");
    let heard = format!(
        "SELECT count(*) FROM pg_stat_replication WHERE pid = {sender} AND reply_time > '{begun}'::timestamptz + interval '4 s'"
    );
    let deadline = Instant::now() + LIMIT;
    while database.number(&heard) == 0 {
        assert!(Instant::now() < deadline, "the server was not told for 4 seconds with a timeout of 1 second");
        assert_eq!(database.text("SELECT count(*) FROM pg_stat_replication"), "1", "the server ended the connection");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    take_inserts(&mut feed, 49_999).await.unwrap();
    assert_eq!(database.text("SELECT pid FROM pg_stat_replication"), sender, "it is the same connection");
    feed.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn case_098_a_half_open_connection_is_given_up() {
    let server = Server::start(Kind::Postgres15, Options::new().config("wal_sender_timeout=1s"));
    let proxy = Proxy::to(server.port());
    let database = server.database();
    database.sql("CREATE TABLE t (id int PRIMARY KEY)");
    let mut feed = streaming(&server, database.name(), proxy.port(), Duration::from_secs(1)).await;
    database.sql("INSERT INTO t VALUES (1)");
    take_inserts(&mut feed, 1).await.unwrap();
    proxy.set(Fault::HalfOpen);
    let deadline = Instant::now() + LIMIT;
    loop {
        match feed.next(Some(deadline), false).await {
            Ok(Some(_)) => {}
            Ok(None) => panic!("nothing is heard, and nothing is said about it"),
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Timeout, "{error:?}");
                return feed.close().await.unwrap();
            }
        }
    }
}
