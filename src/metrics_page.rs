//! `/metrics` (Prometheus text), `/healthz` and `/readyz` of one flow, on a loopback address.
//!
//! Counters are kept by the engine; this page puts them on the `metrics` facade when it is asked.

use std::net::SocketAddr;

use aqueduct_engine::runtime::{FlowHandle, FlowState, FlowStatus};
use aqueduct_model::{Error, ErrorKind, Result};
use metrics::{Label, counter, gauge, with_local_recorder};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle, PrometheusRecorder};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Duration, timeout};
use tracing::debug;

/// Longest request head that is read, in bytes.
const REQUEST_BYTES_MAX: usize = 8_192;
/// How long a client may take to send it.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);

/// Takes the address.
///
/// # Errors
/// `Config` when it is not a loopback address (there is no password on this page); `Unavailable` when it is taken.
pub(crate) async fn listen(address: SocketAddr) -> Result<TcpListener> {
    if !address.ip().is_loopback() {
        return Err(Error::config(format!("{address} is not a loopback address, and this page has no password"))
            .with_setting("--metrics-listen")
            .with_hint("listen on 127.0.0.1:9100 and let a local agent scrape it"));
    }
    TcpListener::bind(address).await.map_err(|error| {
        Error::new(ErrorKind::Unavailable, format!("cannot listen on {address}"))
            .with_source(error)
            .with_setting("--metrics-listen")
            .with_hint("choose another port")
    })
}

/// Answers requests, one after the other, until dropped.
pub(crate) async fn serve(listener: TcpListener, flow: FlowHandle) {
    let recorder = PrometheusBuilder::new().build_recorder();
    let handle = recorder.handle();
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                let answered = timeout(REQUEST_TIMEOUT, answer(stream, &flow, &recorder, &handle)).await;
                if let Ok(Err(error)) = answered {
                    debug!("a metrics request failed: {error}");
                }
            }
            Err(error) => debug!("cannot accept a metrics request: {error}"),
        }
    }
}

async fn answer(
    mut stream: TcpStream,
    flow: &FlowHandle,
    recorder: &PrometheusRecorder,
    handle: &PrometheusHandle,
) -> std::io::Result<()> {
    let mut head = Vec::new();
    while !head.windows(4).any(|end| end == b"\r\n\r\n") && head.len() < REQUEST_BYTES_MAX {
        if stream.read_buf(&mut head).await? == 0 {
            break;
        }
    }
    let request = String::from_utf8_lossy(&head);
    let mut words = request.split_ascii_whitespace();
    let (status, body) = match (words.next(), words.next()) {
        (Some("GET"), Some("/metrics")) => ("200 OK", page(&flow.status(), recorder, handle)),
        (Some("GET"), Some("/healthz")) => ("200 OK", "ok\n".to_owned()),
        (Some("GET"), Some("/readyz")) if flow.status().state == FlowState::Running => ("200 OK", "ready\n".to_owned()),
        (Some("GET"), Some("/readyz")) => ("503 Service Unavailable", "not ready\n".to_owned()),
        _ => ("404 Not Found", "see /metrics, /healthz, /readyz\n".to_owned()),
    };
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: text/plain; version=0.0.4\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(body.as_bytes()).await
}

fn page(status: &FlowStatus, recorder: &PrometheusRecorder, handle: &PrometheusHandle) -> String {
    with_local_recorder(recorder, || record(status));
    handle.render()
}

fn record(status: &FlowStatus) {
    let flow = || vec![Label::new("flow", status.flow.clone())];
    gauge!("aqueduct_flow_running", flow()).set(f64::from(u8::from(status.state == FlowState::Running)));
    gauge!("aqueduct_flow_generation", flow()).set(status.generation as f64);
    gauge!("aqueduct_checkpoint_epoch", flow()).set(status.checkpoint.epoch.0 as f64);
    counter!("aqueduct_checkpoints_total", flow()).absolute(status.checkpoint.epochs);
    gauge!("aqueduct_checkpoint_duration_seconds", flow()).set(status.checkpoint.last_ms as f64 / 1_000.0);
    gauge!("aqueduct_checkpoint_timestamp_seconds", flow()).set(status.checkpoint.committed_at_ms as f64 / 1_000.0);
    for task in &status.tasks {
        let labels = || {
            vec![
                Label::new("flow", status.flow.clone()),
                Label::new("task", task.id.clone()),
                Label::new("plugin", task.plugin),
            ]
        };
        counter!("aqueduct_component_received_events_total", labels()).absolute(task.counters.rows_in);
        counter!("aqueduct_component_received_event_bytes_total", labels()).absolute(task.counters.bytes);
        counter!("aqueduct_component_sent_events_total", labels()).absolute(task.counters.rows_out);
        counter!("aqueduct_component_discarded_events_total", labels()).absolute(task.counters.bad_rows);
        gauge!("aqueduct_component_lag_seconds", labels()).set(task.counters.lag_ms as f64 / 1_000.0);
        for count in &task.counters.rules {
            let of_rule = || labels().into_iter().chain([Label::new("rule", count.rule.clone())]).collect::<Vec<_>>();
            counter!("aqueduct_rule_checked_rows_total", of_rule()).absolute(count.checked);
            counter!("aqueduct_rule_broken_rows_total", of_rule()).absolute(count.broken);
        }
    }
}
