//! What a machine may lack; its tests are skipped then, and say so. Where all of them are to run (`CI` is set) that is a failure.

use std::process::{Command, Stdio};

/// Whether all of them are; programs, and where they come from. Each that is not is told.
pub(crate) fn are_installed(programs: &[(&str, &str)]) -> bool {
    programs.iter().all(|(program, comes_from)| {
        let installed = is_installed(program);
        if !installed {
            eprintln!("skipped: {program} is not installed ({comes_from})");
            assert!(
                std::env::var_os("CI").is_none(),
                "{program} is missing, and all tests are to run"
            );
        }
        installed
    })
}

fn is_installed(program: &str) -> bool {
    let mut command = Command::new(program);
    command.arg("--version").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}
