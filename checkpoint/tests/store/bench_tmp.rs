use crate::support::*;
#[test]
fn lat() {
    let _alone = alone();
    for kind in KINDS {
        let folder = tempfile::tempdir().expect("a folder");
        let mut store = filled(folder.path(), kind, 2);
        let mut v = vec![];
        let s0 = store.syncs();
        for e in 3..203 {
            let t = std::time::Instant::now();
            store.log(&record(e, aqueduct_model::Token(1))).unwrap();
            v.push(t.elapsed().as_micros());
        }
        v.sort();
        println!("LAT {kind} p50 {} p99 {} syncs/log {}", v[100], v[197], (store.syncs() - s0) / 200);
        drop(store);
        let t = std::time::Instant::now();
        let s = open(folder.path(), kind).unwrap();
        println!("OPEN {kind} {:?} syncs {}", t.elapsed(), s.store.syncs());
    }
}
