//! A chain as operators see it: its stages with their parameters and what they read now.

use std::collections::BTreeMap;

use foldback_chain::{ChainSpec, MIX_KIND, MixSpec, StageSpec};
use foldback_room::ParticipantId;
use foldback_stage::{ParamSpec, ParamType, ParamValue, Params};
use foldback_worker::Readings;
use serde::Serialize;
use utoipa::ToSchema;

use crate::chain_info::ChainInfo;
use crate::report::tenths;

/// Means of readings by their names, which end in their units.
pub type Means = BTreeMap<&'static str, f32>;

/// A chain from top to bottom.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct ChainView {
    /// Its name in the configuration.
    pub chain: String,
    /// The chain that the stages before `mix` are of, where they are a participant's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub own: Option<String>,
    /// Algorithmic delay of all stages together.
    pub delay_ms: f32,
    /// In order, `mix` at its place.
    pub stages: Vec<StageView>,
}

/// A stage of such a chain.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct StageView {
    /// Unique in the chain.
    pub name: String,
    /// What it is.
    pub kind: &'static str,
    /// `input` before the mix, `mix`, `output` after it.
    pub part: &'static str,
    /// Switched off, audio passes as late as through it.
    pub enabled: bool,
    /// Algorithmic delay.
    pub delay_ms: f32,
    /// In the order of their declaration, without text: it may be a path, and everybody may look.
    pub params: Vec<ParamView>,
    /// Mean computing time for a block of 10 ms, of the last second; absent while it has nothing to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time_us: Option<f32>,
    /// Of the last second; over the room's participants or mixes where they are several.
    #[schema(value_type = BTreeMap<String, f32>)]
    pub readings: Means,
}

/// A parameter: its value and its declaration.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct ParamView {
    /// Ends in its unit.
    pub name: &'static str,
    /// As it is now.
    pub value: Value,
    /// As it is where nobody says anything.
    pub default: Value,
    /// `number`, `integer`, `switch` or `choice`; `text` is not shown.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// Empty for a bare number.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub unit: &'static str,
    /// Least allowed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min: Option<Value>,
    /// Most allowed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max: Option<Value>,
    /// The words allowed.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    pub allowed: &'static [&'static str],
    /// Whether the stage goes on with a new value, or another is swapped in.
    pub live: bool,
    /// What turning it does.
    pub about: &'static str,
}

/// A value in JSON.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
#[serde(untagged)]
pub enum Value {
    /// A number.
    Float(f32),
    /// A whole number.
    Int(i64),
    /// A switch.
    Bool(bool),
    /// Text, or one of a few words.
    Text(String),
}

impl ChainView {
    /// A room's chain, which clients see as `info`; `readings` are of all who are in it.
    #[must_use]
    pub fn of_room(chain: &ChainSpec, info: &ChainInfo, readings: &[Readings]) -> Self {
        Self::new(chain, info, readings, |id| id.is_some())
    }

    /// The chain of one participant of a room whose chain is `room`, with `own` if the stages before
    /// `mix` are its own.
    #[must_use]
    pub fn of_participant(
        room: &ChainSpec,
        chain: &ChainSpec,
        info: &ChainInfo,
        own: Option<&str>,
        id: ParticipantId,
        readings: &[Readings],
    ) -> Self {
        let view = Self::new(chain, info, readings, |of| of == Some(id));
        Self { chain: room.name.clone(), own: own.map(str::to_owned), ..view }
    }

    fn new(
        chain: &ChainSpec,
        info: &ChainInfo,
        readings: &[Readings],
        is_input: impl Fn(Option<ParticipantId>) -> bool,
    ) -> Self {
        let inputs = Read::of(readings.iter().filter(|side| is_input(side.id)));
        let outputs = Read::of(readings.iter().filter(|side| side.id.is_none()));
        let side = |stages: &[StageSpec], part, read: &Read| -> Vec<_> {
            stages.iter().map(|spec| stage_view(spec, part, info, read)).collect()
        };
        let mut stages = side(&chain.input, "input", &inputs);
        stages.extend(chain.mix.map(mix_view));
        stages.extend(side(&chain.output, "output", &outputs));
        Self { chain: chain.name.clone(), own: None, delay_ms: info.delay_ms(), stages }
    }
}

/// Means over chains, by stage and reading. What is no number is left out.
pub(crate) fn means<'a>(sides: impl Iterator<Item = &'a Readings>) -> BTreeMap<String, Means> {
    let mut sums: BTreeMap<String, BTreeMap<&'static str, (f32, f32)>> = BTreeMap::new();
    for side in sides {
        for (stage, reading) in side.iter().filter(|(_, reading)| reading.value.is_finite()) {
            let (sum, count) =
                sums.entry(stage.to_owned()).or_default().entry(reading.name).or_default();
            (*sum, *count) = (*sum + reading.value, *count + 1.0);
        }
    }
    let mean = |(name, (sum, count))| (name, sum / count);
    sums.into_iter().map(|(stage, sums)| (stage, sums.into_iter().map(mean).collect())).collect()
}

/// Mean computing times for a block of 10 ms over chains, by stage, in µs with one decimal.
pub(crate) fn times_us<'a>(sides: impl Iterator<Item = &'a Readings>) -> BTreeMap<String, f32> {
    let mut sums: BTreeMap<String, (f32, f32)> = BTreeMap::new();
    for (stage, time_us) in sides.flat_map(Readings::times_us) {
        let (sum, count) = sums.entry(stage.to_owned()).or_default();
        (*sum, *count) = (*sum + time_us, *count + 1.0);
    }
    sums.into_iter().map(|(stage, (sum, count))| (stage, tenths(sum / count))).collect()
}

/// What the stages of one side read and took.
struct Read {
    means: BTreeMap<String, Means>,
    times_us: BTreeMap<String, f32>,
}

impl Read {
    fn of<'a>(sides: impl Iterator<Item = &'a Readings> + Clone) -> Self {
        Self { means: means(sides.clone()), times_us: times_us(sides) }
    }
}

fn stage_view(spec: &StageSpec, part: &'static str, info: &ChainInfo, read: &Read) -> StageView {
    let known = info.stages.iter().find(|stage| stage.name == spec.name);
    StageView {
        name: spec.name.clone(),
        kind: spec.kind.name,
        part,
        enabled: spec.enabled,
        delay_ms: known.map_or(0.0, |stage| stage.delay_ms),
        params: params_view(spec.kind.params, &spec.params),
        time_us: read.times_us.get(&spec.name).copied(),
        readings: read.means.get(&spec.name).cloned().unwrap_or_default(),
    }
}

fn mix_view(mix: MixSpec) -> StageView {
    StageView {
        name: MIX_KIND.to_owned(),
        kind: MIX_KIND,
        part: "mix",
        enabled: true,
        delay_ms: 0.0,
        params: params_view(MixSpec::PARAMS, &mix.params()),
        time_us: None,
        readings: Means::new(),
    }
}

fn params_view(declared: &'static [ParamSpec], params: &Params) -> Vec<ParamView> {
    let value = |spec: &ParamSpec| {
        let set = params.iter().find(|(name, _)| *name == spec.name);
        set.map_or_else(|| spec.default_value(), |(_, value)| value.clone())
    };
    let shown = declared.iter().filter(|spec| !matches!(spec.ty, ParamType::Text { .. }));
    shown.map(|spec| param_view(spec, value(spec))).collect()
}

fn param_view(spec: &ParamSpec, value: ParamValue) -> ParamView {
    let (kind, unit, range, allowed): (_, _, _, &[&str]) = match spec.ty {
        ParamType::Float { unit, min, max, .. } => {
            ("number", unit, Some((Value::Float(min), Value::Float(max))), &[])
        }
        ParamType::Int { unit, min, max, .. } => {
            ("integer", unit, Some((Value::Int(min), Value::Int(max))), &[])
        }
        ParamType::Bool { .. } => ("switch", "", None, &[]),
        ParamType::Choice { allowed, .. } => ("choice", "", None, allowed),
        ParamType::Text { .. } => ("text", "", None, &[]),
    };
    let (min, max) = range.unzip();
    let (value, default) = (value.into(), spec.default_value().into());
    let (name, live, about) = (spec.name, spec.live, spec.about);
    ParamView { name, value, default, kind, unit, min, max, allowed, live, about }
}

impl From<ParamValue> for Value {
    fn from(value: ParamValue) -> Self {
        match value {
            ParamValue::Float(value) => Self::Float(value),
            ParamValue::Int(value) => Self::Int(value),
            ParamValue::Bool(value) => Self::Bool(value),
            ParamValue::Choice(value) => Self::Text(value.to_owned()),
            ParamValue::Text(value) => Self::Text(value.to_string()),
        }
    }
}
