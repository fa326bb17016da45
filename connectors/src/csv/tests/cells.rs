use super::*;

fn types(config: CsvInputConfig) -> Vec<String> {
    let mut source = TextSource::new(Tables::new(config).unwrap());
    block(source.open(&SourceContext::default(), None)).unwrap();
    let mut bad = BadRows::new(BadRowPolicy::Fail, 0);
    match block(source.poll(&PollBudget::default(), &mut bad)).unwrap() {
        Polled::Batch(batch) => batch
            .relation()
            .columns()
            .fields()
            .iter()
            .map(|field| crate::text_files::ColumnType(field.data_type().clone()).to_string())
            .collect(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn types_are_inferred() {
    let text = "i,f,b,d,t,z,s,e,zip\n1,1,true,2024-02-29,2024-02-29 01:02:03,2024-02-29T01:02:03+08:00,x,,007\n\
                -5,2.5,FALSE,2024-03-01,2024-02-29,2024-02-29T01:02:03Z,1,,1\n";
    let folder = Folder::new(&[("a.csv", text.as_bytes())]);
    assert_eq!(
        types(folder.settings("a.csv", json!({}))),
        ["int64", "float64", "bool", "date", "timestamp(us)", "timestamp(us, utc)", "string", "string", "string"]
    );
    assert_eq!(
        read(folder.settings("a.csv", json!({}))),
        [
            "a: 1|1.0|true|2024-02-29|2024-02-29T01:02:03|2024-02-28T17:02:03Z|x|NULL|007",
            "a: -5|2.5|false|2024-03-01|2024-02-29T00:00:00|2024-02-29T01:02:03Z|1|NULL|1",
        ]
    );
}

#[test]
fn types_are_given() {
    let text = "id,amount,at,day,hour,raw,flag,small,wide\n\
                1,12.5,2024-01-02 03:04:05.678,2024-01-02,23:59:58.5,0aFF,yes,-128,18446744073709551615\n\
                2,,,,,,,,\n";
    let folder = Folder::new(&[("a.csv", text.as_bytes())]);
    let columns = json!({
        "id": "int32", "amount": "decimal(12,2)", "at": "timestamp(ms, +08:00)", "day": "date", "hour": "time",
        "raw": "binary", "flag": "bool", "small": "int8", "wide": "uint64",
    });
    let config = folder.settings("a.csv", json!({ "columns": columns, "key": ["id"] }));
    assert_eq!(
        read(config),
        [
            "a: 1|12.50|2024-01-01T19:04:05.678Z|2024-01-02|23:59:58.500|0aff|true|-128|18446744073709551615",
            "a: 2|NULL|NULL|NULL|NULL|NULL|NULL|NULL|NULL",
        ]
    );
}

#[test]
fn null_is_not_an_empty_text() {
    let text = "s,n\n,\n\"\",\"\"\nNULL,NULL\n\"NULL\",\"NULL\"\n  x  , 5 \n\"  y\",6\n";
    let folder = Folder::new(&[("a.csv", text.as_bytes())]);
    let columns = json!({"s": "string", "n": "int64"});
    let config = folder.settings("a.csv", json!({"columns": columns, "null_values": ["", "NULL"], "trim": true}));
    assert_eq!(read(config), ["a: NULL|NULL", "a: |NULL", "a: NULL|NULL", "a: NULL|NULL", "a: x|5", "a:   y|6"]);
}

#[test]
fn quotes_hold_delimiters_line_breaks_and_quotes() {
    let text = "a;b\r\n\"x;y\";\"line 1\r\nline 2\"\r\n'plain';\"say \"\"hi\"\"\"\r\n\"tail\"ed;\"back\\\"slash\"\r\n\r\n# no; comment\r\n";
    let folder = Folder::new(&[("a.csv", text.as_bytes())]);
    let config = folder.settings("a.csv", json!({"delimiter": ";", "escape": "\\", "comment": "#"}));
    assert_eq!(read(config), ["a: x;y|line 1\r\nline 2", "a: 'plain'|say \"hi\"", "a: tailed|back\"slash"]);
}

#[test]
fn columns_are_found_by_name_and_selected() {
    let folder = Folder::new(&[("a.csv", b"id,name,x\n1,Ann,9\n"), ("b.csv", b"x,id,name\n8,2,Bob\n")]);
    assert_eq!(read(folder.settings("*.csv", json!({"table": "t"}))), ["t: 1|Ann|9", "t: 2|Bob|8"]);
    assert_eq!(read(folder.settings("*.csv", json!({}))), ["a: 1|Ann|9", "b: 8|2|Bob"]);
    folder.write("c.csv", b"extra,name,id\ne,Cid,3\n");
    let config = folder.settings("*.csv", json!({"table": "t", "select": ["name", "id"], "key": ["id"]}));
    assert_eq!(read(config), ["t: Ann|1", "t: Bob|2", "t: Cid|3"]);
    let problem = error(folder.settings("*.csv", json!({"table": "t"})));
    assert!(folder.local(&problem.to_string()).contains("c.csv has no column x"), "{problem:?}");
}

#[test]
fn without_a_header_columns_are_numbered_or_named() {
    let folder = Folder::new(&[("a.tsv", b"1\tAnn\n2\tBob\n")]);
    let config = folder.settings("a.tsv", json!({"header": false, "delimiter": "tab", "select": ["column_2"]}));
    assert_eq!(read(config), ["a: Ann", "a: Bob"]);
    let columns = json!({"id": "float64", "name": "string"});
    let config = folder.settings("a.tsv", json!({"header": false, "delimiter": "\t", "columns": columns}));
    assert_eq!(read(config), ["a: 1.0|Ann", "a: 2.0|Bob"]);
}

#[test]
fn schema_mistakes_are_named() {
    let folder =
        Folder::new(&[("a.csv", b"id,name\n1,x\n"), ("b.csv", b"id,name,more\n1,x,y\n"), ("c.csv", b"id,id\n")]);
    for (pattern, settings, setting, text) in [
        ("a.csv", json!({"columns": {"idd": "int64"}}), "columns", "has no column idd"),
        ("a.csv", json!({"select": ["nam"]}), "select", "has no column nam"),
        ("a.csv", json!({"key": ["nr"]}), "key", "has no column nr"),
        ("[ab].csv", json!({"table": "t"}), "select", "has a column more that earlier files lack"),
        ("c.csv", json!({}), "header", "two columns named id"),
        ("d.csv", json!({}), "path", "does not exist"),
    ] {
        let problem = error(folder.settings(pattern, settings));
        assert_eq!(problem.setting(), Some(setting), "{problem:?}");
        assert!(problem.to_string().contains(text) && problem.hint().is_some(), "{problem:?}");
    }
}

#[test]
fn wrong_settings_are_named() {
    for (settings, setting) in [
        (json!({"path": ""}), "path"),
        (json!({"path": "a[.csv"}), "path"),
        (json!({"path": "a", "delimiter": ",,"}), "delimiter"),
        (json!({"path": "a", "quote": ","}), "quote"),
        (json!({"path": "a", "comment": "é"}), "comment"),
        (json!({"path": "a", "encoding": "utf-9"}), "encoding"),
        (json!({"path": "a", "columns": {"a": "number"}}), "columns.a"),
        (json!({"path": "a", "select": ["b", "b"]}), "select"),
        (json!({"path": "a", "select": ["b"], "key": ["a"]}), "key"),
        (json!({"path": "a", "max_line_bytes": 0}), "max_line_bytes"),
        (json!({"path": "a", "watch": true, "watch_interval": "0s"}), "watch_interval"),
        (json!({"path": "a", "table": ""}), "table"),
        (json!({"path": "a", "infer_rows": 0}), "infer_rows"),
        (json!({"path": "a", "seperator": ";"}), "seperator"),
    ] {
        let problem = (INPUT.check)(&settings).unwrap_err();
        assert_eq!(problem.setting(), Some(setting), "{settings}: {problem:?}");
    }
    assert!((INPUT.check)(&json!({"path": ["a", "b*"], "watch": true})).unwrap().unbounded);
}
