//! A chain as the page asks for it.

use foldback_chain::StageSpec;
use foldback_stage::{RawValue, StageFormat};
use serde::Deserialize;
use serde_json::Value;

use crate::kinds;

/// A chain: what `GET /api/v1/rooms/{room}/chain` answers, and how many channels it has.
#[derive(Clone, Debug, Deserialize)]
pub struct Request {
    /// 1 or 2.
    pub channels: usize,
    /// From top to bottom.
    pub stages: Vec<WantedStage>,
}

/// A stage of it. Other fields than these are ignored.
#[derive(Clone, Debug, Deserialize)]
pub struct WantedStage {
    /// Unique in the chain.
    pub name: String,
    /// What it is; one that does not run here is left out.
    pub kind: String,
    /// Where it stands.
    pub part: Part,
    /// Switched off, audio passes as late as through it.
    pub enabled: bool,
    /// Values of its parameters; those that are not here are at their defaults.
    pub params: Vec<WantedParam>,
}

/// Where a stage stands in its chain.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Part {
    /// Before the mix.
    Input,
    /// The mix itself: of one voice alone it is nothing.
    Mix,
    /// After the mix.
    Output,
}

/// A parameter's value.
#[derive(Clone, Debug, Deserialize)]
pub struct WantedParam {
    /// As the kind declares it.
    pub name: String,
    /// A number, a switch or text.
    pub value: Value,
}

impl Request {
    /// What its stages are built for.
    ///
    /// # Errors
    /// A sentence, where there are neither one nor two channels.
    pub(crate) fn format(&self) -> Result<StageFormat, String> {
        match self.channels {
            channels @ 1..=2 => Ok(StageFormat { channels }),
            channels => Err(format!("`channels` is {channels}, must be 1 or 2.")),
        }
    }

    /// The stages of one side that run here.
    ///
    /// # Errors
    /// A sentence that names the stage and what is allowed.
    pub(crate) fn side(&self, part: Part) -> Result<Vec<StageSpec>, String> {
        let side = self.stages.iter().filter(|stage| stage.part == part);
        side.filter_map(WantedStage::spec).collect()
    }
}

impl WantedStage {
    /// `None` where its kind does not run here.
    fn spec(&self) -> Option<Result<StageSpec, String>> {
        let mut spec = StageSpec::of(kinds::kind(&self.kind)?);
        spec.name.clone_from(&self.name);
        spec.enabled = self.enabled;
        // So that a whole chain can be passed by, for people to compare.
        spec.optional = true;
        let set = self.params.iter().try_for_each(|given| self.set(&mut spec, given));
        Some(set.map(|()| spec))
    }

    fn set(&self, spec: &mut StageSpec, given: &WantedParam) -> Result<(), String> {
        let (stage, name) = (&self.name, &given.name);
        let declared = spec.kind.params.iter().find(|declared| declared.name == *name);
        let Some(declared) = declared else {
            return Err(format!("stage `{stage}`: `{}` has no `{name}`.", self.kind));
        };
        spec.params.set(declared, raw(&given.value)).map_err(|refused| {
            let (value, allowed) = (&given.value, refused.allowed);
            format!("stage `{stage}`: `{name}` is {value}, must be {allowed}.")
        })
    }
}

fn raw(value: &Value) -> RawValue<'_> {
    match value {
        Value::Bool(value) => RawValue::Bool(*value),
        Value::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(whole), _) => RawValue::Int(whole),
            (None, Some(value)) => RawValue::Float(value),
            (None, None) => RawValue::Other,
        },
        Value::String(text) => RawValue::Text(text),
        Value::Null | Value::Array(_) | Value::Object(_) => RawValue::Other,
    }
}
