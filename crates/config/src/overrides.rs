//! What is changed of stages while they run, checked by the declarations that a file is checked by.

use std::collections::BTreeMap;
use std::slice;
use std::sync::Arc;

use foldback_chain::{Chain, ChainSpec, MIX_KIND, MixSpec, StageSpec};
use foldback_stage::{ParamSpec, ParamType, ParamValue, Params, RawValue, StageFormat};

use crate::names;
use crate::reader::set_param;

/// Other values than those of the file, for stages of one chain by their names.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Overrides {
    stages: BTreeMap<String, StageOverride>,
    /// Those of `mix` that were given, and no others.
    mix: Params,
}

/// What is another than in the file.
#[derive(Clone, Debug, PartialEq)]
struct StageOverride {
    /// The name of its kind: a library that is loaded anew brings another kind of the same name.
    kind: &'static str,
    enabled: Option<bool>,
    /// Those that were given, and no others.
    params: Params,
}

/// Why a change of a stage was not taken: a sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RefusedOverride {
    /// There is no such stage.
    Stage(String),
    /// There is no such parameter, its value is not allowed, or it does not go with the others.
    Param(String),
}

impl Overrides {
    /// Whether nothing is another.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.stages.is_empty() && self.mix == Params::default()
    }

    /// Adds to what is changed of the stage called `name`, one of `stages` or `mix`. Builds it once
    /// as it is to be, for sound of that `format`: allocates, may take milliseconds. Text stays as the file has it: it may be a
    /// path.
    ///
    /// # Errors
    /// What is allowed, with the name that was probably meant; nothing is changed then.
    pub fn set(
        &mut self,
        stages: &[StageSpec],
        format: StageFormat,
        mix: Option<MixSpec>,
        name: &str,
        enabled: Option<bool>,
        params: &[(&str, RawValue<'_>)],
    ) -> Result<(), RefusedOverride> {
        let is_mix = mix.is_some() && name == MIX_KIND;
        let spec = (!is_mix).then(|| find(stages, mix, name)).transpose()?;
        if enabled.is_none() && params.is_empty() {
            let sentence = "There is nothing to change: give `enabled`, `params` or both.";
            return Err(RefusedOverride::Param(sentence.to_owned()));
        }
        let Some(spec) = spec else {
            if enabled == Some(false) {
                let sentence = "`mix` cannot be switched off: nobody would hear anybody.";
                return Err(RefusedOverride::Param(sentence.to_owned()));
            }
            return set_params(&mut self.mix, MIX_KIND, MixSpec::PARAMS, params);
        };
        let kind = spec.kind.name;
        let none = StageOverride { kind, enabled: None, params: Params::default() };
        let known = self.stages.get(name).filter(|known| known.kind == kind);
        let mut changed = known.cloned().unwrap_or(none);
        changed.enabled = enabled.or(changed.enabled);
        set_params(&mut changed.params, spec.kind.name, spec.kind.params, params)?;
        let next = changed.apply(spec);
        Chain::build(slice::from_ref(&next), format).map_err(|error| {
            RefusedOverride::Param(format!("`{name}` cannot be built: {}.", error.reason))
        })?;
        self.stages.insert(name.to_owned(), changed);
        Ok(())
    }

    /// The chain with what is another. Allocates.
    #[must_use]
    pub fn apply(&self, chain: &Arc<ChainSpec>) -> Arc<ChainSpec> {
        if self.is_empty() {
            return Arc::clone(chain);
        }
        let side = |stages: &[StageSpec]| -> Vec<_> {
            let applied = stages.iter().map(|spec| match self.stages.get(&spec.name) {
                Some(changed) if changed.kind == spec.kind.name => changed.apply(spec),
                _ => spec.clone(),
            });
            applied.collect()
        };
        let (input, output) = (side(&chain.input), side(&chain.output));
        let mix = chain.mix.map(|mix| {
            let mut params = mix.params();
            put_over(&mut params, MixSpec::PARAMS, &self.mix);
            MixSpec::from_params(&params)
        });
        Arc::new(ChainSpec { name: chain.name.clone(), format: chain.format, input, mix, output })
    }

    /// Forgets what is of no stage of `stages`, by name and kind, what its kind takes no more, and
    /// what is of a `mix` that is not there. Returns what that is: `gain`, or `gain.gain_db`.
    pub fn retain<'a>(
        &mut self,
        stages: impl Iterator<Item = &'a StageSpec> + Clone,
        mix: Option<MixSpec>,
    ) -> Vec<String> {
        let mut gone = Vec::new();
        self.stages.retain(|name, changed| {
            let is_it = |spec: &&StageSpec| spec.name == *name && spec.kind.name == changed.kind;
            match stages.clone().find(is_it) {
                Some(spec) => {
                    let refused = changed.check_again(spec.kind.params);
                    gone.extend(refused.iter().map(|param| format!("{name}.{param}")));
                    changed.changes_something()
                }
                None => {
                    gone.push(name.clone());
                    false
                }
            }
        });
        if mix.is_none() && std::mem::take(&mut self.mix) != Params::default() {
            gone.push(MIX_KIND.to_owned());
        }
        gone
    }
}

impl StageOverride {
    fn apply(&self, spec: &StageSpec) -> StageSpec {
        let mut next = spec.clone();
        next.enabled = self.enabled.unwrap_or(spec.enabled);
        put_over(&mut next.params, spec.kind.params, &self.params);
        next
    }

    fn changes_something(&self) -> bool {
        self.enabled.is_some() || self.params != Params::default()
    }

    /// Keeps of the parameters those that `declared` allows. Returns the names of the others.
    fn check_again(&mut self, declared: &[ParamSpec]) -> Vec<&'static str> {
        let given = std::mem::take(&mut self.params);
        let refused = given.iter().filter(|(name, value)| {
            let declared = declared.iter().find(|declared| declared.name == *name);
            declared.is_none_or(|declared| self.params.set(declared, raw(value)).is_err())
        });
        refused.map(|(name, _)| name).collect()
    }
}

/// Gives `params` the values that were `changed`.
fn put_over(params: &mut Params, declared: &[ParamSpec], changed: &Params) {
    for declared in declared {
        let changed = changed.iter().find(|(name, _)| *name == declared.name);
        if let Some((_, value)) = changed {
            // It was checked by the same declaration when it was set.
            let _ = params.set(declared, raw(value));
        }
    }
}

fn find<'s>(
    stages: &'s [StageSpec],
    mix: Option<MixSpec>,
    name: &str,
) -> Result<&'s StageSpec, RefusedOverride> {
    stages.iter().find(|spec| spec.name == name).ok_or_else(|| {
        let known = || stages.iter().map(|spec| &*spec.name).chain(mix.map(|_| MIX_KIND));
        let found = format!("there is no stage {name:?} here");
        let allowed = format!("there are: {}", names::list(known(), '`', "and"));
        RefusedOverride::Stage(sentence(&found, &allowed, names::did_you_mean(name, known(), '`')))
    })
}

/// Checks `given` by the declarations of a kind and keeps it, all or nothing.
fn set_params(
    params: &mut Params,
    kind: &str,
    declared: &[ParamSpec],
    given: &[(&str, RawValue<'_>)],
) -> Result<(), RefusedOverride> {
    let is_text = |spec: &ParamSpec| matches!(spec.ty, ParamType::Text { .. });
    let mut next = params.clone();
    for (key, value) in given {
        let spec = declared.iter().find(|spec| spec.name == *key);
        if spec.is_some_and(is_text) {
            let sentence = format!("`{key}` is text: it can be changed in the file alone.");
            return Err(RefusedOverride::Param(sentence));
        }
        let Some(spec) = spec else {
            let allowed = declared.iter().filter(|spec| !is_text(spec)).map(|spec| spec.name);
            let (found, allowed, help) = names::unknown_key(&format!("`{kind}`"), key, allowed);
            return Err(RefusedOverride::Param(sentence(&found, &allowed, help)));
        };
        set_param(&mut next, spec, *value).map_err(|(allowed, help)| {
            let found = format!("`{key}` is {}", shown(*value));
            RefusedOverride::Param(sentence(&found, &allowed, help))
        })?;
    }
    *params = next;
    Ok(())
}

fn sentence(found: &str, allowed: &str, help: Option<String>) -> String {
    let help = help.map_or(".".to_owned(), |help| format!(": {help}"));
    format!("{found}, {allowed}{help}")
}

fn raw(value: &ParamValue) -> RawValue<'_> {
    match value {
        ParamValue::Float(value) => RawValue::Float((*value).into()),
        ParamValue::Int(value) => RawValue::Int(*value),
        ParamValue::Bool(value) => RawValue::Bool(*value),
        ParamValue::Choice(value) => RawValue::Text(value),
        ParamValue::Text(value) => RawValue::Text(value),
    }
}

fn shown(value: RawValue<'_>) -> String {
    match value {
        RawValue::Float(value) => value.to_string(),
        RawValue::Int(value) => value.to_string(),
        RawValue::Bool(value) => value.to_string(),
        RawValue::Text(value) => format!("{:?}", value.chars().take(30).collect::<String>()),
        RawValue::Other => "no number, switch or text".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use foldback_stage::{BuildError, StageKind};

    use super::*;

    const MONO: StageFormat = StageFormat::MONO;

    const LEVEL_DB: ParamSpec = ParamSpec::float("level_db", "dB", -60.0, 30.0, 0.0, "Level.");
    const MODE: ParamSpec = ParamSpec::choice("mode", &["soft", "hard"], "soft", "How.");

    const FOLDER: ParamSpec = ParamSpec::text("folder", ".", "Where.");

    struct Nothing;

    impl foldback_stage::Stage for Nothing {
        fn process(
            &mut self,
            _block: &mut foldback_stage::AudioBlock<'_>,
            _cx: &mut foldback_stage::BlockContext<'_>,
        ) {
        }
    }

    static LEVEL: StageKind = StageKind {
        name: "level",
        about: "Refuses to be hard above 20 dB.",
        params: &[LEVEL_DB, MODE, FOLDER],
        build: &|params, _| match params.float(&LEVEL_DB) > 20.0 && params.choice(&MODE) == "hard" {
            true => Err(BuildError::new("too hard")),
            false => Ok(Box::new(Nothing)),
        },
    };
    static OTHER: StageKind =
        StageKind { name: "other", about: "", params: &[], build: &|_, _| Ok(Box::new(Nothing)) };

    fn chain() -> Arc<ChainSpec> {
        let (input, output) = (vec![StageSpec::of(&LEVEL)], vec![StageSpec::of(&OTHER)]);
        Arc::new(ChainSpec { name: "talk".to_owned(), format: MONO, input, mix: None, output })
    }

    fn refused(name: &str, params: &[(&str, RawValue<'_>)]) -> RefusedOverride {
        let mut overrides = Overrides::default();
        let refused =
            overrides.set(&chain().input, MONO, None, name, None, params).expect_err("refused");
        assert!(overrides.is_empty(), "what was refused is kept: {overrides:?}");
        refused
    }

    #[test]
    fn text_stays_as_the_file_has_it_and_nothing_is_no_change() {
        let path = [("folder", RawValue::Text("/etc"))];
        let told = "`folder` is text: it can be changed in the file alone.";
        assert_eq!(refused("level", &path), RefusedOverride::Param(told.to_owned()));
        assert!(matches!(refused("level", &[]), RefusedOverride::Param(_)));
    }

    #[test]
    fn what_was_set_is_added_up_and_what_was_not_is_as_in_the_file() {
        let mut overrides = Overrides::default();
        let stages = chain().input.clone();
        overrides.set(&stages, MONO, None, "level", Some(false), &[]).expect("a switch");
        overrides
            .set(&stages, MONO, None, "level", None, &[("level_db", RawValue::Int(3))])
            .expect("3 dB");
        let level = &overrides.apply(&chain()).input[0];
        assert!(!level.enabled);
        assert_eq!((level.params.float(&LEVEL_DB), level.params.choice(&MODE)), (3.0, "soft"));
    }

    #[test]
    fn a_mistake_is_refused_with_what_is_allowed_and_what_was_meant() {
        let stages = [
            (
                "levle",
                "there is no stage \"levle\" here, there are: `level`: did you mean `level`?",
            ),
            ("mix", "there is no stage \"mix\" here, there are: `level`."),
        ];
        for (name, expected) in stages {
            assert_eq!(refused(name, &[]), RefusedOverride::Stage(expected.to_owned()));
        }
        let (text, whole) = (RawValue::Text, RawValue::Int);
        let params = [
            (
                vec![("level", whole(3))],
                "`level` has no `level`, allowed here: `level_db` and `mode`: did you mean \
                 `level_db`?",
            ),
            (
                vec![("level_db", RawValue::Float(40.5))],
                "`level_db` is 40.5, must be a number from -60 to 30 dB.",
            ),
            (
                vec![("mode", text("hart"))],
                "`mode` is \"hart\", must be \"soft\" or \"hard\": did you mean \"hard\"?",
            ),
            (
                vec![("level_db", whole(21)), ("mode", text("hard"))],
                "`level` cannot be built: too hard.",
            ),
        ];
        for (params, expected) in params {
            assert_eq!(refused("level", &params), RefusedOverride::Param(expected.to_owned()));
        }
    }

    #[test]
    fn what_is_of_a_stage_of_another_name_or_kind_is_forgotten() {
        let mut overrides = Overrides::default();
        overrides.set(&chain().input, MONO, None, "level", Some(false), &[]).expect("a switch");
        overrides.set(&chain().output, MONO, None, "other", Some(false), &[]).expect("a switch");
        let mut renamed = StageSpec::of(&OTHER);
        renamed.name = "level".to_owned();
        let next = [renamed, StageSpec::of(&OTHER)];
        assert_eq!(overrides.retain(next.iter(), None), ["level"]);
        let applied = overrides.apply(&chain());
        assert!(applied.input[0].enabled && !applied.output[0].enabled);
    }

    /// As a library brings it that was built anew: without `mode`, and less loud.
    static LEVEL_AGAIN: StageKind = StageKind {
        name: "level",
        about: "",
        params: &[ParamSpec::float("level_db", "dB", -60.0, 10.0, 0.0, "Level.")],
        build: &|_, _| Ok(Box::new(Nothing)),
    };

    #[test]
    fn what_is_of_a_kind_that_was_loaded_anew_is_kept_as_far_as_that_takes_it() {
        let change = |level_db| {
            let mut overrides = Overrides::default();
            let params = [("level_db", RawValue::Int(level_db)), ("mode", RawValue::Text("hard"))];
            overrides.set(&chain().input, MONO, None, "level", None, &params).expect("allowed");
            overrides
        };
        let input = vec![StageSpec::of(&LEVEL_AGAIN)];
        let next = Arc::new(ChainSpec { input, ..ChainSpec::clone(&chain()) });
        let mut overrides = change(6);
        assert_eq!(overrides.retain(next.stages(), None), ["level.mode"]);
        assert_eq!(overrides.apply(&next).input[0].params.float(&LEVEL_DB), 6.0);
        let mut overrides = change(11);
        assert_eq!(overrides.retain(next.stages(), None), ["level.level_db", "level.mode"]);
        assert!(overrides.is_empty());
    }

    #[test]
    fn what_mix_was_told_is_another_as_long_as_there_is_one() {
        let talk = |max_talkers| {
            let mix = Some(MixSpec { max_talkers });
            Arc::new(ChainSpec { mix, ..ChainSpec::clone(&chain()) })
        };
        let mut overrides = Overrides::default();
        let mut set = |enabled, value| {
            let params = [("max_talkers", value)];
            overrides.set(&chain().input, MONO, talk(6).mix, "mix", enabled, &params)
        };
        set(None, RawValue::Int(3)).expect("three talkers");
        for (enabled, value, told) in [
            (None, RawValue::Int(33), "`max_talkers` is 33, must be a whole number from 1 to 32."),
            (
                Some(false),
                RawValue::Int(3),
                "`mix` cannot be switched off: nobody would hear anybody.",
            ),
        ] {
            assert_eq!(set(enabled, value), Err(RefusedOverride::Param(told.to_owned())));
        }
        assert_eq!(overrides.apply(&talk(8)), talk(3));
        assert!(overrides.retain(chain().stages(), talk(8).mix).is_empty());
        assert_eq!(overrides.retain(chain().stages(), None), ["mix"]);
        assert!(overrides.is_empty());
    }
}
