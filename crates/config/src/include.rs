//! Chains put together: what others they include, where participants become one, whose stages have
//! which names.

use std::collections::HashMap;
use std::ops::Range;
use std::slice;
use std::sync::Arc;

use foldback_chain::{Chain, ChainSpec, MIX_KIND, MixSpec, StageSpec};
use foldback_stage::StageFormat;

use crate::chains::{ECHO, INCLUDE, Item, What, Written};
use crate::names;
use crate::reader::Reader;

/// The names of chains that others include. Each that is not `declared` is refused.
pub(crate) fn check_names(
    reader: &mut Reader<'_>,
    declared: &[(String, Range<usize>)],
    chains: &[Written],
) -> Vec<String> {
    let known = || declared.iter().map(|(name, _)| name.as_str());
    let mut included = Vec::new();
    for item in chains.iter().flat_map(|chain| &chain.items) {
        let What::Include(name) = &item.what else { continue };
        if !known().any(|known| known == name) {
            let found = format!("`{}` is {name:?}", INCLUDE.name);
            let allowed = format!("must be {}", names::list(known(), '"', "or"));
            let help = names::did_you_mean(name, known(), '"');
            reader.refuse(item.place.clone(), found, allowed, help);
        }
        included.push(name.clone());
    }
    included
}

/// Every chain with the stages of those that it includes, in the order of the file.
pub(crate) fn join(reader: &mut Reader<'_>, chains: &[Written]) -> Vec<Arc<ChainSpec>> {
    let mut joiner = Joiner { reader, chains, joined: HashMap::new(), open: Vec::new() };
    let mut specs = Vec::new();
    for chain in chains {
        let parts = joiner.parts(chain);
        specs.push(Arc::new(spec(chain, parts.unwrap_or_default())));
    }
    specs
}

fn spec(chain: &Written, parts: Vec<Part<'_>>) -> ChainSpec {
    let (name, format) = (chain.name.clone(), chain.format);
    let mut spec = ChainSpec { name, format, input: Vec::new(), mix: None, output: Vec::new() };
    for part in parts {
        match part.what {
            Sound::Stage(stage, _) if spec.mix.is_none() => spec.input.push(stage.clone()),
            Sound::Stage(stage, _) => spec.output.push(stage.clone()),
            Sound::Mix(mix) => spec.mix = Some(mix),
        }
    }
    spec
}

/// An item that is no include.
#[derive(Clone)]
struct Part<'c> {
    what: Sound<'c>,
    /// Where its own chain has it.
    place: &'c Range<usize>,
}

#[derive(Clone)]
enum Sound<'c> {
    Stage(&'c StageSpec, bool),
    Mix(MixSpec),
}

struct Joiner<'r, 't, 'c> {
    reader: &'r mut Reader<'t>,
    chains: &'c [Written],
    /// By name; `None` for a chain that does not fit together, which is told once.
    joined: HashMap<&'c str, Option<Vec<Part<'c>>>>,
    /// The chains that are being put together, each included by the one before.
    open: Vec<&'c str>,
}

impl<'c> Joiner<'_, '_, 'c> {
    fn parts(&mut self, chain: &'c Written) -> Option<Vec<Part<'c>>> {
        if let Some(parts) = self.joined.get(chain.name.as_str()) {
            return parts.clone();
        }
        self.open.push(&chain.name);
        let before = self.reader.mistakes();
        let mut parts = Vec::new();
        let mut is_whole = true;
        for item in &chain.items {
            let here = match &item.what {
                What::Stage(stage, named) => {
                    Some(vec![Sound::Stage(stage, *named).at(&item.place)])
                }
                What::Mix(mix) => Some(vec![Sound::Mix(*mix).at(&item.place)]),
                What::Include(name) => self.included(name, chain.format, item),
            };
            is_whole &= here.is_some();
            for part in here.unwrap_or_default() {
                self.check(&chain.name, &parts, &part, item);
                parts.push(part);
            }
        }
        self.open.pop();
        let fits = is_whole && self.reader.mistakes() == before;
        let parts = fits.then_some(parts);
        self.joined.insert(&chain.name, parts.clone());
        parts
    }

    fn included(&mut self, name: &str, format: StageFormat, item: &Item) -> Option<Vec<Part<'c>>> {
        if let Some(start) = self.open.iter().position(|open| *open == name) {
            let round = self.open[start + 1..].iter().copied().chain([name]);
            let round: Vec<_> = round.map(|name| format!("includes `{name}`")).collect();
            let found = format!("`{name}` {}", round.join(", which "));
            let allowed = "a chain must not be a part of itself";
            self.reader.refuse(item.place.clone(), found, allowed, None);
            return None;
        }
        let chains = self.chains;
        let chain = chains.iter().find(|chain| chain.name == name)?;
        let parts = self.parts(chain)?;
        if chain.format != format {
            parts.iter().for_each(|part| self.try_build(part, format, name, item));
        }
        Some(parts)
    }

    /// Not every stage is for every number of channels, and in its own chain it has another.
    fn try_build(&mut self, part: &Part<'_>, format: StageFormat, chain: &str, item: &Item) {
        let Sound::Stage(stage, _) = part.what else { return };
        if let Err(error) = Chain::build(slice::from_ref(stage), format) {
            let found = format!(
                "`{}`, by including `{chain}`, cannot be built: {}",
                stage.name, error.reason
            );
            self.reader.refuse_plainly(item.place.clone(), found);
        }
    }

    /// Whether `part`, which `item` of `chain` brings, goes with those `before`.
    fn check(&mut self, chain: &str, before: &[Part<'_>], part: &Part<'_>, item: &Item) {
        let (by_include, by) = match &item.what {
            What::Include(name) => (true, format!(", by including `{name}`")),
            What::Stage(..) | What::Mix(_) => (false, String::new()),
        };
        let place = item.place.clone();
        let first = before.iter().find(|earlier| earlier.name() == part.name());
        let line = first.map(|earlier| self.reader.line_of(earlier.place.start));
        let after_mix = before.iter().any(|earlier| earlier.name().is_none());
        match (&part.what, line) {
            (Sound::Mix(_), Some(line)) => {
                let found = format!("a second `mix`{by} (the first is in line {line})");
                let allowed = "must be the only one: it is where participants become one";
                self.reader.refuse(place, found, allowed, None);
            }
            (Sound::Mix(_), None) if chain == ECHO => {
                let allowed = "must have none: its callers hear nobody but themselves";
                self.reader.refuse(place, format!("chain `echo` has a `mix`{by}"), allowed, None);
            }
            // A stage that took the name of `mix` is told so already.
            (Sound::Stage(stage, named), Some(line)) if stage.name != MIX_KIND => {
                let name = &stage.name;
                let found =
                    format!("a second stage is named `{name}`{by} (the first is in line {line})");
                let allowed = "each stage of a chain must have a name of its own";
                let help = (!named && !by_include).then(|| format!("add `name = \"{name}-2\"`"));
                self.reader.refuse(place, found, allowed, help);
            }
            (Sound::Stage(stage, _), None) if stage.optional && after_mix => {
                let found =
                    format!("`{}`, which is `optional`{by}, stands after `mix`", stage.name);
                let allowed = "must stand before it: nobody's mix is left without a stage";
                self.reader.refuse(place, found, allowed, None);
            }
            _ => {}
        }
    }
}

impl<'c> Sound<'c> {
    fn at(self, place: &'c Range<usize>) -> Part<'c> {
        Part { what: self, place }
    }
}

impl Part<'_> {
    /// The name of the stage, `None` for `mix`.
    fn name(&self) -> Option<&str> {
        match &self.what {
            Sound::Stage(stage, _) => Some(&stage.name),
            Sound::Mix(_) => None,
        }
    }
}
