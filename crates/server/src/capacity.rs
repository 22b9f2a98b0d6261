//! `foldback capacity`: starts a server of its own and loads it more and more.

use std::net::{TcpListener, UdpSocket};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use foldback_load::{Bounds, LoadPlan, Report, Signalling, capacity, is_ready};

use crate::load::{ClientOptions, PIN_VARIABLE, Progress, TOKEN_VARIABLE};

/// A server that does not answer by then does not start.
const START_TIMEOUT: Duration = Duration::from_secs(20);
/// The server lets those go who left the step before.
const BETWEEN_STEPS: Duration = Duration::from_secs(1);

#[derive(Debug, clap::Args)]
pub(crate) struct CapacityOptions {
    /// The TOML file of the server; without it, the built-in conference chain.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Participants of each room, those who talk among them.
    #[arg(long, value_name = "N", default_value_t = 4)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..))]
    room_size: u32,
    /// Participants of each room who talk.
    #[arg(long, value_name = "N", default_value_t = 1)]
    talkers: u32,
    /// Rooms that are tried at most.
    #[arg(long, value_name = "N", default_value_t = 256)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..))]
    max_rooms: u32,
    /// How long each step is measured, after everybody joined.
    #[arg(long, value_name = "N", default_value_t = 10)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..))]
    seconds: u32,
    /// Joins per second.
    #[arg(long, value_name = "N", default_value_t = 50)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..))]
    ramp: u32,
    /// How late ticks may begin at the 99th percentile, in ms.
    #[arg(long, value_name = "MS", default_value_t = 5.0)]
    max_lateness_ms: f64,
    /// Packets that may be lost on the way to clients, in percent.
    #[arg(long, value_name = "N", default_value_t = 0.1)]
    max_loss_percent: f64,
    #[command(flatten)]
    clients: ClientOptions,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Runs the command.
///
/// # Errors
/// A sentence for the operator.
#[allow(clippy::print_stdout, clippy::print_stderr, reason = "this is the command line")]
pub(crate) fn run(options: &CapacityOptions) -> Result<(), String> {
    let server = OwnServer::start(options)?;
    let bounds = Bounds {
        tick_lateness_ms: options.max_lateness_ms,
        lost_percent: options.max_loss_percent,
    };
    let mut plan = server.plan(options)?;
    let load = |rooms: usize| -> Result<Report, String> {
        std::thread::sleep(BETWEEN_STEPS);
        plan.rooms = rooms;
        let mut progress = Progress::new(plan.seconds);
        let report = foldback_load::run(&plan, &mut |moment| progress.show(&moment));
        progress.finish();
        report
    };
    let found = capacity(options.max_rooms as usize, bounds, load, |step| eprintln!("{step}"))?;
    match options.json {
        true => println!("{}", serde_json::to_string_pretty(&found).map_err(|e| e.to_string())?),
        false => print!("{found}"),
    }
    Ok(())
}

/// `foldback serve` of the same binary on free ports of this machine; killed when it is dropped.
struct OwnServer {
    child: Child,
    url: String,
}

impl OwnServer {
    fn start(options: &CapacityOptions) -> Result<Self, String> {
        let binary = std::env::current_exe().map_err(|error| error.to_string())?;
        let port = |error: std::io::Error| format!("no port can be had: {error}");
        let http = TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr());
        let http = http.map_err(port)?;
        let mut command = Command::new(binary);
        command.args(["serve", "--public-address", "127.0.0.1", "--listen", &http.to_string()]);
        command.args(["--media-port", &free_media_port().map_err(port)?.to_string()]);
        if let Some(config) = &options.config {
            command.arg("--config").arg(config);
        }
        // Another server may have it, and the clients come by UDP.
        command.env("FOLDBACK_SERVER_MEDIA_TCP_PORT", "0");
        if std::env::var_os("RUST_LOG").is_none() {
            command.env("RUST_LOG", "warn");
        }
        command.stdin(Stdio::null()).stdout(Stdio::null());
        let child = command.spawn().map_err(|error| format!("the server: {error}"))?;
        let mut server = Self { child, url: format!("http://{http}") };
        server.wait()?;
        Ok(server)
    }

    fn wait(&mut self) -> Result<(), String> {
        let start = Instant::now();
        while !is_ready(&self.url) {
            if let Ok(Some(status)) = self.child.try_wait() {
                return Err(format!("the server does not start ({status})"));
            }
            if start.elapsed() > START_TIMEOUT {
                return Err(format!("the server is not ready after {} s", START_TIMEOUT.as_secs()));
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }

    fn plan(&self, options: &CapacityOptions) -> Result<LoadPlan, String> {
        Ok(LoadPlan {
            url: self.url.clone(),
            signalling: Signalling::WebSocket,
            pin: std::env::var(PIN_VARIABLE).ok(),
            token: std::env::var(TOKEN_VARIABLE).ok(),
            room_prefix: "capacity".to_owned(),
            rooms: 1,
            participants: options.room_size as usize,
            talkers: options.talkers as usize,
            joins_per_s: f64::from(options.ramp),
            seconds: f64::from(options.seconds),
            server_pid: Some(self.child.id()),
            clients: options.clients.plan()?,
        })
    }
}

impl Drop for OwnServer {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The first of as many neighbouring ports as there are cores: each worker takes one.
fn free_media_port() -> std::io::Result<u16> {
    const ATTEMPTS: usize = 100;
    let workers = std::thread::available_parallelism().map_or(1, |cores| cores.get() as u16);
    for _ in 0..ATTEMPTS {
        let first = UdpSocket::bind("0.0.0.0:0")?;
        let port = first.local_addr()?.port();
        let Some(end) = port.checked_add(workers) else { continue };
        if (port + 1..end).all(|port| UdpSocket::bind(("0.0.0.0", port)).is_ok()) {
            return Ok(port);
        }
    }
    Err(std::io::ErrorKind::AddrInUse.into())
}
