//! How a server ends: nobody new is let in, and those inside are told and may talk on for a while.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use foldback_worker::{Command, WorkerHandle};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::JoinHandle;

use crate::conference::Conference;
use crate::happenings::What;
use crate::message::{ErrorCode, ErrorMessage, LeftReason, ServerMessage};
use crate::notify;

/// How often it is looked whether everybody has left.
const LOOK: Duration = Duration::from_millis(50);
/// Answers that are being given may take so long to the end.
const LAST_ANSWERS: Duration = Duration::from_millis(500);

/// Waits for a signal to end, and ends. SIGTERM lets those inside talk on for `patience`; another
/// signal, and SIGINT at the terminal, end at once.
pub(crate) async fn end_on_signal(
    mut signals: Signals,
    conference: Arc<Conference>,
    patience: Duration,
    telling: JoinHandle<()>,
    server: axum_server::Handle<SocketAddr>,
) {
    let signal = signals.next().await;
    notify::stopping();
    if signal == SignalKind::terminate() && !patience.is_zero() {
        conference.drain(patience);
        tracing::info!(
            participants = conference.people(),
            seconds = patience.as_secs(),
            "draining: nobody new is let in; a second signal ends at once"
        );
        tokio::select! {
            () = conference.emptied() => tracing::info!("everybody has left"),
            () = tokio::time::sleep(patience) => tracing::info!("the time to drain is over"),
            _ = signals.next() => tracing::info!("a second signal: no more waiting"),
        }
    }
    tracing::info!("ending");
    conference.shut_down().await;
    conference.let_all_go();
    conference.happenings.end();
    // It has panicked, if at all.
    let _ = telling.await;
    server.graceful_shutdown(Some(LAST_ANSWERS));
}

/// Has a file that grows beyond a limit of the system (RLIMIT_FSIZE) be an error of who writes to it, which would else
/// be the end of the process.
pub(crate) fn survive_limits_of_files() {
    #[cfg(target_os = "linux")]
    const SIGXFSZ: i32 = 25;
    #[cfg(target_os = "linux")]
    if let Err(error) = signal(SignalKind::from_raw(SIGXFSZ)) {
        tracing::warn!(%error, "a limit on the size of files would end the server");
    }
}

/// The signals that ask to end.
pub(crate) struct Signals {
    terminate: Option<Signal>,
    interrupt: Option<Signal>,
}

impl Signals {
    /// From now on they are waited for; before they end the process.
    pub(crate) fn new() -> Self {
        let of = |kind| match signal(kind) {
            Ok(signal) => Some(signal),
            Err(error) => {
                tracing::error!(%error, "a signal cannot be waited for");
                None
            }
        };
        Self { terminate: of(SignalKind::terminate()), interrupt: of(SignalKind::interrupt()) }
    }

    async fn next(&mut self) -> SignalKind {
        tokio::select! {
            () = received(&mut self.terminate) => SignalKind::terminate(),
            () = received(&mut self.interrupt) => SignalKind::interrupt(),
        }
    }
}

async fn received(signal: &mut Option<Signal>) {
    match signal {
        Some(signal) => _ = signal.recv().await,
        None => std::future::pending().await,
    }
}

impl Conference {
    /// Lets nobody new in from now on, and tells those inside that the server ends in `patience` at
    /// the latest.
    pub fn drain(&self, patience: Duration) {
        let mut state = self.state();
        state.draining = true;
        self.metrics.draining();
        self.happenings.tell(What::Draining { seconds_left: patience.as_secs() });
        let told = ServerMessage::Draining { seconds_left: patience.as_secs() };
        state.rooms.values_mut().for_each(|room| room.tell_all(&told));
    }

    /// Those whom nobody said goodbye to are gone too, for whoever follows what happens.
    fn let_all_go(&self) {
        let all: Vec<_> = self.state().rooms_of.keys().copied().collect();
        all.into_iter().for_each(|id| self.remove(id, LeftReason::Closed, false));
    }

    /// How many are in its rooms.
    fn people(&self) -> usize {
        self.state().rooms_of.len()
    }

    /// Returns once nobody is in any room.
    async fn emptied(&self) {
        while self.people() > 0 {
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Lets nobody in any more, says goodbye to everybody, by media and by socket, and waits for the
    /// workers to end, which takes them a tick or two.
    pub async fn shut_down(self: &Arc<Self>) {
        self.state().draining = true;
        self.ending.send_replace(true);
        for worker in &self.workers {
            // A worker that takes no command has ended.
            let _ = worker.send(Command::Shutdown);
        }
        let deadline = Instant::now() + Duration::from_secs(1);
        while self.workers.iter().any(WorkerHandle::is_running) && Instant::now() < deadline {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let conference = Arc::clone(self);
        // It has panicked, if at all.
        let _ = tokio::task::spawn_blocking(move || conference.finish_recordings()).await;
    }
}

/// What whoever would come in is told.
pub(crate) fn draining() -> ErrorMessage {
    ErrorMessage::new(
        ErrorCode::Draining,
        "The server is about to end, most likely to be started anew, and takes nobody new; try again \
         in some seconds.",
    )
}
