//! The priority of media threads.

use std::sync::Once;

use thread_priority::unix::{
    RealtimeThreadSchedulePolicy, ThreadSchedulePolicy, set_thread_priority_and_policy,
    thread_native_id,
};
use thread_priority::{Error, ThreadPriority};

/// Gives this thread, and those that it starts, a real-time priority (`SCHED_RR`), so that ticks begin
/// in time whatever else the machine does; 0 leaves it as it is. What came of it is told once,
/// however many threads there are.
pub(crate) fn make_real_time(priority: u8) {
    static TOLD: Once = Once::new();
    if priority == 0 {
        return;
    }
    let made = try_real_time(priority);
    TOLD.call_once(|| match made {
        Ok(()) => tracing::info!(priority, "media threads have real-time priority"),
        Err(error) => tracing::info!(
            %error,
            "media threads have no real-time priority: LimitRTPRIO= of a systemd unit or `ulimit -r` \
             allows it, `realtime_priority = 0` asks for none"
        ),
    });
}

/// Gives this thread a real-time priority, 1 to 99.
///
/// # Errors
/// If the system does not allow it.
pub fn try_real_time(priority: u8) -> Result<(), Error> {
    let policy = ThreadSchedulePolicy::Realtime(RealtimeThreadSchedulePolicy::RoundRobin);
    let priority = ThreadPriority::try_from(priority).map_err(Error::Priority)?;
    set_thread_priority_and_policy(thread_native_id(), priority, policy)
}
