use std::process::Command;
use std::time::Duration;

use crate::certificates::{Authority, TlsClient};
use crate::child::TestChild;
use crate::server::free_tcp_port;

/// Pebble, a certificate authority for tests that speaks ACME, and a DNS in which every name is this machine's.
#[derive(Debug)]
pub struct Pebble {
    process: TestChild,
    _names: TestChild,
    authority: Authority,
    port: u16,
    management_port: u16,
}

impl Pebble {
    /// Looks for who asks for a certificate on `tls_port`. `None`, and a line that says why, where it is not installed.
    ///
    /// # Panics
    /// If it does not start within 30 s.
    pub async fn start(tls_port: u16) -> Option<Self> {
        // Neither knows `--version`.
        let mut look = Command::new("pebble");
        if look.arg("-help").output().is_err() {
            eprintln!(
                "skipped: pebble is not installed (`make setup` installs it where the system has it)"
            );
            return None;
        }
        let [port, management_port, dns_port] = [(); 3].map(|()| free_tcp_port());
        let mut names = Command::new("pebble-challtestsrv");
        names
            .args(["-dns01", &format!("127.0.0.1:{dns_port}"), "-defaultIPv6", ""])
            .args(["-management", &format!("127.0.0.1:{}", free_tcp_port())])
            .args(["-http01", "", "-https01", "", "-tlsalpn01", ""]);
        let folder = || tempfile::tempdir().expect("a temporary folder");
        let mut names = TestChild::start(&mut names, folder());
        let ready = async |_: &str| {
            tokio::net::TcpStream::connect(("127.0.0.1", dns_port)).await.ok().map(drop)
        };
        names.wait_until("a DNS", Duration::from_secs(30), ready).await;

        let authority = Authority::new();
        let folder = folder();
        authority.issue(&["localhost", "127.0.0.1"]).write(folder.path());
        let config = serde_json::json!({ "pebble": {
            "listenAddress": format!("127.0.0.1:{port}"),
            "managementListenAddress": format!("127.0.0.1:{management_port}"),
            "certificate": folder.path().join("cert.pem"),
            "privateKey": folder.path().join("key.pem"),
            "httpPort": free_tcp_port(),
            "tlsPort": tls_port,
        }});
        let file = folder.path().join("pebble.json");
        std::fs::write(&file, config.to_string()).expect("a temporary folder takes a file");
        let mut command = Command::new("pebble");
        command.arg("-config").arg(&file).args(["-dnsserver", &format!("127.0.0.1:{dns_port}")]);
        // It would wait up to 15 s before it looks.
        command.env("PEBBLE_VA_NOSLEEP", "1");
        let mut process = TestChild::start(&mut command, folder);
        let client = TlsClient::trusting(&authority.pem());
        let ready = async |_: &str| client.get(port, "localhost", "/dir").await.ok().map(drop);
        process.wait_until("ready", Duration::from_secs(30), ready).await;
        Some(Self { process, _names: names, authority, port, management_port })
    }

    /// The URL of its directory.
    #[must_use]
    pub fn directory(&self) -> String {
        format!("https://localhost:{}/dir", self.port)
    }

    /// The certificate by which its directory is trusted, in PEM.
    #[must_use]
    pub fn directory_pem(&self) -> String {
        self.authority.pem()
    }

    /// The certificate by which what it signs is trusted, in PEM: another for each run.
    ///
    /// # Panics
    /// If it does not tell.
    pub async fn root_pem(&self) -> String {
        let client = TlsClient::trusting(&self.authority.pem());
        let answer = client.get(self.management_port, "localhost", "/roots/0").await;
        let answer = answer.expect("an answer");
        let (_, pem) = answer.split_once("\r\n\r\n").expect("a head and a body");
        pem.to_owned()
    }

    /// What it has said so far.
    #[must_use]
    pub fn log(&self) -> String {
        self.process.log()
    }
}
