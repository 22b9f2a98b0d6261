//! The command line, as a person at a terminal meets it.

mod bench;
mod plugins;
mod process;

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use foldback_tests::foldback;

#[test]
fn check_prints_each_chain_with_its_delays_and_their_sum() {
    let output = run(&["check", "config/conference.toml"]);
    assert!(output.status.success(), "{output:?}");
    let text = stdout(&output);
    for line in ["chain conference", "denoise", "10.00 ms", "algorithmic delay in all"] {
        assert!(text.contains(line), "no `{line}` in\n{text}");
    }
}

#[test]
fn check_watch_checks_again_when_the_file_changes() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("my.toml");
    let chain = |name| format!("[chain.{name}]\nstages = []\n");
    std::fs::write(&file, chain("first")).expect("writes");
    let mut check = Command::new(foldback());
    check.args(["check", "--watch"]).arg(&file).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut check = check.spawn().expect("foldback starts");
    let mut lines = BufReader::new(check.stdout.take().expect("piped")).lines();
    let mut wait_for = |line: &str| lines.any(|read| read.expect("text") == line);
    assert!(wait_for("chain first"));
    std::fs::write(&file, "[chain.first]\nstages = 7\n").expect("writes");
    let mut mistakes = BufReader::new(check.stderr.take().expect("piped")).lines();
    let mistake = mistakes.next().expect("a line").expect("text");
    assert!(mistake.contains("my.toml:2:10: `stages` is 7, must be a list"), "{mistake}");
    std::fs::write(&file, chain("second")).expect("writes");
    assert!(wait_for("chain second"));
    check.kill().expect("it runs on");
    check.wait().expect("it ends");
}

#[test]
fn check_takes_every_ready_configuration() {
    for file in files("config") {
        let output = run(&["check", &file]);
        assert!(output.status.success(), "{file}: {}", stderr(&output));
    }
}

#[test]
fn check_prints_exactly_the_committed_error_for_each_invalid_file() {
    let files = files("config/invalid");
    assert!(files.len() >= 15, "only {} invalid files", files.len());
    for file in files {
        let output = run(&["check", &file]);
        assert_eq!(output.status.code(), Some(1), "{file}");
        let expected = root().join(&file).with_extension("txt");
        let expected = std::fs::read_to_string(expected).expect("an error stands beside the file");
        assert_eq!(stderr(&output).trim_end(), expected.trim_end(), "{file}");
        assert_eq!(stdout(&output), "", "{file}");
    }
}

#[test]
fn stages_lists_every_kind_with_its_ranges() {
    let text = stdout(&run(&["stages"]));
    let kinds = [
        "high-pass",
        "low-pass",
        "equaliser",
        "echo-cancel",
        "noise-suppress",
        "denoise",
        "auto-gain",
        "webrtc-apm",
        "gain",
        "gate",
        "compressor",
        "de-esser",
        "mix",
        "limiter",
    ];
    for kind in kinds {
        assert!(text.lines().any(|line| line == kind), "no `{kind}` in\n{text}");
    }
    assert!(text.contains("a number from 20 to 1000 Hz, by default 80"), "{text}");
}

#[test]
fn schema_prints_the_committed_schema() {
    let committed = std::fs::read_to_string(root().join("config/foldback.schema.json"));
    assert!(stdout(&run(&["schema"])) == committed.expect("it is there"), "run `foldback schema`");
}

#[test]
fn a_reader_that_has_enough_ends_a_command_without_a_word() {
    let mut command = Command::new(foldback());
    command.arg("schema").stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("foldback starts");
    drop(child.stdout.take());
    let output = child.wait_with_output().expect("foldback ends");
    assert_eq!((stderr(&output).as_str(), output.status.code()), ("", None), "ended by SIGPIPE");
}

#[test]
fn a_bad_value_in_the_environment_is_told_by_the_name_of_its_variable() {
    let mut serve = Command::new(foldback());
    serve.arg("serve").env("FOLDBACK_SERVER_MEDIA_PORT", "0").current_dir(root());
    let output = serve.output().expect("foldback starts");
    let told =
        "FOLDBACK_SERVER_MEDIA_PORT: `media_port` is 0, must be a whole number from 1 to 65535";
    assert_eq!(stderr(&output).trim_end(), told);
}

#[test]
fn options_stand_above_the_environment() {
    let mut serve = Command::new(foldback());
    // An address of nobody, so that the server says where it would have listened and ends.
    serve.args(["serve", "--open", "--listen", "192.0.2.1:1"]).current_dir(root());
    let output = serve.env("FOLDBACK_SERVER_LISTEN", "192.0.2.2:1").output().expect("it starts");
    assert!(stderr(&output).contains("cannot listen on 192.0.2.1:1"), "{output:?}");
}

#[test]
fn a_mistyped_variable_is_warned_of_and_those_of_the_tests_are_not() {
    let mut serve = Command::new(foldback());
    serve.args(["serve", "--open", "--listen", "192.0.2.1:1"]).current_dir(root());
    let serve = serve.env("FOLDBACK_SERVER_LISTN", "0.0.0.0:80").env("FOLDBACK_SHARED", "shared");
    let output = serve.output().expect("it starts");
    let told = "WARN foldback_server::cli: FOLDBACK_SERVER_LISTN sets nothing: did you mean \
        FOLDBACK_SERVER_LISTEN?";
    assert!(stderr(&output).contains(told), "{output:?}");
    assert!(!stderr(&output).contains("FOLDBACK_SHARED"), "{output:?}");
}

#[test]
fn the_variables_of_the_environment_are_listed() {
    let text = stdout(&run(&["serve", "--help"]));
    assert!(text.contains("FOLDBACK_SERVER_PUBLIC_ADDRESSES"), "{text}");
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let output = run(&["check", "config/none.toml"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).starts_with("cannot read config/none.toml: "), "{output:?}");
}

#[test]
fn a_mistyped_option_is_told() {
    let output = run(&["serve", "--listen", "8080"]);
    assert!(stderr(&output).contains("127.0.0.1:8080"), "{output:?}");
    assert_eq!(output.status.code(), Some(2));
}

fn run(arguments: &[&str]) -> Output {
    let mut command = Command::new(foldback());
    command.args(arguments).current_dir(root()).output().expect("foldback starts")
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("a root").to_path_buf()
}

fn files(folder: &str) -> Vec<String> {
    let entries = std::fs::read_dir(root().join(folder)).expect("the folder is there");
    let names = entries.map(|entry| entry.expect("readable").file_name());
    let names = names.map(|name| format!("{folder}/{}", name.to_string_lossy()));
    let mut names: Vec<_> = names.filter(|name| name.ends_with(".toml")).collect();
    names.sort();
    names
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}
