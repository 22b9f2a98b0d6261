//! `foldback serve`.

use std::fmt;
use std::io::Write;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum_server::{Address, Server};
use foldback_config::{Config, ServerConfig};
use foldback_metrics::Metrics;
use foldback_room::Economies;
use foldback_worker::{Event, MediaSocket, WorkerConfig, WorkerHandle};
use tokio::sync::mpsc::{Receiver, Sender, channel};

use crate::auth::Door;
use crate::conference::Conference;
use crate::config_file::{ConfigSource, Loaded};
use crate::http::{App, router};
use crate::media_tcp::MediaTcp;
use crate::only_http1::OnlyHttp1;
use crate::operator::{Operator, TOKEN_VARIABLE};
use crate::reload::{self, Reloader};
use crate::tls::Tls;
use crate::{addresses, drain, notify, plugins, webhooks};

/// The head of a request comes within this time, the first one of a connection with TLS and all.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);

/// Events of workers that may wait.
const EVENTS: usize = 4096;

/// Serves until a signal ends it: what is `loaded`, and what `source` says later on. `economies`
/// are all that there are, but for measurements.
///
/// # Errors
/// When a port cannot be had, or a thread, or the operator token is none.
pub async fn serve(
    source: ConfigSource,
    loaded: Loaded,
    dev_tls: bool,
    economies: Economies,
) -> Result<(), ServeError> {
    let config = loaded.config.clone();
    let listen = config.server.listen;
    let drain = Duration::from_secs(config.server.drain_seconds.into());
    let token_file = config.server.operator_token_file.as_deref();
    let operator = Operator::new(std::env::var_os(TOKEN_VARIABLE), token_file);
    let operator = Arc::new(operator.map_err(ServeError::new)?);
    let listener = TcpListener::bind(listen).map_err(|error| {
        ServeError::new(format!(
            "cannot listen on {listen}: {error}; choose another with --listen or `listen` in \
             [server]"
        ))
    })?;
    listener.set_nonblocking(true).map_err(|error| ServeError::new(error.to_string()))?;
    let listen = listener.local_addr().unwrap_or(listen);
    foldback_peer::install_crypto(Instant::now());

    let metrics = Metrics::default();
    let (events, queue) = channel(EVENTS);
    let public = addresses::public(&config.server.public_addresses, listen.ip());
    let tls = match dev_tls {
        true => Tls::self_made(&public, &metrics).map(Some),
        false => Tls::of(&config.tls, &metrics),
    };
    let tls = tls.map_err(ServeError::new)?;
    let workers = start_workers(&config, &public, &metrics, &events)?;
    let chains: Vec<_> = config.chains.iter().map(|chain| chain.name.clone()).collect();
    let watched = source.file().filter(|_| config.server.watch_config).map(Path::to_owned);
    let tcp_port = Some(config.server.media_tcp_port).filter(|port| *port > 0);
    let media_tcp = tcp_port.map(|port| MediaTcp::bind(port, &public)).transpose()?;
    let conference = Conference::new(config, workers, economies, metrics.clone());
    if let Some(media_tcp) = media_tcp {
        conference.set_tcp_candidates(media_tcp.candidates());
        tokio::spawn(media_tcp.serve(conference.clone()));
    }
    let reloader = Reloader::new(source, loaded, conference.clone(), metrics.clone());
    let (door, rooms) = (Arc::new(Door::default()), conference.clone());
    let app = App {
        conference: rooms,
        metrics: metrics.clone(),
        door,
        operator,
        reloader: reloader.clone(),
    };
    if let Some(file) = watched {
        tokio::spawn(reload::on_change(reloader.clone(), file));
    }
    tokio::spawn(reload::on_hangup(reloader.clone()));
    let telling = tokio::spawn(webhooks::tell(conference.clone(), metrics));

    tokio::spawn(pump(conference.clone(), queue));
    // Whoever knows that it serves may have it end.
    let signals = drain::Signals::new();
    announce(listen, tls.as_ref(), &public, &chains);
    notify::ready();
    tokio::spawn(notify::feed_watchdog(conference.clone()));
    let service = router(app).into_make_service_with_connect_info::<SocketAddr>();
    drain::survive_limits_of_files();
    let handle = axum_server::Handle::new();
    tokio::spawn(drain::end_on_signal(signals, conference, drain, telling, handle.clone()));
    let server = impatient(axum_server::from_tcp(listener).map_err(ServeError::io)?).handle(handle);
    let served = match tls {
        Some(tls) => {
            let acceptor = tls.acceptor();
            tls.keep_up(reloader.asked());
            server.acceptor(OnlyHttp1(acceptor)).serve(service).await
        }
        None => server.map(OnlyHttp1).serve(service).await,
    };
    served.map_err(ServeError::io)
}

/// Heads of requests that do not end would keep their connections for ever.
fn impatient<A: Address, S>(mut server: Server<A, S>) -> Server<A, S> {
    server.http_builder().http1().header_read_timeout(HEAD_TIMEOUT);
    server.first_request_timeout(HEAD_TIMEOUT)
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

/// How many media threads a server has, each with a UDP port from `media_port` on.
pub(crate) fn worker_count(server: &ServerConfig) -> usize {
    match server.workers {
        0 => cores().min(ServerConfig::MAX_WORKERS),
        count => count,
    }
}

fn start_workers(
    config: &Config,
    public: &[IpAddr],
    metrics: &Metrics,
    events: &Sender<Event>,
) -> Result<Vec<WorkerHandle>, ServeError> {
    let count = worker_count(&config.server);
    let threads = match config.server.threads_per_room {
        0 => cores().min(ServerConfig::MOST_THREADS_UNASKED),
        threads => threads,
    };
    let own = addresses::own();
    let max_load = f32::from(config.server.max_load_percent) / 100.0;
    let start = |index: usize| {
        let offset = u16::try_from(index).unwrap_or(u16::MAX);
        let port = config.server.media_port.checked_add(offset).ok_or_else(|| {
            ServeError::new(format!(
                "`media_port` {} leaves no port for {count} workers",
                config.server.media_port
            ))
        })?;
        let socket = MediaSocket::bind(port, public, &own)
            .map_err(|error| ServeError::new(error.to_string()))?;
        // It and every chain show in the metrics from the start, at zero.
        metrics.worker_load(index, 0.0, 0);
        let mut metrics = metrics.for_worker();
        for chain in config.chains.iter().chain([config.echo_chain()]) {
            metrics.chain(&chain.name, chain.stages().map(|stage| stage.name.as_str()));
        }
        let config = WorkerConfig {
            index,
            max_load,
            threads,
            realtime_priority: config.server.realtime_priority,
            socket,
            metrics,
            events: events.clone(),
            on_start: plugins::prime_media_thread,
        };
        foldback_worker::spawn(config).map_err(ServeError::io)
    };
    (0..count).map(start).collect()
}

/// Brings what workers tell to the conference.
async fn pump(conference: Arc<Conference>, mut queue: Receiver<Event>) {
    while let Some(event) = queue.recv().await {
        conference.handle(event);
    }
}

/// Tells the person at the terminal where to go. On standard output, for scripts too; where nobody
/// reads that, the server serves all the same.
fn announce(listen: SocketAddr, tls: Option<&Tls>, public: &[IpAddr], chains: &[String]) {
    let scheme = if tls.is_some() { "https" } else { "http" };
    let port = listen.port();
    let mut lines = vec![format!(
        "foldback {} serves chains: {}",
        env!("CARGO_PKG_VERSION"),
        chains.join(", ")
    )];
    let mut names = tls.into_iter().flat_map(Tls::names).peekable();
    if names.peek().is_some() {
        // By an address browsers would not take the certificate for this server's.
        let port = if port == 443 { String::new() } else { format!(":{port}") };
        lines.extend(names.map(|name| format!("Open https://{name}{port}")));
        let _ = writeln!(std::io::stdout(), "{}", lines.join("\n"));
        return;
    }
    if listen.ip().is_unspecified() || listen.ip().is_loopback() {
        lines.push(format!("Open {scheme}://localhost:{port}"));
    } else {
        lines.push(format!("Open {scheme}://{listen}"));
    }
    if listen.ip().is_unspecified() {
        // The page may be served on fewer addresses than the sound.
        let is_served = |ip: &&IpAddr| !ip.is_loopback() && (ip.is_ipv4() || listen.is_ipv6());
        let others = public.iter().filter(is_served).map(|ip| SocketAddr::new(*ip, port));
        lines.extend(others.map(|address| format!("     {scheme}://{address}")));
        if tls.is_none() {
            let hint = "Browsers on other machines get no microphone over http; see `[tls]` and --dev-tls.";
            lines.push(hint.to_owned());
        }
    }
    let _ = writeln!(std::io::stdout(), "{}", lines.join("\n"));
}

/// Why the server cannot run: a sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServeError(String);

impl ServeError {
    pub(crate) fn new(sentence: String) -> Self {
        Self(sentence)
    }

    fn io(error: std::io::Error) -> Self {
        Self(error.to_string())
    }
}

impl fmt::Display for ServeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ServeError {}
