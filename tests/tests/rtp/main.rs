//! Lines of RTP: sound from and to tools that are not ours, and what each request and packet is answered with.

mod clients;
mod lines;

use std::net::UdpSocket;

use foldback_tests::Server;
use serde_json::Value;

/// A server with ports for lines.
async fn server(rest: &str) -> Server {
    let port = free_ports();
    let config = format!(
        "[server]\nworkers = 1\n[chain.talk]\nstages = [{{ kind = \"mix\" }}]\n[rtp]\nfirst_port = {port}\nports = 8\n{rest}"
    );
    Server::start(&config).await
}

/// The first of eight that are free, mostly: the server looks for one that is.
fn free_ports() -> u16 {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a UDP port is free");
    let port = socket.local_addr().expect("bound").port();
    port.min(65_000)
}

async fn people(server: &Server) -> Vec<Value> {
    let url = server.url("/api/v1/rooms/lobby/participants");
    let people: Value = reqwest::get(url).await.expect("an answer").json().await.expect("JSON");
    people.as_array().cloned().unwrap_or_else(|| panic!("{people}"))
}
