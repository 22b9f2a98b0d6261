//! What a tick and a chain cost, in instructions: the same on a busy machine as on a quiet one.
//!
//! Counted by valgrind in what is compiled from Rust here: libopus and the C library, which choose
//! their code by the processor, are libraries of their own and left out. In the development profile,
//! in which what this measures is optimised.

use std::path::{Path, PathBuf};
use std::process::Command;

/// With what the limits were counted.
const COMPILER: &str = "rustc 1.95.";
/// Instructions of one packet's tick of 50 participants, three of them talking.
const TICK: u64 = 187_000;
/// Instructions of a block through ten stages that do nothing.
const CHAIN: u64 = 48_800;
const REPETITIONS: u64 = 20;

#[test]
fn a_tick_of_fifty_with_three_talkers_takes_no_more_instructions_than_it_did() {
    must_be_within("tick", TICK);
}

#[test]
fn ten_empty_stages_take_no_more_instructions_than_they_did() {
    must_be_within("chain", CHAIN);
}

/// More is a step back; less is to be noted here, so that it stays.
fn must_be_within(what: &str, limit: u64) {
    let counted = instructions_of(what) / REPETITIONS;
    let tolerance_percent = if is_compiler_of_the_limits() { 5 } else { 25 };
    let change = counted as f64 / limit as f64 * 100.0 - 100.0;
    println!("{what}: {counted} instructions, {change:+.1} % against {limit}");
    assert!(
        change.abs() <= f64::from(tolerance_percent),
        "{what}: {counted} instructions are {change:+.1} % against the {limit} of before; up to \
         {tolerance_percent} % is taken. If that is meant, note the new count in {}",
        file!()
    );
}

fn instructions_of(what: &str) -> u64 {
    let program = Path::new(env!("CARGO_BIN_EXE_under-valgrind"));
    let out = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("callgrind.{what}"));
    let run = Command::new("valgrind")
        .args(["--tool=callgrind", "--compress-strings=no", "--compress-pos=no"])
        .arg(format!("--toggle-collect=*counted_{what}*"))
        .arg(format!("--callgrind-out-file={}", out.display()))
        .args([program.as_os_str(), what.as_ref()])
        .output()
        .expect("valgrind starts: `make setup` installs it");
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    let profile = std::fs::read_to_string(&out).expect("a profile");
    let counted = own_cost(&profile, program);
    assert!(counted > 0, "{} names nothing of {}", out.display(), program.display());
    counted
}

/// The sum of what a profile holds against one object: a line is a position and the instructions
/// there, but after `calls=`, where it is what was called, which is counted where it lies
/// (callgrind's format, `https://valgrind.org/docs/manual/cl-format.html`).
fn own_cost(profile: &str, object: &Path) -> u64 {
    let (mut sum, mut is_own, mut of_a_call) = (0, false, false);
    for line in profile.lines() {
        if let Some(name) = line.strip_prefix("ob=") {
            is_own = Path::new(name) == object;
        } else if line.starts_with("calls=") {
            of_a_call = true;
        } else if line.starts_with(|c: char| c.is_ascii_digit()) {
            let cost = line.split_whitespace().nth(1).and_then(|cost| cost.parse::<u64>().ok());
            let counts = !std::mem::take(&mut of_a_call) && is_own;
            sum += cost.filter(|_| counts).unwrap_or(0);
        }
    }
    sum
}

fn is_compiler_of_the_limits() -> bool {
    let version = Command::new("rustc").arg("--version").output().expect("rustc is here");
    String::from_utf8_lossy(&version.stdout).starts_with(COMPILER)
}
