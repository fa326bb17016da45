//! What a running flow shows of itself.

use serde_json::Value;

/// A flow's status, as far as it is shown.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Reading {
    /// Running, with everything open.
    pub(crate) running: bool,
    /// The state's public name.
    pub(crate) state: String,
    /// What happened, where the flow has failed.
    pub(crate) message: Option<String>,
    /// Rows that the sources have read in this life of the daemon.
    pub(crate) rows: u64,
    /// Rows that the sinks have written in this life.
    pub(crate) written: u64,
    /// Age of the newest row that reached a sink; the greatest over the sinks.
    pub(crate) lag_ms: i64,
    /// The last committed epoch.
    pub(crate) epoch: u64,
    /// Epochs committed in this life.
    pub(crate) epochs: u64,
}

impl Reading {
    /// Reads the answer to a status request; what is missing counts as nothing.
    pub(crate) fn of(status: &Value) -> Self {
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let number = |value: &Value| value.as_u64().unwrap_or_default();
        let mut reading = Self {
            running: status["state"] == "running",
            state: text(&status["state"]).unwrap_or_default(),
            message: text(&status["message"]),
            epoch: number(&status["checkpoint"]["epoch"]),
            epochs: number(&status["checkpoint"]["epochs"]),
            ..Self::default()
        };
        for task in status["tasks"].as_array().into_iter().flatten() {
            match task["kind"].as_str().map(str::to_lowercase).as_deref() {
                Some("source") => reading.rows += number(&task["rows_in"]),
                Some("sink") => {
                    reading.written += number(&task["rows_out"]);
                    reading.lag_ms = reading.lag_ms.max(task["lag_ms"].as_i64().unwrap_or_default());
                }
                _ => {}
            }
        }
        reading
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_read_as_the_control_socket_gives_it() {
        let status = serde_json::json!({
            "state": "running",
            "checkpoint": { "epoch": 7, "epochs": 2 },
            "tasks": [
                { "kind": "source", "rows_in": 10, "rows_out": 10, "lag_ms": 0 },
                { "kind": "sink", "rows_in": 9, "rows_out": 8, "lag_ms": 30 },
            ],
        });
        let reading = Reading::of(&status);
        assert!(reading.running);
        assert_eq!((reading.rows, reading.written, reading.lag_ms, reading.epoch, reading.epochs), (10, 8, 30, 7, 2));
    }
}
