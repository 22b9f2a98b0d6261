//! What the server answers over its signalling socket, without a browser.

use std::time::Duration;

use foldback_tests::Server;
use serde_json::json;
use tokio_tungstenite::tungstenite::Message;

use crate::socket::Socket;

#[tokio::test]
async fn malformed_messages_get_an_error_and_the_socket_stays_usable() {
    let server = Server::start_with_file("clean.toml").await;
    let mut socket = Socket::connect(&server).await;
    let long_name = "x".repeat(65);
    // (message, code)
    let mistakes = [
        ("".to_owned(), "bad-json"),
        ("{".to_owned(), "bad-json"),
        ("[1]".to_owned(), "bad-json"),
        ("{}".to_owned(), "missing-field"),
        (json!({ "type": "jion" }).to_string(), "unknown-type"),
        (json!({ "type": "join", "room": "r" }).to_string(), "missing-field"),
        (json!({ "type": "join", "room": "no room", "name": "Ann" }).to_string(), "bad-room"),
        (json!({ "type": "join", "room": "r", "name": "  " }).to_string(), "bad-name"),
        (json!({ "type": "join", "room": "r", "name": long_name }).to_string(), "bad-name"),
        (json!({ "type": "offer", "sdp": "v=0" }).to_string(), "not-joined"),
        (json!({ "type": "mute", "muted": true }).to_string(), "not-joined"),
        (json!({ "type": "spare", "kinds": [] }).to_string(), "not-joined"),
    ];
    for (message, code) in mistakes {
        socket.say(Message::text(message.as_str())).await;
        let answer = socket.next("error").await;
        assert_eq!(answer["code"], code, "{message}: {answer}");
        assert!(answer["message"].as_str().is_some_and(|text| text.len() > 10), "{answer}");
    }
    socket.say(Message::binary(vec![1, 2, 3])).await;
    assert_eq!(socket.next("error").await["code"], "bad-json");

    socket
        .say(Message::text(json!({ "type": "join", "room": "r", "name": "Ann" }).to_string()))
        .await;
    let joined = socket.next("joined").await;
    assert_eq!(joined["participants"][0]["name"], "Ann", "{joined}");
    assert_eq!(joined["chain"]["name"], "clean", "{joined}");

    let mut other = Socket::connect(&server).await;
    other
        .say(Message::text(json!({ "type": "join", "room": "r", "name": "Bob" }).to_string()))
        .await;
    let (own, bob) = (&joined["participant"], &other.next("joined").await["participant"]);
    // (message, code), now from within the room
    let mistakes = [
        (json!({ "type": "hear", "participant": bob }), "missing-field"),
        (json!({ "type": "hear", "gain_db": -6 }), "missing-field"),
        (json!({ "type": "hear", "participant": "Bob", "gain_db": -6 }), "bad-json"),
        (json!({ "type": "hear", "participant": bob, "gain_db": 12.5 }), "bad-value"),
        (json!({ "type": "hear", "participant": bob, "gain_db": -61 }), "bad-value"),
        (json!({ "type": "hear", "participant": bob, "pan": 2 }), "bad-value"),
        // The room is mono.
        (json!({ "type": "hear", "participant": bob, "pan": 0.5 }), "bad-value"),
        (json!({ "type": "hear", "participant": own, "gain_db": -6 }), "not-found"),
        (json!({ "type": "hear", "participant": 999, "muted": true }), "not-found"),
        (json!({ "type": "join", "room": "r", "name": "Ann" }), "already-joined"),
        (json!({ "type": "offer", "sdp": "v=0" }), "bad-sdp"),
        (json!({ "type": "candidate" }), "missing-field"),
        (json!({ "type": "mute" }), "missing-field"),
        (json!({ "type": "mute", "muted": "yes" }), "bad-json"),
        (json!({ "type": "spare" }), "missing-field"),
        (json!({ "type": "spare", "kinds": ["mix"] }), "bad-stage"),
    ];
    for (message, code) in mistakes {
        socket.say(Message::text(message.to_string())).await;
        let answer = socket.next("error").await;
        assert_eq!(answer["code"], code, "{message}: {answer}");
    }
    socket.say(Message::text(json!({ "type": "leave" }).to_string())).await;
    assert_eq!(socket.close_code().await, Some(1000));
}

#[tokio::test]
async fn a_message_that_is_too_large_is_told_and_ends_the_socket() {
    let server = Server::start_with_file("clean.toml").await;
    let mut socket = Socket::connect(&server).await;
    let sdp = "x".repeat(300 * 1024);
    socket.say(Message::text(json!({ "type": "offer", "sdp": sdp }).to_string())).await;
    assert_eq!(socket.next("error").await["code"], "too-large");
    assert_eq!(socket.close_code().await, Some(1009));
}

#[tokio::test]
async fn who_says_too_much_at_once_is_left_out_and_the_others_are_told_the_truth() {
    let server = Server::start_with_file("clean.toml").await;
    let (mut ann, mut bob) = (Socket::connect(&server).await, Socket::connect(&server).await);
    let join = |name: &str| json!({ "type": "join", "room": "r", "name": name });
    let id = ann.join(join("Ann")).await["participant"].clone();
    bob.join(join("Bob")).await;
    for flip in 0..400 {
        ann.say(Message::text(json!({ "type": "mute", "muted": flip % 2 == 0 }).to_string())).await;
    }
    let refused = ann.next("error").await;
    assert_eq!(refused["code"], "too-fast");
    // A second later it is listened to her again.
    tokio::time::sleep(Duration::from_secs(1)).await;
    ann.say(Message::text(json!({ "type": "mute", "muted": false }).to_string())).await;
    ann.say(Message::text(json!({ "type": "hand", "raised": true }).to_string())).await;
    let (mut muted, mut changes) = (json!(false), 0);
    loop {
        let told = bob.message().await;
        match told["type"].as_str() {
            Some("participant-muted") => {
                assert_ne!(told["muted"], muted, "told of what did not change");
                (muted, changes) = (told["muted"].clone(), changes + 1);
            }
            Some("participant-hand") => break,
            _ => {}
        }
    }
    let listed = server.url("/api/v1/rooms/r/participants");
    let people = reqwest::get(listed).await.expect("the server answers");
    let people: serde_json::Value = people.json().await.expect("JSON");
    let person = people.as_array().and_then(|people| people.iter().find(|it| it["id"] == id));
    assert_eq!(person.expect("she is in")["muted"], muted);
    assert!((100..250).contains(&changes), "{changes} changes");
}

#[tokio::test]
async fn only_so_many_of_a_room_hear_others_in_their_own_way() {
    const MOST: usize = 32;
    let server = Server::start_with_file("clean.toml").await;
    let mut sockets = Vec::new();
    let mut ids = Vec::new();
    for number in 0..MOST + 2 {
        let mut socket = Socket::connect(&server).await;
        let join = json!({ "type": "join", "room": "r", "name": format!("Ann {number}") });
        socket.say(Message::text(join.to_string())).await;
        ids.push(socket.next("joined").await["participant"].clone());
        sockets.push(socket);
    }
    let (last, talker) = (MOST, ids[MOST + 1].clone());
    let hear = |gain_db: f64| {
        let hear = json!({ "type": "hear", "participant": talker, "gain_db": gain_db });
        Message::text(hear.to_string())
    };
    // What is refused comes before this is.
    let marker = || Message::text("{}");
    for (number, socket) in sockets[..MOST].iter_mut().enumerate() {
        socket.say(hear(-6.0)).await;
        socket.say(hear(-12.0)).await;
        socket.say(marker()).await;
        assert_eq!(socket.next("error").await["code"], "missing-field", "{number}");
    }
    sockets[last].say(hear(-6.0)).await;
    assert_eq!(sockets[last].next("error").await["code"], "too-many");
    sockets[0].say(hear(0.0)).await;
    sockets[0].say(marker()).await;
    sockets[0].next("error").await;
    sockets[last].say(hear(-6.0)).await;
    sockets[last].say(marker()).await;
    assert_eq!(sockets[last].next("error").await["code"], "missing-field");
}
