//! `foldback token create`: invitations.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, Subcommand};
use foldback_config::{AuthConfig, RoomPattern, Secret};

use crate::auth::{Claims, Role, Signer, now, sign};
use crate::{config_file, names};

#[derive(Debug, Subcommand)]
pub(crate) enum TokenCommand {
    /// Make a token, and print it, or with --url the link to send to whoever is invited.
    ///
    /// It is signed by the first secret of the file's `token_secret_file`, by another one (--secret-file), or by the private key that
    /// belongs to one of `token_public_key_files` (--private-key).
    Create(CreateOptions),
}

#[derive(Debug, Args)]
pub(crate) struct CreateOptions {
    /// The room, or a pattern as in `[[room]]`, like "team-*".
    #[arg(long, value_name = "ROOM", value_parser = room)]
    room: String,
    /// What whoever comes is called; without it they choose.
    #[arg(long, value_name = "NAME", value_parser = names::check_person)]
    name: Option<String>,
    /// What they may.
    #[arg(long, value_enum, default_value_t = Role::Talker)]
    role: Role,
    /// How many may be in by it at a time; without it as many as come.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    max: Option<u32>,
    /// For how long they may come in by it: 90min, 8h, 7days. Who is in stays in.
    #[arg(long = "for", value_name = "TIME", default_value = "24h", value_parser = lifetime)]
    lifetime: Duration,
    /// The TOML file with `token_secret_file` in its `[auth]`.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// A file with the secret, in its first line.
    #[arg(long, value_name = "FILE", conflicts_with = "config")]
    secret_file: Option<PathBuf>,
    /// A file with an Ed25519 private key in PEM.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["config", "secret_file"])]
    private_key: Option<PathBuf>,
    /// The server's address, like https://talk.example: prints the link.
    #[arg(long, value_name = "URL")]
    url: Option<String>,
}

/// Runs it.
///
/// # Errors
/// A sentence.
#[allow(clippy::print_stdout, reason = "this is the command line")]
pub(crate) fn run(command: &TokenCommand) -> Result<(), String> {
    let TokenCommand::Create(options) = command;
    let made = now();
    let claims = Claims {
        room: options.room.clone(),
        name: options.name.clone(),
        role: options.role,
        max: options.max.map(|max| usize::try_from(max).unwrap_or(usize::MAX)),
        exp: made.saturating_add(options.lifetime.as_secs()),
        iat: Some(made),
    };
    let token = sign(&claims, &options.signer()?)?;
    match &options.url {
        Some(url) => println!("{}", link(url, &options.room, &token)?),
        None => println!("{token}"),
    }
    Ok(())
}

impl CreateOptions {
    fn signer(&self) -> Result<Signer, String> {
        if let Some(file) = &self.private_key {
            return Ok(Signer::PrivateKey(Secret::from(text_of(file)?)));
        }
        let mut secrets = match (&self.secret_file, &self.config) {
            (Some(file), _) => AuthConfig::secrets_of(&text_of(file)?)
                .map_err(|sentence| format!("{} {sentence}", file.display()))?,
            (None, Some(file)) => config_file::read(file)?.auth.token_secrets,
            (None, None) => {
                return Err("what signs the token? Give --config, --secret-file or --private-key"
                    .to_owned());
            }
        };
        if secrets.is_empty() {
            return Err("the file has no `token_secret_file` in [auth]; give --private-key for a token by EdDSA".to_owned());
        }
        Ok(Signer::Secret(secrets.swap_remove(0)))
    }
}

fn text_of(file: &Path) -> Result<String, String> {
    std::fs::read_to_string(file)
        .map_err(|error| format!("cannot read {}: {error}", file.display()))
}

/// The token stands behind a `#`, which browsers send to no server.
fn link(url: &str, room: &str, token: &str) -> Result<String, String> {
    if room.contains('*') {
        return Err("a link leads to one room; leave --url out for a pattern".to_owned());
    }
    let mut link = url::Url::parse(url).map_err(|error| format!("--url is {url:?}: {error}"))?;
    if !matches!(link.scheme(), "http" | "https") {
        return Err(format!("--url is {url:?}, must begin with https:// or http://"));
    }
    if let Ok(mut path) = link.path_segments_mut() {
        path.pop_if_empty().push("r").push(room);
    }
    link.set_query(None);
    link.set_fragment(Some(&format!("token={token}")));
    Ok(link.into())
}

fn room(text: &str) -> Result<String, &'static str> {
    RoomPattern::new(text).map(|pattern| pattern.to_string())
}

fn lifetime(text: &str) -> Result<Duration, String> {
    let time = humantime::parse_duration(text).map_err(|error| error.to_string())?;
    if time.is_zero() { Err("must be longer than nothing".to_owned()) } else { Ok(time) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_leads_to_the_room_with_the_token_where_no_server_sees_it() {
        let to = |url, room| link(url, room, "a.b.c");
        let lobby = "https://talk.example/r/lobby#token=a.b.c";
        assert_eq!(to("https://talk.example", "lobby").as_deref(), Ok(lobby));
        assert_eq!(to("https://talk.example/", "lobby").as_deref(), Ok(lobby));
        let cafe = "http://localhost:8080/r/caf%C3%A9%2Fa%20b#token=a.b.c";
        assert_eq!(to("http://localhost:8080", "café/a b").as_deref(), Ok(cafe));
        for wrong in ["talk.example", "ftp://talk.example", ""] {
            assert!(to(wrong, "lobby").is_err(), "{wrong}");
        }
        assert!(to("https://talk.example", "team-*").is_err());
    }
}
