//! The allocation guard, in a program of its own: it replaces the allocator.

use std::hint::black_box;
use std::process::Command;

use foldback_stage_testkit::alloc::{no_alloc, permit_alloc};

foldback_stage_testkit::guard_allocations!();

#[test]
fn code_that_does_not_allocate_passes() {
    let mut samples = vec![0.0_f32; 480];
    let sum: f32 = no_alloc(|| {
        samples.fill(0.5);
        samples.iter().sum()
    });
    assert_eq!(sum, 240.0);
}

#[test]
fn a_permitted_allocation_passes() {
    let length = no_alloc(|| permit_alloc(|| black_box(vec![0_u8; 10]).len()));
    assert_eq!(length, 10);
}

#[test]
fn an_allocation_ends_the_process() {
    let status = Command::new(std::env::current_exe().expect("a test has an executable"))
        .args(["--ignored", "--exact", "helper_that_allocates_under_the_guard"])
        .output()
        .expect("the test program starts")
        .status;
    assert!(!status.success(), "an allocation under the guard went unnoticed: {status}");
}

#[test]
#[ignore = "ends the process: run by an_allocation_ends_the_process"]
fn helper_that_allocates_under_the_guard() {
    no_alloc(|| drop(black_box(vec![0_u8; black_box(10)])));
}
