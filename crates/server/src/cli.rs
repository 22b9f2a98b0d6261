//! The command line.

use std::fmt::Write;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};
use foldback_config::{
    Config, LogConfig, Variable, check_listen, check_public_address, describe_chain,
    describe_kinds, environment_variables, json_schema, unknown_variables,
};
use foldback_room::Economies;

use crate::auth::check_exposure;
use crate::bench::{self, BenchOptions};
use crate::capacity::{self, CapacityOptions};
use crate::clock;
use crate::config_file::{self, ConfigSource};
use crate::doctor::{self, DoctorOptions};
use crate::flight::{self, ReplayOptions};
use crate::load::{self, LoadOptions};
use crate::log;
use crate::manual::{self, ManualOptions};
use crate::new_stage::{self, NewStageOptions};
use crate::operator::TOKEN_VARIABLE;
use crate::probe::{self, HealthOptions};
use crate::process::{self, ProcessOptions};
use crate::serve;
use crate::tls;
use crate::token::{self, TokenCommand};
use crate::watch::FileWatch;

/// A mixed-audio conference server: each microphone runs through a chain of stages that you write
/// in TOML, everybody hears the mix without themselves, and Prometheus sees what each stage costs.
#[derive(Debug, Parser)]
#[command(name = "foldback", version, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve the page, the rooms and the metrics.
    ///
    /// Without --config the built-in conference chain serves every room. The log goes to standard
    /// error, as `[log]` of the file says; RUST_LOG stands above its level (RUST_LOG=debug).
    #[command(after_long_help = environment_help())]
    Serve(ServeOptions),
    /// Check a configuration file and print its chains.
    ///
    /// Prints each chain from top to bottom with the algorithmic delay of each stage and the sum,
    /// and exits with 0; or prints every mistake with its place, and exits with 1.
    Check {
        /// The TOML file.
        file: PathBuf,
        /// Check again whenever the file changes, until Ctrl-C.
        #[arg(long)]
        watch: bool,
    },
    /// Look whether this machine is fit to serve, and what to do where it is not.
    ///
    /// Ports, addresses, priorities, limits, clocks; exits with 1 if a server would not start.
    Doctor(DoctorOptions),
    /// Ask a server that runs whether it can take participants.
    ///
    /// Prints what its /readyz says, and exits with 0 if it can and with 1 if it cannot, or does not answer:
    /// for what watches containers.
    Health(HealthOptions),
    /// List every kind of stage with its parameters, units, ranges and defaults.
    Stages {
        /// A TOML file, to list the kinds of the libraries in its `[plugins]` too.
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
    },
    /// Print the JSON Schema of configuration files, by which editors complete and check them.
    ///
    /// Name it in the first line of a file: `#:schema ./foldback.schema.json`.
    Schema {
        /// A TOML file, to have the kinds of the libraries in its `[plugins]` too.
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
    },
    /// Send a sound file through a chain, offline and faster than real time.
    ///
    /// The stages before and after `mix` run one after the other. OUTPUT lines up with INPUT sample
    /// by sample: the chain's delay is taken out, unless --no-compensate keeps it.
    Process(ProcessOptions),
    /// Measure what chains cost on this machine, stage by stage.
    ///
    /// Prints times per block of 10 ms, the share of these 10 ms, the algorithmic delay, and the
    /// allocations that should be 0.
    Bench(BenchOptions),
    /// Load a server with WebRTC clients, and measure what they get.
    ///
    /// Prints how fast they joined, what was lost, how long sound took from mouth to ear, and with
    /// --server-pid what the server spent on it. docs/load.md says what each figure means.
    Load(LoadOptions),
    /// Find out how much of a conference this machine carries.
    ///
    /// Starts a server of its own, and loads it with more and more rooms of the same kind until its
    /// ticks are late or packets are lost. Clients and server share the machine.
    Capacity(CapacityOptions),
    /// Run again what a flight recorder saved of a room, to the same samples.
    ///
    /// Prints what was sent to whom, and whether it is bit for bit what was sent when it was saved, where that can be
    /// said; docs/flight.md.
    Replay(ReplayOptions),
    /// Make the tokens by which people come in.
    #[command(subcommand)]
    Token(TokenCommand),
    /// Write manual pages and completions of shells, for packages.
    #[command(hide = true)]
    Manual(ManualOptions),
    /// Lay out the crate of a new stage, to be loaded from a library of its own.
    ///
    /// What it makes is a stage that works, with its tests: docs/writing-a-stage.md goes on from
    /// there.
    NewStage(NewStageOptions),
}

impl Command {
    /// Whether it may find a connection closed, of which it must not die.
    fn speaks_to_a_network(&self) -> bool {
        matches!(self, Self::Serve(_) | Self::Health(_) | Self::Load(_) | Self::Capacity(_))
    }
}

#[derive(Debug, clap::Args)]
struct ServeOptions {
    /// The TOML file with chains, rooms and server settings.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Where to serve the page, WebSocket and metrics, instead of the file's `listen`.
    ///
    /// 0.0.0.0:8080 is every network of this machine; the default is this machine only.
    #[arg(long, value_name = "HOST:PORT", value_parser = listen_address)]
    listen: Option<SocketAddr>,
    /// The first UDP port for audio; each worker takes one more. Instead of `media_port`.
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    media_port: Option<u16>,
    /// An address at which browsers reach this machine, behind a NAT for instance. May be given
    /// several times. Instead of `public_addresses`; without either, the machine's own.
    #[arg(long, value_name = "IP", value_parser = check_public_address)]
    public_address: Vec<IpAddr>,
    /// Let whoever reaches the server join rooms that have no PIN, instead of `open` in `[auth]`.
    #[arg(long)]
    open: bool,
    /// Serve HTTPS with a certificate made on the spot, instead of `[tls]`.
    ///
    /// Browsers give the microphone only to pages from localhost or over HTTPS. With this and
    /// --listen 0.0.0.0:8443 another device can join, after it accepted the unknown certificate.
    #[arg(long)]
    dev_tls: bool,
    /// Give each listener an output chain and an encoder of their own: to measure what sharing
    /// them saves (docs/measurements.md).
    #[arg(long, hide = true)]
    no_sharing: bool,
    /// Decode everybody, run everybody's chain and encode every mix, silent or not: to measure what
    /// it saves not to.
    #[arg(long, hide = true)]
    no_silence_skipping: bool,
}

/// Variables that begin as settings do and are none: secrets, and what foldback's own tests are told.
const NO_SETTINGS: &[&str] = &[
    TOKEN_VARIABLE,
    load::PIN_VARIABLE,
    load::TOKEN_VARIABLE,
    "FOLDBACK_BINARY",
    "FOLDBACK_MIXED_SECONDS",
    "FOLDBACK_PROMETHEUS_SECONDS",
    "FOLDBACK_SHARED",
    "FOLDBACK_SOAK_MINUTES",
];

/// Runs the command line of this process.
#[allow(clippy::print_stdout, clippy::print_stderr, reason = "this is the command line")]
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    if !cli.command.speaks_to_a_network() {
        // A reader that has enough (`foldback schema | head`) ends the command without a word.
        sigpipe::reset();
    }
    let done = match cli.command {
        Command::Serve(options) => run_server(options),
        Command::Check { file, watch: false } => check(&file),
        Command::Check { file, watch: true } => check_again_and_again(&file),
        Command::Doctor(options) => doctor::run(&options),
        Command::Health(options) => probe::run(&options),
        Command::Stages { config } => config_file::kinds(config.as_deref()).map(|kinds| {
            print!("{}", describe_kinds(&kinds));
        }),
        Command::Schema { config } => config_file::kinds(config.as_deref()).map(|kinds| {
            println!("{:#}", json_schema(&kinds));
        }),
        Command::Replay(options) => {
            log::start(&LogConfig { level: "warn".to_owned(), ..LogConfig::default() });
            flight::run(&options)
        }
        Command::Process(options) => {
            log::start(&LogConfig { level: "warn".to_owned(), ..LogConfig::default() });
            process::run(&options)
        }
        Command::Bench(options) => bench::run(&options),
        Command::Load(options) => load::run(&options),
        Command::Capacity(options) => capacity::run(&options),
        Command::Token(command) => token::run(&command),
        Command::Manual(options) => manual::run(&options, Cli::command()),
        Command::NewStage(options) => new_stage::run(&options),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(sentence) => {
            eprintln!("{}", sentence.trim_end());
            ExitCode::FAILURE
        }
    }
}

fn run_server(options: ServeOptions) -> Result<(), String> {
    // From the reading of the file on: it tells which libraries were loaded.
    let text = options.config.as_deref().and_then(|file| std::fs::read(file).ok());
    log::start(&LogConfig::peek(&text.unwrap_or_default(), |name| std::env::var_os(name)));
    let names: Vec<_> =
        std::env::vars_os().filter_map(|(name, _)| name.into_string().ok()).collect();
    for sentence in unknown_variables(&names, NO_SETTINGS) {
        tracing::warn!("{sentence}");
    }
    let dev_tls = options.dev_tls;
    let economies =
        Economies { share_mixes: !options.no_sharing, skip_silence: !options.no_silence_skipping };
    let source = ConfigSource::new(options.config.clone(), move |config| {
        config.set_from_environment(|variable| std::env::var_os(variable))?;
        options.set(config);
        Ok(())
    });
    let loaded = source.read()?;
    let runtime = tokio::runtime::Runtime::new().map_err(|error| error.to_string())?;
    let served = runtime.block_on(serve::serve(source, loaded, dev_tls, economies));
    served.map_err(|error| format!("error: {error}"))
}

impl ServeOptions {
    /// Sets what is given.
    fn set(&self, config: &mut Config) {
        config.auth.open |= self.open;
        let server = &mut config.server;
        server.listen = self.listen.unwrap_or(server.listen);
        server.media_port = self.media_port.unwrap_or(server.media_port);
        if !self.public_address.is_empty() {
            server.public_addresses.clone_from(&self.public_address);
        }
    }
}

/// Checks a file and prints its chains.
#[allow(clippy::print_stdout, clippy::print_stderr, reason = "this is the command line")]
fn check(file: &Path) -> Result<(), String> {
    let config = config_file::read(file)?;
    let chains: Vec<_> = config.chains.iter().map(|c| describe_chain(c)).collect();
    print!("{}", chains.join("\n"));
    if let Some(warning) = tls::check(&config.tls)?.as_ref().and_then(tls::warning) {
        eprintln!("warning: [tls]: {warning}");
    }
    // `serve --open` may say so in its place, and another `--listen` need it not.
    if let Err(refusal) = check_exposure(&config) {
        eprintln!("warning: `serve` refuses this as it is: {refusal}");
    }
    Ok(())
}

/// Checks a file, and again whenever it changes. Never ends by itself.
#[allow(clippy::print_stdout, clippy::print_stderr, reason = "this is the command line")]
fn check_again_and_again(file: &Path) -> Result<(), String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
    let runtime = runtime.map_err(|error| error.to_string())?;
    let mut watch = FileWatch::new(file)?;
    loop {
        if let Err(mistakes) = check(file) {
            eprintln!("{mistakes}");
        }
        if !runtime.block_on(watch.changed()) {
            return Err(format!("{} is watched no more", file.display()));
        }
        println!("\n{} {} was changed", clock::now(), file.display());
    }
}

/// The variables of the environment that stand above the file.
fn environment_help() -> String {
    let mut help = "Environment: above the file and below the options\n".to_owned();
    for Variable { name, about, .. } in environment_variables() {
        let _ = writeln!(help, "  {name}\n          {about}");
    }
    help
}

/// An IP address or a host name, and a port.
fn listen_address(text: &str) -> Result<SocketAddr, String> {
    check_listen(text).or_else(|allowed| {
        let named = text.to_socket_addrs().ok();
        let mut found = named.into_iter().flatten().collect::<Vec<_>>();
        found.sort_by_key(SocketAddr::is_ipv6);
        found.first().copied().ok_or(allowed)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_host_name_is_an_address_too() {
        let port = listen_address("localhost:9").expect("localhost is known").port();
        assert_eq!(port, 9);
        assert!(listen_address("8080").expect_err("no host").contains("127.0.0.1:8080"));
    }
}
