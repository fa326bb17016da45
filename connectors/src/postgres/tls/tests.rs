use super::certificate::{SignatureHash, signature_hash};
use super::*;

#[test]
fn modes_have_libpqs_names() {
    for (name, mode) in [
        ("disable", Some(TlsMode::Disable)),
        ("allow", Some(TlsMode::Prefer)),
        ("prefer", Some(TlsMode::Prefer)),
        ("require", Some(TlsMode::Require)),
        ("verify-ca", Some(TlsMode::VerifyCa)),
        ("verify-full", Some(TlsMode::VerifyFull)),
        ("VERIFY-FULL", None),
    ] {
        assert_eq!(TlsMode::parse(name), mode, "{name}");
    }
}

#[test]
fn a_check_without_roots_names_the_parameter() {
    for mode in [TlsMode::VerifyCa, TlsMode::VerifyFull] {
        let error = TlsSettings { mode, ..TlsSettings::default() }.load().unwrap_err();
        assert!(error.hint().unwrap().contains("sslrootcert="), "{error:?}");
    }
    TlsSettings { mode: TlsMode::Require, ..TlsSettings::default() }.load().expect("nothing to read");
}

#[test]
fn unreadable_files_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let empty = dir.path().join("empty.pem");
    std::fs::write(&empty, "").unwrap();
    for path in [dir.path().join("absent.pem"), empty] {
        let settings = TlsSettings { mode: TlsMode::VerifyFull, root_cert: Some(path.clone()), ..Default::default() };
        let error = settings.load().unwrap_err();
        assert!(error.to_string().contains(&format!("sslrootcert {}", path.display())), "{error:?}");
    }
}

#[test]
fn the_hash_of_a_signature_is_found_and_nonsense_is_none() {
    let certificate = |oid: &[u8]| {
        let mut algorithm = vec![0x30, oid.len() as u8 + 2, 0x06, oid.len() as u8];
        algorithm.extend_from_slice(oid);
        // A body of 130 bytes, so that a long length is read too.
        let mut body = vec![0x30, 0x81, 0x82];
        body.extend_from_slice(&[7; 0x82]);
        body.extend_from_slice(&algorithm);
        let mut whole = vec![0x30, 0x81, body.len() as u8];
        whole.extend_from_slice(&body);
        whole
    };
    let rsa = |last: u8| certificate(&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, last]);
    assert_eq!(signature_hash(&rsa(0x0b)), Some(SignatureHash::Sha256));
    assert_eq!(signature_hash(&rsa(0x05)), Some(SignatureHash::Sha256));
    assert_eq!(signature_hash(&rsa(0x0c)), Some(SignatureHash::Sha384));
    assert_eq!(signature_hash(&rsa(0x0d)), None);
    let whole = rsa(0x0b);
    for end in 0..whole.len() {
        assert_eq!(signature_hash(&whole[..end]), None, "cut at {end}");
    }
    assert_eq!(signature_hash(&[0x30, 0x85, 1, 1, 1, 1, 1]), None);
}
