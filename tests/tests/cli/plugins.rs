//! Stages from libraries, in every command, and new ones.

use std::fs;
use std::path::Path;
use std::process::Command;

use foldback_stage_testkit::libraries::{built_by_cargo, compile};
use foldback_testkit::measure::rms_dbfs;
use foldback_testkit::signal::{read_wav, tone, write_wav};
use tempfile::TempDir;

use crate::{root, run, stderr, stdout};

/// A folder with both examples in `lib/`, and a file that names them from where it lies.
fn with_examples() -> (TempDir, String) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let libraries = folder.path().join("lib");
    fs::create_dir(&libraries).expect("an empty folder");
    fs::copy(built_by_cargo("foldback-example-tremolo"), libraries.join("tremolo.so"))
        .expect("copies");
    let source = "examples/plugins/ring-mod-c/ring_mod.c";
    compile(source, &[], &libraries.join("ring_mod.so"));
    let file = folder.path().join("plugins.toml");
    let text = "[plugins]\nload = [\"lib/tremolo.so\", \"lib/ring_mod.so\"]\n\
                [chain.odd]\nstages = [{ kind = \"tremolo\", depth_db = 0 }, \
                { kind = \"ring-mod\", frequency_hz = 300 }]\n";
    fs::write(&file, text).expect("writes");
    let file = file.to_str().expect("a plain path").to_owned();
    (folder, file)
}

#[test]
fn kinds_of_libraries_are_known_to_every_command() {
    let (folder, file) = with_examples();
    let checked = run(&["check", &file]);
    assert!(checked.status.success(), "{}", stderr(&checked));
    assert!(stdout(&checked).contains("ring-mod"), "{}", stdout(&checked));

    let listed = stdout(&run(&["stages", "--config", &file]));
    for line in ["tremolo", "ring-mod", "gain"] {
        assert!(listed.lines().any(|l| l == line), "no `{line}` in\n{listed}");
    }
    assert!(listed.contains("a number from 1 to 4000 Hz, by default 100"), "{listed}");
    assert!(!stdout(&run(&["stages"])).contains("ring-mod"), "only where they are loaded");
    let schema = stdout(&run(&["schema", "--config", &file]));
    assert!(schema.contains("\"const\": \"ring-mod\""), "{schema}");

    let path = |name: &str| folder.path().join(name).to_str().expect("a plain path").to_owned();
    let (input, output) = (path("in.wav"), path("out.wav"));
    write_wav(Path::new(&input), &tone(1_000.0, -20.0, 1.0));
    let processed = run(&["process", "--config", &file, &input, &output]);
    assert!(processed.status.success(), "{}", stderr(&processed));
    // Two tones of half the amplitude each.
    let change_db = rms_dbfs(&read_wav(Path::new(&output)).0) + 23.0;
    assert!((change_db + 3.0).abs() < 0.1, "{change_db} dB");

    let measured = run(&["bench", "--config", &file, "--seconds", "1", "--json"]);
    let report: serde_json::Value = serde_json::from_str(&stdout(&measured)).expect("JSON");
    for stage in report["chains"][0]["stages"].as_array().expect("a list") {
        assert_eq!(stage["allocations_per_block"].as_f64(), Some(0.0), "{stage}");
    }
}

#[test]
fn a_stage_that_breaks_makes_process_fail_and_the_sound_is_written_without_it() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = |name: &str| folder.path().join(name).to_str().expect("a plain path").to_owned();
    let library = built_by_cargo("foldback-test-plugin");
    let text = format!(
        "[plugins]\nload = [{library:?}]\n[chain.c]\nstages = [\
         {{ kind = \"panic\", after_blocks = 10 }}, {{ kind = \"gain\", gain_db = 6 }}]\n"
    );
    fs::write(path("c.toml"), text).expect("writes");
    write_wav(Path::new(&path("in.wav")), &tone(1_000.0, -20.0, 1.0));
    let arguments = ["--config", &path("c.toml"), &path("in.wav"), &path("out.wav")];
    let broken = run(&[&["process", "--stats", "table"], &arguments[..]].concat());
    assert_eq!(broken.status.code(), Some(1));
    let told = stderr(&broken);
    assert!(told.ends_with("stage `panic` panicked and was left out from then on\n"), "{told}");
    let table = stdout(&broken);
    assert!(table.lines().any(|l| l.starts_with("panic ") && l.contains("panicked")), "{table}");
    let sound = read_wav(Path::new(&path("out.wav"))).0;
    let last = &sound[sound.len() / 2..];
    assert!((rms_dbfs(last) + 17.0).abs() < 0.1, "the rest of the chain goes on");
}

#[test]
fn a_library_for_another_abi_is_refused_with_its_place_by_check_and_serve() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let library = folder.path().join("other.so");
    let broken = "crates/plugin-host/tests/libraries/broken.c";
    compile(broken, &["-DMISTAKE=OTHER_VERSION"], &library);
    let file = folder.path().join("other.toml");
    let text = "[plugins]\nload = [\"other.so\"]\n[chain.a]\nstages = [{ kind = \"mix\" }]\n";
    fs::write(&file, text).expect("writes");
    let file = file.to_str().expect("a plain path");
    let expected = format!(
        "{file}:2:9: {}: made for plugin ABI 2, this foldback has 1; build it again with the \
         foldback_plugin.h or the foldback-plugin-abi of this foldback\n",
        library.display()
    );
    for command in [&["check", file][..], &["serve", "--config", file]] {
        let refused = run(command);
        assert_eq!(refused.status.code(), Some(1), "{command:?}");
        assert!(stderr(&refused).starts_with(&expected), "{command:?}: {}", stderr(&refused));
    }
}

#[test]
fn a_new_stage_builds_passes_its_tests_and_is_loaded() {
    // Always the same place, so that what did not change is built once.
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let (stage, target) = (folder.join("soft-clip"), folder.join("soft-clip-target"));
    let _not_there_yet = fs::remove_dir_all(&stage);
    let made = run(&["new-stage", "soft-clip", "--dir", stage.to_str().expect("a plain path")]);
    assert!(made.status.success(), "{}", stderr(&made));

    // The versions that are there already, so that none is asked for.
    fs::copy(root().join("Cargo.lock"), stage.join("Cargo.lock")).expect("copies");
    fs::create_dir_all(&target).expect("a folder");
    std::os::unix::fs::symlink(&target, stage.join("target")).expect("links");
    for command in [&["build", "--release"][..], &["test"]] {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let built = Command::new(cargo)
            .args(command)
            .arg("--offline")
            .env_remove("CARGO_TARGET_DIR")
            .current_dir(&stage)
            .output()
            .expect("cargo starts");
        assert!(built.status.success(), "{command:?}: {}{}", stdout(&built), stderr(&built));
    }
    let checked = run(&["check", stage.join("foldback.toml").to_str().expect("a plain path")]);
    assert!(checked.status.success(), "{}", stderr(&checked));
    assert!(stdout(&checked).contains("soft-clip"), "{}", stdout(&checked));
}

#[test]
fn a_new_stage_takes_no_name_and_no_folder_that_is_not_free() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let there = folder.path().to_str().expect("a plain path");
    let nowhere = folder.path().join("nowhere");
    let nowhere = nowhere.to_str().expect("a plain path");
    for (arguments, told) in [
        (
            ["Soft Clip", "--dir", nowhere],
            "\"Soft Clip\" must be lower-case words joined by hyphens",
        ),
        (["../up", "--dir", nowhere], "\"../up\" must be lower-case words joined by hyphens"),
        (["gain", "--dir", nowhere], "there is a kind of stage `gain` already"),
        (["mix", "--dir", nowhere], "there is a kind of stage `mix` already"),
        (["soft-clip", "--dir", there], &format!("{there} is there already")),
        (["soft-clip", "--foldback", there], &format!("{there} is no checkout of foldback")),
    ] {
        let refused = run(&[&["new-stage"], &arguments[..]].concat());
        assert_eq!(refused.status.code(), Some(1), "{arguments:?}");
        assert!(stderr(&refused).starts_with(told), "{arguments:?}: {}", stderr(&refused));
    }
    assert!(!Path::new(nowhere).exists());
}
