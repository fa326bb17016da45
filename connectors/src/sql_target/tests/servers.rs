//! What targets behind a network are asked besides: answers that get lost, connections that are cut.

use std::sync::Arc;

use aqueduct_model::ErrorKind;
use aqueduct_test_servers::{Direction, Fault, Proxy};
use fail::FailScenario;
use serde_json::json;

use super::{Bench, Kit, batch, cut, orders};

/// What targets on servers are asked besides.
pub(crate) const ON_SERVERS: &[(&str, super::all::Body)] = &[
    ("a_lost_reply_of_a_commit_is_looked_up", a_lost_reply_of_a_commit_is_looked_up),
    ("a_connection_cut_anywhere_loses_and_doubles_nothing", a_connection_cut_anywhere_loses_and_doubles_nothing),
    ("a_large_group_goes_in_fast_and_whole", a_large_group_goes_in_fast_and_whole),
];

/// A bench whose sink reaches the server through a proxy.
fn behind_a_proxy(kit: &Kit) -> (Bench<'_>, Arc<Proxy>) {
    let mut bench = Bench::new(kit, json!({}));
    let url = bench.place["url"].as_str().unwrap().to_owned();
    let (before, after) = url.rsplit_once(':').unwrap();
    let (port, database) = after.split_once('/').unwrap();
    let proxy = Proxy::to(port.parse().unwrap());
    bench.place["url"] = json!(format!("{before}:{}/{database}", proxy.port()));
    (bench, Arc::new(proxy))
}

fn a_lost_reply_of_a_commit_is_looked_up(kit: &Kit) {
    let scenario = FailScenario::setup();
    let (bench, proxy) = behind_a_proxy(kit);
    let bench = Bench { config: json!({ "mode": "append" }), ..bench };
    let (mut writer, _) = bench.start();
    writer.write(batch(&orders(), &[(0, 1, "a")]));
    let in_time = proxy.clone();
    fail::cfg_callback(format!("sink.commit_before@{}", bench.context.flow), move || in_time.set(Fault::DropReply))
        .unwrap();
    assert_eq!(writer.try_flush().unwrap_err().kind(), ErrorKind::Unavailable);
    scenario.teardown();
    proxy.set(Fault::None);
    drop(writer);
    let (mut writer, recorded) = bench.start();
    assert_eq!(recorded.unwrap().cut, cut(1), "the server heard the commit");
    writer.write(batch(&orders(), &[(0, 2, "b")]));
    writer.flush();
    writer.close();
    assert_eq!(bench.read("orders"), (Some(cut(2)), vec!["1|a".into(), "2|b".into()]));
}

fn a_connection_cut_anywhere_loses_and_doubles_nothing(kit: &Kit) {
    let (bench, proxy) = behind_a_proxy(kit);
    let bench = Bench { config: json!({ "mode": "append" }), ..bench };
    let (writer, _) = bench.start();
    writer.close();
    let mut done = 0i64;
    for (i, direction) in [Direction::ToServer, Direction::ToClient].into_iter().cycle().take(48).enumerate() {
        // Somewhere between the login and the end of the epoch, or after it.
        proxy.set(Fault::CutAfter(direction, 200 + 691 * (i as u64 / 2)));
        let written = bench.try_start().and_then(|(mut writer, recorded)| {
            let epoch = recorded.unwrap().cut.epoch.0 as i64;
            writer.write(batch(&orders(), &[(0, epoch + 1, "x"), (0, -epoch - 1, "y")]));
            writer.try_flush()
        });
        if let Err(error) = written {
            assert_eq!(error.kind(), ErrorKind::Unavailable, "{error:?}");
        }
        proxy.set(Fault::None);
        let (writer, recorded) = bench.start();
        writer.close();
        let epoch = recorded.unwrap().cut.epoch.0 as i64;
        assert!(epoch == done || epoch == done + 1);
        done = epoch;
        if done > 0 {
            let count = bench.sql("SELECT count(*), count(DISTINCT id) FROM orders");
            assert_eq!(count, [format!("{0}|{0}", 2 * done)], "after {done} epochs");
        }
    }
    assert!(done > 5, "most connections live long enough");
}

/// More rows than one statement takes, of every kind of change; the rows in between are bad.
fn a_large_group_goes_in_fast_and_whole(kit: &Kit) {
    let bench = Bench::new(kit, json!({}));
    bench.sql("CREATE TABLE orders (id BIGINT PRIMARY KEY, item VARCHAR(20))");
    let (mut writer, _) = bench.start();
    let long = "x".repeat(21);
    let rows: Vec<(u8, i64, &str)> =
        (0..20_000).map(|id| (0, id, if id % 5_000 == 7 { long.as_str() } else { "new" })).collect();
    writer.write(batch(&orders(), &rows));
    writer.flush();
    assert_eq!(writer.bad.take().len(), 4);
    let rows: Vec<(u8, i64, &str)> = (0..20_000)
        .map(|id| match id % 4 {
            0 => (3, id, ""),
            1 => (2, id, "changed"),
            2 => (0, 100_000 + id, "added"),
            _ => (0, id, "again"),
        })
        .collect();
    writer.write(batch(&orders(), &rows));
    writer.flush();
    assert_eq!(writer.bad.take(), []);
    writer.close();
    let counts = bench.sql("SELECT item, count(*) FROM orders GROUP BY item ORDER BY item");
    assert_eq!(counts, ["added|5000", "again|5000", "changed|5000", "new|5000"]);
}
