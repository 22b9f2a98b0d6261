//! What hosts do to a room: lock it, mute everybody; and who comes back to it all the same.

use std::time::{Duration, Instant};

use foldback_tests::{RtcClient, Server};
use reqwest::Method;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio_tungstenite::tungstenite::Message;

use crate::socket::Socket;
use crate::tokens::{guarded, join, token};

const OPERATOR: &str = "0123456789abcdef";

fn text(message: Value) -> Message {
    Message::text(message.to_string())
}

/// Says `join` on a new socket: the socket, and what came of it.
async fn comes(server: &Server, join: Value) -> (Socket, Value) {
    let mut socket = Socket::connect(server).await;
    let answer = socket.join(join).await;
    (socket, answer)
}

/// Asks for something by HTTP: the status, and the `code` of the answer.
async fn ask(
    server: &Server,
    method: Method,
    path: &str,
    bearer: &str,
    body: &str,
) -> (u16, Value) {
    let request = reqwest::Client::new().request(method, server.url(path)).bearer_auth(bearer);
    let answer = request.body(body.to_owned()).send().await.expect("an answer");
    let status = answer.status().as_u16();
    let body: Value =
        serde_json::from_slice(&answer.bytes().await.expect("a body")).unwrap_or(Value::Null);
    (status, body["code"].clone())
}

async fn comes_by(server: &Server, door: &str, token: &str) -> (u16, Value) {
    let answer = reqwest::Client::new()
        .post(server.url(&format!("/{door}/lobby")))
        .bearer_auth(token)
        .header("content-type", "application/sdp")
        .body(RtcClient::offer())
        .send()
        .await
        .expect("an answer");
    let status = answer.status().as_u16();
    let body: Value = answer.json().await.unwrap_or_default();
    (status, body["code"].clone())
}

async fn info(server: &Server) -> Value {
    let answer = reqwest::get(server.url("/api/v1/rooms/lobby")).await.expect("an answer");
    answer.json().await.expect("JSON")
}

#[tokio::test]
async fn a_locked_room_takes_nobody_new_by_any_door_and_keeps_those_within() {
    let (server, folder) = guarded().await;
    let host = token(&folder, &["--room", "lobby", "--name", "Ann", "--role", "host"]);
    let talker = token(&folder, &["--room", "lobby"]);
    let (mut ann, joined) = comes(&server, join("lobby", &host)).await;
    assert_eq!(joined["locked"], false);
    let (mut bob, _) = comes(&server, join("lobby", &talker)).await;
    bob.say(text(json!({ "type": "lock", "locked": true }))).await;
    assert_eq!(bob.next("error").await["code"], "forbidden");
    assert_eq!(info(&server).await["locked"], false);

    ann.say(text(json!({ "type": "lock", "locked": true }))).await;
    let told = json!({ "type": "room-locked", "locked": true, "by": "Ann" });
    assert_eq!(ann.next("room-locked").await, told);
    assert_eq!(bob.next("room-locked").await, told);
    assert_eq!(info(&server).await["locked"], true);
    let (mut eve, refused) = comes(&server, join("lobby", &talker)).await;
    assert_eq!(refused["code"], "room-locked", "{refused}");
    assert!(refused["message"].as_str().is_some_and(|it| it.contains("a host unlocks it")));
    let locked = (403, json!("room-locked"));
    assert_eq!(comes_by(&server, "whip", &talker).await, locked);
    assert_eq!(comes_by(&server, "whep", &talker).await, locked);
    assert_eq!(comes_by(&server, "whip", &host).await.0, 201, "a host may");
    assert_eq!(comes_by(&server, "whep", &host).await.0, 201, "a host may listen");
    let (_dan, joined) = comes(&server, join("lobby", &host)).await;
    assert_eq!(joined["locked"], true, "{joined}");

    ann.say(text(json!({ "type": "lock", "locked": false }))).await;
    assert_eq!(bob.next("room-locked").await["locked"], false);
    // On the socket that was refused.
    assert_eq!(eve.join(join("lobby", &talker)).await["type"], "joined");
}

#[tokio::test]
async fn hosts_and_the_operator_lock_by_http_and_a_room_that_empties_is_open() {
    let (server, folder) = guarded().await;
    let host = token(&folder, &["--room", "lobby", "--role", "host"]);
    let talker = token(&folder, &["--room", "*"]);
    let path = "/api/v1/rooms/lobby/lock";
    let lock = async |method, bearer: &str| ask(&server, method, path, bearer, "").await;
    assert_eq!(lock(Method::PUT, OPERATOR).await, (404, json!("not-found")), "nobody is in it");
    let (mut bob, _) = comes(&server, join("lobby", &talker)).await;
    assert_eq!(lock(Method::PUT, &talker).await, (403, json!("forbidden")));
    assert_eq!(lock(Method::PUT, "nobody's").await, (401, json!("unauthorized")));
    assert_eq!(lock(Method::PUT, &host).await.0, 204);
    assert_eq!(bob.next("room-locked").await, json!({ "type": "room-locked", "locked": true }));
    assert_eq!(lock(Method::PUT, OPERATOR).await.0, 204, "as it is");
    let rooms = reqwest::Client::new().get(server.url("/api/v1/rooms")).bearer_auth(OPERATOR);
    let rooms: Value = rooms.send().await.expect("an answer").json().await.expect("JSON");
    assert_eq!(rooms[0]["locked"], true, "{rooms}");
    assert_eq!(lock(Method::DELETE, OPERATOR).await.0, 204);
    assert_eq!(bob.next("room-locked").await["locked"], false, "told once each time");

    assert_eq!(lock(Method::PUT, OPERATOR).await.0, 204);
    bob.say(text(json!({ "type": "leave" }))).await;
    assert_eq!(bob.close_code().await, Some(1000));
    let (_eve, joined) = comes(&server, join("lobby", &talker)).await;
    assert_eq!((&joined["type"], &joined["locked"]), (&json!("joined"), &json!(false)));
}

/// Like the page, which says its key with the token, whatever has become of that.
fn again(token: &str, key: &Value) -> Value {
    let mut join = join("lobby", token);
    join["return_key"] = key.clone();
    join
}

#[tokio::test]
async fn who_is_lost_comes_back_to_a_locked_room_with_an_expired_token_as_who_they_were() {
    let (server, folder) = guarded().await;
    server.reload(&server.config().replace("[auth]\n", "[auth]\ntoken_leeway_s = 0\n"));
    let host = token(&folder, &["--room", "lobby", "--role", "host"]);
    let brief = token(&folder, &["--room", "lobby", "--name", "Bob", "--for", "1s", "--max", "1"]);
    let lasting = token(&folder, &["--room", "lobby", "--name", "Cleo"]);
    let (mut ann, _) = comes(&server, join("lobby", &host)).await;
    let (mut bob, joined) = comes(&server, join("lobby", &brief)).await;
    let key = joined["return_key"].clone();
    assert_eq!(key.as_str().map(str::len), Some(48), "{joined}");
    let (_cleo, cleos) = comes(&server, join("lobby", &lasting)).await;
    assert_ne!(cleos["return_key"], key);
    ann.say(text(json!({ "type": "lock", "locked": true }))).await;
    ann.next("room-locked").await;
    tokio::time::sleep(Duration::from_secs(3)).await;

    // The server has not noticed yet that Bob is lost: the new one takes the place of the old one.
    let (_bob, joined) = comes(&server, again(&brief, &key)).await;
    assert_eq!(joined["type"], "joined", "{joined}");
    let old = bob.next("participant-left").await;
    assert_eq!(old["reason"], "closed");
    assert_eq!(bob.close_code().await, Some(1000));
    let names = async || {
        let listed = server.url("/api/v1/rooms/lobby/participants");
        let listed = reqwest::Client::new().get(listed).bearer_auth(OPERATOR).send().await;
        let listed: Vec<Value> = listed.expect("an answer").json().await.expect("JSON");
        listed.iter().map(|it| it["name"].as_str().unwrap_or_default().to_owned()).collect()
    };
    let names: Vec<String> = names().await;
    assert_eq!(names, ["Eve", "Cleo", "Bob"]);
    let (_, used_up) = comes(&server, again(&lasting, &key)).await;
    assert_eq!(used_up["code"], "room-locked", "the key was good once");
    let (_, made_up) = comes(&server, again(&lasting, &json!("0".repeat(48)))).await;
    assert_eq!(made_up["code"], "room-locked");

    // Once it has noticed, too.
    let key = joined["return_key"].clone();
    drop(_bob);
    ann.next("participant-left").await;
    ann.next("participant-left").await;
    let (_bob, joined) = comes(&server, again(&brief, &key)).await;
    assert_eq!(joined["type"], "joined", "{joined}");
    let key = joined["return_key"].clone();

    // Not who was taken out.
    let path = format!("/api/v1/rooms/lobby/participants/{}", joined["participant"]);
    assert_eq!(ask(&server, Method::DELETE, &path, &host, "").await.0, 204);
    let (_, refused) = comes(&server, again(&lasting, &key)).await;
    assert_eq!(refused["code"], "room-locked", "{refused}");
    assert!(!server.log().contains(key.as_str().expect("a key")));
}

#[tokio::test]
async fn a_key_leads_back_to_a_full_room_and_not_to_one_that_others_opened_since() {
    let config = "[chain.talk]\nstages = [{ kind = \"mix\" }]\n\
        [[room]]\nname = \"*\"\nchain = \"talk\"\nmax_participants = 2\n";
    let server = Server::start(config).await;
    let plainly = |name: &str| json!({ "type": "join", "room": "lobby", "name": name });
    let (mut ann, anns) = comes(&server, plainly("Ann")).await;
    let (bob, bobs) = comes(&server, plainly("Bob")).await;
    drop(bob);
    ann.next("participant-left").await;
    let (cleo, _) = comes(&server, plainly("Cleo")).await;
    let (_, full) = comes(&server, plainly("Dan")).await;
    assert_eq!(full["code"], "room-full");
    let mut back = plainly("Bob");
    back["return_key"] = bobs["return_key"].clone();
    let (bob, joined) = comes(&server, back.clone()).await;
    assert_eq!(joined["participants"].as_array().map(Vec::len), Some(3), "{joined}");

    // All are lost, and the first of them to come back opens the room as what it was.
    drop((ann, cleo, bob));
    let start = Instant::now();
    while info(&server).await["participants"] != 0 {
        assert!(start.elapsed() < Duration::from_secs(5));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    back["return_key"] = joined["return_key"].clone();
    let (bob, joined) = comes(&server, back.clone()).await;
    assert_eq!(joined["participants"].as_array().map(Vec::len), Some(1), "{joined}");
    let path = "/api/v1/rooms/lobby/lock";
    assert_eq!(ask(&server, Method::PUT, path, "", "").await.0, 204);
    let mut anns_way = plainly("Ann");
    anns_way["return_key"] = anns["return_key"].clone();
    let (ann, joined) = comes(&server, anns_way.clone()).await;
    assert_eq!(joined["type"], "joined", "{joined}");

    anns_way["return_key"] = joined["return_key"].clone();
    drop((ann, bob));
    while info(&server).await["participants"] != 0 {
        assert!(start.elapsed() < Duration::from_secs(10));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let (_dan, _) = comes(&server, plainly("Dan")).await;
    assert_eq!(ask(&server, Method::PUT, path, "", "").await.0, 204);
    let (_, refused) = comes(&server, anns_way).await;
    assert_eq!(refused["code"], "room-locked", "{refused}");
}

#[tokio::test]
async fn a_host_mutes_all_but_hosts_who_are_told_by_whom_and_may_unmute() {
    let (server, folder) = guarded().await;
    let host = token(&folder, &["--room", "lobby", "--name", "Ann", "--role", "host"]);
    let talker = token(&folder, &["--room", "lobby"]);
    let listener = token(&folder, &["--room", "lobby", "--role", "listener"]);
    let (mut ann, anns) = comes(&server, join("lobby", &host)).await;
    let (mut bob, bobs) = comes(&server, join("lobby", &talker)).await;
    let (_cleo, cleos) = comes(&server, join("lobby", &talker)).await;
    let (_dan, _) = comes(&server, join("lobby", &listener)).await;
    bob.say(text(json!({ "type": "mute-all", "muted": true }))).await;
    assert_eq!(bob.next("error").await["code"], "forbidden");
    ann.say(text(json!({ "type": "mute-all", "muted": true }))).await;
    let told = bob.next("participants-muted").await;
    let ids = json!([bobs["participant"], cleos["participant"]]);
    assert_eq!(
        told,
        json!({ "type": "participants-muted", "ids": ids, "muted": true, "by_operator": true, "by": "Ann" })
    );
    bob.say(text(json!({ "type": "mute", "muted": false }))).await;
    loop {
        let told = ann.next("participant-muted").await;
        if told["id"] == bobs["participant"] {
            assert_eq!((&told["muted"], &told["by_operator"]), (&json!(false), &Value::Null));
            break;
        }
        assert_ne!(told["id"], anns["participant"], "a host is not muted");
    }

    // Back from that, by HTTP: those who are muted still.
    let all = "/api/v1/rooms/lobby/mute";
    assert_eq!(ask(&server, Method::PUT, all, &talker, "{\"muted\":false}").await.0, 403);
    assert_eq!(ask(&server, Method::PUT, all, OPERATOR, "{}").await, (400, json!("missing-field")));
    assert_eq!(ask(&server, Method::PUT, all, OPERATOR, "{\"muted\":false}").await.0, 204);
    let told = bob.next("participants-muted").await;
    assert_eq!((&told["ids"], &told["by"]), (&json!([cleos["participant"]]), &Value::Null));
    let nobody = "/api/v1/rooms/elsewhere/mute";
    let answer = ask(&server, Method::PUT, nobody, OPERATOR, "{\"muted\":true}").await;
    assert_eq!(answer, (404, json!("not-found")));

    // One of them too is told by whom.
    let one = format!("/api/v1/rooms/lobby/participants/{}/mute", bobs["participant"]);
    assert_eq!(ask(&server, Method::PUT, &one, &host, "{\"muted\":true}").await.0, 204);
    assert_eq!(bob.next("participant-muted").await["by"], "Ann");
}

async fn reload(server: &Server, config: &str) {
    server.write_config(config);
    let (status, code) = ask(server, Method::POST, "/api/v1/reload", OPERATOR, "").await;
    assert_eq!((status, code), (200, Value::Null));
}

/// [`guarded`], with a waiting room for the lobby.
async fn with_waiting_room(more: &str) -> (Server, TempDir) {
    let (server, folder) = guarded().await;
    let rule = "[[room]]\nname = \"lobby\"\nchain = \"talk\"\nwaiting_room = true\n";
    let config = server.config().replacen("[[room]]\n", &format!("{rule}[[room]]\n"), 1);
    reload(&server, &config.replacen("[auth]\n", &format!("{more}[auth]\n"), 1)).await;
    (server, folder)
}

/// The next message that says whether one is in.
async fn outcome(socket: &mut Socket) -> Value {
    loop {
        let message = socket.message().await;
        if ["joined", "error", "waiting"].iter().any(|kind| message["type"] == *kind) {
            return message;
        }
    }
}

/// Comes to a waiting room, and waits.
async fn waits(server: &Server, token: &str, name: &str) -> Socket {
    let mut socket = Socket::connect(server).await;
    let mut join = join("lobby", token);
    join["name"] = json!(name);
    socket.say(text(join)).await;
    let told = outcome(&mut socket).await;
    assert_eq!(told, json!({ "type": "waiting", "room": "lobby", "seconds_left": 1800 }));
    socket
}

fn names(list: &Value) -> Vec<&str> {
    let list = list["waiting"].as_array().into_iter().flatten();
    list.filter_map(|it| it["name"].as_str()).collect()
}

#[tokio::test]
async fn who_comes_to_a_waiting_room_waits_until_a_host_decides() {
    let (server, folder) = with_waiting_room("").await;
    let host = token(&folder, &["--room", "lobby", "--name", "Ann", "--role", "host"]);
    let talker = token(&folder, &["--room", "lobby"]);
    assert_eq!(info(&server).await["waiting_room"], true);
    // While there is no host one waits on.
    let mut bob = waits(&server, &talker, "Bob").await;
    assert_eq!(info(&server).await["participants"], 0);
    let (mut ann, joined) = comes(&server, join("lobby", &host)).await;
    assert_eq!(joined["type"], "joined", "{joined}");
    let list = ann.next("waiting-list").await;
    assert_eq!(names(&list), ["Bob"]);
    let bobs = list["waiting"][0]["id"].clone();
    let mut cleo = waits(&server, &talker, "Cleo").await;
    let list = ann.next("waiting-list").await;
    assert_eq!(names(&list), ["Bob", "Cleo"]);
    let cleos = list["waiting"][1]["id"].clone();
    cleo.say(text(join("lobby", &talker))).await;
    assert_eq!(outcome(&mut cleo).await["code"], "already-joined");

    ann.say(text(json!({ "type": "admit", "ids": [bobs] }))).await;
    let joined = outcome(&mut bob).await;
    assert_eq!(joined["type"], "joined", "{joined}");
    assert_eq!(joined["participants"][1]["name"], "Bob");
    assert_eq!(names(&ann.next("waiting-list").await), ["Cleo"]);
    bob.say(text(json!({ "type": "admit", "ids": [cleos] }))).await;
    assert_eq!(bob.next("error").await["code"], "forbidden", "one who was let in lets nobody in");
    ann.say(text(json!({ "type": "refuse", "ids": [cleos] }))).await;
    let refused = outcome(&mut cleo).await;
    assert_eq!(refused["code"], "not-admitted", "{refused}");
    assert_eq!(names(&ann.next("waiting-list").await), [""; 0]);
    ann.say(text(json!({ "type": "admit", "ids": [cleos] }))).await;
    assert_eq!(ann.next("error").await["code"], "not-found");

    // Who is gone is off the list; who was in comes back without waiting.
    let dan = waits(&server, &talker, "Dan").await;
    assert_eq!(names(&ann.next("waiting-list").await), ["Dan"]);
    drop(dan);
    assert_eq!(names(&ann.next("waiting-list").await), [""; 0]);
    drop(bob);
    ann.next("participant-left").await;
    let (_bob, joined) = comes(&server, again(&talker, &joined["return_key"])).await;
    assert_eq!(joined["type"], "joined", "{joined}");

    // By the doors for programs nobody can wait.
    let closed = (403, json!("waiting-room"));
    assert_eq!(comes_by(&server, "whip", &talker).await, closed);
    assert_eq!(comes_by(&server, "whep", &talker).await, closed);
    assert_eq!(comes_by(&server, "whep", &host).await.0, 201);
}

#[tokio::test]
async fn an_operator_lets_people_in_by_http_as_far_as_there_is_room() {
    let (server, folder) = with_waiting_room("[limits]\nparticipants = 3\n").await;
    let host = token(&folder, &["--room", "lobby", "--role", "host"]);
    let talker = token(&folder, &["--room", "*"]);
    let all = "/api/v1/rooms/lobby/waiting";
    let mut bob = waits(&server, &talker, "Bob").await;
    let mut cleo = waits(&server, &talker, "Cleo").await;
    let mut dan = waits(&server, &talker, "Dan").await;
    let (_eve, full) = comes(&server, join("board", &talker)).await;
    assert_eq!(full["code"], "server-full", "who waits is on the server too");
    assert_eq!(ask(&server, Method::GET, all, &talker, "").await, (403, json!("forbidden")));
    let list = reqwest::Client::new().get(server.url(all)).bearer_auth(OPERATOR).send().await;
    let list: Value = list.expect("an answer").json().await.expect("JSON");
    assert_eq!(names(&json!({ "waiting": list })), ["Bob", "Cleo", "Dan"]);
    let everywhere =
        reqwest::Client::new().get(server.url("/api/v1/waiting")).bearer_auth(OPERATOR);
    let everywhere = everywhere.send().await.expect("an answer").json::<Value>().await;
    assert_eq!(everywhere.expect("JSON"), json!([{ "room": "lobby", "waiting": list }]));
    let refused = ask(&server, Method::GET, "/api/v1/waiting", &host, "").await;
    assert_eq!(refused, (401, json!("unauthorized")), "hosts ask for their room");
    let wait = async || server.metrics().await.total("foldback_waiting", &[]);
    assert!((wait().await - 3.0).abs() < 0.1);
    let one = format!("{all}/{}", list[0]["id"]);
    assert_eq!(ask(&server, Method::POST, &one, &host, "").await.0, 204);
    assert_eq!(outcome(&mut bob).await["type"], "joined");
    assert_eq!(ask(&server, Method::POST, &one, &host, "").await, (404, json!("not-found")));
    let two = format!("{all}/{}", list[1]["id"]);
    assert_eq!(ask(&server, Method::DELETE, &two, OPERATOR, "").await.0, 204);
    assert_eq!(outcome(&mut cleo).await["code"], "not-admitted");
    assert!((wait().await - 1.0).abs() < 0.1);
    // On the socket on which she was sent away.
    cleo.say(text(join("lobby", &talker))).await;
    assert_eq!(outcome(&mut cleo).await["type"], "waiting");
    let (_ann, joined) = {
        reload(&server, &server.config().replace("participants = 3", "participants = 4")).await;
        comes(&server, join("lobby", &host)).await
    };
    assert_eq!(joined["type"], "joined", "{joined}");
    reload(&server, &server.config().replace("participants = 4", "participants = 2")).await;
    assert_eq!(ask(&server, Method::POST, all, &host, "").await, (503, json!("server-full")));
    reload(&server, &server.config().replace("participants = 2", "participants = 9")).await;
    // They wait still. A locked room is no reason for a host who wants them in.
    let lock = "/api/v1/rooms/lobby/lock";
    assert_eq!(ask(&server, Method::PUT, lock, &host, "").await.0, 204);
    let (_eve, locked) = comes(&server, join("lobby", &talker)).await;
    assert_eq!(locked["code"], "room-locked");
    assert_eq!(ask(&server, Method::POST, all, &host, "").await.0, 204);
    for socket in [&mut cleo, &mut dan] {
        assert_eq!(outcome(socket).await["type"], "joined");
    }
    let list = reqwest::Client::new().get(server.url(all)).bearer_auth(OPERATOR).send().await;
    assert_eq!(list.expect("an answer").text().await.expect("text"), "[]");
}

#[tokio::test]
async fn a_socket_that_becomes_the_operators_sees_who_waits_and_need_not() {
    let (server, folder) = with_waiting_room("").await;
    let talker = token(&folder, &["--room", "lobby"]);
    let mut ann = Socket::connect(&server).await;
    let shows = json!({ "type": "operator", "token": OPERATOR });
    ann.say(text(shows.clone())).await;
    ann.next("operator").await;
    assert_eq!(ann.join(join("lobby", &talker)).await["type"], "joined");
    let mut bob = waits(&server, &talker, "Bob").await;
    let list = ann.next("waiting-list").await;
    assert_eq!(names(&list), ["Bob"]);
    ann.say(text(json!({ "type": "admit", "ids": [list["waiting"][0]["id"]] }))).await;
    assert_eq!(outcome(&mut bob).await["type"], "joined");
    let _cleo = waits(&server, &talker, "Cleo").await;
    bob.say(text(shows)).await;
    assert_eq!(names(&bob.next("waiting-list").await), ["Cleo"], "once it is the operator's too");
}

#[tokio::test]
async fn whisper_groups_are_a_hosts_told_to_all_and_kept_by_who_comes_back() {
    let (server, folder) = guarded().await;
    let host = token(&folder, &["--room", "lobby", "--name", "Ann", "--role", "host"]);
    let talker = token(&folder, &["--room", "lobby"]);
    let (mut ann, joined) = comes(&server, join("lobby", &host)).await;
    assert_eq!(joined["whisper"], json!({ "groups": {}, "room_gain_db": null }));
    let (mut bob, bobs) = comes(&server, join("lobby", &talker)).await;
    let (mut cleo, cleos) = comes(&server, join("lobby", &talker)).await;
    let both = json!({ "desk": [bobs["participant"], cleos["participant"]] });
    let wanted = json!({ "type": "set-groups", "groups": both, "room_gain_db": -20.0 });
    bob.say(text(wanted.clone())).await;
    assert_eq!(bob.next("error").await["code"], "forbidden");
    ann.say(text(wanted)).await;
    let told = json!({ "type": "groups", "groups": both, "room_gain_db": -20.0 });
    for socket in [&mut ann, &mut bob, &mut cleo] {
        assert_eq!(socket.next("groups").await, told);
    }

    let path = "/api/v1/rooms/lobby/groups";
    let client = reqwest::Client::new();
    let shown = client.get(server.url(path)).bearer_auth(&host).send().await.expect("an answer");
    let shown: Value = shown.json().await.expect("JSON");
    assert_eq!(shown, json!({ "groups": both, "room_gain_db": -20.0 }));
    let put = async |bearer: &str, body: &str| ask(&server, Method::PUT, path, bearer, body).await;
    assert_eq!(put(&talker, "{\"groups\":{}}").await, (403, json!("forbidden")));
    assert_eq!(put(OPERATOR, "{}").await, (400, json!("missing-field")));
    assert_eq!(put(OPERATOR, "{\"groups\":{},\"gain\":1}").await, (400, json!("missing-field")));
    assert_eq!(put(OPERATOR, "{\"groups\":{\"desk\":[99]}}").await, (404, json!("not-found")));
    for bad in ["{\"groups\":{\"\":[]}}", "{\"groups\":{},\"room_gain_db\":1}"] {
        assert_eq!(put(OPERATOR, bad).await, (422, json!("bad-value")), "{bad}");
    }

    drop(bob);
    let left = ann.next("groups").await;
    assert_eq!(left["groups"], json!({ "desk": [cleos["participant"]] }));
    let (_bob, back) = comes(&server, again(&talker, &bobs["return_key"])).await;
    let both = json!({ "desk": [cleos["participant"], back["participant"]] });
    assert_eq!(back["whisper"]["groups"], both, "{back}");
    assert_eq!(ann.next("groups").await["groups"], both);
    assert_eq!(put(OPERATOR, "{\"groups\":{}}").await.0, 200);
    assert_eq!(ann.next("groups").await["groups"], json!({}));
}

#[tokio::test]
async fn a_room_that_all_were_lost_of_has_no_groups_and_none_of_before_comes_back() {
    let (server, folder) = guarded().await;
    let talker = token(&folder, &["--room", "lobby"]);
    let set = async |groups: Value| {
        let wanted = json!({ "groups": groups }).to_string();
        let path = "/api/v1/rooms/lobby/groups";
        assert_eq!(ask(&server, Method::PUT, path, OPERATOR, &wanted).await.0, 200);
    };
    let (bob, bobs) = comes(&server, join("lobby", &talker)).await;
    let (cleo, cleos) = comes(&server, join("lobby", &talker)).await;
    set(json!({ "desk": [bobs["participant"], cleos["participant"]] })).await;
    drop((bob, cleo));
    while server.metrics().await.total("foldback_participants", &[]) > 0.0 {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }

    let (_bob, back) = comes(&server, again(&talker, &bobs["return_key"])).await;
    assert_eq!(back["whisper"]["groups"], json!({}));
    let door = json!({ "door": [back["participant"]] });
    set(door.clone()).await;
    let (_cleo, back) = comes(&server, again(&talker, &cleos["return_key"])).await;
    assert_eq!(back["whisper"]["groups"], door, "as often set as before, and not the same");
}
