//! Noticing that a file was changed.

use std::path::{Path, PathBuf};
use std::time::Duration;

use notify::{Event, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::mpsc::{Receiver, channel};
use tokio::time::timeout;

/// How long nothing more must happen to a file for its change to be complete.
const QUIET: Duration = Duration::from_millis(300);
/// For how long quiet is waited for: in the folder of a link something may always happen.
const LONGEST: Duration = Duration::from_secs(5);

/// A file under watch. Dropped, it is so no more.
pub(crate) struct FileWatch {
    events: Receiver<()>,
    _watcher: RecommendedWatcher,
}

impl FileWatch {
    /// Watches the folder of `file`: many editors put another file in its place.
    ///
    /// # Errors
    /// A sentence, if the folder is not there or the system watches no more.
    pub(crate) fn new(file: &Path) -> Result<Self, String> {
        // One that waits is enough, since whoever takes it reads the file after that.
        let (sender, events) = channel(1);
        let watched = file.to_owned();
        let notice = move |event: notify::Result<Event>| {
            if event.is_err() || event.is_ok_and(|event| concerns(&watched, &event)) {
                let _ = sender.try_send(());
            }
        };
        let folder = match file.parent() {
            Some(folder) if folder != Path::new("") => folder,
            _ => Path::new("."),
        };
        let watching = notify::recommended_watcher(notice).and_then(|mut watcher| {
            watcher.watch(folder, RecursiveMode::NonRecursive)?;
            Ok(watcher)
        });
        let told = |error| format!("cannot watch {}: {error}", folder.display());
        Ok(Self { events, _watcher: watching.map_err(told)? })
    }

    /// Waits for a change and the quiet after it; false if nothing is watched any more.
    pub(crate) async fn changed(&mut self) -> bool {
        let watched = self.events.recv().await.is_some();
        let quiet = async { while let Ok(Some(())) = timeout(QUIET, self.events.recv()).await {} };
        let _ = timeout(LONGEST, quiet).await;
        watched
    }
}

/// Whether something was done to `file` but looking at it. Where it is a link, whatever happens in
/// its folder may be to what it leads through.
fn concerns(file: &Path, event: &Event) -> bool {
    let named = |path: &PathBuf| path.file_name() == file.file_name();
    !event.kind.is_access()
        && (event.need_rescan() || event.paths.iter().any(named) || file.is_symlink())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    async fn is_seen(watch: &mut FileWatch) -> bool {
        timeout(Duration::from_secs(5), watch.changed()).await == Ok(true)
    }

    #[tokio::test]
    async fn a_file_is_seen_to_change_in_place_by_a_rename_and_through_a_link() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = |name| folder.path().join(name);
        fs::write(path("a.toml"), "1").expect("a file");
        let mut watch = FileWatch::new(&path("a.toml")).expect("it is watched");
        fs::write(path("a.toml"), "2").expect("a file");
        assert!(is_seen(&mut watch).await, "written in place");
        for content in ["3", "4"] {
            fs::write(path("a.toml~"), content).expect("a file");
            fs::rename(path("a.toml~"), path("a.toml")).expect("it is replaced");
            assert!(is_seen(&mut watch).await, "replaced");
        }
        std::os::unix::fs::symlink("data-1", path("data")).expect("a link");
        std::os::unix::fs::symlink("data/b.toml", path("b.toml")).expect("a link");
        let mut linked = FileWatch::new(&path("b.toml")).expect("it is watched");
        std::os::unix::fs::symlink("data-2", path("next")).expect("a link");
        fs::rename(path("next"), path("data")).expect("it is replaced");
        assert!(is_seen(&mut linked).await, "the link leads elsewhere");
    }

    #[tokio::test]
    async fn other_files_of_the_folder_and_reading_are_no_change() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = |name| folder.path().join(name);
        fs::write(path("a.toml"), "1").expect("a file");
        let mut watch = FileWatch::new(&path("a.toml")).expect("it is watched");
        fs::write(path("recording.wav"), "1").expect("a file");
        fs::read(path("a.toml")).expect("it is there");
        fs::write(path("a.toml.log"), "1").expect("a file");
        assert!(timeout(2 * QUIET, watch.changed()).await.is_err());
    }

    #[test]
    fn a_folder_that_is_not_there_is_named() {
        let told = FileWatch::new(Path::new("/no/such/a.toml")).err().expect("no folder");
        assert!(told.starts_with("cannot watch /no/such: "), "{told}");
    }
}
