//! Going on with another configuration while rooms are open: one path for whatever asks for it, and
//! the versions that ran so far.

use std::collections::VecDeque;
use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use foldback_chain::ChainSpec;
use foldback_config::Config;
use foldback_metrics::Metrics;
use serde::Serialize;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::Notify;
use utoipa::ToSchema;

use crate::clock;
use crate::conference::Conference;
use crate::config_file::{ConfigSource, Loaded};
use crate::happenings::What;
use crate::notify;
use crate::watch::FileWatch;

/// How many versions are kept, the running one among them.
pub const KEPT_VERSIONS: usize = 32;

/// Where a version came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Origin {
    /// The server started with it.
    Start,
    /// SIGHUP.
    Signal,
    /// The file was changed.
    File,
    /// `POST /api/v1/reload`.
    Api,
    /// An earlier version was restored.
    Rollback,
}

/// One configuration that ran, without its text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct VersionInfo {
    /// From 1, one higher each time.
    pub version: u32,
    /// Since when it runs, or ran: RFC 3339, UTC.
    pub since: String,
    /// Where it came from.
    pub origin: Origin,
    /// The version whose text it has, if that was restored.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub restores: Option<u32>,
    /// Whether it is the one that runs.
    pub running: bool,
}

/// What became of a configuration that was read again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Reloaded {
    /// The version that runs now.
    pub version: u32,
    /// Whether that is a new one: false, if the text was that of the running one.
    pub changed: bool,
    /// How many open rooms got another chain.
    pub rooms: usize,
    /// Chains that were not there.
    pub chains_added: Vec<String>,
    /// Chains that are another under the same name.
    pub chains_changed: Vec<String>,
    /// Chains that are gone.
    pub chains_removed: Vec<String>,
    /// Settings, as `section.key`, that differ from those the server started with, which it keeps.
    pub needs_restart: Vec<String>,
}

/// What runs, and what came of the last attempt at another configuration.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ConfigInfo {
    /// The version that runs.
    pub version: u32,
    /// The file that is read, if there is one.
    pub file: Option<String>,
    /// The names of the chains that rooms can be given.
    pub chains: Vec<String>,
    /// Settings, as `section.key`, that differ from those the server started with, which it keeps.
    pub needs_restart: Vec<String>,
    /// `null` before the first.
    pub last_reload: Option<LastReload>,
}

/// An attempt at another configuration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct LastReload {
    /// When: RFC 3339, UTC.
    pub at: String,
    /// What asked for it.
    pub origin: Origin,
    /// Why it was not taken; `null` if it was.
    pub refused: Option<String>,
}

/// Why everything stayed as it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReloadError {
    /// There is no file to read again.
    NoFile,
    /// There is no such version, or no more.
    NoVersion(u32),
    /// Every mistake of the file.
    Mistakes(String),
}

impl fmt::Display for ReloadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoFile => f.write_str(
                "There is no file to read again: the server was started without --config.",
            ),
            Self::NoVersion(version) => {
                write!(f, "There is no version {version}; the last {KEPT_VERSIONS} are kept.")
            }
            Self::Mistakes(mistakes) => write!(f, "The configuration stays as it is:\n{mistakes}"),
        }
    }
}

impl std::error::Error for ReloadError {}

/// Brings other configurations to a conference, one after the other.
#[derive(Debug)]
pub struct Reloader {
    source: ConfigSource,
    conference: Arc<Conference>,
    metrics: Metrics,
    /// Whose settings of `[server]`, `[opus]` and `[latency]` count.
    started: Config,
    history: Mutex<History>,
    last: Mutex<Option<LastReload>>,
    /// What was last read from the file; nothing, after a mistake in it. Held by whoever changes the
    /// configuration.
    on_file: Mutex<Option<Arc<str>>>,
    /// Told of each [`Self::reload`], for what the configuration names and is read on its own.
    asked: Arc<Notify>,
}

impl Reloader {
    /// For `conference`, which started with `loaded` from `source`.
    #[must_use]
    pub fn new(
        source: ConfigSource,
        loaded: Loaded,
        conference: Arc<Conference>,
        metrics: Metrics,
    ) -> Arc<Self> {
        let started = loaded.config.clone();
        let on_file = Mutex::new(Some(Arc::clone(&loaded.text)));
        let history = Mutex::new(History::new(loaded));
        let (last, asked) = Default::default();
        Arc::new(Self { source, conference, metrics, started, history, last, on_file, asked })
    }

    /// Is told each time that somebody asks for everything to be read again.
    pub(crate) fn asked(&self) -> Arc<Notify> {
        Arc::clone(&self.asked)
    }

    /// What runs, and what came of the last attempt at something else.
    #[must_use]
    pub fn info(&self) -> ConfigInfo {
        let last_reload = self.last.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let history = self.history();
        ConfigInfo {
            version: history.running().info.version,
            file: self.source.file().map(|file| file.display().to_string()),
            chains: history.config.chains.iter().map(|chain| chain.name.clone()).collect(),
            needs_restart: self.started.needs_restart_for(&history.config),
            last_reload,
        }
    }

    /// Reads the file again. Builds stages and reads files: takes milliseconds and more.
    ///
    /// # Errors
    /// Then everything is as it was.
    pub fn reload(&self, origin: Origin) -> Result<Reloaded, ReloadError> {
        self.asked.notify_one();
        let mut on_file = self.turn();
        let read = self.read();
        *on_file = read.as_ref().ok().map(|loaded| Arc::clone(&loaded.text));
        self.go_on(origin, None, read)
    }

    /// Something was done to the file: goes on with it if it reads otherwise than before. A file that
    /// was only touched does not undo [`Self::restore`].
    fn follow_file(&self) {
        let mut on_file = self.turn();
        let read = self.read();
        let text = read.as_ref().ok().map(|loaded| Arc::clone(&loaded.text));
        if text.is_none() || *on_file != text {
            *on_file = text;
            // What came of it is in the log.
            let _ = self.go_on(Origin::File, None, read);
        }
    }

    /// Goes on with the text of an earlier version. The file stays as it is. Takes its time as
    /// [`Self::reload`] does.
    ///
    /// # Errors
    /// As [`Self::reload`]: a library that it needs may be gone.
    pub fn restore(&self, version: u32) -> Result<Reloaded, ReloadError> {
        let _turn = self.turn();
        let read = self
            .text(version)
            .and_then(|text| self.source.check(text.as_bytes()).map_err(ReloadError::Mistakes));
        self.go_on(Origin::Rollback, Some(version), read)
    }

    /// Every version that is kept, the running one last.
    #[must_use]
    pub fn versions(&self) -> Vec<VersionInfo> {
        self.history().infos()
    }

    /// The text of a version.
    ///
    /// # Errors
    /// [`ReloadError::NoVersion`].
    pub fn text(&self, version: u32) -> Result<Arc<str>, ReloadError> {
        self.history().text(version).ok_or(ReloadError::NoVersion(version))
    }

    fn go_on(
        &self,
        origin: Origin,
        restores: Option<u32>,
        read: Result<Loaded, ReloadError>,
    ) -> Result<Reloaded, ReloadError> {
        let _told = notify::Reloading::begin();
        let taken = read.map(|loaded| {
            let rooms = self.conference.reload(loaded.config.clone());
            let needs_restart = self.started.needs_restart_for(&loaded.config);
            let mut history = self.history();
            let Changes { added, changed: another, removed } = history.changes(&loaded.config);
            let changed = history.push(origin, restores, loaded);
            Reloaded {
                version: history.running().info.version,
                changed,
                rooms,
                chains_added: added,
                chains_changed: another,
                chains_removed: removed,
                needs_restart,
            }
        });
        let refused = taken.as_ref().err().map(ToString::to_string);
        let last = LastReload { at: clock::now(), origin, refused };
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(last);
        let happenings = &self.conference.happenings;
        match &taken {
            Ok(Reloaded { version, changed: true, .. }) => {
                happenings.tell(What::ConfigChanged { version: *version, origin });
            }
            Ok(_) => {}
            Err(error) => {
                happenings.tell(What::ConfigRefused { origin, why: error.to_string() });
            }
        }
        match &taken {
            Ok(reloaded) => tell(origin, restores, reloaded),
            Err(error @ ReloadError::Mistakes(_)) => tracing::error!(?origin, "{error}"),
            Err(error) => tracing::warn!(?origin, "{error}"),
        }
        taken
    }

    /// Reads the file, and notes in the metrics whether it could be taken: whoever looks there wants
    /// to know whether a restart would work, whatever was restored meanwhile.
    fn read(&self) -> Result<Loaded, ReloadError> {
        self.source.file().ok_or(ReloadError::NoFile)?;
        let read = self.source.read();
        self.metrics.file_read(read.is_ok());
        read.map_err(ReloadError::Mistakes)
    }

    fn turn(&self) -> MutexGuard<'_, Option<Arc<str>>> {
        self.on_file.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn history(&self) -> MutexGuard<'_, History> {
        self.history.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn tell(origin: Origin, restores: Option<u32>, reloaded: &Reloaded) {
    let Reloaded { version, changed, rooms, needs_restart, .. } = reloaded;
    match restores {
        Some(restored) => tracing::info!(
            version,
            rooms,
            "version {restored} of the configuration was restored; the file stays as it is"
        ),
        None if *changed => {
            tracing::info!(version, rooms, ?origin, "the configuration was read again")
        }
        None => tracing::info!(version, rooms, ?origin, "the configuration is as it was"),
    }
    if !needs_restart.is_empty() {
        tracing::warn!("needs a restart: {}", needs_restart.join(", "));
    }
}

/// Reads the file again on each SIGHUP.
pub(crate) async fn on_hangup(reloader: Arc<Reloader>) {
    let Ok(mut hangups) = signal(SignalKind::hangup()) else { return };
    while hangups.recv().await.is_some() {
        // What came of it is in the log.
        aside(&reloader, |reloader| drop(reloader.reload(Origin::Signal))).await;
    }
}

/// Reads the file again each time it was changed.
pub(crate) async fn on_change(reloader: Arc<Reloader>, file: PathBuf) {
    let mut watch = match FileWatch::new(&file) {
        Ok(watch) => watch,
        Err(sentence) => return tracing::warn!("{sentence}; SIGHUP still has the file read again"),
    };
    // It may have changed since it was read at the start.
    aside(&reloader, Reloader::follow_file).await;
    while watch.changed().await {
        aside(&reloader, Reloader::follow_file).await;
    }
    tracing::warn!("the file is watched no more; SIGHUP still has it read again");
}

/// Not on the threads that serve.
async fn aside(reloader: &Arc<Reloader>, act: fn(&Reloader)) {
    let reloader = Arc::clone(reloader);
    if let Err(error) = tokio::task::spawn_blocking(move || act(&reloader)).await {
        tracing::error!(%error, "reading the configuration again failed");
    }
}

/// The versions that ran, the running one last: at least one, and [`KEPT_VERSIONS`] at most.
#[derive(Debug)]
struct History {
    versions: VecDeque<Version>,
    /// What the last of them says.
    config: Config,
}

#[derive(Debug)]
struct Version {
    info: VersionInfo,
    text: Arc<str>,
}

/// The names of chains.
struct Changes {
    added: Vec<String>,
    changed: Vec<String>,
    removed: Vec<String>,
}

impl History {
    fn new(Loaded { config, text }: Loaded) -> Self {
        Self { versions: VecDeque::from([Version::new(1, Origin::Start, None, text)]), config }
    }

    fn running(&self) -> &Version {
        self.versions.back().expect("there is always the one that runs")
    }

    /// Adds a version, unless its text is that of the running one. Says whether it did.
    fn push(&mut self, origin: Origin, restores: Option<u32>, loaded: Loaded) -> bool {
        let Loaded { config, text } = loaded;
        self.config = config;
        if self.running().text == text {
            return false;
        }
        let number = self.running().info.version + 1;
        if let Some(last) = self.versions.back_mut() {
            last.info.running = false;
        }
        if self.versions.len() == KEPT_VERSIONS {
            self.versions.pop_front();
        }
        self.versions.push_back(Version::new(number, origin, restores, text));
        true
    }

    fn infos(&self) -> Vec<VersionInfo> {
        self.versions.iter().map(|version| version.info.clone()).collect()
    }

    fn text(&self, number: u32) -> Option<Arc<str>> {
        let version = self.versions.iter().find(|version| version.info.version == number)?;
        Some(Arc::clone(&version.text))
    }

    fn changes(&self, next: &Config) -> Changes {
        let names = |of: &Config, is: &dyn Fn(&ChainSpec) -> bool| -> Vec<String> {
            let chains = of.chains.iter().filter(|chain| is(chain));
            chains.map(|chain| chain.name.clone()).collect()
        };
        let before = |name: &str| self.config.chain(name);
        Changes {
            added: names(next, &|chain| before(&chain.name).is_none()),
            changed: names(next, &|chain| before(&chain.name).is_some_and(|it| **it != *chain)),
            removed: names(&self.config, &|chain| next.chain(&chain.name).is_none()),
        }
    }
}

impl Version {
    fn new(version: u32, origin: Origin, restores: Option<u32>, text: Arc<str>) -> Self {
        let since = clock::now();
        Self { info: VersionInfo { version, since, origin, restores, running: true }, text }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use foldback_room::Economies;

    use super::*;

    const TALK: &str = "[chain.talk]\nstages = [{ kind = \"mix\" }]\n";

    fn loaded(text: &str) -> Loaded {
        ConfigSource::new(None, |_| Ok(())).check(text.as_bytes()).expect("valid")
    }

    #[tokio::test]
    async fn what_was_written_between_the_start_and_the_watch_is_not_missed() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("a.toml");
        std::fs::write(&file, TALK).expect("a file");
        let source = ConfigSource::new(Some(file.clone()), |_| Ok(()));
        let loaded = source.read().expect("valid");
        let conference = Conference::new(
            loaded.config.clone(),
            Vec::new(),
            Economies::default(),
            Metrics::default(),
        );
        let reloader = Reloader::new(source, loaded, conference, Metrics::default());
        std::fs::write(&file, format!("# 2\n{TALK}")).expect("a file");
        let watching = tokio::spawn(on_change(Arc::clone(&reloader), file));
        let taken = async {
            while reloader.versions().len() == 1 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let taken = tokio::time::timeout(Duration::from_secs(10), taken).await;
        watching.abort();
        assert!(taken.is_ok(), "nobody read it");
        assert_eq!(reloader.versions()[1].origin, Origin::File);
    }

    #[test]
    fn the_last_versions_are_kept_and_the_newest_runs() {
        let mut history = History::new(loaded(TALK));
        let newest = KEPT_VERSIONS as u32 + 8;
        for number in 2..=newest {
            let text = format!("# {number}\n{TALK}");
            assert!(history.push(Origin::File, None, loaded(&text)));
        }
        let infos = history.infos();
        assert_eq!(infos.len(), KEPT_VERSIONS);
        assert_eq!((infos[0].version, infos[KEPT_VERSIONS - 1].version), (9, newest));
        let running: Vec<_> = infos.iter().filter(|it| it.running).map(|it| it.version).collect();
        assert_eq!(running, [newest]);
        assert_eq!(history.text(8), None);
        assert_eq!(history.text(9).as_deref(), Some(format!("# 9\n{TALK}").as_str()));
    }

    #[test]
    fn the_same_text_again_is_no_new_version() {
        let mut history = History::new(loaded(TALK));
        assert!(!history.push(Origin::Signal, None, loaded(TALK)));
        assert_eq!(history.infos().len(), 1);
    }

    #[test]
    fn chains_that_came_changed_and_went_are_named() {
        let history = History::new(loaded(
            "[chain.stays]\nstages = []\n[chain.changes]\nstages = []\n[chain.goes]\nstages = []\n\
             [[room]]\nname = \"*\"\nchain = \"stays\"\n",
        ));
        let next = loaded(
            "[chain.stays]\nstages = []\n[chain.changes]\nstages = [{ kind = \"gain\" }]\n\
             [chain.comes]\nstages = []\n[[room]]\nname = \"*\"\nchain = \"comes\"\n",
        );
        let Changes { added, changed, removed } = history.changes(&next.config);
        assert_eq!(
            (added, changed, removed),
            (vec!["comes".to_owned()], vec!["changes".to_owned()], vec!["goes".to_owned()])
        );
    }
}
