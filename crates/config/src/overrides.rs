//! What is changed of stages while they run, checked by the declarations that a file is checked by.

use std::collections::BTreeMap;
use std::ptr;
use std::slice;
use std::sync::Arc;

use foldback_chain::{Chain, ChainSpec, MIX_KIND, StageSpec};
use foldback_stage::{ParamSpec, ParamType, ParamValue, Params, RawValue, StageFormat, StageKind};

use crate::names;
use crate::reader::set_param;

/// Other values than those of the file, for stages of one chain by their names.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Overrides(BTreeMap<String, StageOverride>);

/// What is another than in the file.
#[derive(Clone, Debug)]
struct StageOverride {
    kind: &'static StageKind,
    enabled: Option<bool>,
    /// Those that were given, and no others.
    params: Params,
}

impl PartialEq for StageOverride {
    fn eq(&self, other: &Self) -> bool {
        ptr::eq(self.kind, other.kind)
            && self.enabled == other.enabled
            && self.params == other.params
    }
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
        self.0.is_empty()
    }

    /// Whether something of the stage called `name` is another.
    #[must_use]
    pub fn changes(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// Adds to what is changed of the stage called `name`, one of `stages`. Builds it once as it is
    /// to be: allocates, may take milliseconds. Text stays as the file has it: it may be a path.
    ///
    /// # Errors
    /// What is allowed, with the name that was probably meant; nothing is changed then.
    pub fn set(
        &mut self,
        stages: &[StageSpec],
        name: &str,
        enabled: Option<bool>,
        params: &[(&str, RawValue<'_>)],
    ) -> Result<(), RefusedOverride> {
        let spec = find(stages, name)?;
        if enabled.is_none() && params.is_empty() {
            let sentence = "There is nothing to change: give `enabled`, `params` or both.";
            return Err(RefusedOverride::Param(sentence.to_owned()));
        }
        let none = StageOverride { kind: spec.kind, enabled: None, params: Params::default() };
        let known = self.0.get(name).filter(|known| ptr::eq(known.kind, spec.kind));
        let mut changed = known.cloned().unwrap_or(none);
        changed.enabled = enabled.or(changed.enabled);
        let is_text = |declared: &ParamSpec| matches!(declared.ty, ParamType::Text { .. });
        for (key, value) in params {
            let declared = spec.kind.params.iter().find(|declared| declared.name == *key);
            if declared.is_some_and(is_text) {
                let sentence = format!("`{key}` is text: it can be changed in the file alone.");
                return Err(RefusedOverride::Param(sentence));
            }
            let Some(declared) = declared else {
                let allowed = spec.kind.params.iter().filter(|declared| !is_text(declared));
                let allowed = allowed.map(|declared| declared.name);
                let (found, allowed, help) =
                    names::unknown_key(&format!("`{}`", spec.kind.name), key, allowed);
                return Err(RefusedOverride::Param(sentence(&found, &allowed, help)));
            };
            set_param(&mut changed.params, declared, *value).map_err(|(allowed, help)| {
                let found = format!("`{key}` is {}", shown(*value));
                RefusedOverride::Param(sentence(&found, &allowed, help))
            })?;
        }
        let next = changed.apply(spec);
        Chain::build(slice::from_ref(&next), StageFormat::MONO).map_err(|error| {
            RefusedOverride::Param(format!("`{name}` cannot be built: {}.", error.reason))
        })?;
        self.0.insert(name.to_owned(), changed);
        Ok(())
    }

    /// The chain with what is another. Allocates.
    #[must_use]
    pub fn apply(&self, chain: &Arc<ChainSpec>) -> Arc<ChainSpec> {
        if self.is_empty() {
            return Arc::clone(chain);
        }
        let side = |stages: &[StageSpec]| -> Vec<_> {
            let applied = stages.iter().map(|spec| match self.0.get(&spec.name) {
                Some(changed) if ptr::eq(changed.kind, spec.kind) => changed.apply(spec),
                _ => spec.clone(),
            });
            applied.collect()
        };
        let (input, output) = (side(&chain.input), side(&chain.output));
        Arc::new(ChainSpec { name: chain.name.clone(), input, mix: chain.mix, output })
    }

    /// Forgets what is of no stage of `stages`, by name and kind. Returns the names of those.
    pub fn retain<'a>(
        &mut self,
        stages: impl Iterator<Item = &'a StageSpec> + Clone,
    ) -> Vec<String> {
        let applies = |name: &str, changed: &StageOverride| {
            stages.clone().any(|spec| spec.name == name && ptr::eq(spec.kind, changed.kind))
        };
        let gone = self.0.iter().filter(|(name, changed)| !applies(name, changed));
        let gone: Vec<_> = gone.map(|(name, _)| name.clone()).collect();
        gone.iter().for_each(|name| {
            self.0.remove(name);
        });
        gone
    }
}

impl StageOverride {
    fn apply(&self, spec: &StageSpec) -> StageSpec {
        let mut next = spec.clone();
        next.enabled = self.enabled.unwrap_or(spec.enabled);
        for declared in spec.kind.params {
            let changed = self.params.iter().find(|(name, _)| *name == declared.name);
            if let Some((_, value)) = changed {
                // It was checked by the same declaration when it was set.
                let _ = next.params.set(declared, raw(value));
            }
        }
        next
    }
}

fn find<'s>(stages: &'s [StageSpec], name: &str) -> Result<&'s StageSpec, RefusedOverride> {
    stages.iter().find(|spec| spec.name == name).ok_or_else(|| {
        let known = || stages.iter().map(|spec| spec.name.as_str());
        let (found, allowed) = match name {
            MIX_KIND => ("`mix` is as the file has it".to_owned(), "can be changed here: "),
            _ => (format!("there is no stage {name:?} here"), "there are: "),
        };
        let allowed = format!("{allowed}{}", names::list(known(), '`', "and"));
        RefusedOverride::Stage(sentence(&found, &allowed, names::did_you_mean(name, known(), '`')))
    })
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
    use foldback_stage::BuildError;

    use super::*;

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
        Arc::new(ChainSpec { name: "talk".to_owned(), input, mix: None, output })
    }

    fn refused(name: &str, params: &[(&str, RawValue<'_>)]) -> RefusedOverride {
        let mut overrides = Overrides::default();
        let refused = overrides.set(&chain().input, name, None, params).expect_err("refused");
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
        overrides.set(&stages, "level", Some(false), &[]).expect("a switch");
        overrides.set(&stages, "level", None, &[("level_db", RawValue::Int(3))]).expect("3 dB");
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
            ("mix", "`mix` is as the file has it, can be changed here: `level`."),
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
        overrides.set(&chain().input, "level", Some(false), &[]).expect("a switch");
        overrides.set(&chain().output, "other", Some(false), &[]).expect("a switch");
        let mut renamed = StageSpec::of(&OTHER);
        renamed.name = "level".to_owned();
        let next = [renamed, StageSpec::of(&OTHER)];
        assert_eq!(overrides.retain(next.iter()), ["level"]);
        assert!(overrides.changes("other") && !overrides.changes("level"));
    }
}
