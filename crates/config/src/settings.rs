//! The declarations of sections: what parser, schema and environment go by.

use foldback_stage::ParamSpec;
use toml::de::DeTable;

use crate::auth::AuthConfig;
use crate::flight::FlightRecorderConfig;
use crate::limits::LimitsConfig;
use crate::log::LogConfig;
use crate::reader::Reader;
use crate::recording::{PlayingConfig, RecordingConfig};
use crate::rtp::RtpConfig;
use crate::sections::{LatencyMode, MetricsConfig, OpusConfig, ServerConfig};
use crate::tls::TlsConfig;
use crate::{Config, plugins};

/// The sections whose settings count from the start of the server to its end.
pub(crate) const AT_START: [Section; 5] = [
    ServerConfig::SECTION,
    OpusConfig::SECTION,
    LatencyMode::SECTION,
    LogConfig::SECTION,
    TlsConfig::SECTION,
];

/// Every section of settings, in the order of messages.
pub(crate) const ALL: [Section; 13] = {
    let [server, opus, latency, log, tls] = AT_START;
    [
        server,
        opus,
        latency,
        log,
        tls,
        MetricsConfig::SECTION,
        LimitsConfig::SECTION,
        AuthConfig::SECTION,
        RecordingConfig::SECTION,
        PlayingConfig::SECTION,
        FlightRecorderConfig::SECTION,
        RtpConfig::SECTION,
        plugins::SECTION,
    ]
};

/// A section `[name]` that may stand once in a file.
pub(crate) struct Section {
    pub(crate) name: &'static str,
    /// One sentence.
    pub(crate) about: &'static str,
    pub(crate) settings: &'static [Setting],
}

/// A key of a section.
pub(crate) struct Setting {
    /// Name, type, default and what it is for; of a list, type and default are an entry's.
    pub(crate) spec: ParamSpec,
    pub(crate) is_list: bool,
    /// Whether two configurations differ in it, so that only a restart brings the other.
    differs: fn(&Config, &Config) -> bool,
}

impl Setting {
    pub(crate) const fn one(spec: ParamSpec, differs: fn(&Config, &Config) -> bool) -> Self {
        Self { spec, is_list: false, differs }
    }

    pub(crate) const fn list(spec: ParamSpec, differs: fn(&Config, &Config) -> bool) -> Self {
        Self { spec, is_list: true, differs }
    }
}

impl Section {
    /// The section in a document, if it is there, with no key but those declared.
    pub(crate) fn read<'v, 'd>(
        &self,
        reader: &mut Reader<'_>,
        root: &'v DeTable<'d>,
    ) -> Option<&'v DeTable<'d>> {
        let table = reader.section(root, self.name)?;
        let keys: Vec<_> = self.settings.iter().map(|setting| setting.spec.name).collect();
        reader.known_keys(&format!("`[{}]`", self.name), table, &keys);
        Some(table)
    }
}

impl Config {
    /// The settings, as `section.key`, in which `other` differs and that count from the start of
    /// the server to its end: only a restart brings what `other` says. The file's order.
    #[must_use]
    pub fn needs_restart_for(&self, other: &Self) -> Vec<String> {
        let all = AT_START
            .iter()
            .flat_map(|section| section.settings.iter().map(|setting| (section.name, setting)));
        let differing = all.filter(|(_, setting)| (setting.differs)(self, other));
        differing.map(|(section, setting)| format!("{section}.{}", setting.spec.name)).collect()
    }
}
