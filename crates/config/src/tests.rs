//! What a file means, with stand-ins for the plugins.

use std::net::IpAddr;
use std::path::Path;

use foldback_stage::{
    AudioBlock, BlockContext, BuildError, ParamSpec, Params, Stage, StageFormat, StageKind,
};

use super::*;

struct Delay(usize);

impl Stage for Delay {
    fn process(&mut self, _block: &mut AudioBlock<'_>, _cx: &mut BlockContext<'_>) {}

    fn delay_samples(&self) -> usize {
        self.0
    }
}

const CUTOFF_HZ: ParamSpec = ParamSpec::float("cutoff_hz", "Hz", 20.0, 1000.0, 80.0, "Corner.");
const LOW_MS: ParamSpec = ParamSpec::int("low_ms", "ms", 0, 100, 10, "The lesser.");
const HIGH_MS: ParamSpec = ParamSpec::int("high_ms", "ms", 0, 100, 20, "The greater.");
const SOFT: ParamSpec = ParamSpec::bool("soft", true, "Whether it is soft.");
const FOLDER: ParamSpec = ParamSpec::text("folder", "recordings", "Where it goes.");

const FILTER: StageKind = StageKind {
    name: "filter",
    about: "Stands in for a filter.",
    params: &[CUTOFF_HZ, SOFT],
    build: &|_, _| Ok(Box::new(Delay(0))),
};

/// Stands in for a stage whose parameters depend on each other.
const WINDOW: StageKind =
    StageKind { name: "window", about: "", params: &[LOW_MS, HIGH_MS], build: &build_window };

/// Stands in for a stage that takes text.
const KEEP: StageKind =
    StageKind { name: "keep", about: "", params: &[FOLDER], build: &|_, _| Ok(Box::new(Delay(0))) };

fn build_window(params: &Params, _format: StageFormat) -> Result<Box<dyn Stage>, BuildError> {
    match params.int(&LOW_MS) <= params.int(&HIGH_MS) {
        true => Ok(Box::new(Delay(480))),
        false => Err(BuildError::new("`low_ms` must not be above `high_ms`")),
    }
}

fn parse(text: &str) -> Result<Config, ConfigErrors> {
    Config::parse(text, "t.toml", &Registry::new(&[&FILTER, &WINDOW, &KEEP]))
}

fn valid(text: &str) -> Config {
    parse(text).unwrap_or_else(|errors| panic!("{errors}"))
}

/// Line, column and words of each error.
fn errors(text: &str) -> Vec<(usize, usize, String)> {
    let errors = parse(text).expect_err("the text has a mistake");
    let errors = errors.as_slice().iter();
    errors.map(|e| (e.line, e.column, format!("{} {:?}", e.found, e.allowed))).collect()
}

const CHAIN: &str = "[chain.talk]\nstages = [{ kind = \"mix\" }]\n";

#[test]
fn what_is_not_given_has_its_default() {
    let config = valid(CHAIN);
    assert_eq!(config.server, ServerConfig::default());
    assert_eq!(config.opus, OpusConfig::default());
    assert_eq!(config.latency, LatencyMode::Balanced);
    assert_eq!(config.metrics, MetricsConfig::default());
    assert_eq!(config.metrics.max_participants, 100);
    assert_eq!(config.server.listen.to_string(), "127.0.0.1:8080");
    assert_eq!((config.server.media_port, config.server.workers), (8000, 0));
    assert_eq!(config.opus.bitrate_bps, 80_000);
    assert_eq!((config.opus.complexity, config.opus.expected_loss_percent), (7, 5));
}

#[test]
fn what_is_given_is_taken() {
    let config = valid(&format!(
        "{CHAIN}
        [server]
        listen = \"[::]:80\"
        media_port = 9_000
        media_tcp_port = 4_430
        public_addresses = [\"203.0.113.7\", \"2001:db8::7\"]
        workers = 0x10
        threads_per_room = 4
        max_load_percent = 70
        watch_config = false
        drain_seconds = 300
        realtime_priority = 20
        operator_token_file = \"token\"
        [opus]
        bitrate_bps = 6000
        complexity = 10
        expected_loss_percent = 0
        [latency]
        mode = \"low\"
        [log]
        format = \"json\"
        level = \"warn,foldback_worker=debug\"
        [tls]
        acme_domains = [\"Talk.example\", \"b.example\"]
        acme_email = \"admin@example.org\"
        acme_directory = \"https://ca.example/directory\"
        acme_cache = \"acme\"
        acme_agree_terms = true
        acme_ca_file = \"ca.pem\"
        [metrics]
        participant_readings = true
        max_participants = 7
        [limits]
        participants_per_room = 50
        participants = 500
        rooms = 100
        joins_per_minute = 20
        trusted_proxies = [\"10.0.0.0/8\", \"fd00::1\"]
        [auth]
        open = true
        allowed_origins = [\"https://App.example\", \"http://localhost:5173\"]
        token_leeway_s = 0
        [ice]
        servers = [
          {{ urls = [\"stun:a.example\"] }},
          {{ urls = [\"turn:b.example:3478?transport=tcp\"], secret = \"0123456789\", ttl_seconds = 600 }},
        ]
        [recording]
        directory = \"src\"
        min_free_mb = 7
        chime = false
        [flight_recorder]
        directory = \"tests\"
        seconds = 60
        [playing]
        directory = \"tests\"
        [rtp]
        first_port = 20_000
        ports = 50
        timeout_seconds = 60
        networks = [\"198.51.100.0/24\", \"2001:db8::7\"]
        [[room]]
        name = \"board\"
        chain = \"talk\"
        record = true
        chime = true
        waiting_room = true
        [[room]]
        name = \"*\"
        chain = \"talk\""
    ));
    let ServerConfig {
        listen,
        media_port,
        media_tcp_port,
        public_addresses,
        workers,
        threads_per_room,
        max_load_percent,
        watch_config,
        drain_seconds,
        realtime_priority,
        operator_token_file,
    } = config.server;
    assert_eq!((threads_per_room, watch_config, max_load_percent), (4, false, 70));
    assert_eq!((drain_seconds, realtime_priority), (300, 20));
    assert_eq!(operator_token_file.as_deref(), Some(Path::new("token")));
    assert_eq!((listen.to_string().as_str(), media_port, workers), ("[::]:80", 9000, 16));
    assert_eq!(media_tcp_port, 4430);
    let v6: IpAddr = [0x2001, 0xdb8, 0, 0, 0, 0, 0, 7].into();
    assert_eq!(public_addresses, [IpAddr::from([203, 0, 113, 7]), v6]);
    let opus = OpusConfig {
        bitrate_bps: 6000,
        complexity: 10,
        expected_loss_percent: 0,
        ..OpusConfig::default()
    };
    assert_eq!(config.opus, opus);
    assert_eq!(config.latency, LatencyMode::Low);
    let log = LogConfig { format: LogFormat::Json, level: "warn,foldback_worker=debug".to_owned() };
    assert_eq!(config.log, log);
    let tls = TlsConfig {
        acme_domains: vec!["talk.example".to_owned(), "b.example".to_owned()],
        acme_email: Some("admin@example.org".to_owned()),
        acme_directory: "https://ca.example/directory".to_owned(),
        acme_cache: Some("acme".into()),
        acme_agree_terms: true,
        acme_ca_file: Some("ca.pem".into()),
        ..TlsConfig::default()
    };
    assert_eq!(config.tls, tls);
    let stun = IceServer { urls: vec!["stun:a.example".to_owned()], turn: None };
    let secret = "0123456789".to_owned().into();
    let turn = IceServer {
        urls: vec!["turn:b.example:3478?transport=tcp".to_owned()],
        turn: Some(TurnSecret { secret, ttl_seconds: 600 }),
    };
    assert_eq!(config.ice.servers, [stun, turn]);
    let metrics = MetricsConfig { participant_readings: true, max_participants: 7 };
    assert_eq!(config.metrics, metrics);
    let LimitsConfig {
        participants_per_room,
        participants,
        rooms,
        joins_per_minute,
        trusted_proxies,
    } = config.limits;
    assert_eq!((participants_per_room, participants, rooms), (50, 500, 100));
    assert_eq!(joins_per_minute, 20);
    let trusted: Vec<_> = trusted_proxies.iter().map(ToString::to_string).collect();
    assert_eq!(trusted, ["10.0.0.0/8", "fd00::1/128"]);
    let AuthConfig { open, allowed_origins, token_leeway_s, .. } = config.auth;
    assert_eq!((open, token_leeway_s), (true, 0));
    assert_eq!(allowed_origins, ["https://app.example", "http://localhost:5173"]);
    let recording = RecordingConfig { directory: Some("src".into()), min_free_mb: 7, chime: false };
    assert_eq!(config.recording, recording);
    assert_eq!(config.playing, PlayingConfig { directory: Some("tests".into()) });
    let recorder = FlightRecorderConfig { directory: Some("tests".into()), seconds: 60 };
    assert_eq!(config.flight_recorder, recorder);
    let RtpConfig { first_port, ports, timeout_seconds, networks } = &config.rtp;
    assert_eq!((*first_port, *ports, *timeout_seconds), (20_000, 50, 60));
    assert_eq!(networks.len(), 2);
    let allows = |address: &str| config.rtp.allows(address.parse().expect("an address"));
    assert!(allows("198.51.100.9") && allows("2001:db8::7"));
    assert!(!allows("127.0.0.1") && !allows("10.0.0.1") && !allows("2001:db8::8"));
    assert_eq!([0, 1].map(|rule: usize| config.rooms[rule].record), [true, false]);
    assert_eq!([0, 1].map(|rule: usize| config.rooms[rule].chime), [true, false]);
    assert_eq!([0, 1].map(|rule: usize| config.rooms[rule].waiting_room), [true, false]);
}

#[test]
fn lines_of_rtp_lead_to_private_networks_unless_others_are_given_and_have_as_many_ports() {
    let rtp = valid(CHAIN).rtp;
    assert_eq!((rtp.first_port, rtp.ports, rtp.timeout_seconds), (0, 100, 30));
    for (address, allowed) in [
        ("127.0.0.1", true),
        ("192.168.7.7", true),
        ("fd00::7", true),
        ("::ffff:10.0.0.1", true),
        ("203.0.113.7", false),
        ("224.0.0.1", false),
        ("255.255.255.255", false),
        ("0.0.0.0", false),
        ("2001:db8::7", false),
        ("ff02::1", false),
    ] {
        assert_eq!(rtp.allows(address.parse().expect("an address")), allowed, "{address}");
    }
    let (line, column, words) =
        errors(&format!("{CHAIN}[rtp]\nfirst_port = 65_500\n")).swap_remove(0);
    assert_eq!((line, column), (4, 14));
    assert!(words.contains("at most 65436"), "{words}");
}

#[test]
fn a_folder_for_recordings_must_be_there() {
    let text = format!("{CHAIN}[recording]\ndirectory = \"no/such\"\n");
    let (line, column, words) = errors(&text).swap_remove(0);
    assert_eq!((line, column), (4, 13));
    assert!(words.contains("no/such, where no folder is"), "{words}");
    assert_eq!(
        valid(CHAIN).recording,
        RecordingConfig { directory: None, min_free_mb: 500, chime: true }
    );
}

#[test]
fn keys_of_tokens_are_read_from_the_files_that_are_named() {
    const SECRET: &str = "0123456789abcdef0123456789abcdef";
    let folder = tempfile::tempdir().expect("a folder");
    let config = folder.path().join("t.toml");
    let read = |text: &str| {
        let file = config.to_str().expect("UTF-8");
        Config::parse(&format!("{CHAIN}[auth]\n{text}"), file, &Registry::new(&[]))
    };
    let by_secret = "token_secret_file = \"secret\"";
    let missing = read(by_secret).expect_err("there is no file").to_string();
    assert!(missing.contains("secret cannot be read: "), "{missing}");
    std::fs::write(folder.path().join("secret"), "too short\n").expect("a file");
    let short = read(by_secret).expect_err("too short").to_string();
    assert!(short.contains("holds a secret of 9 bytes, must hold one of 32"), "{short}");
    assert!(!short.contains("too short"), "{short}");
    std::fs::write(folder.path().join("secret"), format!("\n{SECRET}\n{SECRET}x\n"))
        .expect("a file");
    let auth = read(by_secret).expect("two secrets").auth;
    let secrets: Vec<_> = auth.token_secrets.iter().map(Secret::expose).collect();
    assert_eq!(secrets, [SECRET.to_owned(), format!("{SECRET}x")]);
    assert!(auth.has_keys() && !auth.open && !format!("{auth:?}").contains(SECRET));

    std::fs::write(folder.path().join("a.pem"), "a key").expect("a file");
    let auth = read("token_public_key_files = [\"a.pem\"]").expect("a file is there").auth;
    let [(file, text)] = auth.token_public_keys.as_slice() else { panic!("{auth:?}") };
    assert!(file.ends_with("a.pem") && text == "a key");
    assert!(!valid(CHAIN).auth.has_keys());
}

#[test]
fn webhooks_are_told_of_everything_everywhere_unless_they_say_of_what() {
    const URL: &str = "url = \"https://example.org/in\"\nsecret = \"0123456789\"\n";
    let config = valid(&format!(
        "{CHAIN}[[webhook]]\n{URL}[[webhook]]\n{URL}events = [\"draining\", \"room-closed\"]\nrooms = \"team-*\"\n"
    ));
    let [all, some] = config.webhooks.as_slice() else { panic!("{:?}", config.webhooks) };
    assert_eq!(all.url.expose(), "https://example.org/in");
    assert!(all.wants("room-opened", Some("x")) && all.wants("draining", None));
    assert!(some.wants("room-closed", Some("team-a")) && !some.wants("room-closed", Some("x")));
    assert!(!some.wants("room-opened", Some("team-a")));
    assert!(!some.wants("draining", None), "of the server those are told who are of all rooms");
    assert!(valid(CHAIN).webhooks.is_empty());
    let shown = format!("{config:?}");
    assert!(!shown.contains("0123456789") && !shown.contains("example.org"), "{shown}");
    let text = format!("{CHAIN}[[webhook]]\n{URL}");
    let shown = without_secrets(&text);
    assert!(!shown.contains("0123456789") && !shown.contains("example.org"), "{shown}");
    let refused = parse(&text.replace("https", "htps")).expect_err("no such scheme").to_string();
    assert!(!refused.contains("example.org/in"), "{refused}");
}

#[test]
fn the_key_of_a_webhook_is_its_secret_or_what_stands_in_base64_behind_whsec() {
    let key = |secret| {
        let hook = format!("[[webhook]]\nurl = \"https://example.org\"\nsecret = \"{secret}\"\n");
        valid(&format!("{CHAIN}{hook}")).webhooks[0].key()
    };
    assert_eq!(key("whsec_AAECAwQF"), [0, 1, 2, 3, 4, 5]);
    assert_eq!(key("0123456789"), *b"0123456789");
}

#[test]
fn limits_let_as_many_in_as_come_unless_they_are_given() {
    let LimitsConfig { participants_per_room, participants, rooms, joins_per_minute, .. } =
        valid(CHAIN).limits;
    assert_eq!((participants_per_room, participants, rooms, joins_per_minute), (0, 0, 0, 300));
    let config = valid(&format!(
        "{CHAIN}[[room]]\nname = \"hall\"\nchain = \"talk\"\nmax_participants = 0
        [[room]]\nname = \"board\"\nchain = \"talk\"\nmax_participants = 12\npin = \"471100\"
        [[room]]\nname = \"*\"\nchain = \"talk\""
    ));
    let of = |room| config.rule_for_room(room).expect("every room has a rule");
    assert_eq!(["hall", "board", "x"].map(|it| of(it).max_participants), [Some(0), Some(12), None]);
    assert_eq!(of("board").pin.as_ref().map(Secret::expose), Some("471100"));
    assert_eq!(of("hall").pin, None);
}

#[test]
fn no_mistake_of_a_file_shows_a_pin() {
    const ROOM: &str = "[[room]]\nname = \"board\"\nchain = \"talk\"\n";
    for wrong in [
        "pin = \" 471100\"",
        "pin = 471100",
        "pin = 471100x",
        "pin = \"471100",
        "pin = '471100",
        "pin = \"471100\" chain",
        "pin = [\"471100\"]",
        "pin = [[{ a = \"471100\" }]]",
        "pin = { is = \"471100\" }",
        "pin = \"\"\"\n471100\n\"\"\"",
        "pin = \"\"\"\n471100\n\\q471100\n\"\"\"",
        "pin = \"\"\"\n471100",
        "pin = \"471100\"\npin = \"471100\"",
        "pin = \"471100\"\npin_file = \"pin.txt\"",
        "pin.is = \"471100\"",
        "Pin = \"471100\"",
        "pni = \"471100\"",
        "pin_code = \"471100\"",
    ] {
        let refused = parse(&format!("{CHAIN}{ROOM}{wrong}\n")).expect_err(wrong).to_string();
        assert!(!refused.contains("471100"), "{wrong}: {refused}");
    }
    let inline = "room = [{ name = \"board\", pin = \"471100\", chain = \"none\" }]";
    let refused = parse(&format!("{inline}\n{CHAIN}")).expect_err("no such chain").to_string();
    assert!(refused.starts_with("t.toml:1:51: ") && !refused.contains("471100"), "{refused}");
}

#[test]
fn settings_that_count_from_the_start_are_named_where_they_differ() {
    let mut all = valid(&format!(
        "{CHAIN}[server]\nlisten = \"[::]:80\"\nmedia_port = 1\nworkers = 1\nwatch_config = false
        threads_per_room = 1
        media_tcp_port = 1
        max_load_percent = 1
        drain_seconds = 1
        realtime_priority = 1
        operator_token_file = \"token\"
        public_addresses = [\"203.0.113.7\"]\n[opus]\nbitrate_bps = 6000\ncomplexity = 1
        expected_loss_percent = 1\napplication = \"audio\"\ndtx = false\n[latency]\nmode = \"low\"
        [log]\nformat = \"json\"\nlevel = \"warn\"
        [tls]\nacme_domains = [\"a.example\"]\nacme_email = \"a@a.example\"\nacme_cache = \"acme\"
        acme_directory = \"https://a.example\"\nacme_agree_terms = true\nacme_ca_file = \"a.pem\""
    ));
    // No file has these beside names.
    all.tls.certificate_file = Some("a.pem".into());
    all.tls.key_file = Some("a.key".into());
    let declared: Vec<_> = settings::AT_START
        .iter()
        .flat_map(|section| section.settings.iter().map(|it| (section.name, it.spec.name)))
        .map(|(section, key)| format!("{section}.{key}"))
        .collect();
    assert_eq!(valid(CHAIN).needs_restart_for(&all), declared);
    let another_chain = valid("[chain.b]\nstages = []\n[latency]\nmode = \"balanced\"");
    assert_eq!(valid(CHAIN).needs_restart_for(&another_chain), [""; 0]);
}

#[test]
fn the_operator_token_is_looked_for_from_the_folder_of_the_file() {
    let text = format!("{CHAIN}\n[server]\noperator_token_file = \"secret/token\"");
    let registry = Registry::new(&[&FILTER, &WINDOW, &KEEP]);
    let config = Config::parse(&text, "rooms/my.toml", &registry).expect("a configuration");
    let file = config.server.operator_token_file;
    assert_eq!(file.as_deref(), Some(Path::new("rooms/secret/token")));
}

#[test]
fn stages_stand_before_and_after_mix_as_they_were_written() {
    let config = valid(
        "[chain.talk]
        stages = [
          { kind = \"filter\", cutoff_hz = 100 },
          { kind = \"filter\", name = \"steep\", cutoff_hz = 20.5, soft = false },
          { kind = \"mix\", max_talkers = 3 },
          { kind = \"window\" },
        ]",
    );
    let chain = config.chain("talk").expect("the one chain");
    let names = |stages: &[foldback_chain::StageSpec]| -> Vec<String> {
        stages.iter().map(|stage| stage.name.clone()).collect()
    };
    assert_eq!(names(&chain.input), ["filter", "steep"]);
    assert_eq!(names(&chain.output), ["window"]);
    assert_eq!(chain.mix.map(|mix| mix.max_talkers), Some(3));
    let cutoffs: Vec<_> = chain.input.iter().map(|s| s.params.float(&CUTOFF_HZ)).collect();
    assert_eq!(cutoffs, [100.0, 20.5]);
    assert!(chain.input[0].params.bool(&SOFT));
    assert!(!chain.input[1].params.bool(&SOFT));
}

#[test]
fn an_included_chain_stands_where_it_is_named_also_through_others_and_before_it_is_written() {
    let config = valid(
        "[chain.talk]
        stages = [{ kind = \"keep\" }, { include = \"whole\" }, { kind = \"window\" }]
        [chain.whole]
        stages = [{ include = \"voice\" }, { kind = \"mix\", max_talkers = 3 }, { include = \"end\" }]
        [chain.voice]
        stages = [{ kind = \"filter\", cutoff_hz = 100 }]
        [chain.end]
        stages = [{ kind = \"filter\", name = \"end\" }]",
    );
    let chain = config.chain_for_room("any").expect("the one that no other includes");
    let names: Vec<_> = chain.stages().map(|stage| stage.name.as_str()).collect();
    assert_eq!((chain.name.as_str(), names), ("talk", vec!["keep", "filter", "end", "window"]));
    assert_eq!((chain.input.len(), chain.mix.map(|mix| mix.max_talkers)), (2, Some(3)));
    let voice = config.chain("voice").expect("it is a chain of its own too");
    assert_eq!(voice.input, chain.input[1..]);
}

#[test]
fn a_chain_may_include_another_twice_only_if_no_name_is_there_twice() {
    let found = errors(
        "[chain.voice]\nstages = [{ kind = \"filter\" }]\n[chain.talk]\nstages = [\n\
         { include = \"voice\" },\n{ include = \"voice\" },\n]\n",
    );
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!((found[0].0, found[0].1), (6, 13));
}

#[test]
fn what_is_wrong_in_a_chain_is_not_told_again_where_it_is_included() {
    let found = errors(
        "[chain.talk]\nstages = [{ include = \"voice\" }, { kind = \"mix\" }]\n[chain.voice]\n\
         stages = [{ kind = \"filter\" }, { kind = \"filter\" }, { kind = \"window\", low_ms = 300 }]\n",
    );
    let lines: Vec<_> = found.iter().map(|(line, ..)| *line).collect();
    assert_eq!(lines, [4, 4], "{found:?}");
}

#[test]
fn text_is_taken_as_the_file_has_it() {
    let config = valid(
        "[chain.talk]
        stages = [{ kind = \"keep\" }, { kind = \"keep\", name = \"b\", folder = 'C:\\new ä' }]",
    );
    let folders: Vec<_> =
        config.chains[0].stages().map(|stage| stage.params.text(&FOLDER)).collect();
    assert_eq!(folders.iter().map(|f| &**f).collect::<Vec<_>>(), ["recordings", "C:\\new ä"]);
}

#[test]
fn a_chain_may_have_no_stage_and_no_mix() {
    let config = valid("[chain.loop]\nstages = []\n");
    assert_eq!(config.chains[0].stages().count(), 0);
    assert_eq!(config.chains[0].mix, None);
}

#[test]
fn stages_may_be_written_as_tables_of_their_own() {
    let config =
        valid("[[chain.talk.stages]]\nkind = \"filter\"\n[[chain.talk.stages]]\nkind = \"mix\"\n");
    assert_eq!((config.chains[0].input.len(), config.chains[0].mix.is_some()), (1, true));
}

#[test]
fn chains_keep_the_order_of_the_file() {
    let config = valid(
        "[chain.z]\nstages = []\n[chain.a]\nstages = []\n[[room]]\nname = \"*\"\nchain = \"a\"\n",
    );
    let names: Vec<_> = config.chains.iter().map(|chain| chain.name.as_str()).collect();
    assert_eq!(names, ["z", "a"]);
}

#[test]
fn the_first_rule_that_matches_gives_a_room_its_chain() {
    let config = valid(
        "[chain.talk]\nstages = []\n[chain.music]\nstages = []
        [[room]]\nname = \"team-*\"\nchain = \"talk\"
        [[room]]\nname = \"*-music\"\nchain = \"music\"",
    );
    let chain = |room| config.chain_for_room(room).map(|chain| chain.name.as_str());
    assert_eq!(chain("team-music"), Some("talk"));
    assert_eq!(chain("choir-music"), Some("music"));
    assert_eq!(chain("lobby"), None);
}

#[test]
fn a_single_chain_without_rules_is_for_every_room() {
    let config = valid(CHAIN);
    assert_eq!(config.chain_for_room("any").map(|chain| chain.name.as_str()), Some("talk"));
}

#[test]
fn a_chain_echo_beside_the_single_chain_for_rooms_needs_no_rule() {
    let config = valid(&format!("[chain.echo]\nstages = []\n{CHAIN}"));
    assert_eq!(config.chain_for_room("any").map(|chain| chain.name.as_str()), Some("talk"));
}

#[test]
fn two_chains_for_rooms_without_rules_are_an_error_at_the_second() {
    let found = errors(&format!("{CHAIN}[chain.more]\nstages = []\n"));
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!((found[0].0, found[0].1), (3, 8));
}

#[test]
fn the_echo_chain_is_the_one_of_the_file() {
    let config = valid("[chain.echo]\nstages = [{ kind = \"filter\", name = \"mine\" }]\n");
    assert_eq!(config.echo_chain().input[0].name, "mine");
    assert!(Arc::ptr_eq(config.echo_chain(), &config.chains[0]));
}

#[test]
fn without_the_kinds_of_the_built_in_echo_chain_it_is_a_plain_loop() {
    let config = valid(CHAIN);
    let echo = config.echo_chain();
    assert_eq!((echo.name.as_str(), echo.stages().count(), echo.mix), ("echo", 0, None));
}

#[test]
fn parameters_that_do_not_work_together_are_told_at_the_kind() {
    let found = errors(
        "[chain.talk]\nstages = [\n  { name = \"w\", kind = \"window\", low_ms = 30 },\n]\n",
    );
    let words = "`w` cannot be built: `low_ms` must not be above `high_ms` None".to_owned();
    assert_eq!(found, [(3, 24, words)]);
}

#[test]
fn a_stage_with_a_wrong_parameter_is_not_also_built() {
    let found =
        errors("[chain.talk]\nstages = [{ kind = \"window\", low_ms = 30, high_ms = 300 }]\n");
    assert_eq!(found.len(), 1, "{found:?}");
}

#[test]
fn a_chain_with_a_mistake_is_not_also_unknown_to_its_rooms() {
    let found = errors("[chain.talk]\nstages = 7\n[[room]]\nname = \"*\"\nchain = \"talk\"\n");
    assert_eq!(found.len(), 1, "{found:?}");
}

#[test]
fn errors_come_in_the_order_of_the_file() {
    let found = errors(
        "[[room]]\nname = \"\"\nchain = \"talk\"\n[opus]\ncomplexity = 11\n[chain.talk]\n\
         stages = [{ kind = \"miks\" }]\n[server]\nlisten = 1\n",
    );
    let lines: Vec<_> = found.iter().map(|(line, ..)| *line).collect();
    assert_eq!(lines, [2, 5, 7, 9]);
}

#[test]
fn columns_count_characters_and_survive_tabs_and_windows_line_ends() {
    let text =
        "[chain.talk]\r\nstages = [\r\n\t{ kind = \"filter\", \"höhö\" = 1, soft = 2 },\r\n]\r\n";
    let places: Vec<_> = errors(text).iter().map(|(line, column, _)| (*line, *column)).collect();
    assert_eq!(places, [(3, 21), (3, 40)]);
}

#[test]
fn no_slip_in_a_file_is_more_than_an_error_inside_of_it() {
    let text = include_str!("../../../config/conference.toml");
    let lines = text.lines().count() + 1;
    let check = |text: &str| {
        let Err(errors) = parse(text) else { return };
        for error in errors.as_slice() {
            assert!((1..=lines + 1).contains(&error.line), "{error}");
            assert!(!error.to_string().is_empty());
        }
    };
    for (at, c) in text.char_indices().step_by(7) {
        check(&text[..at]);
        for slip in ["[", "]", "{", "}", "\"", "=", ",", "\n", "'''", "ä", "\0"] {
            check(&format!("{}{slip}{}", &text[..at], &text[at + c.len_utf8()..]));
        }
    }
}
