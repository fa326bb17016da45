use super::*;

fn real(value: f64, precision: u8, scale: i8) -> Option<i128> {
    decimal(ValueRef::Real(value), precision, scale)
}

#[test]
fn money_is_exact_or_refused() {
    assert_eq!(real(12.34, 10, 2), Some(1234));
    assert_eq!(real(0.1 + 0.2, 10, 2), Some(30), "a double is read with its fifteen digits");
    assert_eq!(real(1.005, 10, 2), None, "a third digit behind the point is not rounded away");
    assert_eq!(real(-99999999.99, 10, 2), Some(-9_999_999_999));
    assert_eq!(real(100_000_000.0, 10, 2), None, "eleven digits do not fit");
    assert_eq!(real(f64::INFINITY, 10, 2), None);
    assert_eq!(decimal(ValueRef::Integer(7), 10, 2), Some(700));
    assert_eq!(
        decimal(ValueRef::Text(b"123456789012345678901234567890.12"), 38, 2),
        Some(12345678901234567890123456789012)
    );
    for bad in ["", ".", "1.2.3", "abc", "1e999999999", "--1", "1 2"] {
        assert_eq!(decimal(ValueRef::Text(bad.as_bytes()), 10, 2), None, "{bad:?}");
    }
    assert_eq!(decimal(ValueRef::Text(b"1.2e1"), 10, 2), Some(1200));
}

#[test]
fn every_cent_survives_a_double() {
    for cents in (-5_000_000i64..5_000_000).step_by(37) {
        assert_eq!(real(cents as f64 / 100.0, 12, 2), Some(i128::from(cents)));
    }
}

#[test]
fn dates_and_times() {
    assert_eq!(date(ValueRef::Text(b"1970-01-02")), Some(1));
    assert_eq!(date(ValueRef::Text(b"2024-13-01")), None);
    assert_eq!(date(ValueRef::Integer(3)), None);
    for same in ["1970-01-01 00:00:01.5", "1970-01-01T00:00:01.500", "1970-01-01T01:00:01.5+01:00"] {
        assert_eq!(timestamp(ValueRef::Text(same.as_bytes())), Some(1_500_000), "{same}");
    }
    assert_eq!(timestamp(ValueRef::Text(b"1970-01-02")), Some(86_400_000_000));
}

#[test]
fn a_cell_of_another_class_does_not_fit() {
    let layout = Layout { kinds: vec![Kind::Int64, Kind::Text, Kind::Float64], required: vec![true, false, false] };
    let misfit = |row: [ValueRef<'static>; 3]| layout.misfit(|i| row[i]);
    assert_eq!(misfit([ValueRef::Integer(1), ValueRef::Null, ValueRef::Null]), None);
    assert_eq!(misfit([ValueRef::Null, ValueRef::Null, ValueRef::Null]), Some(0));
    assert_eq!(misfit([ValueRef::Integer(1), ValueRef::Blob(b"x"), ValueRef::Null]), Some(1));
    assert_eq!(misfit([ValueRef::Integer(1), ValueRef::Text(b"\xff"), ValueRef::Null]), Some(1));
    assert_eq!(misfit([ValueRef::Integer(1), ValueRef::Integer(5), ValueRef::Integer((1 << 53) + 1)]), Some(2));
    assert!(!layout.reason(1, "note", ValueRef::Blob(b"secret")).contains("secret"));
}
