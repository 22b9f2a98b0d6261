//! A certificate in files, which are read again when they change: others renew it.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::sync::Notify;

use super::certificate::Certificate;
use super::presenter::Presenter;
use crate::watch::FileWatch;

/// Changes that nobody tells of, as on other machines' disks, are found this late.
const LOOK: Duration = Duration::from_secs(60 * 60);

/// Two files, and what is presented by them.
#[derive(Clone, Debug)]
pub(super) struct Files {
    certificate: PathBuf,
    key: PathBuf,
    presenter: Arc<Presenter>,
}

impl Files {
    /// Presents what is in the files. Blocks.
    ///
    /// # Errors
    /// As [`Certificate::read`].
    pub(super) fn start(
        certificate: &Path,
        key: &Path,
        presenter: Arc<Presenter>,
    ) -> Result<Self, String> {
        let files = Self { certificate: certificate.to_owned(), key: key.to_owned(), presenter };
        files.take(Certificate::read(certificate, key)?);
        Ok(files)
    }

    fn take(&self, certificate: Certificate) {
        if let Some(sentence) = certificate.untimely(SystemTime::now()) {
            tracing::warn!(certificate = %self.certificate.display(), "{sentence}");
        }
        tracing::info!(certificate = %self.certificate.display(), "certificate {certificate}");
        self.presenter.present(certificate);
    }

    /// Presents what is in the files now, if that can be used and is another.
    fn follow(&self) {
        match Certificate::read(&self.certificate, &self.key) {
            Ok(certificate) => {
                let before = self.presenter.certificate();
                let chain = &certificate.presented.cert;
                if before.is_none_or(|before| before.presented.cert != *chain) {
                    self.take(certificate);
                }
            }
            Err(sentence) => {
                tracing::error!("the certificate from before stays: {sentence}");
            }
        }
    }

    /// Follows the files for good: when they change, and when `asked` to.
    pub(super) async fn follow_always(self, asked: Arc<Notify>) {
        for path in [&self.certificate, &self.key] {
            match FileWatch::new(path) {
                Ok(watch) => drop(tokio::spawn(tell(watch, Arc::clone(&asked)))),
                Err(sentence) => {
                    tracing::warn!("{sentence}; SIGHUP still has it read again, and so has time");
                }
            }
        }
        loop {
            // They may have changed since they were read at the start.
            let files = self.clone();
            if let Err(error) = tokio::task::spawn_blocking(move || files.follow()).await {
                tracing::error!(%error, "reading the certificate again failed");
            }
            let _ = tokio::time::timeout(LOOK, asked.notified()).await;
        }
    }
}

async fn tell(mut watch: FileWatch, asked: Arc<Notify>) {
    while watch.changed().await {
        asked.notify_one();
    }
}
