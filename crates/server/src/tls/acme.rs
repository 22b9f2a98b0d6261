//! A certificate that the server gets itself (ACME, RFC 8555), and renews in time. It shows that names are its own on the
//! port of the page (TLS-ALPN-01, RFC 8737), which authorities reach as 443.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use foldback_config::TlsConfig;
use instant_acme::{
    Account, AccountBuilder, AuthorizationStatus, ChallengeType, Error, Identifier, NewAccount,
    NewOrder, Order, OrderStatus, RetryPolicy,
};
use rcgen::{CertificateParams, CustomExtension, DistinguishedName, KeyPair};
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::sign::CertifiedKey;
use tokio::sync::Notify;

use super::certificate::Certificate;
use super::presenter::Presenter;
use crate::sentences::with_causes;

/// An authority that takes longer is asked again later.
const PATIENCE: Duration = Duration::from_secs(300);
/// What an authority may take for a look at the server, or for the certificate.
const RETRIES: RetryPolicy = RetryPolicy::new().timeout(Duration::from_secs(90));
/// From the first failure to the next attempt; each further one doubles it. Let's Encrypt takes five failures in an hour.
const FIRST_WAIT: Duration = Duration::from_secs(120);
const LONGEST_WAIT: Duration = Duration::from_secs(4 * 60 * 60);
/// The clock is looked at this often: it may be set, and machines sleep.
const LOOK: Duration = Duration::from_secs(60 * 60);

/// The names of its files.
const ACCOUNT: &str = "account.json";
const CERTIFICATE: &str = "certificate.pem";

/// Who asks for certificates, and where they are kept.
#[derive(Debug)]
pub(super) struct Acme {
    config: TlsConfig,
    cache: Cache,
    presenter: Arc<Presenter>,
}

impl Acme {
    /// Presents what is in the folder `cache`, if it is for all names. Blocks.
    ///
    /// # Errors
    /// A sentence, if the folder cannot be had.
    pub(super) fn start(
        config: &TlsConfig,
        cache: &Path,
        presenter: Arc<Presenter>,
    ) -> Result<Self, String> {
        let cache = Cache::new(config, cache);
        cache.make().map_err(|error| {
            format!("`acme_cache`: {} cannot be written to: {error}", cache.folder.display())
        })?;
        let acme = Self { config: config.clone(), cache, presenter };
        match acme.cache.certificate(&acme.config.acme_domains) {
            Ok(Some(certificate)) => {
                tracing::info!("certificate from before, {certificate}");
                acme.presenter.present(certificate);
            }
            Ok(None) => {}
            Err(sentence) => {
                tracing::warn!("the certificate that is kept is of no use: {sentence}")
            }
        }
        Ok(acme)
    }

    /// Gets a certificate where there is none, and the next one in time, for good. After a failure
    /// tries again later, or when `asked` to.
    pub(super) async fn renew_always(self, asked: Arc<Notify>) {
        let due = |certificate: Certificate| certificate.renewal();
        let mut due = self.presenter.certificate().map_or(SystemTime::UNIX_EPOCH, due);
        let mut failures = 0;
        loop {
            while let Ok(wait) = due.duration_since(SystemTime::now()) {
                let wait = tokio::time::sleep(wait.min(LOOK) + Duration::from_millis(1));
                tokio::select! {
                    () = wait => {}
                    () = asked.notified() => if failures > 0 { break },
                }
            }
            let names = self.config.acme_domains.join(", ");
            tracing::info!(
                directory = self.config.acme_directory,
                "asks for a certificate for {names}"
            );
            match self.renew().await {
                Ok(certificate) => {
                    failures = 0;
                    tracing::info!("certificate {certificate}");
                    // Even if it were over at once.
                    due = certificate.renewal().max(SystemTime::now() + FIRST_WAIT);
                    self.presenter.present(certificate);
                }
                Err(sentence) => {
                    let wait = wait_after(failures);
                    failures += 1;
                    due = SystemTime::now() + wait;
                    let seconds = wait.as_secs();
                    tracing::error!(failures, seconds, "no certificate for {names}: {sentence}");
                }
            }
        }
    }

    async fn renew(&self) -> Result<Certificate, String> {
        let ordering = tokio::time::timeout(PATIENCE, self.order());
        let ordered = ordering.await;
        self.presenter.forget_answers();
        let (chain, key) = match ordered {
            Ok(Ok(pair)) => pair,
            Ok(Err(Failure::Acme(error))) => {
                if is_unknown_account(&error) {
                    // The next attempt is made by another.
                    self.cache.forget_account();
                }
                return Err(with_causes(&error));
            }
            Ok(Err(Failure::Told(sentence))) => return Err(sentence),
            Err(_) => return Err(format!("there was none after {} s", PATIENCE.as_secs())),
        };
        let certificate = Certificate::from_pem(chain.as_bytes(), key.as_bytes())
            .map_err(|mistake| format!("what was given cannot be used: {mistake}"))?;
        if let Err(error) = self.cache.write(CERTIFICATE, format!("{key}{chain}").as_bytes()) {
            // It serves, until the server ends.
            let folder = self.cache.folder.display();
            tracing::error!("the certificate cannot be kept in {folder}: {error}");
        }
        Ok(certificate)
    }

    /// A chain and its key, both in PEM.
    async fn order(&self) -> Result<(String, String), Failure> {
        let account = self.account().await?;
        let names: Vec<_> =
            self.config.acme_domains.iter().map(|name| Identifier::Dns(name.clone())).collect();
        let mut order = account.new_order(&NewOrder::new(&names)).await?;
        self.answer(&mut order).await?;
        match order.poll_ready(&RETRIES).await {
            Ok(OrderStatus::Ready) => {}
            Ok(_) => {
                let plain =
                    || "the authority says no more than that the order is invalid".to_owned();
                return Err(Failure::Told(found_by(&mut order).await.unwrap_or_else(plain)));
            }
            Err(error @ Error::Api(_)) => {
                let found = found_by(&mut order).await;
                return Err(found.map_or_else(|| error.into(), Failure::Told));
            }
            Err(error) => return Err(error.into()),
        }
        let key = order.finalize().await?;
        Ok((order.poll_certificate(&RETRIES).await?, key))
    }

    /// Has an answer ready for each name, and then has the authority look.
    async fn answer(&self, order: &mut Order) -> Result<(), Failure> {
        let mut authorizations = order.authorizations();
        while let Some(authorization) = authorizations.next().await {
            let mut authorization = authorization?;
            match authorization.status {
                AuthorizationStatus::Pending => {}
                AuthorizationStatus::Valid => continue,
                status => return Err(Failure::Told(format!("the authorization is {status:?}"))),
            }
            let name = authorization.identifier().to_string();
            let mut challenge =
                authorization.challenge(ChallengeType::TlsAlpn01).ok_or_else(|| {
                    let sentence = "the authority does not look by TLS-ALPN-01, and foldback knows no other way";
                    Failure::Told(sentence.to_owned())
                })?;
            let answer = answer_to(&name, challenge.key_authorization().digest().as_ref());
            self.presenter.answer(&name, answer.map_err(Failure::Told)?);
            challenge.set_ready().await?;
        }
        Ok(())
    }

    async fn account(&self) -> Result<Account, Failure> {
        if let Some(credentials) = self.cache.account() {
            return Ok(self.client()?.from_credentials(credentials).await?);
        }
        let contact = self.config.acme_email.as_ref().map(|email| format!("mailto:{email}"));
        let contact: Vec<_> = contact.iter().map(String::as_str).collect();
        let wanted = NewAccount {
            contact: &contact,
            terms_of_service_agreed: self.config.acme_agree_terms,
            only_return_existing: false,
        };
        let directory = self.config.acme_directory.clone();
        let (account, credentials) = self.client()?.create(&wanted, directory, None).await?;
        let text = serde_json::to_vec(&credentials).map_err(Error::from)?;
        self.cache.write(ACCOUNT, &text).map_err(|error| {
            Failure::Told(format!(
                "the account cannot be kept in {}: {error}",
                self.cache.folder.display()
            ))
        })?;
        Ok(account)
    }

    fn client(&self) -> Result<AccountBuilder, Error> {
        match &self.config.acme_ca_file {
            Some(file) => Account::builder_with_root(file),
            None => Account::builder(),
        }
    }
}

/// Why there is no certificate this time.
enum Failure {
    Acme(Error),
    Told(String),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Acme(error)
    }
}

fn is_unknown_account(error: &Error) -> bool {
    let Error::Api(problem) = error else { return false };
    problem.r#type.as_deref() == Some("urn:ietf:params:acme:error:accountDoesNotExist")
}

fn wait_after(failures: u32) -> Duration {
    FIRST_WAIT.saturating_mul(2_u32.saturating_pow(failures)).min(LONGEST_WAIT)
}

/// What the authority found where it looked, if it tells.
async fn found_by(order: &mut Order) -> Option<String> {
    let mut found = Vec::new();
    let mut authorizations = order.authorizations();
    while let Some(Ok(mut authorization)) = authorizations.next().await {
        let name = authorization.identifier().to_string();
        let Ok(state) = authorization.refresh().await else { continue };
        let problems = state.challenges.iter().filter_map(|it| it.error.as_ref());
        found.extend(problems.map(|problem| format!("{name}: {problem}")));
    }
    (!found.is_empty()).then(|| found.join("; "))
}

/// The certificate that shows that `name` is this server's (RFC 8737, section 3).
fn answer_to(name: &str, digest: &[u8]) -> Result<Arc<CertifiedKey>, String> {
    let make = || -> Result<_, rcgen::Error> {
        let mut params = CertificateParams::new([name.to_owned()])?;
        params.distinguished_name = DistinguishedName::new();
        params.custom_extensions = vec![CustomExtension::new_acme_identifier(digest)];
        let key = KeyPair::generate()?;
        Ok((params.self_signed(&key)?, key))
    };
    let (certificate, key) = make().map_err(|error| format!("cannot make an answer: {error}"))?;
    let key = PrivatePkcs8KeyDer::from(key.serialize_der()).into();
    let key = rustls::crypto::aws_lc_rs::sign::any_ecdsa_type(&key)
        .map_err(|error| format!("cannot make an answer: {error}"))?;
    // Not by way of `Certificate`: what stands in it for the authority alone nobody else understands.
    Ok(Arc::new(CertifiedKey::new(vec![certificate.der().clone()], key)))
}

/// Where account and certificate are kept: a folder for each authority, so that what one for trials gave is not shown in
/// earnest.
#[derive(Debug)]
pub(crate) struct Cache {
    folder: PathBuf,
}

impl Cache {
    /// In `folder`.
    pub(crate) fn new(config: &TlsConfig, folder: &Path) -> Self {
        let place = config.acme_directory.trim_start_matches("https://");
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-');
        let name = place.chars().map(|c| if allowed(c) { c } else { '_' }).collect::<String>();
        Self { folder: folder.join(name) }
    }

    fn make(&self) -> io::Result<()> {
        DirBuilder::new().recursive(true).mode(0o700).create(&self.folder)?;
        // So that it is known now and not when there is something to be kept.
        self.write("writable", b"")?;
        fs::remove_file(self.folder.join("writable"))
    }

    /// The certificate that is kept, if it is for all `names` and not over.
    ///
    /// # Errors
    /// Why it is of no use.
    pub(crate) fn certificate(&self, names: &[String]) -> Result<Option<Certificate>, String> {
        let path = self.folder.join(CERTIFICATE);
        let pem = match fs::read(&path) {
            Ok(pem) => pem,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(format!("{} cannot be read: {error}", path.display())),
        };
        let certificate = Certificate::from_pem(&pem, &pem);
        let certificate =
            certificate.map_err(|mistake| format!("{}: {mistake}", path.display()))?;
        if let Some(name) = names.iter().find(|name| !certificate.fits(name)) {
            return Err(format!("it is not for {name}"));
        }
        match certificate.untimely(SystemTime::now()) {
            Some(sentence) => Err(sentence),
            None => Ok(Some(certificate)),
        }
    }

    fn account(&self) -> Option<instant_acme::AccountCredentials> {
        let path = self.folder.join(ACCOUNT);
        let text = fs::read(&path).ok()?;
        let known = serde_json::from_slice(&text);
        known.map_err(|error| tracing::warn!("{} holds no account: {error}", path.display())).ok()
    }

    fn forget_account(&self) {
        // If it cannot be removed, the next attempt fails as this one did.
        let _ = fs::remove_file(self.folder.join(ACCOUNT));
    }

    /// For the eyes of the server alone; whole or not at all.
    fn write(&self, name: &str, content: &[u8]) -> io::Result<()> {
        let draft = self.folder.join(format!("{name}.new"));
        // One that is left over keeps its mode.
        let _ = fs::remove_file(&draft);
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft)?;
        file.write_all(content)?;
        file.sync_all()?;
        fs::rename(&draft, self.folder.join(name))
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn kept(names: &[&str]) -> Vec<u8> {
        let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
        let made = rcgen::generate_simple_self_signed(names).expect("a certificate");
        format!("{}{}", made.signing_key.serialize_pem(), made.cert.pem()).into_bytes()
    }

    #[test]
    fn what_is_kept_is_for_the_server_alone_and_taken_only_for_all_names() {
        let folder = tempfile::tempdir().expect("a folder");
        let config = TlsConfig::default();
        let cache = Cache::new(&config, &folder.path().join("acme"));
        assert!(cache.folder.ends_with("acme/acme-v02.api.letsencrypt.org_directory"));
        cache.make().expect("a folder");
        let names = ["a.example".to_owned(), "b.example".to_owned()];
        assert!(cache.certificate(&names).expect("nothing is no mistake").is_none());

        cache.write(CERTIFICATE, &kept(&["a.example"])).expect("a file");
        let told = cache.certificate(&names).expect_err("one is missing");
        assert_eq!(told, "it is not for b.example");
        cache.write(CERTIFICATE, &kept(&["a.example", "b.example"])).expect("a file");
        let certificate = cache.certificate(&names).expect("a pair").expect("it is there");
        assert_eq!(certificate.names, names);
        cache.write(CERTIFICATE, b"rubbish").expect("a file");
        assert!(cache.certificate(&names).is_err());

        let mode = |path: &Path| path.metadata().expect("it is there").permissions().mode() & 0o777;
        let parent = cache.folder.parent().expect("a folder");
        assert_eq!([mode(parent), mode(&cache.folder)], [0o700; 2]);
        assert_eq!(mode(&cache.folder.join(CERTIFICATE)), 0o600);
        assert_eq!(fs::read_dir(&cache.folder).expect("a folder").count(), 1, "no drafts stay");
    }

    #[test]
    fn after_failures_it_waits_longer_each_time_up_to_a_bound() {
        let waits: Vec<_> = (0..40).map(|failures| wait_after(failures).as_secs()).collect();
        assert_eq!(waits[..4], [120, 240, 480, 960]);
        assert_eq!(waits[39], 14_400);
        let attempts = (0..40).map(|attempt| waits[..attempt].iter().sum::<u64>());
        assert!(
            attempts.take_while(|at| *at < 3600).count() <= 5,
            "more fail in an hour than are taken"
        );
    }
}
