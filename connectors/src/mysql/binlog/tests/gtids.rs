//! Sets and positions, against a set of single numbers.

use std::collections::BTreeSet;

use uuid::Uuid;

use super::fuzz::Random;
use crate::mysql::binlog::{GtidSource, MariadbGtidPos, MysqlGtid, MysqlGtidSet};

const SERVER: &str = "3e11fa47-71ca-11e1-9e33-c80aa9429562";
const OTHER: &str = "4e11fa47-71ca-11e1-9e33-c80aa9429562";

fn source(tag: &str) -> GtidSource {
    GtidSource { server: Uuid::try_parse(SERVER).unwrap(), tag: tag.to_owned() }
}

fn set(text: &str) -> MysqlGtidSet {
    text.parse().unwrap()
}

#[test]
fn texts_are_read_and_printed() {
    for (text, printed) in [
        (String::new(), String::new()),
        (format!("{SERVER}:1-5"), format!("{SERVER}:1-5")),
        (format!(" {SERVER} : 7 : 1-3 : 4-5 ,\n{OTHER}:9"), format!("{SERVER}:1-5:7,{OTHER}:9")),
        (format!("{SERVER}:1-2:Tag_1:5:3"), format!("{SERVER}:1-2:tag_1:3:5")),
        (format!("{SERVER}:b:1,{SERVER}:a:1"), format!("{SERVER}:a:1:b:1")),
    ] {
        assert_eq!(set(&text).to_string(), printed, "{text}");
    }
    for bad in ["x", "3e11fa47:1", SERVER, &format!("{SERVER}:0"), &format!("{SERVER}:a-b:1"), &format!("{SERVER}:-1")]
    {
        assert!(bad.parse::<MysqlGtidSet>().is_err(), "{bad}");
    }
}

#[test]
fn a_gap_is_kept_and_a_tag_is_another_source() {
    let seen = set(&format!("{SERVER}:1-5:7-9"));
    assert!(!seen.contains(&MysqlGtid { source: source(""), number: 6 }));
    assert!(!seen.contains(&MysqlGtid { source: source("t"), number: 5 }));
    assert!(!set(&format!("{SERVER}:5-7")).is_subset(&seen));
}

#[test]
fn sets_of_ranges_are_sets_of_numbers() {
    let mut random = Random::new(7);
    for _ in 0..2_000 {
        let mut numbers: [BTreeSet<u64>; 2] = Default::default();
        let mut ranges: [MysqlGtidSet; 2] = Default::default();
        for side in 0..2 {
            for _ in 0..random.below(12) {
                let first = 1 + random.below(40) as u64;
                let last = first + random.below(6) as u64;
                numbers[side].extend(first..=last);
                ranges[side].add_range(source(""), (first, last));
            }
        }
        let [one, two] = &ranges;
        assert_eq!(one.to_string().parse::<MysqlGtidSet>().unwrap(), *one);
        let found: BTreeSet<u64> = one.sources().flat_map(|(_, r)| r.iter().flat_map(|(a, b)| *a..=*b)).collect();
        assert_eq!(found, numbers[0], "{one}");
        for number in 1..50 {
            assert_eq!(one.contains(&MysqlGtid { source: source(""), number }), numbers[0].contains(&number));
        }
        assert_eq!(one.is_subset(two), numbers[0].is_subset(&numbers[1]), "{one} {two}");
    }
}

#[test]
fn a_mariadb_position_is_the_last_of_each_domain() {
    let position: MariadbGtidPos = "1-1-5,0-1-12, 0-2-13".parse().unwrap();
    assert_eq!(position.to_string(), "0-2-13,1-1-5");
    assert!(position.contains(&"0-9-13".parse().unwrap()));
    assert!(!position.contains(&"0-1-14".parse().unwrap()) && !position.contains(&"2-1-1".parse().unwrap()));
    assert!("0-1-12".parse::<MariadbGtidPos>().unwrap().is_subset(&position));
    assert!(!"0-1-12,3-1-1".parse::<MariadbGtidPos>().unwrap().is_subset(&position));
    for bad in ["0-1", "a-b-c", "0-1-2-3", "4294967296-1-1"] {
        assert!(bad.parse::<MariadbGtidPos>().is_err(), "{bad}");
    }
}
