//! Texts whose bytes MySQL reads in its own way; what the servers say is in the recorded tables, too.

use crate::mysql::binlog::charset::Charset;

fn decoded(charset: &str, bytes: &[u8]) -> Option<String> {
    let mut text = String::new();
    Charset::named(charset).unwrap().decode(bytes, &mut text).ok().map(|()| text)
}

#[test]
fn bytes_that_the_web_reads_otherwise() {
    for (charset, bytes, text) in [
        ("latin1", &[0x80, 0x81, 0x8d, 0xe9][..], "€\u{81}\u{8d}é"),
        ("big5", &[0xa4, 0xa4, 0xa1, 0x45, 0xc7, 0x40, b'a'], "中•エa"),
        ("sjis", &[0x81, 0x5f, 0x81, 0x60, 0xb1, 0x93, 0xfa], "\\〜ｱ日"),
        ("cp932", &[0x81, 0x60], "～"),
        ("ujis", &[0xa1, 0xc1, 0xf5, 0xa1, 0x8f, 0xf5, 0xa1, 0x8f, 0xa2, 0xb7], "〜\u{e000}\u{e3ac}~"),
        ("gb2312", &[0xa1, 0xa4, 0xd6, 0xd0], "・中"),
        ("gb18030", &[0xa6, 0xd9, 0x94, 0x39, 0xfc, 0x36], "\u{e78d}😀"),
        ("swe7", b"[\\]a", "ÄÖÅa"),
        ("utf16", &[0xd8, 0x3d, 0xde, 0], "😀"),
        ("ucs2", &[0x4e, 0x2d], "中"),
        ("utf32", &[0, 1, 0xf6, 0], "😀"),
        ("tis620", &[0xa1], "ก"),
    ] {
        assert_eq!(decoded(charset, bytes).as_deref(), Some(text), "{charset}");
    }
}

#[test]
fn bytes_that_are_no_text() {
    for (charset, bytes) in [
        ("utf8mb4", &[0xff][..]),
        ("ascii", &[0x80]),
        ("gbk", &[0x81]),
        ("utf16", &[0xd8, 0x3d]),
        ("utf16", &[0]),
        ("ucs2", &[0xd8, 0]),
        ("utf32", &[0, 0x11, 0, 0]),
        ("cp1251", &[0x98]),
        ("swe7", &[0x80]),
    ] {
        assert_eq!(decoded(charset, bytes), None, "{charset}");
    }
}

#[test]
fn collations_name_their_character_sets() {
    for (id, name) in [
        (8, "latin1"),
        (33, "utf8mb3"),
        (45, "utf8mb4"),
        (63, "binary"),
        (255, "utf8mb4"),
        (28, "gbk"),
        (1032, "latin1"),
        (2304, "utf8mb4"),
    ] {
        assert_eq!(Charset::of_collation(id), Charset::named(name), "{id}");
    }
    assert_eq!(Charset::of_collation(9_999), None);
}
