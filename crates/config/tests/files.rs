//! The files in `config/`, with the real plugins.

use std::fs;
use std::path::{Path, PathBuf};

use foldback_chain::Registry;
use foldback_config::{
    Config, OpusApplication, OpusConfig, ServerConfig, describe_chain, describe_kinds, json_schema,
};
use jsonschema::Validator;
use serde_json::Value;

fn registry() -> Registry {
    let kinds = [
        foldback_plugin_filter::KINDS,
        foldback_plugin_webrtc::KINDS,
        foldback_plugin_denoise::KINDS,
        foldback_plugin_dynamics::KINDS,
        foldback_plugin_loudness::KINDS,
        foldback_plugin_resample::KINDS,
        foldback_plugin_utility::KINDS,
    ];
    Registry::new(&kinds.concat())
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Every TOML file in `folder` (named from the root of the repository), as named there, sorted.
fn toml_files(folder: &str) -> Vec<String> {
    let entries = fs::read_dir(root().join(folder)).expect("the folder is there");
    let names = entries.map(|entry| entry.expect("readable").file_name());
    let names = names.map(|name| name.into_string().expect("file names are UTF-8"));
    let mut files: Vec<_> = names
        .filter(|name| name.ends_with(".toml"))
        .map(|name| format!("{folder}/{name}"))
        .collect();
    files.sort();
    files
}

fn parse(file: &str) -> Result<Config, String> {
    let bytes = fs::read(root().join(file)).expect("a file that was listed");
    Config::parse_bytes(&bytes, file, &registry()).map_err(|errors| format!("{errors}\n"))
}

#[test]
fn every_invalid_file_gives_exactly_the_error_beside_it() {
    let files = toml_files("config/invalid");
    assert!(files.len() >= 15, "only {} mistakes are shown", files.len());
    let mut failures = Vec::new();
    for file in files {
        let text = file.replace(".toml", ".txt");
        let expected = fs::read_to_string(root().join(&text));
        match (parse(&file), expected) {
            (Err(found), Ok(expected)) if found == expected => {}
            (Err(found), Ok(_)) => failures.push(format!("{text} should be:\n{found}")),
            (Err(found), Err(_)) => failures.push(format!("{text} is missing:\n{found}")),
            (Ok(_), _) => failures.push(format!("{file} is valid")),
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn no_error_is_kept_for_an_invalid_file_that_is_gone() {
    for entry in fs::read_dir(root().join("config/invalid")).expect("the folder is there") {
        let path = entry.expect("readable").path();
        if path.extension().is_some_and(|extension| extension == "txt") {
            assert!(path.with_extension("toml").exists(), "{}", path.display());
        }
    }
}

#[test]
fn every_file_to_start_from_is_valid() {
    let files = toml_files("config");
    for file in &files {
        parse(file).unwrap_or_else(|errors| panic!("{errors}"));
    }
    let names = ["clean", "conference", "echo", "music"];
    assert_eq!(files, names.map(|name| format!("config/{name}.toml")));
}

#[test]
fn the_built_in_configuration_says_what_the_defaults_are() {
    let config = Config::built_in(&registry());
    assert_eq!(config.server, ServerConfig::default());
    assert_eq!(config.opus, OpusConfig::default());
    let chain = config.chain_for_room("any room").expect("every room has a chain");
    let stages: Vec<_> = chain.stages().map(|stage| stage.name.as_str()).collect();
    let expected = ["high-pass", "echo-cancel", "denoise", "auto-gain", "limiter"];
    assert_eq!((stages.as_slice(), chain.output.len()), (expected.as_slice(), 1));
}

#[test]
fn the_built_in_configuration_echoes_through_the_chain_of_the_echo_file() {
    let config = Config::built_in(&registry());
    let file = parse("config/echo.toml").unwrap_or_else(|errors| panic!("{errors}"));
    assert_eq!(config.echo_chain(), file.echo_chain());
    assert!(config.echo_chain().stages().count() > 0);
}

#[test]
fn the_file_for_music_is_stereo_and_treats_nothing() {
    let config = parse("config/music.toml").unwrap_or_else(|errors| panic!("{errors}"));
    let chain = config.chain_for_room("any room").expect("every room has a chain");
    assert_eq!((chain.format, chain.stages().count()), (foldback_stage::StageFormat::STEREO, 0));
    assert!(chain.mix.is_some());
    assert_eq!((config.opus.application, config.opus.dtx), (OpusApplication::Audio, false));
    assert!(describe_chain(chain).starts_with("chain music, stereo\n"));
}

#[test]
fn the_description_of_a_chain_sums_the_delays_of_its_stages() {
    let file = parse("config/clean.toml").unwrap_or_else(|errors| panic!("{errors}"));
    let expected =
        "chain clean\n             mix  max_talkers = 6\n    0.00 ms  algorithmic delay in all\n";
    assert_eq!(describe_chain(&file.chains[0]), expected);
    let echo = parse("config/echo.toml").unwrap_or_else(|errors| panic!("{errors}"));
    let text = describe_chain(&echo.chains[0]);
    assert!(text.contains("  5.00 ms  limiter"), "{text}");
    assert!(text.ends_with("  5.00 ms  algorithmic delay in all\n"), "{text}");
}

#[test]
fn every_parameter_of_every_plugin_is_listed() {
    let text = describe_kinds(&registry());
    for kind in registry().kinds() {
        assert!(text.contains(&format!("{}\n", kind.name)), "{}", kind.name);
        for param in kind.params {
            assert!(text.contains(&format!("    {}: {}", param.name, param.ty)), "{}", param.name);
        }
    }
}

#[test]
fn the_committed_schema_is_that_of_the_built_in_kinds() {
    let committed = fs::read_to_string(root().join("config/foldback.schema.json"));
    let found = format!("{:#}\n", json_schema(&registry()));
    let told = "run `foldback schema > config/foldback.schema.json`";
    assert!(committed.expect("it is there") == found, "{told}");
}

#[test]
fn every_valid_file_is_valid_by_the_schema_and_names_it_if_it_is_one_to_start_from() {
    let schema = schema();
    for file in [toml_files("config"), toml_files("tests/chains")].concat() {
        let errors: Vec<_> = schema
            .iter_errors(&as_json(&file).expect("TOML"))
            .map(|error| error.to_string())
            .collect();
        assert!(errors.is_empty(), "{file}: {errors:?}");
        let text = fs::read_to_string(root().join(&file)).expect("it is there");
        let named = text.starts_with("#:schema ./foldback.schema.json\n");
        assert_eq!(named, file.starts_with("config/"), "{file}");
    }
}

/// Mistakes that show only where parts of a file are seen together, or a stage is asked.
const BEYOND_THE_SCHEMA: [&str; 19] = [
    "bad-listen.toml",
    "chains-without-rooms.toml",
    "echo-with-mix.toml",
    "include-cycle.toml",
    "include-mix-into-echo.toml",
    "include-name-twice.toml",
    "include-stereo.toml",
    "include-two-mixes.toml",
    "include-unknown.toml",
    "no-port-left.toml",
    "optional-after-mix.toml",
    "record-without-folder.toml",
    "room-never-reached.toml",
    "stage-for-stereo.toml",
    "stage-name-twice.toml",
    "text-that-a-stage-refuses.toml",
    "tls-without-key.toml",
    "two-mixes.toml",
    "unknown-chain.toml",
];

#[test]
fn the_schema_refuses_every_invalid_file_but_those_whose_mistake_it_cannot_see() {
    let schema = schema();
    let files = toml_files("config/invalid").into_iter();
    let taken: Vec<_> = files
        .filter(|file| as_json(file).is_some_and(|json| schema.is_valid(&json)))
        .map(|file| file.trim_start_matches("config/invalid/").to_owned())
        .collect();
    assert_eq!(taken, BEYOND_THE_SCHEMA);
}

#[test]
fn the_schema_points_at_the_value_that_is_wrong() {
    for (file, place) in [
        ("out-of-range.toml", "/chain/talk/stages/0/cutoff_hz"),
        ("not-a-choice.toml", "/chain/talk/stages/0/level"),
        ("unknown-kind.toml", "/chain/talk/stages/0/kind"),
    ] {
        let json = as_json(&format!("config/invalid/{file}")).expect("TOML");
        let schema = schema();
        let places: Vec<_> =
            schema.iter_errors(&json).map(|error| error.instance_path().to_string()).collect();
        assert_eq!(places, [place], "{file}");
    }
}

#[test]
fn the_schema_has_every_parameter_with_its_range_and_default() {
    let schema = json_schema(&registry());
    let stages = schema["definitions"]["stage"]["allOf"].as_array().expect("kinds");
    for kind in registry().kinds() {
        let mut stages = stages.iter().map(|it| &it["then"]);
        let stage = stages.find(|it| it["properties"]["kind"]["const"] == kind.name);
        let stage = &stage.unwrap_or_else(|| panic!("no {}", kind.name))["properties"];
        for param in kind.params {
            let told = stage[param.name]["description"].as_str().unwrap_or_default();
            assert!(told.contains(&param.ty.to_string()), "{}: {told}", param.name);
            assert!(!stage[param.name]["default"].is_null(), "{}", param.name);
        }
    }
}

fn schema() -> Validator {
    jsonschema::validator_for(&json_schema(&registry())).expect("a schema")
}

/// `None`, if it is not even TOML.
fn as_json(file: &str) -> Option<Value> {
    toml::from_str(&fs::read_to_string(root().join(file)).ok()?).ok()
}
