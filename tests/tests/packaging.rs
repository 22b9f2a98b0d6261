//! What packages are made of; and, by `make try-deb`, the package itself, installed.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use foldback_testkit::measure::align_envelopes;
use foldback_testkit::signal::speech;
use foldback_tests::{Browser, SETTLING, foldback};
use tokio::join;

fn read(file: &str) -> String {
    let path = root().join(file);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("a root").to_path_buf()
}

fn said_by(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).stdin(Stdio::null()).output();
    let output = output.unwrap_or_else(|error| panic!("{program}: {error}"));
    assert!(output.status.success(), "{program} {arguments:?}: {output:?}");
    String::from_utf8(output.stdout).expect("UTF-8")
}

/// The commands that `foldback --help` lists.
fn commands() -> Vec<String> {
    let help = said_by(foldback().to_str().expect("UTF-8"), &["--help"]);
    let (_, list) = help.split_once("Commands:\n").expect("a list");
    let lines = list.lines().take_while(|line| !line.is_empty());
    // What goes on from the line above is further to the right.
    let named = lines.filter_map(|line| line.strip_prefix("  ").filter(|it| !it.starts_with(' ')));
    named.filter_map(|line| line.split_whitespace().next()).map(str::to_owned).collect()
}

#[test]
fn every_command_has_a_page_of_the_manual_and_is_completed() {
    let folder = tempfile::tempdir().expect("a folder");
    let into = folder.path().join("new");
    said_by(foldback().to_str().expect("UTF-8"), &["manual", into.to_str().expect("UTF-8")]);
    let made = |file: &str| {
        std::fs::read_to_string(into.join(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
    };
    let commands = commands();
    assert!(commands.len() > 10 && commands.contains(&"serve".to_owned()), "{commands:?}");
    for command in commands.iter().filter(|command| *command != "help") {
        let page = made(&format!("foldback-{command}.1"));
        assert!(page.contains(".SH SYNOPSIS"), "{page}");
        for completions in ["foldback.bash", "_foldback", "foldback.fish"] {
            assert!(made(completions).contains(command.as_str()), "{command} in {completions}");
        }
    }
    assert!(made("foldback-serve.1").contains("FOLDBACK_SERVER_LISTEN"));
    assert!(made("foldback-token-create.1").contains("room"));

    // As a shell has them.
    let script = "source \"$1\" && COMP_WORDS=(foldback tok) COMP_CWORD=1 && _foldback foldback tok foldback \
        && echo \"${COMPREPLY[@]}\"";
    let completions = into.join("foldback.bash");
    let arguments = ["-c", script, "bash", completions.to_str().expect("UTF-8")];
    assert_eq!(said_by("bash", &arguments).trim(), "token");
}

#[test]
fn the_unit_starts_the_binary_and_the_configuration_that_the_package_has() {
    let unit = read("deploy/systemd/foldback.service");
    let start = unit.lines().find_map(|line| line.strip_prefix("ExecStart=")).expect("a command");
    let words: Vec<_> = start.split_whitespace().collect();
    let [binary, "serve", "--config", config] = words[..] else { panic!("{words:?}") };
    let manifest = read("crates/server/Cargo.toml");
    let conf_files = format!("conf-files = [\"{config}\"]");
    assert!(manifest.contains(&conf_files), "no {conf_files} in the package");
    let folder = Path::new(binary).parent().expect("a folder").display().to_string();
    let asset = format!("[\"target/release/foldback\", \"{}/\", \"755\"]", &folder[1..]);
    assert!(manifest.contains(&asset), "no {asset} in the package");
    let docker = read("deploy/docker/Dockerfile");
    assert!(
        docker.contains(&format!("\"{binary}\", \"serve\", \"--config\", \"{config}\"")),
        "{docker}"
    );
}

/// Started by scripts/try-deb.sh, in a system of its own that has nothing but the package.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "make try-deb starts what it joins"]
async fn two_browsers_talk_by_what_the_package_installed() {
    const URL: &str = "http://127.0.0.1:8080/?ec=off&ns=off&agc=off";
    let says =
        |text, voice| speech(text, voice).expect("`make setup` installs espeak-ng").repeat(8);
    let ann_says = says(
        "The birch canoe slid on the smooth planks. Glue the sheet to the dark blue background.",
        "en+f3",
    );
    let bob_says = says(
        "Rice is often served in round bowls. A large size in stockings is hard to sell.",
        "en+m3",
    );
    let (ann, bob) = join!(
        Browser::with_microphone(ann_says.clone()),
        Browser::with_microphone(bob_says.clone()),
    );
    for (page, name) in [(&ann, "Ann"), (&bob, "Bob")] {
        page.open(URL).await;
        page.enter("talk", name).await;
    }
    // Automatic gain and canceller find their place.
    tokio::time::sleep(2 * SETTLING).await;
    let (ann_hears, bob_hears) = join!(ann.record(8.0), bob.record(8.0));
    for (name, heard, other, own) in
        [("Ann", ann_hears, &bob_says, &ann_says), ("Bob", bob_hears, &ann_says, &bob_says)]
    {
        let looks_like = |says: &[f32]| align_envelopes(says, &heard, 15_000).correlation;
        let (other, own) = (looks_like(other), looks_like(own));
        println!(
            "what {name} hears correlates with the other by {other:.3}, with themselves by {own:.3}"
        );
        assert!(other > 0.6 && own < other - 0.2, "{name} hears {other}, themselves {own}");
    }
}
