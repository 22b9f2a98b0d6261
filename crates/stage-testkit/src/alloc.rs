//! A guard for code that must not allocate.
//!
//! ```
//! foldback_stage_testkit::guard_allocations!();
//!
//! fn main() {
//!     let mut samples = vec![0.0_f32; 480];
//!     foldback_stage_testkit::alloc::no_alloc(|| samples.fill(0.5));
//! }
//! ```

#[cfg(debug_assertions)]
#[doc(hidden)]
pub use assert_no_alloc::AllocDisabler;
pub use assert_no_alloc::permit_alloc;

/// Makes the allocator of a test program the guarding one: once per test program, at its top level.
/// Without it [`no_alloc`] sees nothing. Programs built without debug assertions get no guard.
#[macro_export]
macro_rules! guard_allocations {
    () => {
        #[cfg(debug_assertions)]
        #[global_allocator]
        static ALLOCATION_GUARD: $crate::alloc::AllocDisabler = $crate::alloc::AllocDisabler;
    };
}

/// Runs `body`, which must neither allocate nor free: if it does, the process ends with "memory
/// allocation of N bytes failed" (run with a debugger, or bisect with [`permit_alloc`], to see
/// where). Only in a program with [`guard_allocations!`](crate::guard_allocations).
pub fn no_alloc<T>(body: impl FnOnce() -> T) -> T {
    assert_no_alloc::assert_no_alloc(body)
}

/// Memory of this process that is in RAM, in KiB (`Rss` in `proc_pid_smaps_rollup(5)`, which is exact).
///
/// # Panics
/// Where the system is not Linux.
#[must_use]
pub fn resident_kib() -> i64 {
    let text = std::fs::read_to_string("/proc/self/smaps_rollup").expect("Linux");
    let line = text.lines().find_map(|line| line.strip_prefix("Rss:")).expect("a resident size");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}
