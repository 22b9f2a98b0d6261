use serde_json::Value;

use crate::{run, stderr, stdout};

#[test]
fn bench_gives_a_line_for_each_stage_and_one_for_the_whole_block() {
    let done = run(&["bench", "--seconds", "1"]);
    assert!(done.status.success(), "{}", stderr(&done));
    let text = stdout(&done);
    assert!(text.starts_with("chain conference: real-time factor "), "{text}");
    for line in ["stage ", "echo-cancel ", "limiter ", "whole block "] {
        assert!(text.lines().any(|l| l.starts_with(line)), "no `{line}` in\n{text}");
    }
}

#[test]
fn bench_tells_machines_that_no_stage_allocates_and_what_the_times_are() {
    let done = run(&["bench", "conference", "--seconds", "1", "--json"]);
    assert!(done.status.success(), "{}", stderr(&done));
    let report: Value = serde_json::from_str(&stdout(&done)).expect("JSON alone");
    let chain = &report["chains"][0];
    let stages = chain["stages"].as_array().expect("a list");
    assert!(stages.len() >= 5, "{report}");
    let mut sum_ns = 0;
    for stage in stages.iter().chain([&chain["block"]]) {
        assert_eq!(stage["allocations_per_block"].as_f64(), Some(0.0), "{stage}");
        let ns = ["median_ns", "p95_ns", "p99_ns", "max_ns"].map(|key| stage[key].as_u64());
        assert!(ns[0] > Some(0) && ns.is_sorted(), "{stage}");
    }
    for stage in stages {
        sum_ns += stage["median_ns"].as_u64().unwrap_or_default();
    }
    let block_ns = chain["block"]["max_ns"].as_u64();
    assert!(block_ns >= Some(sum_ns), "a block is all its stages: {report}");
}

#[test]
fn the_chain_of_callers_who_hear_themselves_is_measured_like_one_of_the_file() {
    let measured = run(&["bench", "echo", "--seconds", "1"]);
    let told = stdout(&measured);
    assert!(told.starts_with("chain echo: "), "{told}{}", stderr(&measured));
}

#[test]
fn a_chain_that_is_not_there_is_told() {
    let failed = run(&["bench", "conferenc"]);
    assert_eq!(failed.status.code(), Some(1));
    let told = stderr(&failed);
    assert!(told.contains("did you mean \"conference\"?"), "{told}");
}
