//! A certificate that can be presented: with its chain and its key, and until when it is good.

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::ParsedCertificate;
use rustls::sign::CertifiedKey;
use rustls::{Error, InconsistentKeys};
use x509_cert::der::Decode;
use x509_cert::ext::pkix::SubjectAltName;
use x509_cert::ext::pkix::name::GeneralName;

/// A certificate, its chain and its key.
#[derive(Clone, Debug)]
pub(crate) struct Certificate {
    /// What is presented.
    pub(crate) presented: Arc<CertifiedKey>,
    /// The names of hosts that it is for, wildcards included; addresses are not among them.
    pub(crate) names: Vec<String>,
    from: SystemTime,
    /// Until when it is good.
    pub(crate) until: SystemTime,
}

impl Certificate {
    /// Reads the two files. Blocks.
    ///
    /// # Errors
    /// A sentence that names the file, and shows nothing of the key.
    pub(crate) fn read(certificate: &Path, key: &Path) -> Result<Self, String> {
        let read = |path: &Path| {
            std::fs::read(path)
                .map_err(|error| format!("{} cannot be read: {error}", path.display()))
        };
        let (chain, private) = (read(certificate)?, read(key)?);
        Self::from_pem(&chain, &private).map_err(|mistake| match mistake {
            Mistake::Certificate(why) => format!("{} {why}", certificate.display()),
            Mistake::Key(why) => format!("{} {why}", key.display()),
            Mistake::NoPair => {
                let (key, certificate) = (key.display(), certificate.display());
                format!("{key} is not the key of the first certificate in {certificate}")
            }
        })
    }

    /// Takes a chain, the server's own certificate first, and its key, both in PEM.
    ///
    /// # Errors
    /// What is wrong with which.
    pub(crate) fn from_pem(chain: &[u8], key: &[u8]) -> Result<Self, Mistake> {
        let chain = CertificateDer::pem_slice_iter(chain).collect::<Result<Vec<_>, _>>();
        let chain = chain.map_err(|error| {
            Mistake::Certificate(format!("holds a certificate that is no PEM: {error}"))
        })?;
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|_| {
            let why = "holds no private key in PEM that is not encrypted, like \"-----BEGIN PRIVATE KEY-----\"";
            Mistake::Key(why.to_owned())
        })?;
        Self::from_der(chain, key)
    }

    /// As [`Self::from_pem`], without the PEM around it.
    ///
    /// # Errors
    /// As [`Self::from_pem`].
    pub(crate) fn from_der(
        chain: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
    ) -> Result<Self, Mistake> {
        let Some(own) = chain.first() else {
            let why = "holds no certificate in PEM, like \"-----BEGIN CERTIFICATE-----\"";
            return Err(Mistake::Certificate(why.to_owned()));
        };
        let parsed = x509_cert::Certificate::from_der(own).map_err(|error| {
            Mistake::Certificate(format!("holds a certificate that cannot be understood: {error}"))
        })?;
        let parsed = parsed.tbs_certificate();
        let validity = parsed.validity();
        let time = |time: x509_cert::time::Time| SystemTime::UNIX_EPOCH + time.to_unix_duration();
        let (from, until) = (time(validity.not_before), time(validity.not_after));
        let others = parsed.get_extension::<SubjectAltName>().ok().flatten();
        let names =
            others.into_iter().flat_map(|(_, names)| names.0).filter_map(|name| match name {
                GeneralName::DnsName(name) => Some(name.to_string()),
                _ => None,
            });
        let names = names.collect();
        let presented = CertifiedKey::from_der(chain, key, &aws_lc_rs::default_provider());
        let presented = presented.map_err(|error| match error {
            Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => Mistake::NoPair,
            Error::InvalidCertificate(_) => {
                Mistake::Certificate(format!("holds a certificate that cannot be used: {error}"))
            }
            error => Mistake::Key(format!("holds a key that cannot be used: {error}")),
        })?;
        Ok(Self { presented: Arc::new(presented), names, from, until })
    }

    /// Whether browsers take it for the server at `host`, a name or an address.
    pub(crate) fn fits(&self, host: &str) -> bool {
        let own = self.presented.cert.first();
        let parsed = own.and_then(|own| ParsedCertificate::try_from(own).ok());
        let name = ServerName::try_from(host.to_owned()).ok();
        parsed.zip(name).is_some_and(|(certificate, name)| {
            rustls::client::verify_server_name(&certificate, &name).is_ok()
        })
    }

    /// When it is time for the next one: a third of its time is left.
    pub(crate) fn renewal(&self) -> SystemTime {
        let lifetime = self.until.duration_since(self.from).unwrap_or_default();
        self.until - lifetime / 3
    }

    /// How long it is good from `now` on; `None` if it is over.
    pub(crate) fn left(&self, now: SystemTime) -> Option<Duration> {
        self.until.duration_since(now).ok().filter(|left| !left.is_zero())
    }

    /// Why browsers would not take it at `now`, if they would not for its times.
    pub(crate) fn untimely(&self, now: SystemTime) -> Option<String> {
        let shown = humantime::format_rfc3339_seconds;
        match self.left(now) {
            None => {
                Some(format!("the certificate was good until {}: it is over", shown(self.until)))
            }
            _ if now < self.from => {
                Some(format!("the certificate is good only from {} on", shown(self.from)))
            }
            _ => None,
        }
    }
}

impl fmt::Display for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = match self.names.is_empty() {
            true => "no names".to_owned(),
            false => self.names.join(", "),
        };
        write!(f, "for {names}, good until {}", humantime::format_rfc3339_seconds(self.until))
    }
}

/// Why a certificate and a key cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Mistake {
    /// Goes on after the name of the certificate's file.
    Certificate(String),
    /// Goes on after the name of the key's file.
    Key(String),
    NoPair,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Certificate(why) | Self::Key(why) => write!(f, "it {why}"),
            Self::NoPair => f.write_str("the key is not that of the certificate"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(names: &[&str]) -> (String, String) {
        let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
        let made = rcgen::generate_simple_self_signed(names).expect("a certificate");
        (made.cert.pem(), made.signing_key.serialize_pem())
    }

    #[test]
    fn a_pair_is_taken_with_its_names_and_times() {
        let (chain, key) = pair(&["talk.example", "*.rooms.example", "192.0.2.7"]);
        let certificate = Certificate::from_pem(chain.as_bytes(), key.as_bytes()).expect("a pair");
        assert_eq!(certificate.names, ["talk.example", "*.rooms.example"]);
        for (host, fits) in [
            ("talk.example", true),
            ("a.rooms.example", true),
            ("192.0.2.7", true),
            ("a.b.rooms.example", false),
            ("other.example", false),
            ("192.0.2.8", false),
        ] {
            assert_eq!(certificate.fits(host), fits, "{host}");
        }
        let (from, until) = (certificate.from, certificate.until);
        let second = Duration::from_secs(1);
        assert_eq!(certificate.untimely(from), None);
        assert!(certificate.untimely(from - second).expect("too early").contains("only from"));
        assert!(certificate.untimely(until).expect("too late").contains("is over"));
        assert!(from < certificate.renewal() && certificate.renewal() < until);
    }

    #[test]
    fn what_is_no_pair_is_told_by_the_file_to_blame_and_shows_no_key() {
        let folder = tempfile::tempdir().expect("a folder");
        let (first, second) = (pair(&["a.example"]), pair(&["a.example"]));
        let told = |chain: &str, key: &str| {
            let paths = ["cert.pem", "key.pem"].map(|name| folder.path().join(name));
            std::fs::write(&paths[0], chain).expect("a file");
            std::fs::write(&paths[1], key).expect("a file");
            let told = Certificate::read(&paths[0], &paths[1]).expect_err("no pair");
            assert!(!told.contains(key), "{told}");
            told.replace(&format!("{}/", folder.path().display()), "")
        };
        assert_eq!(
            told(&first.0, &second.1),
            "key.pem is not the key of the first certificate in cert.pem"
        );
        assert!(told("nothing", &first.1).starts_with("cert.pem holds no certificate in PEM"));
        assert!(told(&first.1, &first.1).starts_with("cert.pem holds no certificate in PEM"));
        assert!(told(&first.0, &first.0).starts_with("key.pem holds no private key in PEM"));
        assert!(told(&first.0, "471100").starts_with("key.pem holds no private key in PEM"));
        let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        let told = told(broken, &first.1);
        assert!(told.starts_with("cert.pem holds a certificate that cannot be"), "{told}");
        let told =
            Certificate::read(Path::new("/no/such"), Path::new("/no/such")).expect_err("none");
        assert!(told.starts_with("/no/such cannot be read: "), "{told}");
    }
}
