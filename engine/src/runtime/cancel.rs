//! One switch that tears a generation down.

use tokio::sync::watch;

/// Turns the switch, once; dropping it turns it too.
#[derive(Debug)]
pub(crate) struct CancelSwitch(watch::Sender<bool>);

/// Waits for the switch.
#[derive(Debug, Clone)]
pub(crate) struct Cancel(watch::Receiver<bool>);

/// Makes a switch and its first listener.
pub(crate) fn cancel_switch() -> (CancelSwitch, Cancel) {
    let (sender, receiver) = watch::channel(false);
    (CancelSwitch(sender), Cancel(receiver))
}

impl CancelSwitch {
    /// Tears the generation down.
    pub(crate) fn cancel(&self) {
        self.0.send_replace(true);
    }
}

impl Cancel {
    /// Returns once the switch is turned or gone.
    pub(crate) async fn cancelled(&mut self) {
        // An error means that the switch is gone, which is the same thing.
        let _ = self.0.wait_for(|cancelled| *cancelled).await;
    }

    /// A listener whose switch is never turned.
    #[cfg(test)]
    pub(crate) fn never() -> Self {
        let (switch, cancel) = cancel_switch();
        std::mem::forget(switch);
        cancel
    }
}
