//! A chain as clients see it.

use std::collections::BTreeMap;

use foldback_chain::{Chain, ChainSpec, MIX_KIND, StageSpec};
use foldback_stage::{ParamValue, SAMPLE_RATE_HZ};
use serde::Serialize;
use utoipa::ToSchema;

/// A room's chain as clients see it.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct ChainInfo {
    /// Its name.
    pub name: String,
    /// Whether participants hear each other (else each hears their own processed voice).
    pub mixes: bool,
    /// 1: everything in it is mono; 2: stereo, and microphones may be too.
    pub channels: usize,
    /// Its stages from top to bottom, `mix` at its place.
    pub stages: Vec<StageInfo>,
}

/// One stage of a chain as clients see it.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct StageInfo {
    /// Unique in the chain.
    pub name: String,
    /// What it is.
    pub kind: String,
    /// Whether sound goes through it; if not, it passes by.
    pub enabled: bool,
    /// Its boolean parameters, by name: which of its parts are on. The others may hold what is not
    /// for everybody, such as paths.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schema(value_type = BTreeMap<String, bool>)]
    pub switches: BTreeMap<&'static str, bool>,
    /// Algorithmic delay.
    pub delay_ms: f32,
}

impl ChainInfo {
    /// Describes a chain. Builds its stages once to ask them for their delays.
    #[must_use]
    pub fn of(chain: &ChainSpec) -> Self {
        let side = |specs: &[_]| {
            let built = Chain::build(specs, chain.format);
            let delays: Vec<usize> =
                built.map(|chain| chain.stage_delays().collect()).unwrap_or_default();
            let delays = delays.into_iter().chain(std::iter::repeat(0));
            specs.iter().zip(delays).map(stage_info).collect::<Vec<_>>()
        };
        let mix = chain.mix.map(|_| StageInfo {
            name: MIX_KIND.to_owned(),
            kind: MIX_KIND.to_owned(),
            enabled: true,
            switches: BTreeMap::new(),
            delay_ms: 0.0,
        });
        let stages = side(&chain.input).into_iter().chain(mix).chain(side(&chain.output));
        Self {
            name: chain.name.clone(),
            mixes: chain.mix.is_some(),
            channels: chain.format.channels,
            stages: stages.collect(),
        }
    }

    /// Algorithmic delay of all stages together.
    pub(crate) fn delay_ms(&self) -> f32 {
        self.stages.iter().map(|stage| stage.delay_ms).sum()
    }
}

fn stage_info((spec, delay_samples): (&StageSpec, usize)) -> StageInfo {
    let switches = spec.params.iter().filter_map(|(name, value)| match value {
        ParamValue::Bool(on) => Some((name, *on)),
        _ => None,
    });
    StageInfo {
        name: spec.name.clone(),
        kind: spec.kind.name.to_owned(),
        enabled: spec.enabled,
        switches: switches.collect(),
        delay_ms: delay_samples as f32 * 1e3 / SAMPLE_RATE_HZ as f32,
    }
}
