//! `--dev-tls`: HTTPS with a certificate made on the spot.
//!
//! Browsers give a page the microphone only on localhost or over HTTPS; with this another device
//! of the house can join, after one click through its browser's warning.

use std::net::IpAddr;

use axum_server::tls_rustls::RustlsConfig;

use crate::serve::ServeError;

pub(crate) async fn self_made(addresses: &[IpAddr]) -> Result<RustlsConfig, ServeError> {
    // Fails only if a provider was installed before, which serves as well.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let names = std::iter::once("localhost".to_owned());
    let names: Vec<String> = names.chain(addresses.iter().map(IpAddr::to_string)).collect();
    let made = rcgen::generate_simple_self_signed(names)
        .map_err(|error| ServeError::new(format!("cannot make a certificate: {error}")))?;
    let (certificate, key) = (made.cert.der().to_vec(), made.signing_key.serialize_der());
    RustlsConfig::from_der(vec![certificate], key)
        .await
        .map_err(|error| ServeError::new(format!("cannot use the certificate made: {error}")))
}
