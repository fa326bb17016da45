//! A writer that never stops: inserts, updates, deletes and moved keys in a table `(id, v)`.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use aqueduct_test_servers::Client;

use super::Random;

/// Stops and joins its thread with [`Writer::stop`].
pub struct Writer {
    stop: Arc<AtomicBool>,
    count: Arc<AtomicU64>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    /// Calls `write` with a session and the count so far, again and again with a pause between.
    pub fn start(
        mut client: Client,
        pause: Duration,
        mut write: impl FnMut(&mut Client, u64) + Send + 'static,
    ) -> Self {
        let (stop, count) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let (stopped, counted) = (stop.clone(), count.clone());
        let thread = std::thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                write(&mut client, counted.load(Ordering::Relaxed));
                counted.fetch_add(1, Ordering::Relaxed);
                if !pause.is_zero() {
                    std::thread::park_timeout(pause);
                }
            }
        });
        Self { stop, count, thread: Some(thread) }
    }

    /// Random changes of `table (id INT PRIMARY KEY, v VARCHAR)` with keys below `keys`.
    pub fn churn(client: Client, table: &str, keys: u64, seed: u64, pause: Duration) -> Self {
        let (table, mut random) = (table.to_owned(), Random(seed));
        Self::start(client, pause, move |client, count| {
            let (id, other) = (random.below(keys), random.below(keys));
            let sql = match random.below(10) {
                0..=3 => format!("UPDATE {table} SET v = 'u{count}' WHERE id = {id}"),
                4..=5 => format!("DELETE FROM {table} WHERE id = {id}"),
                // Refused when the other key is taken, which is as well.
                6 => format!("UPDATE {table} SET id = {other} WHERE id = {id}"),
                _ => format!("INSERT INTO {table} (id, v) VALUES ({id}, 'i{count}')"),
            };
            // Keys that are taken, and deadlocks between writers.
            let _ = client.run(&sql);
        })
    }

    /// How often it has written.
    pub fn count(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }

    /// Ends it; how often it has written.
    pub fn stop(mut self) -> u64 {
        self.end();
        self.count()
    }

    fn end(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let result = thread.join();
            assert!(result.is_ok() || std::thread::panicking(), "the writer failed");
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.end();
    }
}
