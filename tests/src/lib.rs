//! The end-to-end harness: the real server and real headless browsers, as child processes.
//!
//! ```no_run
//! # async fn example() {
//! use foldback_testkit::signal;
//! use foldback_tests::{Browser, Server};
//!
//! let server = Server::start("[chain.clean]\nstages = [{ kind = \"mix\" }]").await;
//! let browser = Browser::with_microphone(signal::tone(440.0, -20.0, 60.0)).await;
//! browser.join(&server, "lobby", "Ann").await;
//! let heard = browser.record(3.0).await;
//! # }
//! ```
//!
//! Whatever the harness cannot do is a panic that says what was expected, what was found instead
//! and what the child process had to say.

mod binary;
mod browser;
mod certificates;
mod child;
mod chromium;
mod firefox;
mod foreign;
mod installed;
mod page;
mod pebble;
mod prometheus;
mod recording;
mod relay;
mod rtc_client;
mod scrape;
mod server;
mod sound_card;
mod talkers;
mod turn;

pub use binary::foldback;
pub use browser::Browser;
pub use certificates::{Authority, Pair, TlsClient};
pub use foreign::{Foreign, Software};
pub use page::SETTLING;
pub use pebble::Pebble;
pub use prometheus::{Prometheus, deployed, promtool};
pub use relay::{Relay, RelayStats};
pub use rtc_client::RtcClient;
pub use scrape::{Sample, Scrape};
pub use server::{Server, free_line_ports, free_tcp_port};
pub use sound_card::SoundCard;
pub use talkers::Talkers;
pub use turn::TurnServer;
