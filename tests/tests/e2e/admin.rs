//! What operators see of the whole server, and whom they mute and take out.

use std::time::Duration;

use foldback_tests::Server;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::control::{Client, ask};

const CHAINS: &str = "[server]\nworkers = 1\nwatch_config = false\n\
    [chain.talk]\nstages = [{ kind = \"gain\" }, { kind = \"mix\" }]\n\
    [chain.quiet]\nstages = [{ kind = \"gate\" }, { kind = \"mix\" }]\n\
    [[room]]\nname = \"*\"\nchain = \"talk\"\n";

#[tokio::test]
async fn every_room_and_worker_is_listed_with_who_is_there() {
    let server = Server::start(CHAINS).await;
    assert_eq!(get(&server, "/api/v1/rooms").await, json!([]));
    let ann = Client::join(&server, "Ann").await;
    let _bob = Client::join(&server, "Bob").await;
    let own = format!("/api/v1/rooms/lobby/participants/{}/chain", ann.id());
    ask(&server, Method::PUT, &own, Some(json!({ "chain": "quiet" }))).await;

    let rooms = get(&server, "/api/v1/rooms").await;
    let lobby = &rooms[0];
    assert_eq!((&lobby["room"], &lobby["chain"]), (&json!("lobby"), &json!("talk")), "{rooms}");
    let told = |index: usize| {
        let one = &lobby["participants"][index];
        (one["name"].clone(), one["own_chain"].clone(), one["talking"].clone())
    };
    assert_eq!(told(0), (json!("Ann"), json!("quiet"), json!(false)), "{rooms}");
    assert_eq!(told(1), (json!("Bob"), Value::Null, json!(false)), "{rooms}");
    assert_eq!(lobby["participants"][1]["level_dbfs"], -90.0, "{rooms}");

    // A worker tells of itself once a second.
    tokio::time::sleep(Duration::from_secs(2)).await;
    let workers = get(&server, "/api/v1/workers").await;
    let worker = &workers[0];
    let counts = [&worker["rooms"], &worker["participants"], &worker["rooms_divided"]];
    assert_eq!(counts, [&json!(1), &json!(2), &json!(0)], "{workers}");
    assert_eq!((&worker["running"], &worker["shedding_level"]), (&json!(true), &json!(0)));
    let lateness = |of: &str| worker["tick_lateness_ms"][of].as_f64().expect("a number");
    assert!(lateness("max") >= lateness("mean") && lateness("max") > 0.0, "{workers}");
    assert!(worker["busy"].as_f64().is_some_and(|busy| busy > 0.0 && busy < 1.0), "{workers}");
    assert_eq!(workers.as_array().map(Vec::len), Some(1), "{workers}");
}

#[tokio::test]
async fn who_is_taken_out_is_told_why_and_so_are_the_others() {
    let server = Server::start(CHAINS).await;
    let mut ann = Client::join(&server, "Ann").await;
    let mut bob = Client::join(&server, "Bob").await;
    let bobs = format!("/api/v1/rooms/lobby/participants/{}", bob.id());
    let elsewhere = bobs.replace("lobby", "elsewhere");
    let (status, refused) = ask(&server, Method::DELETE, &elsewhere, None).await;
    assert_eq!((status, &refused["code"]), (StatusCode::NOT_FOUND, &json!("not-found")));

    let (status, _) = ask(&server, Method::DELETE, &bobs, None).await;
    assert_eq!(status, 204);
    for client in [&mut ann, &mut bob] {
        let told = client.next("participant-left").await;
        assert_eq!(told["reason"], "kicked", "{told}");
    }
    assert_eq!(bob.close_code().await, Some(1000));
    let (status, _) = ask(&server, Method::DELETE, &bobs, None).await;
    assert_eq!(status, 404, "he is gone");
    let again = Client::join(&server, "Bob").await;
    assert_ne!(again.id(), bob.id());
}

#[tokio::test]
async fn an_operator_mutes_and_unmutes_but_not_who_muted_themselves() {
    let server = Server::start(CHAINS).await;
    let mut ann = Client::join(&server, "Ann").await;
    let mut bob = Client::join(&server, "Bob").await;
    let path = format!("/api/v1/rooms/lobby/participants/{}/mute", bob.id());
    let mute =
        async |muted: bool| ask(&server, Method::PUT, &path, Some(json!({ "muted": muted }))).await;
    for muted in [true, false] {
        assert_eq!(mute(muted).await.0, 204);
        for client in [&mut ann, &mut bob] {
            let told = client.next("participant-muted").await;
            let expected = json!({ "type": "participant-muted", "id": told["id"], "muted": muted,
                "by_operator": true });
            assert_eq!(told, expected);
        }
        let people = get(&server, "/api/v1/rooms/lobby/participants").await;
        assert_eq!(people[1]["muted"], muted, "{people}");
    }

    bob.say(&json!({ "type": "mute", "muted": true })).await;
    let told = ann.next("participant-muted").await;
    assert_eq!((&told["muted"], told.get("by_operator")), (&json!(true), None), "{told}");
    let (status, refused) = mute(false).await;
    assert_eq!((status.as_u16(), &refused["code"]), (409, &json!("muted-by-themselves")));
    let people = get(&server, "/api/v1/rooms/lobby/participants").await;
    assert_eq!(people[1]["muted"], true, "{people}");

    let (status, refused) = ask(&server, Method::PUT, &path, Some(json!({ "mute": true }))).await;
    assert_eq!((status.as_u16(), &refused["code"]), (400, &json!("missing-field")), "{refused}");
}

#[tokio::test]
async fn the_configuration_tells_its_chains_and_what_came_of_the_last_reload() {
    let server = Server::start(CHAINS).await;
    let info = get(&server, "/api/v1/config").await;
    assert_eq!((&info["version"], &info["lastReload"]), (&json!(1), &Value::Null), "{info}");
    assert_eq!(info["chains"], json!(["talk", "quiet"]), "{info}");
    let reload = async |config: &str| {
        server.write_config(config);
        ask(&server, Method::POST, "/api/v1/reload", None).await;
        get(&server, "/api/v1/config").await
    };
    let info = reload(&CHAINS.replace("kind = \"gate\"", "kind = \"gaet\"")).await;
    let refused = info["lastReload"]["refused"].as_str().expect("it was refused");
    assert!(refused.contains("did you mean \"gate\"?"), "{refused}");
    assert_eq!(info["version"], 1, "{info}");
    let info = reload(&CHAINS.replace("chain.quiet", "chain.silent")).await;
    assert_eq!((&info["version"], &info["lastReload"]["refused"]), (&json!(2), &Value::Null));
    assert_eq!(info["lastReload"]["origin"], "api", "{info}");
    assert_eq!(info["chains"], json!(["talk", "silent"]), "{info}");
}

#[tokio::test]
async fn all_of_it_is_the_operators_alone() {
    let server = Server::start(CHAINS).await;
    let ann = Client::join(&server, "Ann").await;
    let anns = format!("/api/v1/rooms/lobby/participants/{}", ann.id());
    for (method, path) in [
        (Method::GET, "/api/v1/rooms".to_owned()),
        (Method::GET, "/api/v1/workers".to_owned()),
        (Method::GET, "/api/v1/config".to_owned()),
        (Method::DELETE, anns.clone()),
        (Method::PUT, format!("{anns}/mute")),
    ] {
        let request = reqwest::Client::new().request(method, server.url(&path));
        let request = request.header("forwarded", "for=192.0.2.1").json(&json!({ "muted": true }));
        let response = request.send().await.expect("the server answers");
        assert_eq!(response.status(), 403, "{path}");
    }
    let people = get(&server, "/api/v1/rooms/lobby/participants").await;
    assert_eq!(people[0]["muted"], false, "{people}");
}

async fn get(server: &Server, path: &str) -> Value {
    let (status, answer) = ask(server, Method::GET, path, None).await;
    assert_eq!(status, 200, "{path}: {answer}");
    answer
}
