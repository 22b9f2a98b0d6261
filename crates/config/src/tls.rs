//! The section `[tls]`: by which certificate the page is served over HTTPS.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use foldback_stage::{ParamSpec, Params};
use toml::de::DeTable;

use crate::reader::{Reader, Value};
use crate::sections::is_given;
use crate::settings::{Section, Setting};

/// Section `[tls]`. Without `certificate_file` and `acme_domains` the page is served over plain HTTP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsConfig {
    /// The certificate and its chain, in PEM, the server's own first.
    pub certificate_file: Option<PathBuf>,
    /// The key of the certificate, in PEM.
    pub key_file: Option<PathBuf>,
    /// The names that a certificate is had for by ACME (RFC 8555); none: it is not asked for.
    pub acme_domains: Vec<String>,
    /// Where the authority writes about certificates.
    pub acme_email: Option<String>,
    /// The directory of the authority, a URL. Default: that of Let's Encrypt.
    pub acme_directory: String,
    /// The folder in which account and certificate are kept.
    pub acme_cache: Option<PathBuf>,
    /// Whether the authority's terms of service are agreed to. Without that it gives none.
    pub acme_agree_terms: bool,
    /// The certificate, in PEM, that the directory's own is trusted by. `None`: those that the system trusts.
    pub acme_ca_file: Option<PathBuf>,
}

/// Where the server's certificate comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CertificateSource<'a> {
    /// There is none: plain HTTP.
    None,
    /// Certificate and key are files.
    Files(&'a Path, &'a Path),
    /// By ACME; account and certificate are kept in this folder.
    Acme(&'a Path),
}

impl TlsConfig {
    /// The declaration of `certificate_file`.
    pub const CERTIFICATE_FILE: ParamSpec = ParamSpec::text(
        "certificate_file",
        "",
        "A file with the server's certificate and its chain in PEM, as a path from the folder of this file; it is read \
         again when it changes.",
    );

    /// The declaration of `key_file`.
    pub const KEY_FILE: ParamSpec = ParamSpec::text(
        "key_file",
        "",
        "A file with the key of the certificate in PEM, as a path from the folder of this file.",
    );

    /// The declaration of an entry of `acme_domains`.
    pub const ACME_DOMAINS: ParamSpec = ParamSpec::text(
        "acme_domains",
        "",
        "Names for which the server gets itself a certificate by ACME, such as from Let's Encrypt.",
    );

    /// The declaration of `acme_email`.
    pub const ACME_EMAIL: ParamSpec = ParamSpec::text(
        "acme_email",
        "",
        "Where the certificate authority may write about the certificate.",
    );

    /// The declaration of `acme_directory`.
    pub const ACME_DIRECTORY: ParamSpec = ParamSpec::text(
        "acme_directory",
        "https://acme-v02.api.letsencrypt.org/directory",
        "The directory of the certificate authority; by default that of Let's Encrypt.",
    );

    /// The declaration of `acme_cache`.
    pub const ACME_CACHE: ParamSpec = ParamSpec::text(
        "acme_cache",
        "",
        "The folder in which account and certificate are kept, as a path from the folder of this file; it is made.",
    );

    /// The declaration of `acme_agree_terms`.
    pub const ACME_AGREE_TERMS: ParamSpec = ParamSpec::bool(
        "acme_agree_terms",
        false,
        "Whether you agree to the terms of service of the certificate authority, which it asks for.",
    );

    /// The declaration of `acme_ca_file`.
    pub const ACME_CA_FILE: ParamSpec = ParamSpec::text(
        "acme_ca_file",
        "",
        "A file with the certificate, in PEM, by which a certificate authority of your own is trusted, as a path from \
         the folder of this file.",
    );

    /// The section.
    pub(crate) const SECTION: Section = Section {
        name: "tls",
        about: "By which certificate the page is served over HTTPS.",
        settings: &[
            Setting::one(Self::CERTIFICATE_FILE, |a, b| {
                a.tls.certificate_file != b.tls.certificate_file
            }),
            Setting::one(Self::KEY_FILE, |a, b| a.tls.key_file != b.tls.key_file),
            Setting::list(Self::ACME_DOMAINS, |a, b| a.tls.acme_domains != b.tls.acme_domains),
            Setting::one(Self::ACME_EMAIL, |a, b| a.tls.acme_email != b.tls.acme_email),
            Setting::one(Self::ACME_DIRECTORY, |a, b| a.tls.acme_directory != b.tls.acme_directory),
            Setting::one(Self::ACME_CACHE, |a, b| a.tls.acme_cache != b.tls.acme_cache),
            Setting::one(Self::ACME_AGREE_TERMS, |a, b| {
                a.tls.acme_agree_terms != b.tls.acme_agree_terms
            }),
            Setting::one(Self::ACME_CA_FILE, |a, b| a.tls.acme_ca_file != b.tls.acme_ca_file),
        ],
    };

    const PARAMS: &'static [ParamSpec] = &[Self::ACME_AGREE_TERMS];

    fn set(&mut self, given: &Params) {
        if is_given(given, &Self::ACME_AGREE_TERMS) {
            self.acme_agree_terms = given.bool(&Self::ACME_AGREE_TERMS);
        }
    }

    /// Where the certificate comes from.
    ///
    /// # Errors
    /// What does not go together: the key to blame, and a sentence.
    pub fn source(&self) -> Result<CertificateSource<'_>, (&'static str, &'static str)> {
        let Self { certificate_file, key_file, acme_cache, .. } = self;
        match (certificate_file, key_file) {
            (Some(_), None) => {
                return Err((Self::CERTIFICATE_FILE.name, "`certificate_file` needs a `key_file`"));
            }
            (None, Some(_)) => {
                return Err((Self::KEY_FILE.name, "`key_file` needs a `certificate_file`"));
            }
            (Some(certificate), Some(key)) if self.acme_domains.is_empty() => {
                return Ok(CertificateSource::Files(certificate, key));
            }
            (Some(_), Some(_)) => {
                let sentence = "a certificate comes from `certificate_file` or by `acme_domains`, \
                                not from both";
                return Err((Self::ACME_DOMAINS.name, sentence));
            }
            (None, None) => {}
        }
        match acme_cache {
            _ if self.acme_domains.is_empty() => Ok(CertificateSource::None),
            _ if !self.acme_agree_terms => {
                let sentence = "`acme_domains` needs `acme_agree_terms = true`: a certificate \
                                authority asks whether you agree to its terms of service";
                Err((Self::ACME_DOMAINS.name, sentence))
            }
            Some(cache) => Ok(CertificateSource::Acme(cache)),
            None => {
                let sentence = "`acme_domains` needs `acme_cache`, a folder in which the \
                                certificate is kept: authorities give few in a week";
                Err((Self::ACME_DOMAINS.name, sentence))
            }
        }
    }
}

impl Default for TlsConfig {
    fn default() -> Self {
        let directory = Params::defaults(&[Self::ACME_DIRECTORY]).text(&Self::ACME_DIRECTORY);
        Self {
            certificate_file: None,
            key_file: None,
            acme_domains: Vec::new(),
            acme_email: None,
            acme_directory: directory.to_string(),
            acme_cache: None,
            acme_agree_terms: false,
            acme_ca_file: None,
        }
    }
}

/// Reads `[tls]` of `file`; what it does not give stays in `tls`. Whether it goes together says
/// [`TlsConfig::source`].
pub(crate) fn read(reader: &mut Reader<'_>, root: &DeTable<'_>, file: &str, tls: &mut TlsConfig) {
    let Some(table) = TlsConfig::SECTION.read(reader, root) else { return };
    tls.set(&reader.given(table, TlsConfig::PARAMS));
    let folder = Path::new(file).parent().unwrap_or(Path::new(""));
    for (spec, slot) in [
        (TlsConfig::CERTIFICATE_FILE, &mut tls.certificate_file),
        (TlsConfig::KEY_FILE, &mut tls.key_file),
        (TlsConfig::ACME_CACHE, &mut tls.acme_cache),
        (TlsConfig::ACME_CA_FILE, &mut tls.acme_ca_file),
    ] {
        if let Some(value) = table.get(spec.name)
            && let Some(path) = reader.text(spec.name, value, "must be a path")
        {
            *slot = Some(folder.join(path));
        }
    }
    let key = TlsConfig::ACME_EMAIL.name;
    if let Some(value) = table.get(key) {
        let text = value.get_ref().as_str().unwrap_or_default();
        match text.split_once('@') {
            Some((who, host)) if !who.is_empty() && is_host(host) => {
                tls.acme_email = Some(text.to_owned());
            }
            _ => {
                let allowed = "must be an address like \"admin@example.org\"";
                reader.refuse_value(key, value, allowed, None);
            }
        }
    }
    let key = TlsConfig::ACME_DIRECTORY.name;
    if let Some(value) = table.get(key) {
        let text = value.get_ref().as_str().unwrap_or_default();
        if text.strip_prefix("https://").is_some_and(|rest| !rest.is_empty()) {
            tls.acme_directory = text.to_owned();
        } else {
            let allowed = "must be a URL like \"https://acme-v02.api.letsencrypt.org/directory\"";
            reader.refuse_value(key, value, allowed, None);
        }
    }
    if let Some(value) = table.get(TlsConfig::ACME_DOMAINS.name) {
        tls.acme_domains = read_domains(reader, value);
    }
}

/// Notes what does not go together in `[tls]` of the document, if no part of it is wrong by itself.
pub(crate) fn check(reader: &mut Reader<'_>, root: &DeTable<'_>, tls: &TlsConfig) {
    let table = root.get(TlsConfig::SECTION.name).and_then(|it| it.get_ref().as_table());
    if let Err((key, sentence)) = tls.source()
        && let Some(value) = table.and_then(|table| table.get(key))
    {
        reader.refuse_plainly(value.span(), sentence);
    }
}

fn read_domains(reader: &mut Reader<'_>, value: &Value<'_>) -> Vec<String> {
    let allowed = "must be a list of names, like [\"talk.example.org\"]";
    let key = TlsConfig::ACME_DOMAINS.name;
    let Some(items) = reader.list(key, value, allowed) else { return Vec::new() };
    let mut domains = Vec::new();
    for item in items {
        let domain = item.get_ref().as_str().unwrap_or_default().to_lowercase();
        if is_host(&domain) && !domains.contains(&domain) {
            domains.push(domain);
            continue;
        }
        let found = format!("one of `{key}` is {}", reader.shown(item));
        let allowed = match domain {
            _ if domains.contains(&domain) => "must stand there once",
            _ if domain.starts_with("*.") => {
                "must be a single name: `*` is given only to who shows that the whole domain is theirs, so have another \
                 program do that, and give its files"
            }
            _ => "must be a name like \"talk.example.org\", no address and no URL",
        };
        reader.refuse(item.span(), found, allowed, None);
    }
    domains
}

/// Whether `text` is the name of a host (RFC 1123, section 2.1), and no address.
fn is_host(text: &str) -> bool {
    let is_label = |label: &str| {
        let plain = label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        plain && (1..=63).contains(&label.len()) && !label.starts_with('-') && !label.ends_with('-')
    };
    text.len() <= 253 && text.split('.').all(is_label) && text.parse::<IpAddr>().is_err()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_hosts_are_taken_and_no_others() {
        for good in ["a.example", "xn--bcher-kva.example", "localhost", "1.a"] {
            assert!(is_host(good), "{good}");
        }
        let long = format!("{}.example", "a".repeat(64));
        for bad in ["", "*.example", "a..b", "-a.example", "10.0.0.7", "a b", "a:443", &long] {
            assert!(!is_host(bad), "{bad}");
        }
    }
}
