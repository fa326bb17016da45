//! The suite accepts plugins that keep their promises and finds each promise that one breaks.

mod memory;

use std::sync::Arc;

use self::memory::{Flaw, MemorySink, MemorySource, Store};
use super::*;
use crate::{BadRows, Claim, ErrorKind, Sink, SinkContext, SinkInput, Source};

fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

fn source_report(flaw: Flaw) -> Vec<String> {
    let case = SourceCase::new("memory", move || Ok(Box::new(MemorySource::new(flaw)) as Box<dyn Source>));
    run(check_source(&case)).into_result().err().unwrap_or_default()
}

fn sink_case(flaw: Flaw, transactional: bool) -> SinkCase {
    let target = move || {
        let store = Arc::new(Store::default());
        let shared = store.clone();
        Ok(SinkTarget::new(
            move || Ok(Box::new(MemorySink::new(shared.clone(), flaw, transactional)) as Box<dyn Sink>),
            move || store.visible(),
        ))
    };
    if transactional {
        SinkCase::transactional("memory", target)
    } else {
        SinkCase { changes: true, ..SinkCase::staged("memory", target) }
    }
}

#[test]
fn good_plugins_pass() {
    assert_eq!(source_report(Flaw::None), [""; 0]);
    for transactional in [false, true] {
        let report = run(check_sink(&sink_case(Flaw::None, transactional)));
        assert_eq!(report.violations(), [""; 0]);
        assert!(report.checks() >= 10, "{}", report.checks());
    }
}

#[test]
fn every_flaw_of_a_source_is_found() {
    for (flaw, check) in [
        (Flaw::SkipsOnResume, "resumes at every position"),
        (Flaw::IgnoresUntil, "until is exact"),
        (Flaw::TakesGarbage, "refuses positions"),
        (Flaw::Panics, "refuses positions"),
        (Flaw::NoPosition, "reads to the end"),
    ] {
        let found = source_report(flaw);
        assert!(found.iter().any(|line| line.contains(check)), "{flaw:?}: {found:#?}");
    }
}

#[test]
fn every_flaw_of_a_sink_is_found() {
    for (flaw, transactional, check) in [
        (Flaw::VisibleAtOnce, false, "nothing shows before"),
        (Flaw::VisibleAtFlush, false, "nothing shows before"),
        (Flaw::NoTokenCheck, false, "fenced writer cannot commit"),
        (Flaw::NoTokenCheck, true, "fenced writer cannot end"),
        (Flaw::AnyClaim, true, "higher token"),
        (Flaw::CommitsTwice, false, "roll forward"),
        (Flaw::KeepsLeftovers, false, "roll back"),
        (Flaw::ForgetsRecord, true, "everything shows after"),
    ] {
        let found = run(check_sink(&sink_case(flaw, transactional))).into_result().err().unwrap_or_default();
        assert!(found.iter().any(|line| line.contains(check)), "{flaw:?}: {found:#?}");
    }
}

#[test]
fn scripted_faults_strike_as_planned() {
    let store = Arc::new(Store::default());
    let script = Script::default();
    script.strike(Call::Write, 2, Fault::Reject(ErrorKind::Throttled));
    script.strike(Call::Claim, 1, Fault::FailAfterWrite(ErrorKind::Timeout));
    let gate = Gate::default();
    script.strike(Call::Open, 1, Fault::Hold(gate.clone()));
    let mut sink = Faulty::new(MemorySink::new(store, Flaw::None, true), script.clone());
    run(async {
        let context = SinkContext { flow: "f".into(), task: "t".into(), state_dir: None };
        let opened = tokio::join!(sink.open(&context), async {
            while gate.held() == 0 {
                tokio::task::yield_now().await;
            }
            gate.open();
        });
        opened.0.unwrap();
        let claim = Claim { token: crate::Token(1), ..Claim::default() };
        assert_eq!(sink.claim(&claim).await.unwrap_err().kind(), ErrorKind::Timeout);
        assert_eq!(sink.claim(&claim).await.unwrap_err().kind(), ErrorKind::State, "the first claim was done");
        let batch = SinkInput::Batch(Orders::new("orders").unwrap().inserts(0..3).unwrap());
        let mut bad = BadRows::new(crate::BadRowPolicy::Fail, 1);
        sink.write(batch.clone(), &mut bad).await.unwrap();
        assert_eq!(sink.write(batch, &mut bad).await.unwrap_err().kind(), ErrorKind::Throttled);
        assert_eq!(script.calls(Call::Write), 2);
    });
}
