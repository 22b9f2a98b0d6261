//! Telling a service manager how the server is: systemd's protocol (sd_notify(3)). Where nobody asked
//! for it, nothing is told.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, LazyLock};
use std::thread;
use std::time::Duration;

use sd_notify::NotifyState;

use crate::conference::Conference;

/// So much may wait to be told; what is beyond that, nobody reads.
const QUEUE: usize = 16;

/// What can be told.
#[derive(Clone, Copy, Debug)]
enum Told {
    Ready,
    Stopping,
    Reloading,
    Alive,
}

/// It serves.
pub(crate) fn ready() {
    tell(Told::Ready);
}

/// It is about to end; those inside may talk on for a while.
pub(crate) fn stopping() {
    tell(Told::Stopping);
}

/// Told while this is kept: the configuration is being read again.
#[derive(Debug)]
pub(crate) struct Reloading(());

impl Reloading {
    pub(crate) fn begin() -> Self {
        tell(Told::Reloading);
        Self(())
    }
}

impl Drop for Reloading {
    fn drop(&mut self) {
        ready();
    }
}

/// Feeds the watchdog, if there is one, for as long as every media thread is alive: a stage that
/// hangs has the service manager start the server anew.
pub(crate) async fn feed_watchdog(conference: Arc<Conference>) {
    let Some(patience) = sd_notify::watchdog_enabled().filter(|it| *it > Duration::ZERO) else {
        return;
    };
    let mut hungry = false;
    loop {
        if conference.is_alive() {
            tell(Told::Alive);
            hungry = false;
        } else if !std::mem::replace(&mut hungry, true) {
            tracing::error!("a media thread hangs or has ended: the watchdog is fed no more");
        }
        tokio::time::sleep(patience / 3).await;
    }
}

/// A service manager that does not read must not hold up the server: whoever tells it may wait.
fn tell(told: Told) {
    static TELLER: LazyLock<Option<SyncSender<Told>>> = LazyLock::new(|| {
        std::env::var_os("NOTIFY_SOCKET")?;
        let (sender, queue) = sync_channel(QUEUE);
        let thread = thread::Builder::new().name("notify".to_owned()).spawn(move || bring(&queue));
        thread.ok().map(|_| sender)
    });
    if let Some(teller) = &*TELLER {
        // Full: what waits there says enough.
        let _ = teller.try_send(told);
    }
}

fn bring(queue: &Receiver<Told>) {
    for told in queue {
        let done = match told {
            Told::Ready => sd_notify::notify(&[NotifyState::Ready]),
            Told::Stopping => sd_notify::notify(&[NotifyState::Stopping]),
            Told::Alive => sd_notify::notify(&[NotifyState::Watchdog]),
            Told::Reloading => NotifyState::monotonic_usec_now()
                .and_then(|now| sd_notify::notify(&[NotifyState::Reloading, now])),
        };
        if let Err(error) = done {
            tracing::debug!(%error, "the service manager could not be told");
        }
    }
}
