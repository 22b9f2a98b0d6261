use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use rustix::process::Signal;
use tempfile::TempDir;

use crate::binary;
use crate::child::TestChild;
use crate::scrape::Scrape;

/// A running `foldback serve`, on ports of its own. Its page is served on the loopback interface, and
/// its media reached there too unless it says otherwise. Dropped, it is killed; its log is printed
/// if the test is failing.
#[derive(Debug)]
pub struct Server {
    child: TestChild,
    config_file: PathBuf,
    at: Place,
}

/// Where a server is reached.
#[derive(Clone, Copy, Debug)]
struct Place {
    http_port: u16,
    media_port: u16,
    media_address: IpAddr,
}

impl Server {
    /// Serves this configuration and waits until it is ready.
    ///
    /// # Panics
    /// If it is not ready within 30 s.
    pub async fn start(config: &str) -> Self {
        Self::start_with(config, &[]).await
    }

    /// As [`Self::start`], with its media at an address of this machine that is no loopback one: Firefox
    /// has none to send to those from.
    ///
    /// # Panics
    /// As [`Self::start`], or if the machine has no other address.
    pub async fn start_for_firefox(config: &str) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let at = Place { media_address: own_address(), ..Place::free() };
        Self::start_on(at, folder, Some(config), &[]).await
    }

    /// As [`Self::start`], with its media at this address of this machine.
    ///
    /// # Panics
    /// As [`Self::start`].
    pub async fn start_at(media_address: IpAddr, config: &str) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let at = Place { media_address, ..Place::free() };
        Self::start_on(at, folder, Some(config), &[]).await
    }

    /// What this machine would send from to others by IPv6, if it can; nothing is sent.
    #[must_use]
    pub fn own_ipv6() -> Option<IpAddr> {
        let socket = UdpSocket::bind("[::]:0").ok()?;
        // Without a way there, what is left is the loopback interface.
        let connected = socket.connect("[2001:db8::1]:9").or_else(|_| socket.connect("[::1]:9"));
        connected.ok()?;
        Some(socket.local_addr().ok()?.ip())
    }

    /// As [`Self::start_for_firefox`], with a file of the repository's `config/`.
    ///
    /// # Panics
    /// As [`Self::start_for_firefox`], or if there is no such file.
    pub async fn start_for_firefox_with_file(name: &str) -> Self {
        Self::start_for_firefox(&config_file(name)).await
    }

    /// Serves this configuration, and sheds load where a media thread is busy for more than that
    /// share of its time. The others never do, since they share the machine with other tests.
    ///
    /// # Panics
    /// As [`Self::start`].
    pub async fn start_with_max_load(config: &str, percent: u8) -> Self {
        Self::start_with(config, &[("FOLDBACK_SERVER_MAX_LOAD_PERCENT", &percent.to_string())])
            .await
    }

    /// Serves this configuration with further variables in the server's environment.
    ///
    /// # Panics
    /// As [`Self::start`].
    pub async fn start_with(config: &str, variables: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        Self::start_on(Place::free(), folder, Some(config), variables).await
    }

    /// Serves this configuration, which has a `[tls]`, on that port, and waits until it says where it is.
    ///
    /// # Panics
    /// As [`Self::start`].
    pub async fn start_over_tls(config: &str, http_port: u16) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let at = Place { http_port, ..Place::free() };
        let mut server = Self::spawn(at, folder, Some(config), &[]);
        let is_told = async |log: &str| log.contains("Open https://").then_some(());
        server.child.wait_until("ready", Duration::from_secs(30), is_told).await;
        server
    }

    /// Serves without a file.
    ///
    /// # Panics
    /// As [`Self::start`].
    pub async fn start_without_file() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        Self::start_on(Place::free(), folder, None, &[]).await
    }

    /// Kills it, and starts another one with the same configuration on the same ports after
    /// `downtime`.
    ///
    /// # Panics
    /// As [`Self::start`].
    pub async fn restart(self, downtime: Duration) -> Self {
        let (config, at) = (self.config(), self.at);
        drop(self);
        tokio::time::sleep(downtime).await;
        let folder = tempfile::tempdir().expect("a temporary folder");
        Self::start_on(at, folder, Some(&config), &[]).await
    }

    async fn start_on(
        at: Place,
        folder: TempDir,
        config: Option<&str>,
        variables: &[(&str, &str)],
    ) -> Self {
        let mut server = Self::spawn(at, folder, config, variables);
        let ready = server.url("/readyz");
        server
            .child
            .wait_until("ready", Duration::from_secs(30), async |_| {
                let response = reqwest::get(&ready).await.ok()?;
                response.status().is_success().then_some(())
            })
            .await;
        server
    }

    fn spawn(at: Place, folder: TempDir, config: Option<&str>, variables: &[(&str, &str)]) -> Self {
        let config_file = folder.path().join("foldback.toml");
        let mut command = Command::new(binary::foldback());
        // The others share the machine, so that load is no reason; and whoever ends one waits for it.
        command.arg("serve").env("FOLDBACK_SERVER_MAX_LOAD_PERCENT", "0");
        // Tests share the machine.
        command.env("FOLDBACK_SERVER_REALTIME_PRIORITY", "0");
        command.env("FOLDBACK_SERVER_DRAIN_SECONDS", "0").envs(variables.iter().copied());
        if let Some(config) = config {
            std::fs::write(&config_file, config).expect("a temporary folder takes a file");
            command.arg("--config").arg(&config_file);
        }
        command
            .args(["--listen", &format!("127.0.0.1:{}", at.http_port)])
            .args(["--media-port", &at.media_port.to_string()])
            .args(["--public-address", &at.media_address.to_string()]);
        let child = TestChild::start(&mut command, folder);
        Self { child, config_file, at }
    }

    /// Serves a file of the repository's `config/`, such as `clean.toml`.
    ///
    /// # Panics
    /// As [`Self::start`], or if there is no such file.
    pub async fn start_with_file(name: &str) -> Self {
        Self::start(&config_file(name)).await
    }

    /// The address of a path that starts with a slash.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.at.http_port)
    }

    /// The address of the signalling socket.
    #[must_use]
    pub fn websocket_url(&self) -> String {
        format!("ws://127.0.0.1:{}/ws", self.at.http_port)
    }

    /// Where the first worker takes media, by UDP.
    #[must_use]
    pub fn media_address(&self) -> SocketAddr {
        (self.at.media_address, self.at.media_port).into()
    }

    /// Its process.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it has logged so far.
    #[must_use]
    pub fn log(&self) -> String {
        self.child.log()
    }

    /// Writes another configuration and has the server read it (SIGHUP).
    ///
    /// # Panics
    /// If the file cannot be written.
    pub fn reload(&self, config: &str) {
        self.write_config(config);
        self.child.signal(Signal::HUP);
    }

    /// Writes another configuration.
    ///
    /// # Panics
    /// If the file cannot be written.
    pub fn write_config(&self, config: &str) {
        std::fs::write(&self.config_file, config).expect("the file can be written again");
    }

    /// Puts a file with another configuration in the place of the one it watches, as editors do.
    ///
    /// # Panics
    /// If that cannot be done.
    pub fn replace_config(&self, config: &str) {
        let draft = self.config_file.with_extension("toml~");
        std::fs::write(&draft, config).expect("the folder takes another file");
        std::fs::rename(&draft, &self.config_file).expect("the file can be replaced");
    }

    /// The configuration as its file has it.
    ///
    /// # Panics
    /// If the file cannot be read.
    #[must_use]
    pub fn config(&self) -> String {
        std::fs::read_to_string(&self.config_file).expect("the file is there")
    }

    /// Asks it to end, as a service manager does (SIGTERM).
    pub fn terminate(&self) {
        self.child.signal(Signal::TERM);
    }

    /// Stops it where it stands for `time` (SIGSTOP), as a machine that is too busy: its sockets stay
    /// open and nothing comes from them.
    pub async fn freeze_for(&self, time: Duration) {
        self.child.signal(Signal::STOP);
        tokio::time::sleep(time).await;
        self.child.signal(Signal::CONT);
    }

    /// Waits until it has ended by itself, and says how.
    ///
    /// # Panics
    /// If it has not within `patience`.
    pub async fn ended(&mut self, patience: Duration) -> std::process::ExitStatus {
        self.child.ended(patience).await
    }

    /// Its metrics, checked for their form.
    ///
    /// # Panics
    /// If they cannot be had, or are not in the text format 0.0.4.
    pub async fn metrics(&self) -> Scrape {
        let response = reqwest::get(self.url("/metrics")).await.expect("/metrics answers");
        assert_eq!(response.status(), 200, "status of /metrics");
        let content_type = response.headers().get("content-type").cloned();
        let content_type = content_type.as_ref().and_then(|value| value.to_str().ok());
        let content_type = content_type.unwrap_or("none");
        assert!(
            content_type.starts_with("text/plain") && content_type.contains("version=0.0.4"),
            "content type of /metrics: {content_type}"
        );
        let text = response.text().await.expect("/metrics is text");
        Scrape::parse(&text).unwrap_or_else(|error| panic!("/metrics: {error}"))
    }
}

impl Place {
    /// Free ports of the loopback interface.
    fn free() -> Self {
        let media_address = Ipv4Addr::LOCALHOST.into();
        Self { http_port: free_tcp_port(), media_port: free_media_port(), media_address }
    }
}

/// A file of the repository's `config/`.
fn config_file(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../config").join(name);
    std::fs::read_to_string(&path)
        .unwrap_or_else(|error| panic!("reading {}: {error}", path.display()))
}

/// What this machine would send from to others; nothing is sent.
pub(crate) fn own_address() -> IpAddr {
    let socket = UdpSocket::bind("0.0.0.0:0").expect("a UDP port is free");
    socket.connect("198.51.100.1:9").expect("the machine has an address of its own");
    socket.local_addr().expect("a bound socket has an address").ip()
}

/// A TCP port that nothing listens on.
///
/// # Panics
/// If there is none.
#[must_use]
pub fn free_tcp_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a TCP port is free");
    listener.local_addr().expect("a bound socket has an address").port()
}

/// The first of eight UDP ports that are free, mostly, for lines of RTP: the server looks for one that is.
///
/// # Panics
/// If there is none.
#[must_use]
pub fn free_line_ports() -> u16 {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a UDP port is free");
    let port = socket.local_addr().expect("a bound socket has an address").port();
    port.min(65_000)
}

/// The first of as many free ports as there are cores: each worker takes one.
fn free_media_port() -> u16 {
    let workers = std::thread::available_parallelism().map_or(1, |count| count.get() as u16);
    for _ in 0..100 {
        let first = UdpSocket::bind("0.0.0.0:0").expect("a UDP port is free");
        let port = first.local_addr().expect("a bound socket has an address").port();
        let following = port.checked_add(1).zip(port.checked_add(workers));
        let Some((next, end)) = following else { continue };
        let free = (next..end).all(|port| UdpSocket::bind(("0.0.0.0", port)).is_ok());
        if free {
            return port;
        }
    }
    panic!("no {workers} neighbouring UDP ports are free");
}
