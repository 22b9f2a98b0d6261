//! Noticing that a file was changed.

use std::collections::BTreeSet;
use std::error::Error;
use std::path::{Component, Path, PathBuf, absolute};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use notify::{Event, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::mpsc::{Receiver, channel};
use tokio::time::timeout;

/// How long nothing more must happen to a file for its change to be complete.
const QUIET: Duration = Duration::from_millis(300);
/// For how long quiet is waited for: something may always be written.
const LONGEST: Duration = Duration::from_secs(5);

/// More links than that in a row lead nowhere: as many as Linux follows.
const MOST_LINKS: usize = 40;

/// A file under watch. Dropped, it is so no more.
pub(crate) struct FileWatch {
    file: PathBuf,
    /// What leads to it, see [`way_to`].
    way: Arc<Mutex<Vec<PathBuf>>>,
    watcher: RecommendedWatcher,
    events: Receiver<()>,
}

impl FileWatch {
    /// Watches the folder of `file`, since many editors put another file in its place, and those of
    /// all links that lead to it.
    ///
    /// # Errors
    /// A sentence, if the folder is not there or the system watches no more.
    pub(crate) fn new(file: &Path) -> Result<Self, String> {
        let folder = match file.parent() {
            Some(folder) if folder != Path::new("") => folder,
            _ => Path::new("."),
        };
        let told = |error: &dyn Error| format!("cannot watch {}: {error}", folder.display());
        folder.metadata().map_err(|error| told(&error))?;
        // One that waits is enough, since whoever takes it reads the file after that.
        let (sender, events) = channel(1);
        let way: Arc<Mutex<Vec<_>>> = Arc::default();
        let known = Arc::clone(&way);
        let notice = move |event: notify::Result<Event>| {
            if event.is_err() || event.is_ok_and(|event| concerns(&locked(&known), &event)) {
                let _ = sender.try_send(());
            }
        };
        let watcher = notify::recommended_watcher(notice).map_err(|error| told(&error))?;
        let mut watch = Self { file: file.to_owned(), way, watcher, events };
        watch.follow_links().map_err(|error| told(&error))?;
        Ok(watch)
    }

    /// Waits for a change and the quiet after it; false if nothing is watched any more.
    pub(crate) async fn changed(&mut self) -> bool {
        let watched = self.events.recv().await.is_some();
        let quiet = async { while let Ok(Some(())) = timeout(QUIET, self.events.recv()).await {} };
        let _ = timeout(LONGEST, quiet).await;
        // A folder that is gone again already was seen to go.
        let _ = self.follow_links();
        watched
    }

    /// Watches the folders of what leads to the file now, and no others.
    fn follow_links(&mut self) -> notify::Result<()> {
        let next = way_to(&self.file);
        let before = std::mem::replace(&mut *locked(&self.way), next.clone());
        let (before, next) = (folders(&before), folders(&next));
        for gone in before.difference(&next) {
            // With a folder that was removed its watch is gone too.
            let _ = self.watcher.unwatch(gone);
        }
        // Those that stay too: another folder may have come in the place of one.
        let watch = |folder| self.watcher.watch(folder, RecursiveMode::NonRecursive);
        next.into_iter().try_for_each(watch)
    }
}

/// What leads to `file`, each by the folder that it truly lies in: every link on the way, and at
/// last what they lead to, or the first that is not there.
fn way_to(file: &Path) -> Vec<PathBuf> {
    let mut way = Vec::new();
    let (mut at, mut rest) = (PathBuf::new(), absolute(file).unwrap_or_else(|_| file.to_owned()));
    loop {
        let mut components = rest.components();
        match components.next() {
            Some(Component::ParentDir) => drop(at.pop()),
            Some(Component::CurDir) => {}
            Some(component) => at.push(component),
            None => return way,
        }
        let after = components.as_path().to_owned();
        match at.read_link() {
            Ok(target) if way.len() < MOST_LINKS => {
                way.push(at.clone());
                at.pop();
                rest = target.join(after);
            }
            _ if after.as_os_str().is_empty() || !at.exists() => {
                way.push(at);
                return way;
            }
            _ => rest = after,
        }
    }
}

fn folders(way: &[PathBuf]) -> BTreeSet<&Path> {
    way.iter().filter_map(|entry| entry.parent()).collect()
}

/// Whether something was done to what leads to the file, or to a folder of it, but looking at it.
fn concerns(way: &[PathBuf], event: &Event) -> bool {
    let leads = |path: &PathBuf| {
        way.iter().any(|entry| entry == path || entry.parent() == Some(path.as_path()))
    };
    !event.kind.is_access() && (event.need_rescan() || event.paths.iter().any(leads))
}

fn locked(way: &Mutex<Vec<PathBuf>>) -> MutexGuard<'_, Vec<PathBuf>> {
    way.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

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
        symlink("data-1", path("data")).expect("a link");
        symlink("data/b.toml", path("b.toml")).expect("a link");
        let mut linked = FileWatch::new(&path("b.toml")).expect("it is watched");
        symlink("data-2", path("next")).expect("a link");
        fs::rename(path("next"), path("data")).expect("it is replaced");
        assert!(is_seen(&mut linked).await, "the link leads elsewhere");
    }

    #[tokio::test]
    async fn a_file_is_seen_to_change_in_whatever_folder_links_lead_to() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = |name| folder.path().join(name);
        // As Kubernetes has it: the file leads through a link that is replaced as a whole.
        for name in ["mount", "mount/..1", "mount/..2", "elsewhere"] {
            fs::create_dir(path(name)).expect("a folder");
        }
        fs::write(path("mount/..1/a.toml"), "1").expect("a file");
        fs::write(path("elsewhere/a.toml"), "1").expect("a file");
        symlink(path("elsewhere/a.toml"), path("mount/..2/a.toml")).expect("a link");
        symlink("..1", path("mount/..data")).expect("a link");
        symlink("..data/a.toml", path("mount/a.toml")).expect("a link");
        symlink("mount/a.toml", path("a.toml")).expect("a link");
        let mut watch = FileWatch::new(&path("a.toml")).expect("it is watched");
        fs::write(path("mount/..1/a.toml"), "2").expect("a file");
        assert!(is_seen(&mut watch).await, "written in place, where the links lead");
        symlink("..2", path("mount/..next")).expect("a link");
        fs::rename(path("mount/..next"), path("mount/..data")).expect("it is replaced");
        assert!(is_seen(&mut watch).await, "a link in the middle leads elsewhere");
        fs::write(path("elsewhere/a.toml"), "3").expect("a file");
        assert!(is_seen(&mut watch).await, "written in place, where the links lead now");
        fs::write(path("mount/..1/a.toml"), "4").expect("a file");
        assert!(timeout(2 * QUIET, watch.changed()).await.is_err(), "no link leads there now");
    }

    #[tokio::test]
    async fn a_folder_that_goes_and_comes_again_is_watched_again() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = |name| folder.path().join(name);
        fs::create_dir(path("etc")).expect("a folder");
        fs::write(path("etc/a.toml"), "1").expect("a file");
        let mut watch = FileWatch::new(&path("etc/a.toml")).expect("it is watched");
        fs::remove_dir_all(path("etc")).expect("it goes");
        assert!(is_seen(&mut watch).await, "gone");
        fs::create_dir(path("etc")).expect("a folder");
        assert!(is_seen(&mut watch).await, "there again");
        fs::write(path("etc/a.toml"), "2").expect("a file");
        assert!(is_seen(&mut watch).await, "written");
    }

    #[test]
    fn links_that_lead_in_a_circle_lead_nowhere() {
        let folder = tempfile::tempdir().expect("a folder");
        symlink("b", folder.path().join("a")).expect("a link");
        symlink("a", folder.path().join("b")).expect("a link");
        assert!(way_to(&folder.path().join("a")).len() > MOST_LINKS);
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
