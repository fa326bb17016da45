//! Log files of MySQL 8.0.31 and MariaDB 10.11.19 as those servers wrote them, and what their tables held at the end.

/// A log file, and the tables that its server has after it.
pub(super) struct Fixture {
    pub name: &'static str,
    pub log: &'static [u8],
    /// Per table: `# name`, its columns as `name:type`, a row per line, cells by tabs. Texts and bytes are in
    /// hexadecimal, texts in UTF-8, times with six digits.
    pub rows: &'static str,
}

pub(super) const FIXTURES: &[Fixture] = &[
    Fixture {
        name: "mysql_types",
        log: include_bytes!("../fixtures/mysql_types.binlog"),
        rows: include_str!("../fixtures/mysql_types.rows"),
    },
    Fixture {
        name: "maria_types",
        log: include_bytes!("../fixtures/maria_types.binlog"),
        rows: include_str!("../fixtures/maria_types.rows"),
    },
    Fixture {
        name: "mysql_ddl",
        log: include_bytes!("../fixtures/mysql_ddl.binlog"),
        rows: include_str!("../fixtures/mysql_ddl.rows"),
    },
    Fixture {
        name: "maria_ddl",
        log: include_bytes!("../fixtures/maria_ddl.binlog"),
        rows: include_str!("../fixtures/maria_ddl.rows"),
    },
    Fixture {
        name: "mysql_compressed",
        log: include_bytes!("../fixtures/mysql_compressed.binlog"),
        rows: include_str!("../fixtures/mysql_compressed.rows"),
    },
    Fixture {
        name: "maria_compressed",
        log: include_bytes!("../fixtures/maria_compressed.binlog"),
        rows: include_str!("../fixtures/maria_compressed.rows"),
    },
    Fixture {
        name: "mysql_minimal",
        log: include_bytes!("../fixtures/mysql_minimal.binlog"),
        rows: include_str!("../fixtures/mysql_minimal.rows"),
    },
    Fixture {
        name: "maria_minimal",
        log: include_bytes!("../fixtures/maria_minimal.binlog"),
        rows: include_str!("../fixtures/maria_minimal.rows"),
    },
    Fixture {
        name: "mysql_noblob",
        log: include_bytes!("../fixtures/mysql_noblob.binlog"),
        rows: include_str!("../fixtures/mysql_noblob.rows"),
    },
    Fixture {
        name: "maria_noblob",
        log: include_bytes!("../fixtures/maria_noblob.binlog"),
        rows: include_str!("../fixtures/maria_noblob.rows"),
    },
    Fixture {
        name: "mysql_nochecksum",
        log: include_bytes!("../fixtures/mysql_nochecksum.binlog"),
        rows: include_str!("../fixtures/mysql_nochecksum.rows"),
    },
    Fixture {
        name: "maria_nochecksum",
        log: include_bytes!("../fixtures/maria_nochecksum.binlog"),
        rows: include_str!("../fixtures/maria_nochecksum.rows"),
    },
    Fixture {
        name: "mysql_statements",
        log: include_bytes!("../fixtures/mysql_statements.binlog"),
        rows: include_str!("../fixtures/mysql_statements.rows"),
    },
    Fixture {
        name: "maria_statements",
        log: include_bytes!("../fixtures/maria_statements.binlog"),
        rows: include_str!("../fixtures/maria_statements.rows"),
    },
    Fixture {
        name: "mysql_partial_json",
        log: include_bytes!("../fixtures/mysql_partial_json.binlog"),
        rows: include_str!("../fixtures/mysql_partial_json.rows"),
    },
];

/// What a log file starts with.
const MAGIC: &[u8] = b"\xfebin";

impl Fixture {
    pub fn of(name: &str) -> &'static Self {
        FIXTURES.iter().find(|fixture| fixture.name == name).unwrap()
    }

    /// The bytes of each event, in order.
    pub fn events(&self) -> Vec<&'static [u8]> {
        let mut rest = self.log.strip_prefix(MAGIC).unwrap();
        let mut events = Vec::new();
        while !rest.is_empty() {
            let size = u32::from_le_bytes(rest[9..13].try_into().unwrap()) as usize;
            let (event, behind) = rest.split_at(size);
            events.push(event);
            rest = behind;
        }
        events
    }
}
