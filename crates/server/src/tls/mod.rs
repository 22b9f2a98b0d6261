//! HTTPS: with a certificate from files, by ACME, or made on the spot (`--dev-tls`).

mod acme;
mod certificate;
mod files;
mod presenter;

use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use foldback_config::{CertificateSource, TlsConfig};
use foldback_metrics::{CertificateOrigin, Metrics};
use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use tokio::sync::Notify;

use self::acme::{Acme, Cache};
pub(crate) use self::certificate::Certificate;
use self::files::Files;
use self::presenter::{Acceptor, Presenter};

/// What is presented to those who connect, and what keeps it good.
#[derive(Debug)]
pub(crate) struct Tls {
    presenter: Arc<Presenter>,
    upkeep: Upkeep,
    names: Vec<String>,
}

#[derive(Debug)]
enum Upkeep {
    /// It was made for this run.
    None,
    Files(Files),
    Acme(Box<Acme>),
}

impl Tls {
    /// What `config` says; `None` where that is plain HTTP. Reads files.
    ///
    /// # Errors
    /// A sentence.
    pub(crate) fn of(config: &TlsConfig, metrics: &Metrics) -> Result<Option<Self>, String> {
        install_provider();
        let presenter = |origin| Presenter::new(origin, metrics.clone());
        let (presenter, upkeep) = match config.source().map_err(|(_, sentence)| sentence)? {
            CertificateSource::None => return Ok(None),
            CertificateSource::Files(certificate, key) => {
                let presenter = presenter(CertificateOrigin::File);
                let files = Files::start(certificate, key, Arc::clone(&presenter))?;
                (presenter, Upkeep::Files(files))
            }
            CertificateSource::Acme(cache) => {
                let presenter = presenter(CertificateOrigin::Acme);
                let acme = Acme::start(config, cache, Arc::clone(&presenter))?;
                (presenter, Upkeep::Acme(Box::new(acme)))
            }
        };
        let names = match config.acme_domains.as_slice() {
            [] => presenter.certificate().map(|it| it.names).unwrap_or_default(),
            domains => domains.to_owned(),
        };
        Ok(Some(Self { presenter, upkeep, names }))
    }

    /// `--dev-tls`: browsers give a page the microphone only on localhost or over HTTPS; with this
    /// another device of the house can join, after one click through its browser's warning.
    ///
    /// # Errors
    /// A sentence.
    pub(crate) fn self_made(addresses: &[IpAddr], metrics: &Metrics) -> Result<Self, String> {
        install_provider();
        let names = std::iter::once("localhost".to_owned());
        let names: Vec<_> = names.chain(addresses.iter().map(IpAddr::to_string)).collect();
        let made = rcgen::generate_simple_self_signed(names)
            .map_err(|error| format!("cannot make a certificate: {error}"))?;
        let key = PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()).into();
        let certificate = Certificate::from_der(vec![made.cert.der().clone()], key)
            .map_err(|mistake| format!("cannot use the certificate made: {mistake}"))?;
        let presenter = Presenter::new(CertificateOrigin::SelfMade, metrics.clone());
        presenter.present(certificate);
        Ok(Self { presenter, upkeep: Upkeep::None, names: Vec::new() })
    }

    /// Names that browsers reach the server by, as far as the certificate tells, for people.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(String::as_str).filter(|name| !name.contains('*'))
    }

    /// Accepts connections.
    pub(crate) fn acceptor(&self) -> Acceptor {
        self.presenter.acceptor()
    }

    /// Keeps the certificate good from now on; looks at once when `asked` to.
    pub(crate) fn keep_up(self, asked: Arc<Notify>) {
        match self.upkeep {
            Upkeep::None => {}
            Upkeep::Files(files) => drop(tokio::spawn(files.follow_always(asked))),
            Upkeep::Acme(acme) => drop(tokio::spawn(acme.renew_always(asked))),
        }
    }
}

/// What `[tls]` names, as far as there is something yet: the certificate of files, or the one that was had by ACME.
///
/// # Errors
/// What would keep a server from starting: a sentence.
pub(crate) fn check(config: &TlsConfig) -> Result<Option<Certificate>, String> {
    match config.source().map_err(|(_, sentence)| format!("[tls]: {sentence}"))? {
        CertificateSource::None => Ok(None),
        CertificateSource::Files(certificate, key) => {
            Certificate::read(certificate, key).map(Some).map_err(|why| format!("[tls]: {why}"))
        }
        CertificateSource::Acme(cache) => {
            if let Some(file) = &config.acme_ca_file {
                check_ca(file)
                    .map_err(|why| format!("`acme_ca_file`: {} {why}", file.display()))?;
            }
            // What is of no use is replaced.
            Ok(Cache::new(config, cache).certificate(&config.acme_domains).ok().flatten())
        }
    }
}

fn check_ca(file: &Path) -> Result<(), String> {
    let read = std::fs::read(file).map_err(|error| format!("cannot be read: {error}"))?;
    let certificate = CertificateDer::from_pem_slice(&read)
        .map_err(|_| "holds no certificate in PEM".to_owned())?;
    RootCertStore::empty().add(certificate).map_err(|error| format!("cannot be used: {error}"))
}

/// What browsers would hold against a certificate at this time, if they would.
pub(crate) fn warning(certificate: &Certificate) -> Option<String> {
    certificate.untimely(SystemTime::now())
}

fn install_provider() {
    // Fails only if a provider was installed before, which serves as well.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
}
