use super::*;
use aqueduct_model::ErrorKind;

fn refused(folder: &Folder, settings: Value) -> (Vec<String>, Vec<String>) {
    let mut run = Run::new(folder.settings("*.csv", settings));
    run.max_rows = 3;
    run.drain().unwrap();
    let bad = |bad: &BadRow| {
        let at = folder.local(bad.position.as_deref().unwrap());
        format!("{at}: {} <{}>", bad.reasons.join("; "), bad.row.as_str().unwrap())
    };
    (run.rows.clone(), run.bad.iter().map(bad).collect())
}

#[test]
fn bad_rows_carry_their_line_and_reason() {
    let text = b"id,n,s\n1,1,\"two\nlines\"\n2,2\n3,x,ok\n\n4,4,a,b\n5,,last\n,6,nokey\n7,7,b\xffd\n8,y,\"q\n\xc3(\"\n9,9,fine";
    let folder = Folder::new(&[("a.csv", text)]);
    let (rows, bad) = refused(&folder, json!({"columns": {"id": "int64", "n": "int64", "s": "string"}, "key": ["id"]}));
    assert_eq!(rows, ["a: 1|1|two\nlines", "a: 5|NULL|last", "a: 9|9|fine"]);
    assert_eq!(
        bad,
        [
            "a.csv line 4: it has 2 cells instead of 3 <2,2>",
            "a.csv line 5: column n is not of type int64 <3,x,ok>",
            "a.csv line 7: it has 4 cells instead of 3 <4,4,a,b>",
            "a.csv line 9: key column id is empty <,6,nokey>",
            "a.csv line 10: it is not valid in the file's encoding <7,7,b\\xffd>",
            "a.csv line 11: it is not valid in the file's encoding <8,y,\"q\n\\xc3(\">",
        ]
    );
}

#[test]
fn all_reasons_of_a_row_are_given_and_inferred_types_are_named() {
    let folder = Folder::new(&[("a.csv", b"a,b\n1,2\n1,2\nx,y\n")]);
    let (rows, bad) = refused(&folder, json!({"infer_rows": 2}));
    assert_eq!(rows, ["a: 1|2", "a: 1|2"]);
    let inferred = "is not of type int64, which was inferred; give its type in `columns`";
    assert_eq!(bad, [format!("a.csv line 4: column a {inferred}; column b {inferred} <x,y>")]);
}

#[test]
fn line_numbers_hold_for_every_kind_of_line_break() {
    for (line_break, lines) in [("\n", 5_000), ("\r\n", 5_000), ("\r", 5_000)] {
        let mut text = format!("id{line_break}");
        for line in 2..=lines {
            text.push_str(&if line % 997 == 0 { format!("bad{line_break}") } else { format!("{line}{line_break}") });
        }
        let folder = Folder::new(&[("a.csv", text.as_bytes())]);
        let mut run = Run::new(folder.settings("a.csv", json!({"columns": {"id": "int64"}})));
        run.max_rows = 64;
        run.drain().unwrap();
        let at: Vec<String> = run.bad.iter().map(|bad| folder.local(bad.position.as_deref().unwrap())).collect();
        assert_eq!(at, ["a.csv line 997", "a.csv line 1994", "a.csv line 2991", "a.csv line 3988", "a.csv line 4985"]);
        assert_eq!(run.rows.len(), lines - 1 - 5);
    }
}

#[test]
fn an_open_quote_costs_one_line() {
    let folder = Folder::new(&[("a.csv", b"a,b\n1,x\n2,\"never closed\n3,y\n4,z\n")]);
    let (rows, bad) = refused(&folder, json!({}));
    assert_eq!(rows, ["a: 1|x", "a: 3|y", "a: 4|z"]);
    assert_eq!(bad, ["a.csv line 3: a quote is opened in it that is never closed <2,\"never closed>"]);
}

#[test]
fn long_lines_are_refused_and_endless_ones_are_errors() {
    let mut text = b"a,b\n1,x\n2,".to_vec();
    text.extend(vec![b'y'; 5_000]);
    text.extend(b"\n3,\"");
    text.extend(b"quoted\n".repeat(3_000_000 / 7));
    let folder = Folder::new(&[("a.csv", &text)]);
    let mut run = Run::new(folder.settings("a.csv", json!({"max_line_bytes": "4KiB"})));
    run.poll(None).unwrap();
    assert_eq!(run.rows, ["a: 1|x"]);
    assert!(
        run.bad[0].reasons[0].contains("max_line_bytes") && run.bad[0].position.as_ref().unwrap().ends_with("line 3")
    );
    assert!(
        run.bad[1].reasons[0].contains("never closed") && run.bad[1].position.as_ref().unwrap().ends_with("line 4")
    );

    let mut text = b"a,b\n1,".to_vec();
    text.extend(vec![b'y'; 8 << 20]);
    folder.write("b.csv", &text);
    let problem = error(folder.settings("b.csv", json!({"max_line_bytes": "1MiB"})));
    assert_eq!((problem.kind(), problem.setting()), (ErrorKind::Data, Some("max_line_bytes")), "{problem:?}");
    assert!(problem.to_string().ends_with("b.csv line 2 is too long"));
}

#[test]
fn a_million_columns_and_nul_bytes_do_no_harm() {
    let wide = "x,".repeat(1_000_000) + "\n";
    let folder = Folder::new(&[("a.csv", format!("a,b\n{wide}1,2\n").as_bytes()), ("b.csv", wide.as_bytes())]);
    let mut run = Run::new(folder.settings("a.csv", json!({})));
    run.drain().unwrap();
    assert_eq!(run.rows, ["a: 1|2"]);
    assert!(run.bad[0].reasons[0].contains("1000001 cells"));
    assert!(error(folder.settings("b.csv", json!({}))).to_string().contains("1000001 cells"));
    folder.write("c.csv", b"a,b\n1,x\0y\n\0,\0\n");
    assert_eq!(read(folder.settings("c.csv", json!({}))), ["c: 1|x\0y", "c: \0|\0"]);
}

#[test]
fn under_the_default_policy_a_bad_row_stops_with_its_place_but_not_its_cells() {
    let folder = Folder::new(&[("a.csv", b"id\n1\nSECRET\n")]);
    let mut source =
        TextSource::new(Tables::new(folder.settings("a.csv", json!({"columns": {"id": "int64"}}))).unwrap());
    block(source.open(&SourceContext::default(), None)).unwrap();
    let mut bad = BadRows::new(BadRowPolicy::Fail, 0);
    let problem = block(source.poll(&PollBudget::default(), &mut bad)).unwrap_err();
    assert!(problem.to_string().contains("a.csv line 3") && !format!("{problem:?}").contains("SECRET"));
}
