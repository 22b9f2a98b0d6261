use std::net::{IpAddr, SocketAddr};
use std::process::Command;
use std::time::Duration;

use crate::child::TestChild;
use crate::installed::are_installed;
use crate::server::{free_tcp_port, own_address};

/// What it needs, and where that comes from.
const NEEDED: [(&str, &str); 1] = [("turnserver", "`make setup` installs it")];

/// A TURN server, coturn, at an address of this machine that is no loopback one. It takes who shows
/// credentials that are made with its secret.
#[derive(Debug)]
pub struct TurnServer {
    process: TestChild,
    address: SocketAddr,
}

impl TurnServer {
    /// `None`, and a line that says why, where it is not installed.
    ///
    /// # Panics
    /// If it does not start within 30 s.
    pub async fn start(secret: &str) -> Option<Self> {
        if !are_installed(&NEEDED) {
            return None;
        }
        let folder = tempfile::tempdir().expect("a temporary folder");
        let ip: IpAddr = own_address();
        let address = SocketAddr::new(ip, free_tcp_port());
        let file = folder.path().join("turnserver.conf");
        // As docs/network.md has it, on ports and with files of its own.
        let config = format!(
            "listening-ip={ip}\nrelay-ip={ip}\nlistening-port={}\n\
             use-auth-secret\nstatic-auth-secret={secret}\nrealm=foldback.example\n\
             no-tls\nno-dtls\nno-cli\nno-multicast-peers\nfingerprint\n\
             log-file=stdout\nverbose\npidfile={}\nuserdb={}\n",
            address.port(),
            folder.path().join("turnserver.pid").display(),
            folder.path().join("turndb").display(),
        );
        std::fs::write(&file, config).expect("a temporary folder takes a file");
        let mut command = Command::new("turnserver");
        command.arg("-c").arg(&file);
        let mut process = TestChild::start(&mut command, folder);
        let ready = async |_: &str| tokio::net::TcpStream::connect(address).await.ok().map(drop);
        process.wait_until("ready", Duration::from_secs(30), ready).await;
        Some(Self { process, address })
    }

    /// Where it is, as in `turn:` of a URL.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What it has said so far.
    #[must_use]
    pub fn log(&self) -> String {
        self.process.log()
    }
}
