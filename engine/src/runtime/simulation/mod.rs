//! The epoch protocol, simulated: the real tasks and the real coordinator, over a pretend world, on one thread.
//!
//! A seed decides the flow's shape, what is written, which future is polled next, and where the world fails: before or
//! after an effect, with a kill, an error or a lost answer; or a process is frozen while another takes over a copy of
//! its folder, and wakes again. Some flows come to their end by themselves, and operators have something to say then. Every time a target shows a new epoch it must show exactly the sources' tables at that
//! epoch's cut, between transactions. A source that no longer has the place to go on from refuses, and only where a second
//! process took part may it have to. A seed that fails is printed, and fails again.

mod disk;
mod operators;
mod plugins;
mod random;
mod scheduler;
mod store;
mod world;

use std::collections::BTreeMap;
#[cfg(feature = "failpoints")]
use std::process::Command;

use world::{Life, live};

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{name} is not a number")))
}

#[test]
fn no_seed_violates_the_protocol() {
    #[cfg(feature = "failpoints")]
    let _planted = fail::FailScenario::setup();
    let (first, seeds) = (setting("AQUEDUCT_FIRST_SEED", 1), setting("AQUEDUCT_SEEDS", 2_000));
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let mut strikes = BTreeMap::<&str, u64>::new();
    let (mut commits, mut processes, mut refused, mut violations) = (0, 0, 0, 0);
    for seed in first..first + seeds {
        let life: Life = live(seed, runtime.handle());
        for (place, count) in life.strikes {
            *strikes.entry(place).or_default() += count;
        }
        commits += life.commits;
        processes += life.processes;
        refused += life.refused;
        violations += life.violations.len();
        for violation in life.violations.iter().take(3) {
            println!("seed {seed}: {violation}");
        }
    }
    for (place, count) in &strikes {
        println!("struck at {place}: {count}");
    }
    let (hit, least) = (strikes.len(), strikes.values().min().copied().unwrap_or_default());
    println!(
        "epochs: {seeds} seeds from {first}: {processes} processes, {commits} commits, {hit} crash points hit (least {least} \
         times), {refused} refused to go on with an old copy of their folder, {violations} violations"
    );
    assert_eq!(violations, 0);
}

/// Planted in this binary run by itself, and in nobody else's test.
#[test]
#[cfg(feature = "failpoints")]
fn an_end_that_no_checkpoint_names_is_caught() {
    let ran = Command::new(std::env::current_exe().expect("this binary has a path"))
        .args(["runtime::simulation::no_seed_violates_the_protocol", "--exact", "--nocapture"])
        .env("FAILPOINTS", "mutant.end_unnamed=return")
        .output()
        .expect("this binary runs");
    let told = String::from_utf8_lossy(&ran.stdout);
    assert!(!ran.status.success() && told.contains("Insert of (\"end_of_"), "{told}");
}
