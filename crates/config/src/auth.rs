//! The section `[auth]`: who may come in at all.

use foldback_stage::{ParamSpec, Params};
use toml::de::DeTable;

use crate::reader::{Reader, Value};
use crate::secret::Secret;
use crate::sections::{is_given, set_int};
use crate::settings::{Section, Setting};

/// Section `[auth]`. All of it counts at once when the file is read again, for whoever comes from then on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuthConfig {
    /// Whether whoever reaches the server may join rooms without a PIN. Default false: where there are no keys either, this
    /// machine alone may.
    pub open: bool,
    /// Pages of which other sites may join, as `https://example.org`.
    pub allowed_origins: Vec<String>,
    /// What tokens may be signed with by HS256, from `token_secret_file`. The first one is what tokens are made with.
    pub token_secrets: Vec<Secret>,
    /// Whose tokens are taken that are signed by EdDSA: Ed25519 public keys in PEM, from `token_public_key_files`, with where
    /// each is from.
    pub token_public_keys: Vec<(String, String)>,
    /// How far the clocks of those who make tokens may be off, in s. Default 30.
    pub token_leeway_s: u64,
}

impl AuthConfig {
    /// The shortest secret, in bytes: as long as what HS256 makes of it (RFC 7518, section 3.2).
    pub const MIN_SECRET_BYTES: usize = 32;

    /// The declaration of `open`.
    pub const OPEN: ParamSpec = ParamSpec::bool(
        "open",
        false,
        "Whether whoever reaches the server may join rooms without a PIN.",
    );

    /// The declaration of an entry of `allowed_origins`.
    pub const ALLOWED_ORIGINS: ParamSpec = ParamSpec::text(
        "allowed_origins",
        "",
        "Other sites whose pages may join, like https://example.org; the server's own always may.",
    );

    /// The declaration of `token_secret_file`.
    pub const TOKEN_SECRET_FILE: ParamSpec = ParamSpec::text(
        "token_secret_file",
        "",
        "A file with the secrets that tokens are signed with by HS256, one a line, as a path from the \
         folder of this file.",
    );

    /// The declaration of an entry of `token_public_key_files`.
    pub const TOKEN_PUBLIC_KEY_FILES: ParamSpec = ParamSpec::text(
        "token_public_key_files",
        "",
        "Files with Ed25519 public keys in PEM, whose tokens are taken, as paths from the folder of \
         this file.",
    );

    /// The declaration of `token_leeway_s`.
    pub const TOKEN_LEEWAY_S: ParamSpec = ParamSpec::int(
        "token_leeway_s",
        "s",
        0,
        600,
        30,
        "How far the clocks of those who make tokens may be off.",
    );

    /// The section.
    pub(crate) const SECTION: Section = Section {
        name: "auth",
        about: "Who may come in at all.",
        settings: &[
            Setting::one(Self::OPEN, |a, b| a.auth.open != b.auth.open),
            Setting::list(Self::ALLOWED_ORIGINS, |a, b| {
                a.auth.allowed_origins != b.auth.allowed_origins
            }),
            Setting::one(Self::TOKEN_SECRET_FILE, |a, b| {
                a.auth.token_secrets != b.auth.token_secrets
            }),
            Setting::list(Self::TOKEN_PUBLIC_KEY_FILES, |a, b| {
                a.auth.token_public_keys != b.auth.token_public_keys
            }),
            Setting::one(Self::TOKEN_LEEWAY_S, |a, b| {
                a.auth.token_leeway_s != b.auth.token_leeway_s
            }),
        ],
    };

    const PARAMS: &'static [ParamSpec] = &[Self::OPEN, Self::TOKEN_LEEWAY_S];

    fn set(&mut self, given: &Params) {
        if is_given(given, &Self::OPEN) {
            self.open = given.bool(&Self::OPEN);
        }
        set_int(&mut self.token_leeway_s, given, &Self::TOKEN_LEEWAY_S);
    }

    /// Whether tokens are taken.
    #[must_use]
    pub fn has_keys(&self) -> bool {
        !self.token_secrets.is_empty() || !self.token_public_keys.is_empty()
    }

    /// The secrets that `text` holds, one a line.
    ///
    /// # Errors
    /// What is wrong with them, without showing them.
    pub fn secrets_of(text: &str) -> Result<Vec<Secret>, String> {
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        let secrets: Vec<_> = lines.map(|line| Secret::from(line.to_owned())).collect();
        let short = secrets.iter().find(|it| it.expose().len() < Self::MIN_SECRET_BYTES);
        let found = match (secrets.is_empty(), short) {
            (true, _) => "holds no secret".to_owned(),
            (_, Some(short)) => format!("holds a secret of {} bytes", short.expose().len()),
            _ => return Ok(secrets),
        };
        let most = Self::MIN_SECRET_BYTES;
        Err(format!(
            "{found}, must hold one of {most} bytes or more in each line, like the output of \
             `openssl rand -hex 32`"
        ))
    }
}

impl Default for AuthConfig {
    fn default() -> Self {
        let mut auth = Self {
            open: false,
            allowed_origins: Vec::new(),
            token_secrets: Vec::new(),
            token_public_keys: Vec::new(),
            token_leeway_s: 0,
        };
        auth.set(&Params::defaults(Self::PARAMS));
        auth
    }
}

/// Reads `[auth]` of `file`, and the files that it names; what it does not give stays in `auth`.
pub(crate) fn read(reader: &mut Reader<'_>, root: &DeTable<'_>, file: &str, auth: &mut AuthConfig) {
    let Some(table) = AuthConfig::SECTION.read(reader, root) else { return };
    auth.set(&reader.given(table, AuthConfig::PARAMS));
    if let Some(value) = table.get(AuthConfig::ALLOWED_ORIGINS.name) {
        auth.allowed_origins = read_origins(reader, value);
    }
    let key = AuthConfig::TOKEN_SECRET_FILE.name;
    if let Some(value) = table.get(key)
        && let Some((shown, text)) = reader.file(key, value, file)
    {
        match AuthConfig::secrets_of(&text) {
            Ok(secrets) => auth.token_secrets = secrets,
            Err(sentence) => reader.refuse_plainly(value.span(), format!("{shown} {sentence}")),
        }
    }
    let key = AuthConfig::TOKEN_PUBLIC_KEY_FILES.name;
    if let Some(value) = table.get(key) {
        let allowed = "must be a list of paths, like [\"tokens.pem\"]";
        let items = reader.list(key, value, allowed).into_iter().flatten();
        auth.token_public_keys = items.filter_map(|item| reader.file(key, item, file)).collect();
    }
}

fn read_origins(reader: &mut Reader<'_>, value: &Value<'_>) -> Vec<String> {
    let allowed = "must be a list of origins, like [\"https://example.org\"]";
    let key = AuthConfig::ALLOWED_ORIGINS.name;
    let Some(items) = reader.list(key, value, allowed) else { return Vec::new() };
    let mut origins = Vec::new();
    for item in items {
        let text = item.get_ref().as_str().unwrap_or_default();
        let host = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
        if host.is_some_and(|host| !host.is_empty() && !host.contains(['/', '?', '#', '*', ' '])) {
            origins.push(text.to_lowercase());
        } else {
            let found = format!("an allowed origin is {}", reader.shown(item));
            let allowed = "must be a scheme and a host, like \"https://example.org\" or \
                           \"http://localhost:5173\", without a path";
            reader.refuse(item.span(), found, allowed, None);
        }
    }
    origins
}
