use super::*;
use aqueduct_model::ErrorKind;

fn watching(folder: &Folder) -> CsvInputConfig {
    let settings =
        json!({"table": "t", "watch": true, "watch_interval": "1ms", "columns": {"id": "int64", "s": "string"}});
    folder.settings("*.csv*", settings)
}

#[test]
fn appended_lines_and_new_files_are_read() {
    let folder = Folder::new(&[("a.csv", b"id,s\n1,x\n2,half")]);
    let mut run = Run::new(watching(&folder));
    run.drain().unwrap();
    assert_eq!(run.rows, ["t: 1|x"]);
    folder.append("a.csv", b" a line\n3,\"open");
    folder.write("b.csv", b"id");
    run.drain().unwrap();
    assert_eq!(run.rows[1..], ["t: 2|half a line"]);
    folder.append("a.csv", b"\nquote\"\n");
    folder.append("b.csv", b",s\n4,new\n");
    run.drain().unwrap();
    assert_eq!(run.rows[2..], ["t: 3|open\nquote", "t: 4|new"]);
    assert_eq!(run.bad, []);
}

#[test]
fn a_watching_source_resumes_and_replays_exactly() {
    let folder = Folder::new(&[("a.csv", b"id,s\n1,x\n")]);
    let mut first = Run::new(watching(&folder));
    let mut positions = Vec::new();
    for i in 2..12 {
        first.drain().unwrap();
        positions.push((first.rows.len(), first.position()));
        folder.append("a.csv", format!("{i},x\n{i}0,unfin").as_bytes());
        first.drain().unwrap();
        positions.push((first.rows.len(), first.position()));
        folder.append("a.csv", b"ished\n");
        if i == 6 {
            folder.write("b.csv", b"id,s\n77,new\n");
        }
    }
    first.drain().unwrap();
    positions.push((first.rows.len(), first.position()));
    let sorted = |rows: &[String]| {
        let mut rows = rows.to_vec();
        rows.sort();
        rows
    };
    for (i, (from, resume)) in positions.iter().enumerate() {
        let mut later = Run::open(watching(&folder), Some(resume)).unwrap();
        later.drain().unwrap();
        assert_eq!(sorted(&later.rows), sorted(&first.rows[*from..]));
        for (to, until) in &positions[i..] {
            let mut replay = Run::open(watching(&folder), Some(resume)).unwrap();
            while replay.position() != *until {
                replay.poll(Some(until)).unwrap();
            }
            assert_eq!(sorted(&replay.rows), sorted(&first.rows[*from..*to]));
        }
    }
}

#[test]
fn rotated_files_go_on_under_their_new_names() {
    let folder = Folder::new(&[("a.csv", b"id,s\n1,x\n2,y")]);
    let mut run = Run::new(watching(&folder));
    run.drain().unwrap();
    let before = run.position();
    folder.append("a.csv", b"z\n");
    rename(&folder.path("a.csv"), &folder.path("a.csv.1"));
    folder.write("a.csv", b"id,s\n3,new\n");
    run.drain().unwrap();
    assert_eq!(run.rows, ["t: 1|x", "t: 3|new", "t: 2|yz"]);
    let mut restarted = Run::open(watching(&folder), Some(&before)).unwrap();
    restarted.drain().unwrap();
    assert_eq!(restarted.rows, ["t: 3|new", "t: 2|yz"]);
}

#[test]
fn truncation_and_replacement_are_lost_positions() {
    for change in ["truncate", "replace"] {
        let folder = Folder::new(&[("a.csv", b"id,s\n1,x\n2,y\n")]);
        let mut run = Run::new(watching(&folder));
        run.drain().unwrap();
        if change == "truncate" {
            folder.write("a.csv", b"id,s\n7,x\n");
        } else {
            folder.write("other", b"id,s\n1,x\n2,y\n3,z\n");
            rename(&folder.path("other"), &folder.path("a.csv"));
        }
        let problem = run.drain().unwrap_err();
        assert_eq!(problem.kind(), ErrorKind::LostPosition, "{change}: {problem:?}");
        assert!(problem.hint().unwrap().contains("rotated"));
    }
}

#[test]
fn deleted_files_are_forgotten_once_they_were_read() {
    let folder = Folder::new(&[("a.csv", b"id,s\n1,x\n"), ("b.csv", b"id,s\n2,x\n")]);
    let mut run = Run::new(watching(&folder));
    run.drain().unwrap();
    fs::remove_file(folder.path("a.csv")).unwrap();
    run.drain().unwrap();
    assert_eq!(run.position().0.len(), 1);
    folder.write("c.csv", b"id,s\n3,x\n");
    run.drain().unwrap();
    assert_eq!(run.rows, ["t: 1|x", "t: 2|x", "t: 3|x"]);
}

#[test]
fn compressed_files_may_still_be_written() {
    let text = (0..20_000).map(|i| format!("{i},row {}\n", i * 7_919 % 10_007)).collect::<String>();
    let whole = gzip(format!("id,s\n{text}").as_bytes());
    let folder = Folder::new(&[("a.csv.gz", &whole[..whole.len() / 2])]);
    let mut run = Run::new(watching(&folder));
    run.drain().unwrap();
    assert!(!run.rows.is_empty() && run.rows.len() < 20_000);
    folder.append("a.csv.gz", &whole[whole.len() / 2..]);
    run.drain().unwrap();
    assert_eq!(run.rows.len(), 20_000);
    folder.append("a.csv.gz", &gzip(b"20000,more\n"));
    run.drain().unwrap();
    assert_eq!(run.rows.last().unwrap(), "t: 20000|more");
}
