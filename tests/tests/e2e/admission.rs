//! Who gets into a room, and who does not, without a browser.

use std::time::Duration;

use foldback_tests::Server;
use serde_json::{Value, json};

use crate::socket::Socket;

const CHAIN: &str = "[chain.talk]\nstages = [{ kind = \"mix\" }]\n";

fn join(room: &str, name: &str) -> Value {
    json!({ "type": "join", "room": room, "name": name })
}

#[tokio::test]
async fn a_full_room_and_a_full_server_say_so_until_somebody_leaves() {
    let config = format!(
        "{CHAIN}[limits]\nparticipants = 3\nrooms = 2\nparticipants_per_room = 2\n\
         [[room]]\nname = \"pair\"\nchain = \"talk\"\nmax_participants = 1\n\
         [[room]]\nname = \"*\"\nchain = \"talk\"\n"
    );
    let server = Server::start(&config).await;
    let mut ann = Socket::connect(&server).await;
    let mut bob = Socket::connect(&server).await;
    let mut cleo = Socket::connect(&server).await;
    assert_eq!(ann.join(join("pair", "Ann")).await["type"], "joined");
    let full = bob.join(join("pair", "Bob")).await;
    assert_eq!(full["code"], "room-full", "{full}");
    assert_eq!(full["message"], "This room is full: it takes 1 person.");
    // The same socket may ask again, elsewhere.
    assert_eq!(bob.join(join("lobby", "Bob")).await["type"], "joined");
    let full = cleo.join(join("third", "Cleo")).await;
    assert_eq!(full["code"], "server-full", "{full}");
    assert!(full["message"].as_str().is_some_and(|it| it.contains("2 rooms")), "{full}");
    assert_eq!(cleo.join(join("lobby", "Cleo")).await["type"], "joined");

    let client = reqwest::Client::new();
    let offer = json!({ "type": "offer", "sdp": "v=0" }).to_string();
    let ask = |query: &str| {
        let url = server.url(&format!("/offer{query}"));
        client.post(url).body(offer.clone()).send()
    };
    let full = ask("?room=lobby&name=Dan").await.expect("an answer");
    assert_eq!(full.status(), 503);
    assert_eq!(full.headers()["retry-after"], "5");
    let full: Value = full.json().await.expect("JSON");
    assert_eq!(full["code"], "server-full", "{full}");
    drop(bob);
    until_left(&server, "lobby", 1).await;
    let mut dan = Socket::connect(&server).await;
    assert_eq!(dan.join(join("lobby", "Dan")).await["type"], "joined");

    // Nobody who is in is let go by a file that says less; nobody comes either.
    drop(ann);
    until_left(&server, "pair", 0).await;
    let less = config.replace("participants_per_room = 2", "participants_per_room = 1");
    assert_eq!(reload(&server, &less).await.0, 200);
    let full = ask("?room=lobby&name=Eve").await.expect("an answer");
    assert_eq!(full.status(), 409);
    assert_eq!(full.json::<Value>().await.expect("JSON")["code"], "room-full");
    let room = reqwest::get(server.url("/api/v1/rooms/lobby")).await.expect("an answer");
    assert_eq!(room.json::<Value>().await.expect("JSON")["participants"], 2);
}

/// Writes another configuration and has it read: the status, and what was said.
async fn reload(server: &Server, config: &str) -> (u16, String) {
    server.write_config(config);
    let answer = reqwest::Client::new().post(server.url("/api/v1/reload")).send().await;
    let answer = answer.expect("an answer");
    (answer.status().as_u16(), answer.text().await.expect("text"))
}

async fn until_left(server: &Server, room: &str, participants: u64) {
    for _ in 0..100 {
        let url = server.url(&format!("/api/v1/rooms/{room}"));
        let info: Value = reqwest::get(url).await.expect("an answer").json().await.expect("JSON");
        if info["participants"] == participants {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("{room} still does not have {participants}");
}

#[tokio::test]
async fn an_address_joins_so_often_in_a_minute_as_its_proxy_tells_it() {
    let config = format!(
        "{CHAIN}[auth]\nopen = true\n[limits]\njoins_per_minute = 2\ntrusted_proxies = [\"127.0.0.0/8\"]\n"
    );
    let server = Server::start(&config).await;
    let from = async |address| {
        let mut socket = Socket::with_headers(&server, &[("x-forwarded-for", address)])
            .await
            .expect("the server takes sockets");
        let answer = socket.join(join("lobby", "Ann")).await;
        answer["code"].as_str().unwrap_or("joined").to_owned()
    };
    assert_eq!([from("192.0.2.1").await, from("192.0.2.1").await], ["joined", "joined"]);
    assert_eq!(from("192.0.2.1").await, "too-fast");
    // What a client makes up stands further left.
    assert_eq!(from("198.51.100.3, 192.0.2.1").await, "too-fast");
    assert_eq!(from("192.0.2.2").await, "joined");
    let offer = json!({ "type": "offer", "sdp": "v=0" }).to_string();
    let refused = reqwest::Client::new()
        .post(server.url("/offer"))
        .header("x-forwarded-for", "192.0.2.1")
        .body(offer)
        .send()
        .await
        .expect("an answer");
    assert_eq!(refused.status(), 429);
    assert_eq!(refused.headers()["retry-after"], "5");
}

#[tokio::test]
async fn a_pin_opens_a_room_changes_with_the_file_and_shows_nowhere() {
    let with_pin = |pin: &str| {
        format!(
            "{CHAIN}[[room]]\nname = \"board\"\nchain = \"talk\"\npin = \"{pin}\"\n\
             [[room]]\nname = \"*\"\nchain = \"talk\"\n"
        )
    };
    let log = ("RUST_LOG", "trace,tungstenite::protocol=trace");
    let server = Server::start_with(&with_pin("first-pin"), &[log]).await;
    let asks = async |room: &str| {
        let room = reqwest::get(server.url(&format!("/api/v1/rooms/{room}"))).await;
        room.expect("an answer").json::<Value>().await.expect("JSON")["pin_required"].clone()
    };
    assert_eq!((asks("board").await, asks("lobby").await), (json!(true), json!(false)));
    let board = |pin: &str| {
        let mut join = join("board", "Ann");
        join["pin"] = json!(pin);
        join
    };
    let mut ann = Socket::connect(&server).await;
    assert_eq!(ann.join(join("board", "Ann")).await["code"], "pin-required");
    assert_eq!(ann.join(board("guessed-pin")).await["code"], "wrong-pin");
    assert_eq!(ann.join(board("first-pin")).await["type"], "joined");

    let offer = async |pin: &str| {
        let offer = json!({ "type": "offer", "sdp": "v=0" }).to_string();
        let url = server.url("/offer?room=board&name=Bob");
        let request = reqwest::Client::new().post(url).body(offer).basic_auth("", Some(pin));
        let answer = request.send().await.expect("an answer");
        let status = answer.status().as_u16();
        let body = answer.json::<Value>().await.expect("JSON");
        (status, body["code"].as_str().unwrap_or_default().to_owned())
    };
    assert_eq!(offer("").await, (403, "pin-required".to_owned()));
    assert_eq!(offer("guessed-pin").await, (403, "wrong-pin".to_owned()));
    // Let in, though the offer is none.
    assert_eq!(offer("first-pin").await, (422, "bad-sdp".to_owned()));

    assert_eq!(reload(&server, &with_pin("second-pin")).await.0, 200);
    let mut bob = Socket::connect(&server).await;
    assert_eq!(bob.join(board("first-pin")).await["code"], "wrong-pin");
    assert_eq!(bob.join(board("second-pin")).await["type"], "joined");
    ann.next("participant-joined").await;

    // Three wrong ones of ten were said, and a new one comes back every 6 s.
    let mut eve = Socket::connect(&server).await;
    let mut codes = Vec::new();
    while codes.len() < 12 && codes.last().is_none_or(|code| code == "wrong-pin") {
        codes.push(eve.join(board(&format!("guess-{}", codes.len()))).await["code"].clone());
    }
    assert!((8..12).contains(&codes.len()), "{codes:?}");
    assert_eq!(eve.join(board("second-pin")).await["code"], "too-fast");

    // A PIN that is none leaves the one before, and is not told either.
    let (status, refused) = reload(&server, &with_pin("3rd")).await;
    assert_eq!(status, 422, "{refused}");
    assert!(refused.contains("`pin` has 3 characters, must be text of 4 to 64"), "{refused}");
    assert!(!refused.contains("3rd"), "{refused}");
    let text = reqwest::get(server.url("/api/v1/config/versions/2")).await.expect("an answer");
    let text = text.text().await.expect("text");
    assert_eq!(text, with_pin("..."));
    let log = server.log();
    assert!(log.contains("TRACE"), "the log tells little:\n{log}");
    // Also as a request shows it.
    for secret in ["first-pin", "second-pin", "guessed-pin", "\"3rd\"", "OmZpcnN0LXBpb"] {
        assert!(!log.contains(secret), "{secret} is in the log:\n{log}");
    }
}

#[tokio::test]
async fn who_is_in_a_room_with_a_pin_is_told_to_those_who_know_it_and_to_operators() {
    let config = format!(
        "{CHAIN}[[room]]\nname = \"board\"\nchain = \"talk\"\npin = \"471100\"\n\
         [[room]]\nname = \"*\"\nchain = \"talk\"\n"
    );
    let token = "0123456789abcdef";
    let server = Server::start_with(&config, &[("FOLDBACK_OPERATOR_TOKEN", token)]).await;
    let mut ann = Socket::connect(&server).await;
    let mut board = join("board", "Ann");
    board["pin"] = json!("471100");
    assert_eq!(ann.join(board).await["type"], "joined");
    let client = reqwest::Client::new();
    let ask = |room: &str| client.get(server.url(&format!("/api/v1/rooms/{room}/participants")));
    let told = async |request: reqwest::RequestBuilder| {
        let answer = request.send().await.expect("an answer");
        let status = answer.status().as_u16();
        let body: Value = answer.json().await.expect("JSON");
        let told = [&body["code"], &body[0]["name"]].map(|it| it.as_str().unwrap_or_default());
        (status, told.concat())
    };
    let said = |status: u16, what: &str| (status, what.to_owned());
    assert_eq!(told(ask("board")).await, said(403, "pin-required"));
    assert_eq!(told(ask("board").basic_auth("", Some("471101"))).await, said(403, "wrong-pin"));
    assert_eq!(told(ask("board").bearer_auth("471101")).await, said(403, "wrong-pin"));
    assert_eq!(told(ask("board").bearer_auth("471100")).await, said(200, "Ann"));
    assert_eq!(told(ask("board").basic_auth("", Some("471100"))).await, said(200, "Ann"));
    assert_eq!(told(ask("board").bearer_auth(token)).await, said(200, "Ann"));
    assert_eq!(told(ask("lobby")).await, said(200, ""));
}

#[tokio::test]
async fn a_pin_may_stand_in_a_file_of_its_own() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("pin");
    std::fs::write(&file, "471100\n").expect("a file");
    let config = format!(
        "{CHAIN}[[room]]\nname = \"*\"\nchain = \"talk\"\npin_file = \"{}\"\n",
        file.display()
    );
    let server = Server::start(&config).await;
    let ask = async |pin: &str| {
        let mut socket = Socket::connect(&server).await;
        let mut join = join("lobby", "Ann");
        join["pin"] = json!(pin);
        socket.join(join).await["code"].as_str().unwrap_or("joined").to_owned()
    };
    assert_eq!(ask("471101").await, "wrong-pin");
    assert_eq!(ask("471100").await, "joined");
    std::fs::write(&file, "0815\n").expect("a file");
    assert_eq!(reload(&server, &config).await.0, 200);
    assert_eq!(ask("471100").await, "wrong-pin");
    assert_eq!(ask("0815").await, "joined");
}
