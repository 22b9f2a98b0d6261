//! `foldback doctor`: whether this machine is fit to serve a configuration, and what to do where it is not.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, TcpListener, ToSocketAddrs, UdpSocket};
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use foldback_config::Config;
use foldback_worker::{KERNEL_BUFFER_BYTES, MediaSocket, try_real_time};
use rustix::process::{Resource, getrlimit};

use crate::addresses;
use crate::config_file::ConfigSource;
use crate::operator::{Operator, TOKEN_VARIABLE};
use crate::serve::worker_count;
use crate::tls::{self, Certificate};
use crate::webhooks;

/// A participant is a socket of HTTP, and some are held for others.
const FILES_WANTED: u64 = 4096;
/// Above that the ticks of 10 ms are uneven enough to be heard.
const LATENESS_BOUND: Duration = Duration::from_millis(5);
/// Files of recordings and webhooks may take so long beyond `drain_seconds`, in s.
const LAST_SECONDS: u64 = 9;
/// `TimeoutStopSec=` of the unit that the package has.
const UNIT_WAITS: u64 = 90;
/// So many wake-ups are timed.
const WAKE_UPS: usize = 100;
/// A certificate is renewed by then.
const RENEWAL_WANTED: Duration = Duration::from_secs(14 * 24 * 60 * 60);
/// Every so often.
const TICK: Duration = Duration::from_millis(10);

#[derive(Debug, clap::Args)]
pub(crate) struct DoctorOptions {
    /// The TOML file that is to be served; without it what is built in.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

/// What came of one look, in order of graveness.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Grade {
    Good,
    /// It serves, and something is worse than it need be.
    Poor,
    /// It does not serve.
    Bad,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Finding {
    grade: Grade,
    about: &'static str,
    found: String,
}

impl Finding {
    fn new(grade: Grade, about: &'static str, found: impl Into<String>) -> Self {
        Self { grade, about, found: found.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let grade = match self.grade {
            Grade::Good => "good",
            Grade::Poor => "POOR",
            Grade::Bad => "BAD",
        };
        let found = self.found.trim_end().replace('\n', "\n                     ");
        write!(f, "{grade}  {:<14} {found}", self.about)
    }
}

/// Looks, and prints what it found.
///
/// # Errors
/// If a server would not start, or not be reached: how many findings say so.
#[allow(clippy::print_stdout, reason = "this is the command line")]
pub(crate) fn run(options: &DoctorOptions) -> Result<(), String> {
    let source = ConfigSource::new(options.config.clone(), |config| {
        config.set_from_environment(|variable| std::env::var_os(variable))
    });
    let mut findings = Vec::new();
    match source.read() {
        Ok(loaded) => {
            let config = loaded.config;
            findings.push(Finding::new(Grade::Good, "configuration", about(options, &config)));
            findings.extend([listening(&config), certificate(&config), names(&config)]);
            findings.extend([operator(&config), media(&config), other_doors(&config)]);
            findings.extend([reached(&config), priority(&config)]);
            findings.extend([told_others(&config), end(&config)]);
        }
        Err(mistakes) => {
            // Of a unit of systemd (LoadCredential=).
            let hint = match mistakes.contains("/run/credentials/") {
                true => {
                    "\nWhat is in /run/credentials is there while the service runs: ask again then, as root. Its ports are taken by itself then."
                }
                false => "",
            };
            let found = format!("{}{hint}", mistakes.trim_end());
            findings.push(Finding::new(Grade::Bad, "configuration", found));
        }
    }
    findings.extend([buffers(), files(), wake_ups(), clock_source(), time_of_day()]);
    for finding in &findings {
        println!("{finding}");
    }
    match findings.iter().filter(|finding| finding.grade == Grade::Bad).count() {
        0 => Ok(()),
        1 => Err("1 thing keeps foldback from serving".to_owned()),
        count => Err(format!("{count} things keep foldback from serving")),
    }
}

fn about(options: &DoctorOptions, config: &Config) -> String {
    let file = options.config.as_ref().map(|file| file.display().to_string());
    let file = file.unwrap_or_else(|| format!("{} (built in)", Config::BUILT_IN_FILE));
    format!("{file}: {} chains, {} rules for rooms", config.chains.len(), config.rooms.len())
}

/// The page's port.
fn listening(config: &Config) -> Finding {
    let listen = config.server.listen;
    match TcpListener::bind(listen) {
        Ok(_) => Finding::new(Grade::Good, "page", format!("TCP {listen} is free")),
        Err(error) => {
            let found = format!(
                "TCP {listen}: {error}. If foldback has it already, all is well; else end who does, or choose another `listen`"
            );
            Finding::new(Grade::Bad, "page", found)
        }
    }
}

fn operator(config: &Config) -> Finding {
    let file = config.server.operator_token_file.as_deref();
    let known = std::env::var_os(TOKEN_VARIABLE);
    let has_one = known.is_some() || file.is_some();
    match Operator::new(known, file) {
        Ok(_) if has_one => Finding::new(Grade::Good, "operator", "there is a token"),
        Ok(_) if config.server.listen.ip().is_loopback() => {
            Finding::new(Grade::Good, "operator", "no token: this machine is the operator")
        }
        Ok(_) => {
            let found = format!(
                "no token, so /admin is this machine's alone; set {TOKEN_VARIABLE} or `operator_token_file`"
            );
            Finding::new(Grade::Poor, "operator", found)
        }
        Err(sentence) => Finding::new(Grade::Bad, "operator", sentence),
    }
}

/// Whether browsers take the server for the one they asked for, and for how long.
fn certificate(config: &Config) -> Finding {
    let has_acme = !config.tls.acme_domains.is_empty();
    match tls::check(&config.tls) {
        Ok(Some(certificate)) => timely(&certificate, SystemTime::now(), has_acme),
        Ok(None) if has_acme => {
            let found = format!(
                "none yet: the server asks {} for one when it starts, which must reach it as port 443 of each name",
                config.tls.acme_directory
            );
            Finding::new(Grade::Poor, "certificate", found)
        }
        Ok(None) if config.server.listen.ip().is_loopback() => Finding::new(
            Grade::Good,
            "certificate",
            "none: plain HTTP, for this machine or a proxy on it",
        ),
        Ok(None) => {
            let found = "none: over plain HTTP browsers on other machines get no microphone; see `[tls]`, or have a proxy in front";
            Finding::new(Grade::Poor, "certificate", found)
        }
        Err(sentence) => Finding::new(Grade::Bad, "certificate", sentence),
    }
}

fn timely(certificate: &Certificate, now: SystemTime, has_acme: bool) -> Finding {
    if let Some(sentence) = tls::warning(certificate) {
        return Finding::new(Grade::Poor, "certificate", format!("{sentence}; browsers refuse it"));
    }
    match certificate.left(now) {
        Some(left) if left < RENEWAL_WANTED => {
            let days = left.as_secs() / (24 * 60 * 60);
            let who = match has_acme {
                true => "its renewal fails: the server's log says why",
                false => "have it renewed, the files are read again by themselves",
            };
            let found = format!("{certificate}, in {days} days; {who}");
            Finding::new(Grade::Poor, "certificate", found)
        }
        _ => Finding::new(Grade::Good, "certificate", certificate.to_string()),
    }
}

/// Whether the names of the certificate lead here.
fn names(config: &Config) -> Finding {
    let certificate = tls::check(&config.tls).ok().flatten();
    let names = match (config.tls.acme_domains.as_slice(), &certificate) {
        ([], Some(certificate)) => certificate.names.clone(),
        (domains, _) => domains.to_owned(),
    };
    let own = addresses::public(&config.server.public_addresses, config.server.listen.ip());
    let stray = names.iter().filter(|name| !name.contains('*')).find_map(|name| {
        let Ok(found) = (name.as_str(), 0).to_socket_addrs() else {
            return Some(format!("{name} leads nowhere: it is in no DNS that this machine asks"));
        };
        let found: Vec<_> = found.map(|address| address.ip()).collect();
        let is_ours = found.iter().any(|ip| ip.is_loopback() || own.contains(ip));
        let shown = found.iter().map(IpAddr::to_string).collect::<Vec<_>>().join(", ");
        (!is_ours).then(|| {
            format!(
                "{name} leads to {shown}, none of which this server knows as its own (`public_addresses`): right where a proxy or a NAT is in front"
            )
        })
    });
    match stray {
        Some(found) => Finding::new(Grade::Poor, "names", found),
        None if names.is_empty() => {
            Finding::new(Grade::Good, "names", "there is no certificate with names to look up")
        }
        None => Finding::new(Grade::Good, "names", format!("{} leads here", names.join(", "))),
    }
}

/// The ports of the sound: one for each worker.
fn media(config: &Config) -> Finding {
    let first = config.server.media_port;
    let ports = (0..worker_count(&config.server))
        .map(|worker| first.saturating_add(u16::try_from(worker).unwrap_or(u16::MAX)));
    let ports: Vec<_> = ports.collect();
    let told = addresses::public(&config.server.public_addresses, config.server.listen.ip());
    let own = addresses::own();
    let taken = ports.iter().find_map(|port| MediaSocket::bind(*port, &told, &own).err());
    let last = ports.last().copied().unwrap_or(first);
    match taken {
        None => {
            let found = format!("UDP {first} to {last} are free; a firewall must let them in");
            Finding::new(Grade::Good, "sound", found)
        }
        Some(error) => Finding::new(Grade::Bad, "sound", error.to_string()),
    }
}

/// The ports of those whose UDP is shut, and of lines of RTP.
fn other_doors(config: &Config) -> Finding {
    let tcp = Some(config.server.media_tcp_port).filter(|port| *port > 0);
    let told = addresses::public(&config.server.public_addresses, config.server.listen.ip());
    // Of IPv6 it is for both.
    let all: IpAddr = match told.iter().any(IpAddr::is_ipv6) {
        true => Ipv6Addr::UNSPECIFIED.into(),
        false => Ipv4Addr::UNSPECIFIED.into(),
    };
    let taken = tcp.and_then(|port| {
        let error = TcpListener::bind((all, port)).err()?;
        Some(format!("TCP {port} (`media_tcp_port`): {error}"))
    });
    let (first, ports) = (config.rtp.first_port, config.rtp.ports);
    let last = first.saturating_add(ports.saturating_sub(1));
    let has_lines = first > 0;
    let line = (first..=last).filter(|_| has_lines).find_map(|port| {
        let error = UdpSocket::bind((all, port)).err()?;
        Some(format!("UDP {port}, of `[rtp]`: {error}"))
    });
    if let Some(found) = taken.or(line) {
        return Finding::new(Grade::Bad, "other doors", found);
    }
    let found = match (tcp, has_lines) {
        (None, false) => "neither `media_tcp_port` nor `[rtp]` is set".to_owned(),
        (Some(tcp), false) => format!("TCP {tcp} is free"),
        (None, true) => format!("UDP {first} to {last} are free for lines of RTP"),
        (Some(tcp), true) => {
            format!("TCP {tcp} is free, and UDP {first} to {last} for lines of RTP")
        }
    };
    Finding::new(Grade::Good, "other doors", found)
}

/// Whether clients are told addresses that lead here.
fn reached(config: &Config) -> Finding {
    let (listen, own) = (config.server.listen.ip(), addresses::own());
    let told = addresses::public(&config.server.public_addresses, listen);
    let shown = told.iter().map(IpAddr::to_string).collect::<Vec<_>>().join(", ");
    if config.server.public_addresses.iter().any(|address| !own.contains(address)) {
        let found = format!(
            "clients are told {shown}: not all of them this machine's own, so a NAT must pass UDP on to it"
        );
        return Finding::new(Grade::Good, "addresses", found);
    }
    let is_private = |ip: &IpAddr| match ip {
        IpAddr::V4(ip) => ip.is_private() || ip.is_loopback(),
        IpAddr::V6(ip) => ip.is_loopback() || ip.is_unique_local(),
    };
    if !listen.is_loopback() && told.iter().all(is_private) {
        let found = format!(
            "clients are told {shown}, which is reached from this network alone; for others set `public_addresses`"
        );
        return Finding::new(Grade::Poor, "addresses", found);
    }
    Finding::new(Grade::Good, "addresses", format!("clients are told {shown}"))
}

fn priority(config: &Config) -> Finding {
    let priority = config.server.realtime_priority;
    if priority == 0 {
        return Finding::new(
            Grade::Good,
            "priority",
            "none is asked for (`realtime_priority = 0`)",
        );
    }
    let tried = thread::spawn(move || try_real_time(priority)).join();
    match tried {
        Ok(Ok(())) => Finding::new(
            Grade::Good,
            "priority",
            format!("real-time priority {priority} is allowed"),
        ),
        _ => {
            let found = "the sound has no real-time priority, so other programs make it late: set LimitRTPRIO= in the unit, `ulimit -r`, or CAP_SYS_NICE";
            Finding::new(Grade::Poor, "priority", found)
        }
    }
}

/// Whether those who are in can be let go in peace: `TimeoutStopSec=` of the unit.
fn end(config: &Config) -> Finding {
    let seconds = config.server.drain_seconds;
    match u64::from(seconds) + LAST_SECONDS > UNIT_WAITS {
        true => {
            let found = format!(
                "may take {seconds} s (`drain_seconds`) and {LAST_SECONDS} more; the unit of the package kills it after {UNIT_WAITS} s: raise TimeoutStopSec= there"
            );
            Finding::new(Grade::Poor, "end", found)
        }
        false => Finding::new(
            Grade::Good,
            "end",
            format!("takes {seconds} s (`drain_seconds`) and {LAST_SECONDS} more at most"),
        ),
    }
}

/// Whether webhooks can be told.
fn told_others(config: &Config) -> Finding {
    match (config.webhooks.len(), webhooks::client()) {
        (0, _) => Finding::new(Grade::Good, "webhooks", "there are none"),
        (1, Ok(_)) => Finding::new(Grade::Good, "webhooks", "one can be told"),
        (count, Ok(_)) => Finding::new(Grade::Good, "webhooks", format!("{count} can be told")),
        (_, Err(sentence)) => Finding::new(Grade::Poor, "webhooks", sentence),
    }
}

fn buffers() -> Finding {
    let limit = |name: &str| {
        let text = std::fs::read_to_string(format!("/proc/sys/net/core/{name}")).ok()?;
        text.trim().parse::<u64>().ok()
    };
    let [receive, send] = ["rmem_max", "wmem_max"].map(limit);
    let (Some(receive), Some(send)) = (receive, send) else {
        return Finding::new(Grade::Good, "buffers", "this system does not tell what it grants");
    };
    if receive.min(send) >= KERNEL_BUFFER_BYTES as u64 {
        return Finding::new(
            Grade::Good,
            "buffers",
            "the kernel grants what media sockets ask for",
        );
    }
    let found = format!(
        "the kernel grants sockets {receive} bytes to receive and {send} to send, enough for some hundred people; for more: \
         sysctl -w net.core.rmem_max={KERNEL_BUFFER_BYTES} net.core.wmem_max={KERNEL_BUFFER_BYTES}"
    );
    Finding::new(Grade::Poor, "buffers", found)
}

fn files() -> Finding {
    match getrlimit(Resource::Nofile).current {
        Some(limit) if limit < FILES_WANTED => {
            let found = format!(
                "{limit} files and sockets may be open, one or two for each participant: set LimitNOFILE= in the unit, or `ulimit -n`"
            );
            Finding::new(Grade::Poor, "open files", found)
        }
        limit => {
            let limit = limit.map_or("any number".to_owned(), |limit| limit.to_string());
            Finding::new(Grade::Good, "open files", format!("{limit} may be open"))
        }
    }
}

/// How late threads are that sleep until a moment.
fn wake_ups() -> Finding {
    let start = Instant::now();
    let mut late: Vec<Duration> = (1..=WAKE_UPS)
        .map(|turn| {
            let due = start + TICK * u32::try_from(turn).unwrap_or(u32::MAX);
            thread::sleep(due.saturating_duration_since(Instant::now()));
            due.elapsed()
        })
        .collect();
    late.sort_unstable();
    let ms = |late: Duration| late.as_secs_f64() * 1e3;
    let (median, most) = (late[WAKE_UPS / 2], late[WAKE_UPS - 1]);
    let found = format!(
        "{:.1} ms late at the median of {WAKE_UPS}, {:.1} ms at most",
        ms(median),
        ms(most)
    );
    match most > LATENESS_BOUND {
        true => {
            let found = format!(
                "{found}: something else has the processor; the sound's own threads come first with a real-time priority"
            );
            Finding::new(Grade::Poor, "wake-ups", found)
        }
        false => Finding::new(Grade::Good, "wake-ups", found),
    }
}

fn clock_source() -> Finding {
    const FILE: &str = "/sys/devices/system/clocksource/clocksource0/current_clocksource";
    match std::fs::read_to_string(FILE).map(|text| text.trim().to_owned()) {
        Ok(source) if matches!(source.as_str(), "hpet" | "acpi_pm" | "jiffies" | "xen") => {
            let found = format!(
                "`{source}`, which is slow to read; `tsc` or `kvm-clock` is not: see {FILE}"
            );
            Finding::new(Grade::Poor, "clock source", found)
        }
        Ok(source) => Finding::new(Grade::Good, "clock source", format!("`{source}`")),
        Err(_) => Finding::new(Grade::Good, "clock source", "this system does not tell"),
    }
}

/// Tokens have times, and so have what browsers tell of their microphones.
fn time_of_day() -> Finding {
    let kept = [
        "/run/systemd/timesync/synchronized",
        "/run/chrony",
        "/run/ntpd.pid",
        "/run/openntpd.sock",
    ];
    match kept.iter().any(|path| std::path::Path::new(path).exists()) {
        true => Finding::new(Grade::Good, "time of day", "is kept by a time service"),
        false => {
            let found = "no time service was found, such as systemd-timesyncd or chrony; tokens are good until a time of day";
            Finding::new(Grade::Poor, "time of day", found)
        }
    }
}

#[cfg(test)]
mod tests {
    use foldback_chain::Registry;

    use super::*;

    fn config(more: &str) -> Config {
        let file = format!("[chain.talk]\nstages = [{{ kind = \"mix\" }}]\n{more}");
        Config::parse(&file, "t.toml", &Registry::new(&[])).expect("valid")
    }

    #[test]
    fn a_port_that_somebody_has_is_told_with_what_can_be_done() {
        let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let listen = taken.local_addr().expect("bound");
        let finding = listening(&config(&format!("[server]\nlisten = \"{listen}\"\n")));
        assert_eq!(finding.grade, Grade::Bad);
        assert!(finding.found.contains(&listen.to_string()), "{finding}");
        drop(taken);

        let taken = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).expect("a port");
        let port = taken.local_addr().expect("bound").port();
        let finding = media(&config(&format!("[server]\nworkers = 1\nmedia_port = {port}\n")));
        assert_eq!(finding.grade, Grade::Bad);
        assert!(finding.found.contains("media_port"), "{finding}");
    }

    #[test]
    fn addresses_that_lead_nowhere_from_elsewhere_are_told() {
        let private =
            config("[server]\nlisten = \"0.0.0.0:8080\"\npublic_addresses = [\"127.0.0.1\"]\n");
        assert_eq!(reached(&private).grade, Grade::Poor);
        let nat =
            config("[server]\nlisten = \"0.0.0.0:8080\"\npublic_addresses = [\"203.0.113.7\"]\n");
        let finding = reached(&nat);
        assert!(finding.grade == Grade::Good && finding.found.contains("NAT"), "{finding}");
        assert_eq!(reached(&config("")).grade, Grade::Good, "this machine alone");
    }
}
