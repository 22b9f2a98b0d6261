//! Lines of RTP: sound from and to tools that are not ours, and what each request and packet is answered with.

mod clients;
mod lines;

use foldback_tests::{Server, free_line_ports};
use serde_json::Value;

/// A server with ports for lines.
async fn server(rest: &str) -> Server {
    let port = free_line_ports();
    let config = format!(
        "[server]\nworkers = 1\n[chain.talk]\nstages = [{{ kind = \"mix\" }}]\n[rtp]\nfirst_port = {port}\nports = 8\n{rest}"
    );
    Server::start(&config).await
}

async fn people(server: &Server) -> Vec<Value> {
    let url = server.url("/api/v1/rooms/lobby/participants");
    let people: Value = reqwest::get(url).await.expect("an answer").json().await.expect("JSON");
    people.as_array().cloned().unwrap_or_else(|| panic!("{people}"))
}
