//! The servers themselves: every kind starts, answers, survives a kill, and the proxy breaks what it says.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};

use aqueduct_test_servers::{Direction, Fault, Kind, Options, Proxy, Server, certificates, free_port, shared};

fn survives_a_kill(kind: Kind) {
    // The wheel's PostgreSQL was built without TLS.
    let options = if kind == Kind::Postgres18 { Options::new() } else { Options::new().tls() };
    let server = Server::start(kind, options);
    let database = server.database();
    database.sql("CREATE TABLE t (id INT PRIMARY KEY, v VARCHAR(20)); INSERT INTO t VALUES (1, 'a|b'), (2, NULL)");
    assert_eq!(database.text("SELECT * FROM t ORDER BY id"), "1|a|b\n2|NULL");
    server.kill();
    assert!(server.try_connect(database.name()).is_err());
    server.restart();
    assert_eq!(database.number("SELECT count(*) FROM t"), 2);
    assert!(database.connect().run("SELECT * FROM nowhere").is_err());
    let folder = server.folder().to_owned();
    drop(server);
    assert!(!folder.exists(), "the folder goes with the server");
}

#[test]
fn mariadb_starts_and_survives_a_kill() {
    survives_a_kill(Kind::MariaDb);
}

#[test]
fn mysql_8_starts_and_survives_a_kill() {
    survives_a_kill(Kind::MySql8);
}

#[test]
fn postgres_15_starts_and_survives_a_kill() {
    survives_a_kill(Kind::Postgres15);
}

#[test]
fn postgres_18_starts_and_survives_a_kill() {
    survives_a_kill(Kind::Postgres18);
}

#[test]
fn a_shared_server_is_one_server_and_its_databases_differ() {
    let (one, two) = (shared(Kind::Postgres15), shared(Kind::Postgres15));
    assert_eq!(one.port(), two.port());
    assert_ne!(one.database().name(), two.database().name());
}

#[test]
fn the_certificates_are_there() {
    let files = certificates();
    assert!([files.authority, files.expired, files.wrong_name, files.client].iter().all(|file| file.exists()));
}

/// Answers every byte with itself; returns its port.
fn echo() -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", free_port())).expect("a port");
    let port = listener.local_addr().expect("an address").port();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || {
                let (mut from, mut to) = (stream.try_clone().expect("a handle"), stream);
                let _ = std::io::copy(&mut from, &mut to);
            });
        }
    });
    port
}

fn through(proxy: &Proxy, text: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(("127.0.0.1", proxy.port())).expect("a connection");
    let mut heard = Vec::new();
    if stream.write_all(text).is_ok() && stream.shutdown(std::net::Shutdown::Write).is_ok() {
        // A connection that was reset has told what it had to tell.
        let _ = stream.read_to_end(&mut heard);
    }
    heard
}

fn ask(stream: &mut TcpStream, text: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut answer = vec![0; text.len()];
    stream.write_all(text)?;
    stream.read_exact(&mut answer)?;
    Ok(answer)
}

#[test]
fn the_proxy_breaks_what_it_is_told_to() {
    let proxy = Proxy::to(echo());
    let connect = || TcpStream::connect(("127.0.0.1", proxy.port())).expect("a connection");
    let mut open = connect();
    assert_eq!(ask(&mut open, b"hello").expect("an echo"), b"hello");
    proxy.cut();
    assert!(ask(&mut open, b"hello").is_err());
    proxy.set(Fault::CutAfter(Direction::ToClient, 3));
    let mut heard = Vec::new();
    let mut cut = connect();
    cut.write_all(b"hello").expect("sent");
    let _ = cut.read_to_end(&mut heard);
    assert_eq!(heard, b"hel");
    proxy.set(Fault::Corrupt(Direction::ToServer, 1));
    assert_eq!(ask(&mut connect(), b"hello").expect("an echo"), [b'h', !b'e', b'l', b'l', b'o']);
    proxy.set(Fault::DropReply);
    assert!(ask(&mut connect(), b"hello").is_err());
    proxy.set(Fault::Refuse);
    assert_eq!(through(&proxy, b"hello"), b"");
    proxy.set(Fault::HalfOpen);
    let mut silent = connect();
    silent.set_read_timeout(Some(std::time::Duration::from_millis(50))).expect("a timeout");
    assert!(ask(&mut silent, b"hello").is_err());
    proxy.set(Fault::None);
    assert_eq!(ask(&mut connect(), b"hello").expect("an echo"), b"hello");
    assert!(proxy.connections() >= 6);
}
