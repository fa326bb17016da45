use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;

use aqueduct_model::{ByteSize, ErrorKind, HumanDuration, Secret};
use aqueduct_test_servers::certificates;
use serde_json::{Value, json};
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{ServerConfig, ServerConnection, Stream};

use super::*;
use crate::http::test_service::{Reply, Service, run};

/// A client that may speak to this machine, and waits little.
fn client(mut config: Value, auth: Value) -> Client {
    config["allow_private"] = json!(true);
    config["retry"]["wait"] = json!("1ms");
    let config: ClientConfig = serde_json::from_value(config).unwrap();
    let auth: Option<Auth> = serde_json::from_value(auth).unwrap();
    config.validate(auth.as_ref()).unwrap();
    Client::new(config, auth).unwrap()
}

fn get(url: &str) -> Call {
    let headers = vec![("X-Key".to_owned(), "k".to_owned())];
    Call { method: "GET".to_owned(), url: service_url(url, "url").unwrap(), headers, body: Vec::new() }
}

#[test]
fn what_passes_is_tried_again_and_what_does_not_is_given_back() {
    let service = Service::start(|n, _| match n {
        0 => Reply::status(503),
        1 => Reply::status(429).header("Retry-After", "0"),
        2 => Reply::Break,
        3 => Reply::Cut,
        4 => Reply::status(404),
        _ => Reply::status(500),
    });
    run(async {
        let client = client(json!({}), Value::Null);
        assert_eq!(client.call(&get(&service.url("/a"))).await.unwrap().status, 404);
        assert_eq!(service.requests().len(), 5);
        let error = client.call(&get(&service.url("/a?key=secret"))).await.unwrap_err();
        assert_eq!((error.kind(), service.requests().len()), (ErrorKind::Unavailable, 10));
        assert!(!format!("{error:?}").contains("secret"));
    });
}

#[test]
fn a_pause_that_is_too_long_is_an_error() {
    let service = Service::start(|_, _| Reply::status(429).header("Retry-After", "3600"));
    let error = run(client(json!({}), Value::Null).call(&get(&service.url("/")))).unwrap_err();
    assert_eq!((error.kind(), error.setting()), (ErrorKind::Throttled, Some("client.retry.max_wait")));
    assert_eq!(service.requests().len(), 1);
}

#[test]
fn bodies_come_whole_in_every_framing_and_connections_are_kept() {
    let service = Service::start(|n, _| match n {
        0 => Reply::text("plain"),
        1 => Reply::Raw(
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n2\r\nde\r\n0\r\nT: 1\r\n\r\n",
        ),
        2 => Reply::Raw("HTTP/1.1 204 No Content\r\n\r\n"),
        _ => Reply::RawClose("HTTP/1.0 200 OK\r\n\r\nto the end"),
    });
    let client = client(json!({}), Value::Null);
    for expected in ["plain", "abcde", "", "to the end"] {
        let answer = run(client.call(&get(&service.url("/"))));
        assert_eq!(String::from_utf8(answer.unwrap().body).unwrap(), expected);
    }
}

#[test]
fn one_connection_serves_many_requests() {
    let service = Service::start(|_, _| Reply::text("x"));
    let client = client(json!({}), Value::Null);
    run(async {
        for _ in 0..5 {
            client.call(&get(&service.url("/"))).await.unwrap();
        }
    });
    // A connection that was begun while the first one was not free yet may be the second.
    assert!(service.connections() <= 2, "{}", service.connections());
}

#[test]
fn nonsense_and_large_answers_are_refused() {
    let large: &str =
        format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n7d0\r\n{}\r\n", "x".repeat(2_000)).leak();
    for (raw, kind) in [
        ("nonsense\r\n\r\n", ErrorKind::Unavailable),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n", ErrorKind::Unavailable),
        ("HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd", ErrorKind::Unavailable),
        ("HTTP/1.1 200 OK\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\nabcd", ErrorKind::Unavailable),
        ("HTTP/1.1 200 OK\r\nContent-Length: 2000\r\n\r\n", ErrorKind::Config),
        (large, ErrorKind::Config),
    ] {
        let service = Service::start(move |_, _| Reply::RawClose(raw));
        let client = client(json!({"max_response": 1000, "retry": {"attempts": 1}}), Value::Null);
        assert_eq!(run(client.call(&get(&service.url("/")))).unwrap_err().kind(), kind, "{raw}");
    }
}

#[test]
fn a_silent_service_is_a_timeout() {
    let service = Service::start(|_, _| Reply::Silence);
    let client = client(json!({"timeout": "50ms", "retry": {"attempts": 2}}), Value::Null);
    let error = run(client.call(&get(&service.url("/")))).unwrap_err();
    assert_eq!((error.kind(), service.requests().len()), (ErrorKind::Timeout, 2));
}

#[test]
fn redirects_are_checked_and_lose_their_secrets() {
    let other = Service::start(|_, _| Reply::text("there"));
    let target = other.url("/there");
    let service = Service::start(move |_, request| match request.path.as_str() {
        "/same" => Reply::status(302).header("Location", "/end"),
        "/other" => Reply::status(307).header("Location", &target),
        "/loop" => Reply::status(301).header("Location", "loop"),
        "/file" => Reply::status(302).header("Location", "file:///etc/passwd"),
        _ => Reply::text("end"),
    });
    let secret = json!({"type": "bearer", "token": "t0k"});
    let bodies = |path: &str| run(client(json!({}), secret.clone()).call(&get(&service.url(path))));
    assert_eq!(bodies("/same").unwrap().body, b"end");
    assert_eq!(service.requests()[1].header("authorization"), Some("Bearer t0k"));
    assert_eq!(bodies("/other").unwrap().body, b"there");
    let seen = &other.requests()[0];
    assert_eq!((seen.header("authorization"), seen.header("x-key")), (None, None));
    for path in ["/loop", "/file"] {
        assert_eq!(bodies(path).unwrap_err().kind(), ErrorKind::Config, "{path}");
    }
    let post = Call { method: "POST".to_owned(), ..get(&service.url("/same")) };
    assert_eq!(run(client(json!({}), Value::Null).call(&post)).unwrap_err().kind(), ErrorKind::Config);
}

#[test]
fn a_redirect_to_a_private_address_is_refused() {
    let inner = Service::start(|_, _| Reply::text("metadata"));
    let target = inner.url("/latest").replace("127.0.0.1", "[::ffff:127.0.0.1]");
    let service = Service::start(move |_, _| Reply::status(302).header("Location", &target));
    let config = ClientConfig { allow_hosts: vec!["127.0.0.1".into()], ..ClientConfig::default() };
    let error = run(Client::new(config, None).unwrap().call(&get(&service.url("/")))).unwrap_err();
    assert_eq!((error.kind(), error.setting()), (ErrorKind::Config, Some("client.allow_hosts")));
    assert_eq!((service.requests().len(), inner.connections()), (1, 0));
}

#[test]
fn a_refused_token_is_renewed_once_and_an_expired_one_before_it_is_used() {
    let service = Service::start(|n, request| match request.path.as_str() {
        "/token" => Reply::json(&json!({"access_token": format!("t{n}"), "expires_in": 3600})),
        _ if request.header("authorization") == Some("Bearer t2") => Reply::text("in"),
        _ => Reply::status(401),
    });
    let auth = json!({"type": "oauth2", "token_url": service.url("/token"), "client_id": "a b", "client_secret": "s:1", "scope": "x y"});
    let client = client(json!({}), auth);
    run(async {
        assert_eq!(client.call(&get(&service.url("/"))).await.unwrap().status, 200);
        assert_eq!(client.call(&get(&service.url("/"))).await.unwrap().status, 200);
    });
    let requests = service.requests();
    let paths: Vec<&str> = requests.iter().map(|request| request.path.as_str()).collect();
    assert_eq!(paths, ["/token", "/", "/token", "/", "/"]);
    assert_eq!(requests[0].body, "grant_type=client_credentials&scope=x+y");
    assert_eq!(requests[0].header("authorization"), Some("Basic YStiOnMlM0Ex"), "a+b:s%3A1");
}

/// Answers one request over TLS, with a certificate of the test servers.
fn tls_service(certificate: &Path, key: &Path) -> (u16, JoinHandle<()>) {
    let certificate = CertificateDer::pem_file_iter(certificate).unwrap().collect::<Result<Vec<_>, _>>().unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(certificate, PrivateKeyDer::from_pem_file(key).unwrap())
        .unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let answering = std::thread::spawn(move || {
        let (mut tcp, _) = listener.accept().unwrap();
        let mut tls = ServerConnection::new(Arc::new(config)).unwrap();
        let mut line = Stream::new(&mut tls, &mut tcp);
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            // Whoever does not trust us goes.
            if !matches!(line.read(&mut byte), Ok(1)) {
                return;
            }
            request.push(byte[0]);
        }
        line.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nsafe").unwrap();
    });
    (port, answering)
}

#[test]
fn only_certificates_of_the_given_authority_are_trusted() {
    let files = certificates();
    let wrong_name_key = files.wrong_name.with_file_name("wrong-name-key.pem");
    let expired_key = files.expired.with_file_name("expired-key.pem");
    for (certificate, key, authority, is_trusted) in [
        (&files.server, &files.server_key, Some(&files.authority), true),
        (&files.server, &files.server_key, Some(&files.other_authority), false),
        (&files.server, &files.server_key, None, false),
        (&files.wrong_name, &wrong_name_key, Some(&files.authority), false),
        (&files.expired, &expired_key, Some(&files.authority), false),
    ] {
        let (port, answering) = tls_service(certificate, key);
        let client = client(json!({"ca_file": authority}), Value::Null);
        let answer = run(client.call(&get(&format!("https://localhost:{port}/"))));
        match answer {
            Ok(answer) => assert!(is_trusted && answer.body == b"safe", "{certificate:?} {authority:?}"),
            Err(error) => {
                let seen = (error.kind(), error.setting(), is_trusted);
                assert_eq!(seen, (ErrorKind::Config, Some("client.ca_file"), false), "{error:?}");
            }
        }
        answering.join().unwrap();
    }
    let config = ClientConfig { ca_file: Some(files.server_key), ..ClientConfig::default() };
    assert_eq!(Client::new(config, None).err().unwrap().setting(), Some("client.ca_file"), "a key is no certificate");
}

#[test]
fn nobody_at_an_address_and_an_unknown_name_are_no_mistakes_of_the_settings() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    for url in [format!("http://127.0.0.1:{free}/"), "http://nobody.invalid/".to_owned()] {
        let error = run(client(json!({"retry": {"attempts": 2}}), Value::Null).call(&get(&url))).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error:?}");
    }
}

#[test]
fn settings_are_checked() {
    for url in ["", "api.example.com/x", "ftp://a/", "file:///x", "http://", "https://u:p@a/"] {
        assert!(service_url(url, "url").is_err(), "{url}");
    }
    for (name, value) in [("", "x"), ("a b", "x"), ("a", "x\r\nb: c"), ("Host", "x"), ("Content-length", "1")] {
        let headers = BTreeMap::from([(name.to_owned(), Secret::new(value))]);
        assert!(check_headers(&headers, None).is_err(), "{name}");
    }
    let zero = ClientConfig { timeout: HumanDuration::from_secs(0), ..ClientConfig::default() };
    let rate = |rate| ClientConfig { requests_per_second: Some(rate), ..ClientConfig::default() };
    let large = ClientConfig { max_response: ByteSize(1 << 30), ..ClientConfig::default() };
    for config in [zero, large, rate(0.0), rate(1e-9), rate(f64::NAN), rate(1e9)] {
        assert!(config.validate(None).is_err());
    }
}
