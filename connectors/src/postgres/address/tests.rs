use std::path::Path;

use super::*;

fn parsed(text: &str) -> Address {
    Address::parse(text).unwrap_or_else(|error| panic!("{error:?}"))
}

fn password(text: &str) -> String {
    parsed(text).password.map(|password| password.expose().to_owned()).unwrap_or_default()
}

#[test]
fn a_whole_url() {
    let address = parsed(
        "postgres://app:secret@db.example:6432/shop?sslmode=verify-full&sslrootcert=/etc/ca.pem&application_name=a%20b&\
         connect_timeout=3&channel_binding=require",
    );
    assert_eq!((address.host.as_str(), address.port), ("db.example", 6432));
    assert_eq!((address.user.as_str(), address.database.as_str()), ("app", "shop"));
    assert_eq!(address.tls.mode, TlsMode::VerifyFull);
    assert_eq!(address.tls.root_cert.as_deref(), Some(Path::new("/etc/ca.pem")));
    assert_eq!(address.application_name, "a b");
    assert_eq!(address.connect_timeout, Duration::from_secs(3));
    assert_eq!(address.channel_binding, ChannelBinding::Require);
    assert_eq!(address.to_string(), "db.example:6432/shop");
}

#[test]
fn what_is_left_out_has_libpqs_default() {
    let address = parsed("postgresql://app@");
    assert_eq!((address.host.as_str(), address.port, address.database.as_str()), ("localhost", 5432, "app"));
    assert_eq!((address.tls.mode, address.password), (TlsMode::Prefer, None));
    assert_eq!(parsed("postgres://app@[::1]:5433/d").to_string(), "[::1]:5433/d");
    assert!(parsed("postgres://app@%2Fvar%2Frun/d").is_local());
    assert!(parsed("host=/tmp user=app").is_local());
}

#[test]
fn case_093_passwords_with_special_characters() {
    let all = "p@s:s/w%#r'd";
    assert_eq!(password("postgres://u:p%40s%3As%2Fw%25%23r'd@h:5432/d?sslmode=disable"), all);
    assert_eq!(password("postgres://u:p@s:s/w%#r'd@h:5432/d?sslmode=disable"), all);
    assert_eq!(password("postgres://u:a?b@h/d"), "a?b");
    assert_eq!(password("postgres://u:a?b@h/d?sslmode=disable"), "a?b");
    assert_eq!(password("host=h user=u password='p@s:s/w%#r\\'d' dbname=d"), all);
    assert_eq!(password("host=h user=u password=p@s:s/w%#r\\'d dbname=d"), all);
    let address = parsed("postgres://u@h/d").with_password(Some(Secret::new(all)));
    assert_eq!(address.password.unwrap().expose(), all);
    assert_eq!(parsed("postgres://u:p@h/d?application_name=a@b").application_name, "a@b");
    assert_eq!(parsed("postgres://h/d?user=u&application_name=a@b").user, "u");
}

#[test]
fn no_password_is_ever_shown() {
    let address = parsed("postgres://u:hunter2@h/d");
    let client = address.client_config();
    for text in [format!("{address}"), format!("{address:?}"), format!("{client:?}")] {
        assert!(!text.contains("hunter2"), "{text}");
    }
    for wrong in [
        "postgres://u:hunter2@h:0/d",
        "postgres://u:hunter2@h/d?sslmode=hunter2",
        "postgres://u:hunter2@h/d?connect_timeout=hunter2",
        "postgres://u:hunter2@h/d?x",
        "password=hunter2 host",
        "u:hunter2@h/d",
        "password='hunter2",
        "postgres://u:hunter2@h/d?sslcert=a",
        "postgres://u:hunter2@h1,h2/d",
        "postgres://u:%ff@h/d",
    ] {
        let error = Address::parse(wrong).expect_err(wrong);
        assert_eq!(error.setting(), Some("url"), "{wrong}");
        assert!(error.hint().is_some() && !format!("{error:?}").contains("hunter2"), "{error:?}");
    }
}

#[test]
fn an_unknown_parameter_names_the_known_ones() {
    let error = Address::parse("postgres://u@h/d?ssl_mode=require").unwrap_err();
    assert!(error.hint().unwrap().contains("ssl_mode; these are understood: host, port"), "{error:?}");
}
