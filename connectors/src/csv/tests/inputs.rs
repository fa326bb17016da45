use super::*;
use aqueduct_model::ErrorKind;

#[test]
fn encodings() {
    let text = "id,name\n1,李雷\n2,韩梅梅\n";
    let expected = ["t: 1|李雷", "t: 2|韩梅梅"];
    let marked = |mark: &[u8], bytes: Vec<u8>| [mark.to_vec(), bytes].concat();
    let be: Vec<u8> = text.encode_utf16().flat_map(u16::to_be_bytes).collect();
    let gbk = encoding_rs::GBK.encode(text).0.into_owned();
    for (bytes, encoding) in [
        (text.as_bytes().to_vec(), "utf-8"),
        (marked(&[0xEF, 0xBB, 0xBF], text.as_bytes().to_vec()), "utf-8"),
        (marked(&[0xEF, 0xBB, 0xBF], text.as_bytes().to_vec()), "gbk"),
        (utf16(text), "utf-16"),
        (marked(&[0xFF, 0xFE], utf16(text)), "utf-8"),
        (marked(&[0xFE, 0xFF], be.clone()), "utf-16"),
        (be, "utf-16be"),
        (gbk.clone(), "gbk"),
        (gbk, "gb18030"),
        (encoding_rs::BIG5.encode("id,name\n1,李雷\n2,韓梅梅\n").0.into_owned(), "big5"),
    ] {
        let folder = Folder::new(&[("a.csv", &bytes)]);
        let rows = read(folder.settings("a.csv", json!({"encoding": encoding, "table": "t"})));
        assert_eq!(rows.join("\n").replace('韓', "韩"), expected.join("\n"), "{encoding}");
    }
    let folder = Folder::new(&[("a.csv", b"n\ncaf\xe9\n\x80 5\n")]);
    assert_eq!(read(folder.settings("a.csv", json!({"encoding": "latin1"}))), ["a: café", "a: € 5"]);
}

#[test]
fn what_an_encoding_does_not_know_is_refused() {
    let folder = Folder::new(&[("a.csv", b"id,name\n1,ok\n2,\x81\x20\n3,ok\n")]);
    let mut run = Run::new(folder.settings("a.csv", json!({"encoding": "gbk"})));
    run.drain().unwrap();
    assert_eq!(run.rows, ["a: 1|ok", "a: 3|ok"]);
    assert!(run.bad[0].position.as_ref().unwrap().ends_with("a.csv line 3"));
}

#[test]
fn gzip_and_zstd_by_name_or_setting() {
    let text = b"id\n1\n2\n";
    let two_members = [gzip(b"id\n1\n"), gzip(b"2\n")].concat();
    let frames = zstd::encode_all(&text[..], 1).unwrap();
    let folder = Folder::new(&[
        ("a.csv.gz", &gzip(text)),
        ("b.csv.gz", &two_members),
        ("c.csv.zst", &frames),
        ("d.csv", &gzip(text)),
        ("e.csv", &frames),
    ]);
    for (name, compression) in
        [("a.csv.gz", "auto"), ("b.csv.gz", "auto"), ("c.csv.zst", "auto"), ("d.csv", "gzip"), ("e.csv", "zstd")]
    {
        let rows = read(folder.settings(name, json!({"compression": compression})));
        assert_eq!(rows, [format!("{}: 1", &name[..1]), format!("{}: 2", &name[..1])], "{name}");
    }
    assert_eq!(read(folder.settings("[abc].csv.*", json!({"table": "t"}))).len(), 6);
}

#[test]
fn damaged_and_exploding_files_are_errors() {
    let whole = gzip("id\n".repeat(100_000).as_bytes());
    let bomb = zstd::encode_all(&vec![b'\n'; 64 << 20][..], 1).unwrap();
    let folder = Folder::new(&[
        ("cut.csv.gz", &whole[..whole.len() / 2]),
        ("text.csv.gz", b"id\n1\n"),
        ("text.csv.zst", b"id\n1\n2\n3\n"),
        ("bomb.csv.zst", &bomb),
    ]);
    for name in ["cut.csv.gz", "text.csv.gz", "text.csv.zst"] {
        let problem = error(folder.settings(name, json!({"columns": {"id": "string"}})));
        assert_eq!((problem.kind(), problem.setting()), (ErrorKind::Data, Some("compression")), "{name} {problem:?}");
    }
    let problem = error(folder.settings("bomb.csv.zst", json!({"max_decompressed_bytes": "1MiB"})));
    assert_eq!(problem.setting(), Some("max_decompressed_bytes"), "{problem:?}");
}

#[test]
fn only_regular_files_are_read() {
    let folder = Folder::new(&[("real.csv", b"id\n1\n")]);
    fs::create_dir(folder.path("dir.csv")).unwrap();
    rustix::fs::mknodat(rustix::fs::CWD, folder.path("pipe.csv"), rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
    std::os::unix::fs::symlink(folder.path("real.csv"), folder.path("link.csv")).unwrap();
    std::os::unix::fs::symlink(folder.path("nowhere"), folder.path("dangling.csv")).unwrap();
    std::os::unix::fs::symlink("/dev/zero", folder.path("zero.csv")).unwrap();
    for name in ["dir.csv", "pipe.csv", "zero.csv", "p*.csv"] {
        let problem = error(folder.settings(name, json!({})));
        assert!(problem.to_string().ends_with("is not a regular file"), "{name} {problem:?}");
    }
    assert_eq!(read(folder.settings("link.csv", json!({}))), ["link: 1"]);
    assert_eq!(read(folder.settings("d*.csv", json!({}))), Vec::<String>::new());
    let problem = error(folder.settings("*l*.csv", json!({"max_files": 1})));
    assert_eq!(problem.setting(), Some("max_files"));
}

#[test]
fn files_that_hold_nothing() {
    let folder = Folder::new(&[
        ("a.csv", b""),
        ("b.csv", b"id,x"),
        ("c.csv", b"\n\n"),
        ("d.csv", b"\xEF\xBB\xBF"),
        ("e.csv", b"id,x\n7,8"),
    ]);
    assert_eq!(
        read(folder.settings("*.csv", json!({"table": "t", "columns": {"id": "int64", "x": "int64"}}))),
        ["t: 7|8"]
    );
}

#[test]
fn records_larger_than_the_window_are_whole() {
    let big = "long \"\"quoted\"\" text\n".repeat(150_000);
    let folder = Folder::new(&[("a.csv", format!("id,t\n1,\"{big}\"\n2,x\n").as_bytes())]);
    let rows = read(folder.settings("a.csv", json!({})));
    assert_eq!(rows[0], format!("a: 1|{}", big.replace("\"\"", "\"")));
    assert_eq!(rows[1], "a: 2|x");
}
