//! An allocator that counts the allocations of each thread, and the bytes that it holds: how
//! `foldback bench` knows whether a stage allocates, and tests what a session takes.
//!
//! It is the system's allocator and two additions to numbers of the thread's own: no lock, nothing
//! shared between cores. It sees what Rust code allocates; C and C++ libraries call `malloc` behind
//! its back.
//!
//! ```
//! use foldback_allocations::{CountingAllocator, of_this_thread};
//!
//! #[global_allocator]
//! static ALLOCATOR: CountingAllocator = CountingAllocator;
//!
//! let before = of_this_thread();
//! let _one = Box::new(7);
//! assert_eq!(of_this_thread() - before, 1);
//! ```
#![allow(unsafe_code, reason = "`GlobalAlloc` is an unsafe trait; this is all that the crate does")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

thread_local! {
    // Constant and without a destructor, so that reaching it needs no set-up, which would allocate.
    static COUNT: Cell<u64> = const { Cell::new(0) };
    static HELD_BYTES: Cell<i64> = const { Cell::new(0) };
}

/// How often this thread has allocated since it began; a reallocation counts as one. Always 0 in a
/// program whose global allocator is not a [`CountingAllocator`].
#[must_use]
pub fn of_this_thread() -> u64 {
    COUNT.get()
}

/// How many bytes this thread has allocated and not freed since it began. What one thread allocates
/// and another frees stays with the first, and the other falls below zero by it.
#[must_use]
pub fn held_bytes_of_this_thread() -> i64 {
    HELD_BYTES.get()
}

/// The system's allocator, with a count for each thread.
#[derive(Clone, Copy, Debug, Default)]
pub struct CountingAllocator;

// SAFETY: every call goes to the system's allocator as it came.
unsafe impl GlobalAlloc for CountingAllocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(0, layout.size());
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(0, layout.size());
        // SAFETY: the caller keeps the contract of `alloc_zeroed`.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, old: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        count(layout.size(), new_size);
        // SAFETY: the caller keeps the contract of `realloc`.
        unsafe { System.realloc(old, layout, new_size) }
    }

    unsafe fn dealloc(&self, old: *mut u8, layout: Layout) {
        hold(layout.size(), 0);
        // SAFETY: the caller keeps the contract of `dealloc`.
        unsafe { System.dealloc(old, layout) }
    }
}

fn count(freed: usize, taken: usize) {
    COUNT.set(COUNT.get() + 1);
    hold(freed, taken);
}

fn hold(freed: usize, taken: usize) {
    HELD_BYTES.set(HELD_BYTES.get() + taken as i64 - freed as i64);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[global_allocator]
    static ALLOCATOR: CountingAllocator = CountingAllocator;

    #[test]
    fn allocations_of_this_thread_are_counted_and_those_of_others_are_not() {
        let before = of_this_thread();
        let mut grows = vec![1_u8];
        grows.reserve(1000);
        let own = of_this_thread() - before;
        assert_eq!(own, 2, "one for the vector, one for its growth");

        let other = std::thread::spawn(|| {
            let before = of_this_thread();
            let boxes: Vec<_> = (0..100).map(Box::new).collect();
            drop(boxes);
            of_this_thread() - before
        });
        let before = of_this_thread();
        assert_eq!(other.join().expect("does not panic"), 101);
        assert_eq!(of_this_thread(), before);
    }

    #[test]
    fn bytes_are_held_until_they_are_freed() {
        let before = held_bytes_of_this_thread();
        let mut bytes: Vec<u8> = Vec::with_capacity(100);
        bytes.reserve_exact(1000);
        assert_eq!(held_bytes_of_this_thread() - before, 1000);
        drop(bytes);
        assert_eq!(held_bytes_of_this_thread(), before);
    }
}
