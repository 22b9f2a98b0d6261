//! Settings from variables of the environment, each named after its section and key.

use std::ffi::{OsStr, OsString};

use foldback_stage::ParamType;
use toml::Value;

use crate::Config;
use crate::reader::Reader;
use crate::sections;
use crate::settings::{AT_START, Setting};
use crate::{log, names, tls};

/// What the name of each variable begins with.
const PREFIX: &str = "FOLDBACK_";

/// A variable that sets a setting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Variable {
    /// `FOLDBACK_SERVER_LISTEN` for `listen` in `[server]`.
    pub name: String,
    /// What it sets, in a sentence or two.
    pub about: String,
}

/// Every variable that [`Config::set_from_environment`] asks for, in the order of the sections.
#[must_use]
pub fn environment_variables() -> Vec<Variable> {
    let about = |setting: &Setting| match setting.is_list {
        true => format!("{} With commas in between.", setting.spec.about),
        false => setting.spec.about.to_owned(),
    };
    all().map(|(section, it)| Variable { name: name(section, it), about: about(it) }).collect()
}

/// Of the variables called `names` those that were probably meant to set something and do not, a
/// sentence each: all that begin as settings do, but `others` and what Kubernetes tells of services.
#[must_use]
pub fn unknown_variables(names: &[String], others: &[&str]) -> Vec<String> {
    let settings: Vec<_> = all().map(|(section, it)| name(section, it)).collect();
    let is_known = |name: &str| others.contains(&name) || settings.iter().any(|it| it == name);
    let services: Vec<_> = names.iter().filter_map(|it| it.strip_suffix("_SERVICE_HOST")).collect();
    let is_of_service = |name: &str| {
        let mut rests = services.iter().filter_map(|service| name.strip_prefix(service));
        rests.any(|rest| rest.starts_with("_SERVICE_") || rest.starts_with("_PORT"))
    };
    let ours = names.iter().filter(|name| name.starts_with(PREFIX));
    let unknown = ours.filter(|name| !is_known(name) && !is_of_service(name));
    unknown.map(|name| format!("{name} sets nothing{}", help(name, &settings))).collect()
}

/// Which setting was meant, if one is near enough; else where they are listed.
fn help(name: &str, settings: &[String]) -> String {
    // What all begin with would make any two alike.
    let wanted = name.trim_start_matches(PREFIX);
    let settings = || settings.iter().map(|setting| setting.trim_start_matches(PREFIX));
    let is_key = |setting: &&str| setting.split_once('_').is_some_and(|(_, key)| key == wanted);
    match settings().find(is_key).or_else(|| names::nearest(wanted, settings())) {
        Some(near) => format!(": did you mean {PREFIX}{near}?"),
        None => "; `foldback serve --help` lists what does".to_owned(),
    }
}

impl Config {
    /// Sets what `variable` has: text and words as they are, lists with commas.
    ///
    /// # Errors
    /// Every variable with a value that is not allowed, by its name, a line each.
    pub fn set_from_environment(
        &mut self,
        variable: impl Fn(&str) -> Option<OsString>,
    ) -> Result<(), String> {
        let mut mistakes = Vec::new();
        for (section, setting) in all() {
            let name = name(section, setting);
            let Some(value) = variable(&name) else { continue };
            let text = document(section, setting, &value);
            let mut reader = Reader::new(&text);
            let root = reader.document().unwrap_or_default();
            // Without a folder to look from, paths are the caller's own.
            sections::read_server(&mut reader, &root, "", &mut self.server);
            sections::read_opus(&mut reader, &root, &mut self.opus);
            sections::read_latency(&mut reader, &root, &mut self.latency);
            log::read(&mut reader, &root, &mut self.log);
            tls::read(&mut reader, &root, "", &mut self.tls);
            mistakes.extend(reader.into_sentences().map(|mistake| format!("{name}: {mistake}")));
        }
        if mistakes.is_empty() { Ok(()) } else { Err(mistakes.join("\n")) }
    }
}

fn all() -> impl Iterator<Item = (&'static str, &'static Setting)> {
    AT_START.iter().flat_map(|section| section.settings.iter().map(|it| (section.name, it)))
}

/// A file that says what a variable does.
pub(crate) fn document(section: &str, setting: &Setting, value: &OsStr) -> String {
    let value = written(setting, &value.to_string_lossy());
    format!("[{section}]\n{} = {value}\n", setting.spec.name)
}

pub(crate) fn name(section: &str, setting: &Setting) -> String {
    format!("{PREFIX}{section}_{}", setting.spec.name).to_uppercase()
}

/// The value as TOML has it. What looks like a number or a switch is one where text is not asked for.
fn written(setting: &Setting, value: &str) -> Value {
    let text = |text: &str| Value::String(text.to_owned());
    if setting.is_list {
        let entries = value.split(',').map(str::trim).filter(|entry| !entry.is_empty());
        return Value::Array(entries.map(text).collect());
    }
    match setting.spec.ty {
        ParamType::Choice { .. } | ParamType::Text { .. } => text(value),
        ParamType::Bool { .. } => value.parse().map_or_else(|_| text(value), Value::Boolean),
        ParamType::Int { .. } => value.parse().map_or_else(|_| text(value), Value::Integer),
        ParamType::Float { .. } => value.parse().map_or_else(|_| text(value), Value::Float),
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use foldback_chain::Registry;

    use super::*;
    use crate::LatencyMode;

    const FILE: &str = "[chain.a]\nstages = []\n[server]\nmedia_port = 9000\nworkers = 2\n";

    fn with(variables: &[(&str, &str)]) -> Result<Config, String> {
        let mut config = Config::parse(FILE, "t.toml", &Registry::new(&[])).expect("valid");
        let value = |name: &str| {
            let found = variables.iter().find(|(variable, _)| *variable == name);
            found.map(|(_, value)| OsString::from(value))
        };
        config.set_from_environment(value).map(|()| config)
    }

    #[test]
    fn a_variable_stands_above_the_file_and_the_file_above_the_default() {
        let config = with(&[
            ("FOLDBACK_SERVER_LISTEN", "0.0.0.0:80"),
            ("FOLDBACK_SERVER_PUBLIC_ADDRESSES", "203.0.113.7, 127.0.0.1"),
            ("FOLDBACK_SERVER_WORKERS", "3"),
            ("FOLDBACK_SERVER_WATCH_CONFIG", "false"),
            ("FOLDBACK_OPUS_COMPLEXITY", "2"),
            ("FOLDBACK_LATENCY_MODE", "low"),
        ]);
        let config = config.expect("valid");
        let server = &config.server;
        assert_eq!(server.listen.to_string(), "0.0.0.0:80");
        let addresses = [IpAddr::from([203, 0, 113, 7]), IpAddr::from([127, 0, 0, 1])];
        assert_eq!(server.public_addresses, addresses);
        assert_eq!((server.media_port, server.workers, server.watch_config), (9000, 3, false));
        assert_eq!((config.opus.complexity, config.opus.bitrate_bps), (2, 80_000));
        assert_eq!(config.latency, LatencyMode::Low);
    }

    #[test]
    fn a_value_that_is_not_allowed_is_told_by_the_name_of_its_variable() {
        for (name, value, told) in [
            ("FOLDBACK_SERVER_WORKERS", "many", "`workers` is \"many\", must be a whole number"),
            ("FOLDBACK_SERVER_WORKERS", "65", "`workers` is 65, must be a whole number"),
            ("FOLDBACK_SERVER_MEDIA_PORT", "65535", "`media_port` is 65535, must be at most 65534"),
            ("FOLDBACK_SERVER_LISTEN", "8080", "`listen` is \"8080\", must be an IP address"),
            ("FOLDBACK_SERVER_PUBLIC_ADDRESSES", "::", "a public address is \"::\", must be"),
            ("FOLDBACK_SERVER_WATCH_CONFIG", "no", "`watch_config` is \"no\", must be true or"),
            ("FOLDBACK_LATENCY_MODE", "lo", "`mode` is \"lo\", must be \"low\", \"balanced\""),
        ] {
            let found = with(&[(name, value)]).expect_err(value);
            assert!(found.starts_with(&format!("{name}: {told}")), "{found}");
        }
        let both = [("FOLDBACK_SERVER_WORKERS", ""), ("FOLDBACK_OPUS_COMPLEXITY", "11")];
        assert_eq!(with(&both).expect_err("two mistakes").lines().count(), 2);
    }

    #[test]
    fn a_variable_that_sets_nothing_is_told_with_the_one_that_was_meant() {
        for (name, told) in [
            ("FOLDBACK_SERVER_LISTN", ": did you mean FOLDBACK_SERVER_LISTEN?"),
            ("FOLDBACK_LISTEN", ": did you mean FOLDBACK_SERVER_LISTEN?"),
            ("FOLDBACK_OPUS_BITRATE", ": did you mean FOLDBACK_OPUS_BITRATE_BPS?"),
            ("FOLDBACK_WORKERS", ": did you mean FOLDBACK_SERVER_WORKERS?"),
            ("FOLDBACK_METRICS_PARTICIPANT_READINGS", "; `foldback serve --help` lists what does"),
        ] {
            let expected = [format!("{name} sets nothing{told}")];
            assert_eq!(unknown_variables(&[name.to_owned()], &[]), expected);
        }
    }

    #[test]
    fn variables_of_others_and_those_that_set_something_are_not_told() {
        let names = [
            "FOLDBACK_SERVER_LISTEN",
            "FOLDBACK_OPERATOR_TOKEN",
            "FOLDBACK_SERVER_SERVICE_HOST",
            "FOLDBACK_SERVER_SERVICE_PORT_HTTP",
            "FOLDBACK_SERVER_PORT",
            "FOLDBACK_SERVER_PORT_8080_TCP_ADDR",
            "HOME",
        ];
        let names = names.map(str::to_owned);
        let none: [&str; 0] = [];
        assert_eq!(unknown_variables(&names, &["FOLDBACK_OPERATOR_TOKEN"]), none);
    }

    #[test]
    fn every_setting_has_its_variable() {
        let variables = environment_variables();
        let names: Vec<_> = variables.iter().map(|variable| variable.name.as_str()).collect();
        assert!(names.contains(&"FOLDBACK_OPUS_EXPECTED_LOSS_PERCENT"), "{names:?}");
        assert_eq!(names.len(), all().count());
    }
}
