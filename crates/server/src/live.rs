//! Which chain a room and those in it run, and what of it was changed while they do.

use std::collections::BTreeMap;
use std::sync::Arc;

use foldback_chain::ChainSpec;
use foldback_config::{Config, Overrides, RefusedOverride};
use foldback_room::{InputChange, ParticipantId};
use foldback_stage::RawValue;

/// What is to be another of a stage.
#[derive(Clone, Debug)]
pub(crate) struct StageChange<'a> {
    /// Its name.
    pub(crate) stage: &'a str,
    /// Whether it runs.
    pub(crate) enabled: Option<bool>,
    /// Values of its parameters, as they were given.
    pub(crate) params: Vec<(&'a str, RawValue<'a>)>,
}

/// The chains of one room.
#[derive(Clone, Debug)]
pub(crate) struct RoomChains {
    /// As configured.
    base: Arc<ChainSpec>,
    /// The base was chosen while the room runs: a reload keeps to that name.
    chosen: bool,
    overrides: Overrides,
    /// The base with the overrides: what runs.
    chain: Arc<ChainSpec>,
    own: BTreeMap<ParticipantId, OwnInput>,
}

/// What a client may do in the server's stead: what makes others hear less of its own noise, and
/// nothing that protects them.
const SPARABLE_KINDS: [&str; 1] = ["denoise"];

/// The part before `mix` of a participant who has one of their own.
#[derive(Clone, Debug)]
struct OwnInput {
    /// As configured; `None`: the room's.
    base: Option<Arc<ChainSpec>>,
    overrides: Overrides,
    /// Kinds of stages that are left out, since the participant's client does the same.
    spared: Vec<&'static str>,
    /// What runs: stages before `mix` of its own, by whose chain it is called, the rest the room's.
    chain: Arc<ChainSpec>,
}

impl OwnInput {
    /// Works out again what runs.
    fn follow(&mut self, room: &Arc<ChainSpec>) {
        let input = self.overrides.apply(self.base.as_ref().unwrap_or(room));
        let (name, mut input) = (input.name.clone(), input.input.clone());
        // Not switched off, which would be as late.
        input.retain(|spec| !self.spared.contains(&spec.kind.name));
        let next = ChainSpec { name, input, ..ChainSpec::clone(room) };
        if *self.chain != next {
            self.chain = Arc::new(next);
        }
    }
}

impl RoomChains {
    pub(crate) fn new(base: Arc<ChainSpec>) -> Self {
        let (overrides, own) = (Overrides::default(), BTreeMap::new());
        Self { chain: Arc::clone(&base), base, chosen: false, overrides, own }
    }

    /// What the room runs.
    pub(crate) fn chain(&self) -> &Arc<ChainSpec> {
        &self.chain
    }

    /// What a participant runs: the stages before `mix` may be its own.
    pub(crate) fn chain_of(&self, id: ParticipantId) -> &Arc<ChainSpec> {
        self.own.get(&id).map_or(&self.chain, |own| &own.chain)
    }

    /// What those run who have stages of their own.
    pub(crate) fn own_chains(&self) -> impl Iterator<Item = (ParticipantId, &Arc<ChainSpec>)> {
        self.own.iter().map(|(id, own)| (*id, &own.chain))
    }

    /// The name of the chain that a participant's stages before `mix` are of, if it is its own.
    pub(crate) fn own_name(&self, id: ParticipantId) -> Option<&str> {
        self.own.get(&id).map(|own| &*own.chain.name)
    }

    /// Another of the configured chains, as it is configured.
    pub(crate) fn set_chain(&mut self, base: &Arc<ChainSpec>) {
        self.start_over(base, true);
    }

    /// Back to `rule`, the chain that the configuration gives the room, as it is configured.
    pub(crate) fn unset_chain(&mut self, rule: &Arc<ChainSpec>) {
        self.start_over(rule, false);
    }

    pub(crate) fn set_stage(&mut self, change: &StageChange<'_>) -> Result<(), RefusedOverride> {
        let stages: Vec<_> = self.chain.stages().cloned().collect();
        let StageChange { stage, enabled, params } = change;
        self.overrides.set(&stages, self.chain.format, self.chain.mix, stage, *enabled, params)?;
        self.follow();
        Ok(())
    }

    /// The stages before `mix` of another configured chain, as it is configured, for one.
    pub(crate) fn set_own_chain(&mut self, id: ParticipantId, base: &Arc<ChainSpec>) {
        let own = self.own_of(id);
        own.base = Some(Arc::clone(base));
        own.overrides = Overrides::default();
        self.follow();
    }

    pub(crate) fn set_own_stage(
        &mut self,
        id: ParticipantId,
        change: &StageChange<'_>,
    ) -> Result<(), RefusedOverride> {
        let stages = self.chain_of(id).input.clone();
        let StageChange { stage, enabled, params } = change;
        let format = self.chain.format;
        self.own_of(id).overrides.set(&stages, format, None, stage, *enabled, params)?;
        self.follow();
        Ok(())
    }

    /// Leaves out a participant's stages of these kinds before `mix`, and no others.
    pub(crate) fn spare(
        &mut self,
        id: ParticipantId,
        kinds: &[String],
    ) -> Result<(), RefusedOverride> {
        let known = |kind: &String| SPARABLE_KINDS.into_iter().find(|known| known == kind);
        let refused = |kind: &String| {
            let shown: String = kind.chars().take(40).collect();
            let allowed = SPARABLE_KINDS.join("`, `");
            RefusedOverride::Stage(format!(
                "A client cannot spare the server {shown:?}; what it can is `{allowed}`."
            ))
        };
        let spared = kinds.iter().map(|kind| known(kind).ok_or_else(|| refused(kind)));
        self.own_of(id).spared = spared.collect::<Result<_, _>>()?;
        self.drop_what_is_not_own();
        self.follow();
        Ok(())
    }

    /// Whether some of a participant's stages are left out, since its client does the same.
    pub(crate) fn is_spared(&self, id: ParticipantId) -> bool {
        self.own.get(&id).is_some_and(|own| !own.spared.is_empty())
    }

    /// Back to the room's stages, but for what the participant's client does itself.
    pub(crate) fn remove_own(&mut self, id: ParticipantId) {
        if let Some(own) = self.own.get_mut(&id) {
            (own.base, own.overrides) = (None, Overrides::default());
        }
        self.drop_what_is_not_own();
        self.follow();
    }

    /// Forgets what is of those who are not here any more.
    pub(crate) fn retain_own(&mut self, is_here: impl Fn(ParticipantId) -> bool) {
        self.own.retain(|id, _| is_here(*id));
    }

    /// Goes on by another configuration, in which `rule` is the room's chain. Returns the stages
    /// whose overrides no longer apply.
    pub(crate) fn reload(&mut self, config: &Config, rule: &Arc<ChainSpec>) -> Vec<String> {
        let chosen = config.chain(&self.base.name).filter(|_| self.chosen);
        self.chosen = chosen.is_some();
        self.base = Arc::clone(chosen.unwrap_or(rule));
        let mut dropped = self.overrides.retain(self.base.stages(), self.base.mix);
        for own in self.own.values_mut() {
            own.base = own.base.as_ref().and_then(|base| config.chain(&base.name)).cloned();
            let base = own.base.as_ref().unwrap_or(&self.base);
            dropped.extend(own.overrides.retain(base.input.iter(), None));
        }
        self.drop_what_is_not_own();
        self.follow();
        dropped
    }

    /// From these chains to others, for each of `people`.
    pub(crate) fn inputs(&self, next: &Self, people: &[ParticipantId]) -> Vec<InputChange> {
        let input = |id: &ParticipantId| {
            let (from, to) = (self.chain_of(*id), next.chain_of(*id));
            InputChange { id: *id, from: Arc::clone(from), to: Arc::clone(to) }
        };
        people.iter().map(input).collect()
    }

    /// Whether nothing would sound another way.
    pub(crate) fn sounds_as(&self, other: &Self) -> bool {
        let ids = || self.own.keys().chain(other.own.keys());
        self.chain == other.chain && ids().all(|id| self.chain_of(*id) == other.chain_of(*id))
    }

    fn own_of(&mut self, id: ParticipantId) -> &mut OwnInput {
        let none = || OwnInput {
            base: None,
            overrides: Overrides::default(),
            spared: Vec::new(),
            chain: Arc::clone(&self.chain),
        };
        self.own.entry(id).or_insert_with(none)
    }

    fn drop_what_is_not_own(&mut self) {
        self.own.retain(|_, own| {
            own.base.is_some() || !own.overrides.is_empty() || !own.spared.is_empty()
        });
    }

    fn start_over(&mut self, base: &Arc<ChainSpec>, chosen: bool) {
        (self.base, self.chosen) = (Arc::clone(base), chosen);
        self.overrides = Overrides::default();
        self.follow();
    }

    /// Works out again what runs.
    fn follow(&mut self) {
        self.chain = self.overrides.apply(&self.base);
        self.own.values_mut().for_each(|own| own.follow(&self.chain));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plugins;

    const CHAINS: &str = "[chain.talk]\nstages = [{ kind = \"gain\" }, { kind = \"mix\" }, \
        { kind = \"limiter\" }]\n[chain.quiet]\nstages = [{ kind = \"gate\" }, \
        { kind = \"mix\" }]\n[[room]]\nname = \"*\"\nchain = \"talk\"\n";
    const ANN: ParticipantId = ParticipantId(1);
    const BOB: ParticipantId = ParticipantId(2);

    fn config(text: &str) -> Config {
        Config::parse(text, "t.toml", &plugins::registry()).expect("a configuration")
    }

    fn gain_db(db: i64) -> StageChange<'static> {
        let params = vec![("gain_db", RawValue::Int(db))];
        StageChange { stage: "gain", enabled: None, params }
    }

    fn shown(chain: &ChainSpec) -> String {
        let stage = &chain.input[0];
        let first = stage.params.iter().next().map(|(name, value)| format!("{name} = {value}"));
        format!("{} {}", stage.name, first.unwrap_or_default())
    }

    #[test]
    fn one_participants_stages_follow_the_rooms_but_for_what_is_their_own() {
        let config = config(CHAINS);
        let mut chains = RoomChains::new(Arc::clone(config.chain("talk").expect("talk")));
        chains.set_own_stage(ANN, &gain_db(6)).expect("6 dB");
        chains.set_stage(&gain_db(-3)).expect("-3 dB");
        assert_eq!(shown(chains.chain_of(ANN)), "gain gain_db = 6");
        assert_eq!(shown(chains.chain_of(BOB)), "gain gain_db = -3");
        chains.remove_own(ANN);
        assert_eq!(shown(chains.chain_of(ANN)), "gain gain_db = -3");
    }

    #[test]
    fn one_participant_may_have_the_stages_of_another_chain_before_the_rooms_mix() {
        let config = config(CHAINS);
        let mut chains = RoomChains::new(Arc::clone(config.chain("talk").expect("talk")));
        chains.set_own_chain(ANN, config.chain("quiet").expect("quiet"));
        let own = chains.chain_of(ANN);
        assert_eq!(own.input[0].name, "gate");
        assert_eq!(own.output, chains.chain().output, "what follows the mix is the room's");
        assert_eq!((chains.own_name(ANN), chains.own_name(BOB)), (Some("quiet"), None));
    }

    #[test]
    fn what_a_client_does_itself_is_left_out_whatever_chain_comes_until_it_says_otherwise() {
        let denoised = CHAINS.replace("{ kind = \"gain\" }", "{ kind = \"denoise\" }");
        let config = config(&denoised);
        let mut chains = RoomChains::new(Arc::clone(config.chain("talk").expect("talk")));
        let runs = |chains: &RoomChains, id| !chains.chain_of(id).input.is_empty();
        let off = StageChange { stage: "denoise", enabled: Some(false), params: Vec::new() };
        chains.set_own_stage(ANN, &off).expect("a stage of hers");
        chains.spare(ANN, &["denoise".to_owned()]).expect("denoise can be spared");
        assert!(!runs(&chains, ANN) && runs(&chains, BOB) && chains.is_spared(ANN));
        assert!(matches!(chains.set_own_stage(ANN, &off), Err(RefusedOverride::Stage(_))));
        chains.remove_own(ANN);
        assert!(!runs(&chains, ANN), "the room's stages again, but for what she does herself");
        chains.reload(&config, config.chain("talk").expect("talk"));
        assert!(!runs(&chains, ANN), "after a reload");
        chains.spare(ANN, &[]).expect("nothing can be spared");
        assert!(runs(&chains, ANN) && !chains.is_spared(ANN));
        assert_eq!(chains.own_name(ANN), None);
    }

    #[test]
    fn what_protects_the_others_cannot_be_spared() {
        let config = config(CHAINS);
        let mut chains = RoomChains::new(Arc::clone(config.chain("talk").expect("talk")));
        let told = "A client cannot spare the server \"gain\"; what it can is `denoise`.";
        let refused = chains.spare(ANN, &["denoise".to_owned(), "gain".to_owned()]);
        assert_eq!(refused, Err(RefusedOverride::Stage(told.to_owned())));
        assert!(!chains.is_spared(ANN));
    }

    #[test]
    fn after_mix_nothing_is_a_participants_own() {
        let config = config(CHAINS);
        let mut chains = RoomChains::new(Arc::clone(config.chain("talk").expect("talk")));
        let off = StageChange { stage: "limiter", enabled: Some(false), params: Vec::new() };
        assert!(matches!(chains.set_own_stage(ANN, &off), Err(RefusedOverride::Stage(_))));
        chains.set_stage(&off).expect("the room's can be switched off");
    }

    #[test]
    fn a_reload_keeps_what_still_applies_and_names_what_does_not() {
        let first = config(CHAINS);
        let mut chains = RoomChains::new(Arc::clone(first.chain("talk").expect("talk")));
        chains.set_stage(&gain_db(-3)).expect("-3 dB");
        chains.set_own_chain(ANN, first.chain("quiet").expect("quiet"));
        let more =
            CHAINS.replace("{ kind = \"gain\" }", "{ kind = \"gain\" }, { kind = \"gate\" }");
        let more = config(&more);
        let dropped = chains.reload(&more, more.chain("talk").expect("talk"));
        assert!(dropped.is_empty(), "{dropped:?}");
        assert_eq!(shown(chains.chain()), "gain gain_db = -3");
        assert_eq!(chains.chain().input.len(), 2);
        assert_eq!(chains.chain_of(ANN).input[0].name, "gate");

        let other = config(&CHAINS.replace("kind = \"gain\"", "kind = \"delay\", name = \"gain\""));
        let dropped = chains.reload(&other, other.chain("talk").expect("talk"));
        assert_eq!(dropped, ["gain"]);
        assert_eq!(chains.chain(), other.chain("talk").expect("talk"));
    }

    #[test]
    fn a_chain_chosen_for_a_room_stays_while_the_configuration_has_it() {
        let first = config(CHAINS);
        let mut chains = RoomChains::new(Arc::clone(first.chain("talk").expect("talk")));
        chains.set_chain(first.chain("quiet").expect("quiet"));
        chains.reload(&first, first.chain("talk").expect("talk"));
        assert_eq!(chains.chain().name, "quiet");
        chains.unset_chain(first.chain("talk").expect("talk"));
        assert_eq!(chains.chain().name, "talk");
        chains.set_chain(first.chain("quiet").expect("quiet"));
        let one = config("[chain.talk]\nstages = [{ kind = \"mix\" }]\n");
        chains.reload(&one, one.chain("talk").expect("talk"));
        assert_eq!(chains.chain().name, "talk");
    }
}
