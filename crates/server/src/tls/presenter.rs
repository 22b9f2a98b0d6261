//! What those who connect are shown: the certificate, and, while an authority looks whether a name is this server's, the
//! answer to it (TLS-ALPN-01, RFC 8737).

use std::collections::HashMap;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::SystemTime;

use axum_server::accept::Accept;
use axum_server::tls_rustls::{RustlsAcceptor, RustlsConfig};
use foldback_metrics::{CertificateOrigin, Metrics};
use rustls::ServerConfig;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio::io::{AsyncRead, AsyncWrite};

use super::certificate::Certificate;

/// As whoever looks whether a name is this server's announces itself.
const ACME_TLS: &[u8] = b"acme-tls/1";

/// Has what is presented to new connections. Those that are open go on with what they were shown.
#[derive(Debug)]
pub(crate) struct Presenter {
    origin: CertificateOrigin,
    metrics: Metrics,
    certificate: RwLock<Option<Certificate>>,
    /// By name.
    answers: Mutex<HashMap<String, Arc<CertifiedKey>>>,
}

impl Presenter {
    /// Presents nothing yet: whoever connects is hung up on.
    pub(crate) fn new(origin: CertificateOrigin, metrics: Metrics) -> Arc<Self> {
        metrics.certificate_expiry(origin, 0);
        Arc::new(Self {
            origin,
            metrics,
            certificate: RwLock::default(),
            answers: Mutex::default(),
        })
    }

    /// Presents this one from now on.
    pub(crate) fn present(&self, certificate: Certificate) {
        let until = certificate.until.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        self.metrics.certificate_expiry(self.origin, until.as_secs());
        *self.certificate.write().unwrap_or_else(PoisonError::into_inner) = Some(certificate);
    }

    /// The one that is presented.
    pub(crate) fn certificate(&self) -> Option<Certificate> {
        self.certificate.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Shows this to whoever looks whether `name` is this server's.
    pub(crate) fn answer(&self, name: &str, answer: Arc<CertifiedKey>) {
        self.answers().insert(name.to_owned(), answer);
    }

    /// Nobody looks any more.
    pub(crate) fn forget_answers(&self) {
        self.answers().clear();
    }

    fn answers(&self) -> MutexGuard<'_, HashMap<String, Arc<CertifiedKey>>> {
        self.answers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Accepts connections by TLS 1.2 and 1.3, for HTTP/1.1: see [`crate::only_http1`].
    pub(crate) fn acceptor(self: &Arc<Self>) -> Acceptor {
        let resolver = Arc::clone(self) as Arc<dyn ResolvesServerCert>;
        let mut config = ServerConfig::builder().with_no_client_auth().with_cert_resolver(resolver);
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        if self.origin == CertificateOrigin::Acme {
            config.alpn_protocols.push(ACME_TLS.to_vec());
        }
        Acceptor(RustlsAcceptor::new(RustlsConfig::from_config(Arc::new(config))))
    }
}

impl ResolvesServerCert for Presenter {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let asked = hello.alpn().map(Iterator::collect::<Vec<_>>);
        if asked.is_some_and(|asked| asked == [ACME_TLS]) {
            return self.answers().get(hello.server_name()?).cloned();
        }
        let certificate = self.certificate.read().unwrap_or_else(PoisonError::into_inner);
        certificate.as_ref().map(|certificate| Arc::clone(&certificate.presented))
    }
}

/// Lets connections in once they have shaken hands.
#[derive(Clone, Debug)]
pub(crate) struct Acceptor(RustlsAcceptor);

type Accepted<I, S> =
    (<RustlsAcceptor as Accept<I, S>>::Stream, <RustlsAcceptor as Accept<I, S>>::Service);

impl<I, S> Accept<I, S> for Acceptor
where
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    S: Send + 'static,
{
    type Stream = <RustlsAcceptor as Accept<I, S>>::Stream;
    type Service = <RustlsAcceptor as Accept<I, S>>::Service;
    type Future = Pin<Box<dyn Future<Output = io::Result<Accepted<I, S>>> + Send>>;

    fn accept(&self, stream: I, service: S) -> Self::Future {
        let accepting = self.0.accept(stream, service);
        Box::pin(async move {
            let (stream, service) = accepting.await?;
            // Whoever looked has seen what they came for, and is told nothing else (RFC 8737, section 3).
            if stream.get_ref().1.alpn_protocol() == Some(ACME_TLS) {
                return Err(io::Error::other("a certificate authority looked"));
            }
            Ok((stream, service))
        })
    }
}
