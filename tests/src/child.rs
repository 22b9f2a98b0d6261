//! Child processes that end with the test, and everything that they started with them.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

/// A child process with a folder of its own, in which its output is kept.
///
/// When it is dropped it is killed with all its descendants, and what it said is printed if the
/// test is failing.
#[derive(Debug)]
pub(crate) struct TestChild {
    child: Child,
    folder: TempDir,
    name: String,
}

impl TestChild {
    /// Starts `command`; `folder` is removed when the child is dropped.
    pub(crate) fn start(command: &mut Command, folder: TempDir) -> Self {
        let name = Path::new(command.get_program())
            .file_name()
            .map_or_else(String::new, |name| name.to_string_lossy().into_owned());
        let log = File::create(log_path(folder.path())).expect("a temporary folder takes a file");
        let errors = log.try_clone().expect("a file handle can be cloned");
        let child = command
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(errors)
            .spawn()
            .unwrap_or_else(|error| panic!("{name} does not start: {error}"));
        Self { child, folder, name }
    }

    /// Its number.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal to it alone.
    pub(crate) fn signal(&self, signal: Signal) {
        if let Some(pid) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) {
            // It may have ended already.
            let _ = kill_process(pid, signal);
        }
    }

    /// What it has said so far, on either stream.
    pub(crate) fn log(&self) -> String {
        let bytes = fs::read(log_path(self.folder.path())).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Asks `ready` again and again until it gives something.
    ///
    /// # Panics
    /// If that takes longer than `deadline`, or the process ends first.
    pub(crate) async fn wait_until<T>(
        &mut self,
        what: &str,
        deadline: Duration,
        mut ready: impl AsyncFnMut(&str) -> Option<T>,
    ) -> T {
        let start = Instant::now();
        loop {
            if let Some(value) = ready(&self.log()).await {
                return value;
            }
            let name = &self.name;
            if let Ok(Some(status)) = self.child.try_wait() {
                panic!("{name} ended ({status}) before {what}. It said:\n{}", self.log());
            }
            let waited = start.elapsed();
            assert!(waited < deadline, "{name}: not {what} after {waited:?}:\n{}", self.log());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Waits until it has ended by itself, and says how.
    ///
    /// # Panics
    /// If it has not within `patience`.
    pub(crate) async fn ended(&mut self, patience: Duration) -> ExitStatus {
        let start = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("a child can be waited for") {
                return status;
            }
            assert!(start.elapsed() < patience, "{} runs after {patience:?}", self.name);
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Stops it with SIGSTOP, and all its descendants: they keep their sockets and say nothing.
    pub(crate) fn freeze(&self) {
        self.signal_family(Signal::STOP);
    }

    /// Lets all of them go on (SIGCONT).
    pub(crate) fn thaw(&self) {
        self.signal_family(Signal::CONT);
    }

    /// Kills it with SIGKILL, and all its descendants: no goodbye of any of them gets out.
    pub(crate) fn kill(&mut self) {
        // What they start while they are being killed is found in the next round.
        for _ in 0..5 {
            if self.signal_family(Signal::KILL) == 0 {
                break;
            }
            let _status = self.child.wait();
        }
    }

    /// Returns how many there are.
    fn signal_family(&self, signal: Signal) -> usize {
        let family = family(self.child.id(), self.folder.path().as_os_str());
        for process in &family {
            // It may have ended by itself since it was listed.
            let _ended = kill_process(*process, signal);
        }
        family.len()
    }
}

impl Drop for TestChild {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            eprintln!("--- {} said:\n{}\n---", self.name, self.log());
        }
    }
}

fn log_path(folder: &Path) -> PathBuf {
    folder.join("log.txt")
}

/// The process, its descendants, and who else was told `folder`: browsers detach some of theirs.
fn family(root: u32, folder: &OsStr) -> Vec<Pid> {
    let root = root as i32;
    let running = running_processes(folder);
    let descends = |mut process: i32| {
        while process > 1 {
            if process == root {
                return true;
            }
            process = running.get(&process).map_or(0, |entry| entry.parent);
        }
        false
    };
    running
        .iter()
        .filter(|(process, entry)| entry.was_told_folder || descends(**process))
        .filter_map(|(process, _)| Pid::from_raw(*process))
        .collect()
}

struct Running {
    parent: i32,
    was_told_folder: bool,
}

/// All processes but the dead that wait to be collected, from /proc.
fn running_processes(folder: &OsStr) -> HashMap<i32, Running> {
    let folder = folder.as_encoded_bytes();
    let processes = fs::read_dir("/proc").expect("this system has a /proc");
    processes
        .filter_map(|entry| {
            let path = entry.ok()?.path();
            let process = path.file_name()?.to_str()?.parse().ok()?;
            let stat = fs::read_to_string(path.join("stat")).ok()?;
            // "pid (name) state parent ...", and the name may hold anything.
            let mut fields = stat[stat.rfind(')')? + 1..].split_whitespace();
            let state = fields.next()?;
            let parent = fields.next()?.parse().ok()?;
            let arguments = fs::read(path.join("cmdline")).ok()?;
            let was_told_folder = arguments.windows(folder.len()).any(|part| part == folder);
            (state != "Z").then_some((process, Running { parent, was_told_folder }))
        })
        .collect()
}
