//! What a file may hold, as a JSON Schema: editors complete and check by it.

use foldback_chain::{MIX_KIND, MixSpec, Registry};
use foldback_stage::{ParamSpec, ParamType, ParamValue};
use serde_json::{Map, Value, json};

use crate::settings::{ALL, Section, Setting};
use crate::{chains, ice, names, rooms, secret, webhooks as hooks};

/// What every stage may say of itself.
const STAGE_KEYS: &[ParamSpec] = &[chains::NAME, chains::ENABLED, chains::OPTIONAL];

/// The schema of files whose chains name the kinds of `registry`: draft 07, which editors know.
///
/// It sees names, types and ranges; what depends on other parts of the file or on the stages
/// themselves, [`Config::parse`](crate::Config::parse) alone sees.
#[must_use]
pub fn json_schema(registry: &Registry) -> Value {
    let sections = ALL.iter().map(|it| (it.name, section(it)));
    let mut properties: Map<_, _> = sections.map(|(key, it)| (key.to_owned(), it)).collect();
    let label = json!({ "pattern": names::LABEL_PATTERN });
    let chains = json!({
        "description": "What sound goes through, by name.",
        "type": "object",
        "minProperties": 1,
        "propertyNames": label,
        "additionalProperties": chain(),
    });
    properties.insert("ice".to_owned(), ice_servers());
    properties.insert("webhook".to_owned(), webhooks());
    properties.insert("chain".to_owned(), chains);
    properties.insert("room".to_owned(), room());
    let mut stages: Vec<_> = registry.kinds().map(|it| (it.name, it.about, it.params)).collect();
    stages.sort_unstable_by_key(|(name, ..)| *name);
    let stages =
        stages.into_iter().map(|(name, about, params)| stage(name, about, STAGE_KEYS, params));
    let mix = stage(MIX_KIND, MixSpec::ABOUT, &[], MixSpec::PARAMS);
    let stages: Vec<_> = stages.chain([mix]).collect();
    json!({
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "foldback",
        "description": "The configuration of a foldback server.",
        "type": "object",
        "properties": properties,
        "required": ["chain"],
        "additionalProperties": false,
        "definitions": { "stage": any_stage(&stages, &include()) },
    })
}

fn section(section: &Section) -> Value {
    let properties = section.settings.iter().map(|it| (it.spec.name.to_owned(), setting(it)));
    json!({
        "description": section.about,
        "type": "object",
        "properties": properties.collect::<Map<_, _>>(),
        "additionalProperties": false,
    })
}

fn setting(setting: &Setting) -> Value {
    match setting.is_list {
        false => parameter(&setting.spec),
        true => json!({
            "description": setting.spec.about,
            "type": "array",
            "items": { "type": "string" },
            "uniqueItems": true,
            "default": [],
        }),
    }
}

fn chain() -> Value {
    let stages = json!({
        "description": chains::STAGES.about,
        "type": "array",
        "items": { "$ref": "#/definitions/stage" },
    });
    json!({
        "type": "object",
        "properties": {
            chains::CHANNELS.name: parameter(&chains::CHANNELS),
            chains::STAGES.name: stages,
        },
        "required": [chains::STAGES.name],
        "additionalProperties": false,
    })
}

/// A stage of one of `kinds`, or an `include`. By what it says that it is, and not by `oneOf`: so a
/// mistake is shown where it stands, and not as one of the whole stage. Editors that do not look
/// behind an `if` complete by the keys that stand beside these.
fn any_stage(kinds: &[Value], include: &Value) -> Value {
    let (kind, includes) = (chains::KIND.name, chains::INCLUDE.name);
    let names: Vec<_> = kinds.iter().map(|it| &it["properties"][kind]["const"]).collect();
    let keys = kinds.iter().chain([include]).filter_map(|it| it["properties"].as_object());
    let mut keys: Map<_, _> =
        keys.flat_map(Map::keys).map(|key| (key.clone(), json!({}))).collect();
    keys.insert(kind.to_owned(), json!({ "enum": names }));
    let is =
        |name: &Value| json!({ "properties": { kind: { "const": name } }, "required": [kind] });
    let by_kind = kinds.iter().zip(&names).map(|(it, name)| json!({ "if": is(name), "then": it }));
    let others = json!({
        "if": { "required": [includes] },
        "then": include,
        "else": { "required": [kind] },
    });
    let keys = json!({ "properties": keys });
    let all: Vec<_> = [keys].into_iter().chain(by_kind).chain([others]).collect();
    json!({ "type": "object", "allOf": all })
}

fn stage(kind: &str, about: &str, own: &[ParamSpec], params: &[ParamSpec]) -> Value {
    let all = own.iter().chain(params).map(|spec| (spec.name.to_owned(), parameter(spec)));
    let mut properties: Map<_, _> = all.collect();
    if let Some(name) = properties.get_mut(chains::NAME.name).filter(|_| !own.is_empty()) {
        *name = label(&chains::NAME);
    }
    properties.insert(chains::KIND.name.to_owned(), json!({ "const": kind }));
    json!({
        "title": kind,
        "description": about,
        "type": "object",
        "properties": properties,
        "required": [chains::KIND.name],
        "additionalProperties": false,
    })
}

fn include() -> Value {
    let ParamSpec { name, about, .. } = chains::INCLUDE;
    json!({
        "title": name,
        "description": about,
        "type": "object",
        "properties": { name: label(&chains::INCLUDE) },
        "required": [name],
        "additionalProperties": false,
    })
}

fn room() -> Value {
    let name = json!({
        "description": rooms::NAME.about,
        "type": "string",
        "minLength": 1,
        "maxLength": rooms::MAX_CHARS,
    });
    let pin = json!({
        "description": secret::PIN.about,
        "type": "string",
        "minLength": secret::PIN_CHARS.start(),
        "maxLength": secret::PIN_CHARS.end(),
    });
    let pin_file = json!({ "description": secret::PIN_FILE.about, "type": "string" });
    let rule = json!({
        "type": "object",
        "properties": {
            rooms::NAME.name: name,
            rooms::CHAIN.name: label(&rooms::CHAIN),
            secret::PIN.name: pin,
            secret::PIN_FILE.name: pin_file,
            rooms::MAX_PARTICIPANTS.name: parameter(&rooms::MAX_PARTICIPANTS),
            rooms::RECORD.name: parameter(&rooms::RECORD),
            rooms::CHIME.name: parameter(&rooms::CHIME),
            rooms::WAITING_ROOM.name: parameter(&rooms::WAITING_ROOM),
        },
        "required": [rooms::NAME.name, rooms::CHAIN.name],
        "additionalProperties": false,
    });
    json!({ "description": "Which rooms get which chain.", "type": "array", "items": rule })
}

fn ice_servers() -> Value {
    let text = |spec: &ParamSpec| json!({ "description": spec.about, "type": "string" });
    let mut secret = text(&ice::SECRET);
    secret["minLength"] = (*ice::SECRET_CHARS.start()).into();
    secret["maxLength"] = (*ice::SECRET_CHARS.end()).into();
    let urls = json!({
        "description": ice::URLS.about,
        "type": "array",
        "items": { "type": "string", "pattern": "^(stuns?|turns?):" },
        "minItems": 1,
    });
    let server = json!({
        "type": "object",
        "properties": {
            ice::URLS.name: urls,
            ice::SECRET.name: secret,
            ice::SECRET_FILE.name: text(&ice::SECRET_FILE),
            ice::TTL_SECONDS.name: parameter(&ice::TTL_SECONDS),
        },
        "required": [ice::URLS.name],
        "additionalProperties": false,
    });
    let servers = json!({ "description": ice::SERVERS.about, "type": "array", "items": server, "default": [] });
    json!({
        "description": "Servers that help clients to reach this one.",
        "type": "object",
        "properties": { ice::SERVERS.name: servers },
        "additionalProperties": false,
    })
}

fn webhooks() -> Value {
    let text = |spec: &ParamSpec| json!({ "description": spec.about, "type": "string" });
    let mut url = text(&hooks::URL);
    url["pattern"] = "^https?://".into();
    let mut secret = text(&ice::SECRET);
    secret["description"] = "What is told is signed with it.".into();
    secret["minLength"] = (*ice::SECRET_CHARS.start()).into();
    secret["maxLength"] = (*ice::SECRET_CHARS.end()).into();
    let mut rooms = text(&hooks::ROOMS);
    rooms["minLength"] = 1.into();
    rooms["maxLength"] = rooms::MAX_CHARS.into();
    rooms["default"] = "*".into();
    let events = json!({
        "description": hooks::OF_EVENTS.about,
        "type": "array",
        "items": { "enum": hooks::EVENTS },
        "minItems": 1,
    });
    let webhook = json!({
        "type": "object",
        "properties": {
            hooks::URL.name: url,
            ice::SECRET.name: secret,
            ice::SECRET_FILE.name: text(&ice::SECRET_FILE),
            hooks::OF_EVENTS.name: events,
            hooks::ROOMS.name: rooms,
        },
        "required": [hooks::URL.name],
        "anyOf": [{ "required": [ice::SECRET.name] }, { "required": [ice::SECRET_FILE.name] }],
        "additionalProperties": false,
    });
    json!({ "description": "Who is told by HTTP what happens.", "type": "array", "items": webhook })
}

/// The name of a chain or a stage.
fn label(spec: &ParamSpec) -> Value {
    json!({ "description": spec.about, "type": "string", "pattern": names::LABEL_PATTERN })
}

fn parameter(spec: &ParamSpec) -> Value {
    let mut schema = match spec.ty {
        ParamType::Float { min, max, .. } => {
            json!({ "type": "number", "minimum": decimal(min), "maximum": decimal(max) })
        }
        ParamType::Int { min, max, .. } => {
            json!({ "type": "integer", "minimum": min, "maximum": max })
        }
        ParamType::Bool { .. } => json!({ "type": "boolean" }),
        ParamType::Choice { allowed, .. } => json!({ "enum": allowed }),
        ParamType::Text { .. } => json!({ "type": "string" }),
    };
    let live = if spec.live { "; changes while it runs" } else { "" };
    schema["description"] = format!("{} ({}{live})", spec.about, spec.ty).into();
    schema["default"] = match spec.default_value() {
        ParamValue::Float(value) => decimal(value),
        ParamValue::Int(value) => value.into(),
        ParamValue::Bool(value) => value.into(),
        ParamValue::Choice(value) => value.into(),
        ParamValue::Text(value) => (*value).into(),
    };
    schema
}

/// The shortest number that is this one: 0.1, and not the 0.10000000149 that it is in 64 bits.
fn decimal(value: f32) -> Value {
    value.to_string().parse::<f64>().map_or(Value::Null, Value::from)
}
