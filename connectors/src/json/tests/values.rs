use super::*;

#[test]
fn every_type_is_read_from_the_digits_of_the_file() {
    let lines = br#"
{"b":true,"i":-9223372036854775808,"u":18446744073709551615,"f":1e-3,"d":1234567890123456789.05,"s":"a\"b\u00e9\ud83d\ude00\n","date":"2024-02-29","t":"01:02:03.000004","ts":"2024-02-29T01:02:03.004","tz":"2024-02-29T01:02:03+08:00","x":"00ff"}
 { "x" : null , "tz" : 1709139723000000 , "ts" : 1709139723004 , "s" : "" , "i" : "12" , "d" : "0.10" , "unknown" : [1,{"i":7}] , "b" : false }
{}
"#;
    let folder = Folder::new(&[("a.jsonl", lines)]);
    let columns = json!({
        "b": "bool", "i": "int64", "u": "uint64", "f": "float64", "d": "decimal(38,2)", "s": "string", "date": "date",
        "t": "time", "ts": "timestamp(ms)", "tz": "timestamp(us, utc)", "x": "binary",
    });
    assert_eq!(
        read(&folder, "a.jsonl", json!({ "columns": columns })),
        [
            "a: true|-9223372036854775808|18446744073709551615|0.001|1234567890123456789.05|a\"bé😀\n|2024-02-29|01:02:03.000004|2024-02-29T01:02:03.004|2024-02-28T17:02:03Z|00ff",
            "a: false|12|NULL|NULL|0.10||NULL|NULL|2024-02-28T17:02:03.004|2024-02-28T17:02:03Z|NULL",
            "a: NULL|NULL|NULL|NULL|NULL|NULL|NULL|NULL|NULL|NULL|NULL",
        ]
    );
}

#[test]
fn inner_fields_have_paths_and_objects_are_text() {
    let lines = br#"{"id":1,"bid":{"price":5,"by":{"name":"x"}},"tags":[1, 2]}
{"id":2,"bid":null,"tags":{"a":"\u00e9"}}
{"id":3,"tags":"plain"}
{"id":4,"bid":{"by":{}},"tags":7.50}
"#;
    let folder = Folder::new(&[("a.jsonl", lines)]);
    let settings = json!({
        "columns": { "id": "int64", "price": "int32", "name": "string", "tags": "string", "bid": "string" },
        "paths": { "price": "bid.price", "name": "bid.by.name" },
    });
    assert_eq!(
        read(&folder, "a.jsonl", settings),
        [
            r#"a: 1|5|x|[1, 2]|{"price":5,"by":{"name":"x"}}"#,
            r#"a: 2|NULL|NULL|{"a":"\u00e9"}|NULL"#,
            "a: 3|NULL|NULL|plain|NULL",
            r#"a: 4|NULL|NULL|7.50|{"by":{}}"#,
        ]
    );
}

#[test]
fn fields_and_types_are_inferred() {
    let lines = br#"{"i":1,"f":1,"b":true,"d":"2024-02-29","z":"2024-02-29T01:02:03Z","n":"007","o":{"a":1},"big":0.1234567890123456789}
{"f":2.5,"i":null,"late":"x","mixed":1}
{"mixed":"1"}
"#;
    let folder = Folder::new(&[("a.jsonl", lines)]);
    assert_eq!(
        types(&folder, "a.jsonl", json!({})),
        [
            "i int64",
            "f float64",
            "b bool",
            "d date",
            "z timestamp(us, utc)",
            "n string",
            "o string",
            "big string",
            "late string",
            "mixed string",
        ]
    );
    let (rows, bad) = read_all(&folder, "a.jsonl", json!({ "infer_rows": 1 }));
    assert_eq!(rows.len(), 1);
    assert!(bad[0].starts_with("a.jsonl line 2: it has a field late that the lines lacked"), "{bad:?}");
    assert!(bad[1].starts_with("a.jsonl line 3: it has a field mixed"), "{bad:?}");
}

#[test]
fn compressed_and_recoded_files_are_read() {
    let text = "{\"a\":\"é\"}\r\n\r\n{\"a\":\"ü\"}";
    let utf16: Vec<u8> = [0xFF, 0xFE].into_iter().chain(text.encode_utf16().flat_map(u16::to_le_bytes)).collect();
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut gzip, text.as_bytes()).unwrap();
    let zstd = zstd::encode_all(text.as_bytes(), 1).unwrap();
    let gzip = gzip.finish().unwrap();
    let folder = Folder::new(&[("a.jsonl.gz", &gzip), ("b.jsonl.zst", &zstd), ("c.jsonl", &utf16)]);
    let rows = read(&folder, "*", json!({ "columns": { "a": "string" } }));
    assert_eq!(rows, ["a: é", "a: ü", "b: é", "b: ü", "c: é", "c: ü"]);
}

#[test]
fn a_field_names_the_table() {
    let lines = br#"{"kind":"bid","price":1,"who":"p"}
{"kind":"person","name":"x","price":"not read"}
{"price":2,"who":"q","kind":"bid"}
{"kind":"\u0062id","price":3}
"#;
    let folder = Folder::new(&[("a.jsonl", lines)]);
    let settings = json!({
        "table": "my_{kind}",
        "tables": {
            "my_bid": { "columns": { "price": "int64", "name": "string" }, "paths": { "name": "who" }, "key": ["price"] },
            "my_person": { "columns": { "name": "string" } },
        },
    });
    let mut rows = read(&folder, "a.jsonl", settings);
    rows.sort();
    assert_eq!(rows, ["my_bid: 1|p", "my_bid: 2|q", "my_bid: 3|NULL", "my_person: x"]);
}
