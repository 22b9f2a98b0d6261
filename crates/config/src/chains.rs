//! The chains of a file.

use std::ops::Range;
use std::slice;
use std::sync::Arc;

use foldback_chain::{Chain, ChainSpec, MIX_KIND, MixSpec, Registry, StageSpec};
use foldback_stage::{ParamSpec, Params, StageFormat, StageKind};
use toml::de::DeTable;

use crate::names;
use crate::reader::{Reader, Value, in_order};

/// The name of the chain for callers who join no room.
pub(crate) const ECHO: &str = "echo";

/// Every stage may be written down and switched off.
const ENABLED: ParamSpec = ParamSpec::bool(
    "enabled",
    true,
    "Whether the stage runs; switched off, audio passes as late as through it.",
);

/// What a file says of chains.
pub(crate) struct Chains {
    /// Every name and its place, also of a chain with mistakes in it.
    pub(crate) declared: Vec<(String, Range<usize>)>,
    /// What could be read, in the order of the file.
    pub(crate) specs: Vec<Arc<ChainSpec>>,
}

/// Reads every `[chain.NAME]`.
pub(crate) fn read(reader: &mut Reader<'_>, root: &DeTable<'_>, registry: &Registry) -> Chains {
    let mut chains = Chains { declared: Vec::new(), specs: Vec::new() };
    if root.get("chain").is_none_or(|v| v.get_ref().as_table().is_some_and(|t| t.is_empty())) {
        let place = root.get("chain").map_or(0..0, |value| value.span());
        let help = "config/conference.toml has one to start from".to_owned();
        let allowed = "must have at least one `[chain.NAME]`";
        reader.refuse(place, "the file has no chain", allowed, Some(help));
    }
    let table = reader.section(root, "chain");
    for (name, value) in table.map(in_order).unwrap_or_default() {
        let Some(table) = value.get_ref().as_table() else {
            let key = format!("chain.{}", name.get_ref());
            reader.refuse_value(&key, value, "must be a section `[chain.NAME]`", None);
            continue;
        };
        if !names::is_label(name.get_ref()) {
            let found = format!("a chain is named {:?}", name.get_ref());
            reader.refuse(name.span(), found, names::LABEL, None);
        }
        chains.declared.push((name.get_ref().to_string(), name.span()));
        let mut chain = ChainReader { reader, registry, name: name.get_ref(), seen: Vec::new() };
        chains.specs.extend(chain.read(name.span(), table).map(Arc::new));
    }
    chains
}

struct ChainReader<'r, 't> {
    reader: &'r mut Reader<'t>,
    registry: &'r Registry,
    name: &'r str,
    /// The names of the stages so far, and their lines.
    seen: Vec<(String, usize)>,
}

enum Item {
    Stage(StageSpec),
    Mix(MixSpec),
}

impl ChainReader<'_, '_> {
    fn read(&mut self, place: Range<usize>, table: &DeTable<'_>) -> Option<ChainSpec> {
        let what = format!("`[chain.{}]`", self.name);
        self.reader.known_keys(&what, table, &["stages"]);
        let allowed = "must be a list of stages, like [{ kind = \"mix\" }]";
        let Some(stages) = table.get("stages") else {
            let found = format!("{what} has no `stages`");
            self.reader.refuse(place, found, format!("which {allowed}"), None);
            return None;
        };
        let stages = self.reader.list("stages", stages, allowed)?;
        let mut spec = ChainSpec {
            name: self.name.to_owned(),
            input: Vec::new(),
            mix: None,
            output: Vec::new(),
        };
        for stage in stages {
            match self.read_stage(stage) {
                Some(Item::Stage(stage)) if spec.mix.is_none() => spec.input.push(stage),
                Some(Item::Stage(stage)) => spec.output.push(stage),
                Some(Item::Mix(mix)) => spec.mix = Some(mix),
                None => {}
            }
        }
        Some(spec)
    }

    fn read_stage(&mut self, stage: &Value<'_>) -> Option<Item> {
        let Some(table) = stage.get_ref().as_table() else {
            let found = format!("a stage is {}", self.reader.shown(stage));
            let help = stage.get_ref().as_str().map(|t| format!("write {{ kind = {t:?} }}"));
            let allowed = "must be a table like { kind = \"mix\" }";
            self.reader.refuse(stage.span(), found, allowed, help);
            return None;
        };
        let (kind, value) = self.read_kind(stage, table)?;
        let before = self.reader.mistakes();
        let Some(kind) = kind else { return self.read_mix(table, value).map(Item::Mix) };
        let name = self.read_name(kind, table, value);
        let params = self.read_params(kind.name, &["kind", "name", "enabled"], table, kind.params);
        let enabled = self.reader.params(table, &[ENABLED]).bool(&ENABLED);
        let spec = StageSpec { name: name?, kind, params, enabled };
        if self.reader.mistakes() == before {
            self.try_build(&spec, value);
        }
        Some(Item::Stage(spec))
    }

    /// The kind of a stage, `None` within for `mix`, and where it stands.
    fn read_kind<'v, 'd>(
        &mut self,
        stage: &Value<'_>,
        table: &'v DeTable<'d>,
    ) -> Option<(Option<&'static StageKind>, &'v Value<'d>)> {
        let mut kinds: Vec<_> = self.registry.kinds().map(|kind| kind.name).collect();
        kinds.push(MIX_KIND);
        kinds.sort_unstable();
        let kinds = || kinds.iter().copied();
        let allowed = format!("must be {}", names::list(kinds(), '"', "or"));
        let Some(value) = table.get("kind") else {
            let allowed = format!("which {allowed}");
            self.reader.refuse(stage.span(), "this stage has no `kind`", allowed, None);
            return None;
        };
        let name = self.reader.text("kind", value, &allowed)?;
        let kind = self.registry.get(name);
        if kind.is_none() && name != MIX_KIND {
            let help = names::did_you_mean(name, kinds(), '"');
            self.reader.refuse_value("kind", value, allowed, help);
            return None;
        }
        Some((kind, value))
    }

    fn read_mix(&mut self, table: &DeTable<'_>, kind: &Value<'_>) -> Option<MixSpec> {
        let params = self.read_params(MIX_KIND, &["kind"], table, MixSpec::PARAMS);
        let line = self.reader.line_of(kind.span().start);
        if let Some((_, first)) = self.seen.iter().find(|(name, _)| name == MIX_KIND) {
            let found = format!("a second `mix` (the first is in line {first})");
            let allowed = "must be the only one: it is where participants become one";
            self.reader.refuse(kind.span(), found, allowed, None);
            return None;
        }
        self.seen.push((MIX_KIND.to_owned(), line));
        if self.name == ECHO {
            let allowed = "must have none: its callers hear nobody but themselves";
            self.reader.refuse(kind.span(), "chain `echo` has a `mix`", allowed, None);
        }
        Some(MixSpec::from_params(&params))
    }

    fn read_name(
        &mut self,
        kind: &StageKind,
        table: &DeTable<'_>,
        kind_value: &Value<'_>,
    ) -> Option<String> {
        let given = table.get("name");
        let name = match given {
            Some(value) => self.reader.text("name", value, names::LABEL)?,
            None => kind.name,
        };
        let value = given.unwrap_or(kind_value);
        if !names::is_label(name) {
            self.reader.refuse_value("name", value, names::LABEL, None);
        } else if name == MIX_KIND {
            let allowed = "must be another name, for that one is the chain's own";
            self.reader.refuse_value("name", value, allowed, None);
        } else if let Some((_, line)) = self.seen.iter().find(|(seen, _)| seen == name) {
            let found = format!("a second stage is named `{name}` (the first is in line {line})");
            let allowed = "each stage of a chain must have a name of its own";
            let help = format!("add `name = \"{name}-2\"`");
            let help = given.is_none().then_some(help);
            self.reader.refuse(value.span(), found, allowed, help);
        }
        // So that `mix` itself is not told to be the second of that name.
        if name != MIX_KIND {
            self.seen.push((name.to_owned(), self.reader.line_of(value.span().start)));
        }
        Some(name.to_owned())
    }

    fn read_params(
        &mut self,
        kind: &str,
        own: &[&'static str],
        table: &DeTable<'_>,
        specs: &[ParamSpec],
    ) -> Params {
        let keys: Vec<_> = own.iter().copied().chain(specs.iter().map(|spec| spec.name)).collect();
        self.reader.known_keys(&format!("`{kind}`"), table, &keys);
        self.reader.params(table, specs)
    }

    /// Parameters that are each in range may still not work together: only the plugin knows.
    fn try_build(&mut self, spec: &StageSpec, kind: &Value<'_>) {
        if let Err(error) = Chain::build(slice::from_ref(spec), StageFormat::MONO) {
            let found = format!("`{}` cannot be built: {}", spec.name, error.reason);
            self.reader.refuse_plainly(kind.span(), found);
        }
    }
}
