//! The log, on standard error.

use std::io::IsTerminal;

use foldback_config::{LogConfig, LogFormat};
use tracing::Level;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, fmt};

/// What str0m tells at info matters to its developers only.
const OTHERS: &str = "str0m=warn,is=warn";

/// Begins to write it; RUST_LOG stands above the configured level. Once in a process.
pub(crate) fn start(config: &LogConfig) {
    let configured = || EnvFilter::new(format!("{OTHERS},{}", config.level));
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| configured());
    let stderr = std::io::stderr;
    let lines = match config.format {
        LogFormat::Text => {
            fmt::layer().with_ansi(stderr().is_terminal()).with_writer(stderr).boxed()
        }
        LogFormat::Json => fmt::layer().json().flatten_event(true).with_writer(stderr).boxed(),
    };
    let shown = filter_fn(|it| !is_never_told(it.target(), *it.level()));
    tracing_subscriber::registry().with(lines).with(filter).with(shown).init();
}

/// Nobody can ask for the messages of clients themselves, in which PINs and tokens are: tungstenite tells
/// them at trace, as `is` does passwords of ICE. Nor for each change in the folder of the configuration, which notify tells: where the log is
/// written there, each line of it would be another change, until the disk is full.
fn is_never_told(target: &str, level: Level) -> bool {
    let of = |name: &&str| target.split("::").next() == Some(*name);
    level == Level::TRACE && ["tungstenite", "is", "notify"].iter().any(of)
}
