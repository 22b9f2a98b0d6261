//! The chains of a file, stage by stage; [`include`](crate::include) puts them together.

use std::ops::Range;
use std::slice;
use std::sync::Arc;

use foldback_chain::{Chain, ChainSpec, MIX_KIND, MixSpec, Registry, StageSpec};
use foldback_stage::{MAX_CHANNELS, ParamSpec, Params, StageFormat, StageKind};
use toml::de::DeTable;

use crate::reader::{Reader, Value, in_order};
use crate::{include, names};

/// The name of the chain for callers who join no room.
pub(crate) const ECHO: &str = "echo";

/// The declaration of `stages`.
pub(crate) const STAGES: ParamSpec =
    ParamSpec::text("stages", "", "Run from top to bottom; those after `mix` once for each mix.");

/// The declaration of `channels`.
pub(crate) const CHANNELS: ParamSpec = ParamSpec::int(
    "channels",
    "",
    1,
    MAX_CHANNELS as i64,
    1,
    "Of the sound in it: 1 is mono, 2 is stereo, from microphones to listeners.",
);

/// The declaration of `kind`.
pub(crate) const KIND: ParamSpec = ParamSpec::text("kind", "", "What the stage is.");

/// The declaration of `name`: a label.
pub(crate) const NAME: ParamSpec = ParamSpec::text(
    "name",
    "",
    "The stage's name in metrics, unique in its chain; its kind, unless given.",
);

/// The declaration of `include`.
pub(crate) const INCLUDE: ParamSpec =
    ParamSpec::text("include", "", "Another chain, whose stages stand in this place.");

/// Every stage may be written down and switched off.
pub(crate) const ENABLED: ParamSpec = ParamSpec::bool(
    "enabled",
    true,
    "Whether the stage runs; switched off, audio passes as late as through it.",
);

/// Every stage may be one that is done without first.
pub(crate) const OPTIONAL: ParamSpec = ParamSpec::bool(
    "optional",
    false,
    "Whether an overloaded server may leave the stage out for those who are silent or minor \
     talkers; only before `mix`.",
);

/// What a file says of chains.
pub(crate) struct Chains {
    /// Every name and its place, also of a chain with mistakes in it.
    pub(crate) declared: Vec<(String, Range<usize>)>,
    /// The names of those that stand in others.
    pub(crate) included: Vec<String>,
    /// What could be read, in the order of the file.
    pub(crate) specs: Vec<Arc<ChainSpec>>,
}

/// A chain as it is written.
pub(crate) struct Written {
    pub(crate) name: String,
    pub(crate) format: StageFormat,
    pub(crate) items: Vec<Item>,
}

/// An entry of `stages`.
pub(crate) struct Item {
    /// Of what says what it is, or its name.
    pub(crate) place: Range<usize>,
    pub(crate) what: What,
}

pub(crate) enum What {
    /// A stage, and whether its name was given.
    Stage(StageSpec, bool),
    Mix(MixSpec),
    /// The name of the chain that stands here.
    Include(String),
}

/// Reads every `[chain.NAME]`.
pub(crate) fn read(reader: &mut Reader<'_>, root: &DeTable<'_>, registry: &Registry) -> Chains {
    let (mut declared, mut written) = (Vec::new(), Vec::new());
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
        declared.push((name.get_ref().to_string(), name.span()));
        let mut chain =
            ChainReader { reader, registry, name: name.get_ref(), format: StageFormat::MONO };
        written.extend(chain.read(name.span(), table));
    }
    let included = include::check_names(reader, &declared, &written);
    let specs = include::join(reader, &written);
    Chains { declared, included, specs }
}

struct ChainReader<'r, 't> {
    reader: &'r mut Reader<'t>,
    registry: &'r Registry,
    name: &'r str,
    format: StageFormat,
}

impl ChainReader<'_, '_> {
    fn read(&mut self, place: Range<usize>, table: &DeTable<'_>) -> Option<Written> {
        let what = format!("`[chain.{}]`", self.name);
        self.reader.known_keys(&what, table, &[CHANNELS.name, STAGES.name]);
        let channels = self.reader.params(table, &[CHANNELS]).int(&CHANNELS);
        self.format = if channels == 2 { StageFormat::STEREO } else { StageFormat::MONO };
        let allowed = "must be a list of stages, like [{ kind = \"mix\" }]";
        let Some(stages) = table.get("stages") else {
            let found = format!("{what} has no `stages`");
            self.reader.refuse(place, found, format!("which {allowed}"), None);
            return None;
        };
        let stages = self.reader.list("stages", stages, allowed)?;
        let items = stages.iter().filter_map(|stage| self.read_stage(stage)).collect();
        Some(Written { name: self.name.to_owned(), format: self.format, items })
    }

    fn read_stage(&mut self, stage: &Value<'_>) -> Option<Item> {
        let Some(table) = stage.get_ref().as_table() else {
            let found = format!("a stage is {}", self.reader.shown(stage));
            let help = stage.get_ref().as_str().map(|t| format!("write {{ kind = {t:?} }}"));
            let allowed = "must be a table like { kind = \"mix\" }";
            self.reader.refuse(stage.span(), found, allowed, help);
            return None;
        };
        if let Some(value) = table.get(INCLUDE.name) {
            self.reader.known_keys("an `include`", table, &[INCLUDE.name]);
            let name = self.reader.text(INCLUDE.name, value, "must name a chain")?;
            return Some(Item { place: value.span(), what: What::Include(name.to_owned()) });
        }
        let (kind, value) = self.read_kind(stage, table)?;
        let before = self.reader.mistakes();
        let Some(kind) = kind else {
            let params = self.read_params(MIX_KIND, &[KIND], table, MixSpec::PARAMS);
            let mix = MixSpec::from_params(&params);
            return Some(Item { place: value.span(), what: What::Mix(mix) });
        };
        let name = self.read_name(kind, table);
        let params =
            self.read_params(kind.name, &[KIND, NAME, ENABLED, OPTIONAL], table, kind.params);
        let own = self.reader.params(table, &[ENABLED, OPTIONAL]);
        let (enabled, optional) = (own.bool(&ENABLED), own.bool(&OPTIONAL));
        let spec = StageSpec { name: name?, kind, params, enabled, optional };
        if self.reader.mistakes() == before {
            self.try_build(&spec, value);
        }
        let given = table.get(NAME.name);
        let place = given.unwrap_or(value).span();
        Some(Item { place, what: What::Stage(spec, given.is_some()) })
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

    fn read_name(&mut self, kind: &StageKind, table: &DeTable<'_>) -> Option<String> {
        let Some(value) = table.get(NAME.name) else { return Some(kind.name.to_owned()) };
        let name = self.reader.text(NAME.name, value, names::LABEL)?;
        if !names::is_label(name) {
            self.reader.refuse_value(NAME.name, value, names::LABEL, None);
        } else if name == MIX_KIND {
            let allowed = "must be another name, for that one is the chain's own";
            self.reader.refuse_value(NAME.name, value, allowed, None);
        }
        Some(name.to_owned())
    }

    fn read_params(
        &mut self,
        kind: &str,
        own: &[ParamSpec],
        table: &DeTable<'_>,
        specs: &[ParamSpec],
    ) -> Params {
        let keys: Vec<_> = own.iter().chain(specs).map(|spec| spec.name).collect();
        self.reader.known_keys(&format!("`{kind}`"), table, &keys);
        self.reader.params(table, specs)
    }

    /// Parameters that are each in range may still not work together: only the plugin knows.
    fn try_build(&mut self, spec: &StageSpec, kind: &Value<'_>) {
        if let Err(error) = Chain::build(slice::from_ref(spec), self.format) {
            let found = format!("`{}` cannot be built: {}", spec.name, error.reason);
            self.reader.refuse_plainly(kind.span(), found);
        }
    }
}
