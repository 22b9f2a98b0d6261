//! The mixes of a room: which of them somebody hears, and which run an output chain.

use foldback_chain::MixSpec;
use foldback_stage::BLOCK_SAMPLES;

use crate::MAX_PACKET_SAMPLES_OUT;
use crate::codec::CodecError;
use crate::fork_join::ForkJoin;
use crate::mix::{Mix, Quiet, Recipe};
use crate::output_class::OutputClass;
use crate::probe::{Clock, RoomProbe};
use crate::room::RoomSpec;

/// As many listeners of a room may hear others louder, softer or elsewhere than they come: each of
/// them may take an encoder.
pub const MOST_OWN_MIXES: usize = 32;
/// The most mixes that must be distinct where listeners share them: the common one for each class,
/// and their own for those who talk, and for those who hear others in their own way. What these
/// leave is for those who have just stopped.
const MOST_SHARED: usize = OutputClass::MOST + MixSpec::MOST_TALKERS + MOST_OWN_MIXES;

/// What a mix sent last to those who hear it, of stereo the mean of both sides.
pub(crate) struct FarEnd {
    sound: [f32; MAX_PACKET_SAMPLES_OUT],
    /// How late its output chain is.
    pub(crate) delay_samples: usize,
}

impl FarEnd {
    pub(crate) const SILENT: Self = Self { sound: [0.0; MAX_PACKET_SAMPLES_OUT], delay_samples: 0 };

    fn follow(&mut self, mix: &Mix) {
        let sent = mix.sent();
        self.sound[..sent.len()].copy_from_slice(sent);
        self.delay_samples = mix.output_delay_samples();
    }

    pub(crate) fn block(&self, block: usize) -> &[f32] {
        &self.sound[block * BLOCK_SAMPLES..][..BLOCK_SAMPLES]
    }
}

/// A pool of mixes, as many as can be distinct. Those in use are known by a list, so that a tick
/// costs nothing for the others.
pub(crate) struct Mixes {
    all: Vec<Mix>,
    in_use: Vec<usize>,
    /// As many as mixes.
    far_ends: Vec<FarEnd>,
    quiet: Quiet,
    complexity: u8,
}

impl Mixes {
    /// Allocates.
    pub(crate) fn new(spec: &RoomSpec) -> Result<Self, CodecError> {
        let (quiet, complexity) = (Quiet::new(spec)?, spec.opus.complexity);
        let (all, in_use, far_ends) = Default::default();
        Ok(Self { all, in_use, far_ends, quiet, complexity })
    }

    /// How many so many participants need.
    pub(crate) fn needed(spec: &RoomSpec, participants: usize) -> usize {
        let shared = spec.chain.mix.is_some() && spec.economies.share_mixes;
        if shared { participants.min(MOST_SHARED) } else { participants }
    }

    pub(crate) fn len(&self) -> usize {
        self.all.len()
    }

    /// One more. Allocates.
    pub(crate) fn push(&mut self, mut mix: Mix) {
        mix.set_complexity(self.complexity);
        self.all.push(mix);
        self.far_ends.push(FarEnd::SILENT);
        self.in_use.reserve(self.all.len() - self.in_use.len());
    }

    /// The effort of all encoders, those of mixes still to come included.
    pub(crate) fn set_complexity(&mut self, complexity: u8) {
        self.complexity = complexity;
        self.quiet.set_complexity(complexity);
        self.all.iter_mut().for_each(|mix| mix.set_complexity(complexity));
    }

    /// Takes one out that nobody hears, of which there is one if there are more than are needed: with
    /// it, the index that another one had, and the one it has from now on.
    pub(crate) fn pop(&mut self) -> (Mix, usize, usize) {
        let free = self.free();
        let mix = self.all.swap_remove(free);
        self.far_ends.pop();
        let moved = self.all.len();
        for index in self.in_use.iter_mut().filter(|index| **index == moved) {
            *index = free;
        }
        (mix, moved, free)
    }

    pub(crate) fn get(&self, index: usize) -> &Mix {
        &self.all[index]
    }

    /// Those that somebody hears, and all others.
    pub(crate) fn iter(&self) -> std::slice::Iter<'_, Mix> {
        self.all.iter()
    }

    pub(crate) fn iter_mut(&mut self) -> std::slice::IterMut<'_, Mix> {
        self.all.iter_mut()
    }

    /// What each of them sent last. Copies it, for a mix itself is not to be read by several threads.
    pub(crate) fn far_ends(&mut self) -> &[FarEnd] {
        for index in &self.in_use {
            self.far_ends[*index].follow(&self.all[*index]);
        }
        &self.far_ends
    }

    /// Runs the output chain once for each distinct recipe, and then the encoder once for each class
    /// of its listeners. Returns the time that the encoders took, in ns.
    pub(crate) fn render<P: RoomProbe>(&mut self, probe: &mut P, crew: &impl ForkJoin) -> u64 {
        let clock = probe.clock();
        crew.for_each(
            &mut self.all,
            || (),
            |(), mix| {
                if mix.leads {
                    mix.shape(clock);
                }
            },
        );
        self.for_each_led(Mix::send_as);
        let begun = clock.now_ns();
        crew.for_each(
            &mut self.all,
            || (),
            |(), mix| {
                if mix.recipe.is_some() {
                    mix.encode();
                }
            },
        );
        let encode_ns = clock.now_ns().saturating_sub(begun);
        self.for_each_in_use(|mix| mix.times.tell(None, probe));
        encode_ns
    }

    /// Calls `act` on each that somebody hears.
    pub(crate) fn for_each_in_use(&mut self, mut act: impl FnMut(&mut Mix)) {
        for index in &self.in_use {
            act(&mut self.all[*index]);
        }
    }

    /// Calls `act` on each that somebody hears and that leaves the output chain to another, with
    /// that other one.
    fn for_each_led(&mut self, mut act: impl FnMut(&mut Mix, &Mix)) {
        for index in &self.in_use {
            let mix = &self.all[*index];
            let leader = mix.recipe.filter(|_| !mix.leads).and_then(|r| self.leader_of(r));
            let both = leader.map(|leader| self.all.get_disjoint_mut([*index, leader]));
            if let Some(Ok([mix, leader])) = both {
                act(mix, leader);
            }
        }
    }

    /// Whether a mix is missing for somebody who hears the mix `from`, or nothing yet, to hear one of
    /// `recipe` and `class`. Where there are as many as participants none ever is.
    pub(crate) fn lacks(&self, from: Option<usize>, recipe: Recipe, class: OutputClass) -> bool {
        let keeps_own = from.is_some_and(|from| self.all[from].listeners == 1);
        self.in_use.len() == self.all.len() && !keeps_own && self.find(recipe, class).is_none()
    }

    /// Somebody new listens, who has heard nothing yet. Returns the mix to hear.
    pub(crate) fn admit(&mut self, recipe: Recipe, class: OutputClass) -> usize {
        let mix = self.find(recipe, class).unwrap_or_else(|| {
            let free = self.free();
            self.all[free].clear(&self.quiet);
            self.dedicate(free, recipe, class);
            free
        });
        self.add_listener(mix);
        mix
    }

    /// Moves a listener of the mix `from` to one of `recipe` and `class`, which is returned.
    pub(crate) fn transfer(&mut self, from: usize, recipe: Recipe, class: OutputClass) -> usize {
        let to = match self.find(recipe, class) {
            Some(existing) => existing,
            None if self.all[from].listeners == 1 => {
                // Nobody else hears it: the encoder goes on under the new rule, without a seam.
                self.dedicate(from, recipe, class);
                return from;
            }
            None => {
                let free = self.free();
                if let Ok([from, to]) = self.all.get_disjoint_mut([from, free]) {
                    to.prime(from);
                }
                self.dedicate(free, recipe, class);
                free
            }
        };
        self.release(from);
        self.add_listener(to);
        to
    }

    /// A listener of the mix hears it no more.
    pub(crate) fn release(&mut self, index: usize) {
        let listeners = self.all[index].listeners.saturating_sub(1);
        self.all[index].listeners = listeners;
        if listeners == 0 {
            self.give_up_lead(index);
            self.all[index].recipe = None;
            self.in_use.retain(|used| *used != index);
        }
    }

    fn add_listener(&mut self, index: usize) {
        if self.all[index].listeners == 0 {
            self.in_use.push(index);
        }
        self.all[index].listeners += 1;
    }

    fn find(&self, recipe: Recipe, class: OutputClass) -> Option<usize> {
        let fits = |mix: &Mix| mix.recipe == Some(recipe) && mix.class == class;
        self.in_use.iter().copied().find(|index| fits(&self.all[*index]))
    }

    fn leader_of(&self, recipe: Recipe) -> Option<usize> {
        let fits = |mix: &Mix| mix.leads && mix.recipe == Some(recipe);
        self.in_use.iter().copied().find(|index| fits(&self.all[*index]))
    }

    /// Makes a mix one of `recipe` for listeners of `class`.
    fn dedicate(&mut self, index: usize, recipe: Recipe, class: OutputClass) {
        if self.all[index].recipe != Some(recipe) {
            let led = self.all[index].leads;
            let handed_over = self.give_up_lead(index);
            let leads = self.leader_of(recipe).is_none();
            let mix = &mut self.all[index];
            // Its chain has stood still while another's ran for it.
            if leads && mix.recipe.is_some() && (handed_over || !led) {
                mix.catch_up();
            }
            (mix.recipe, mix.leads) = (Some(recipe), leads);
        }
        self.all[index].adopt(class);
    }

    /// Lets another mix of the same recipe go on with the output chain; false if there is none.
    fn give_up_lead(&mut self, index: usize) -> bool {
        if !std::mem::take(&mut self.all[index].leads) {
            return false;
        }
        let recipe = self.all[index].recipe;
        let mut others = self.in_use.iter().copied().filter(|other| *other != index);
        let heir = others.find(|other| self.all[*other].recipe == recipe);
        let both = heir.map(|heir| self.all.get_disjoint_mut([index, heir]));
        let Some(Ok([mix, heir])) = both else { return false };
        mix.hand_over(heir);
        true
    }

    /// One is, unless one is lacking.
    fn free(&self) -> usize {
        self.all.iter().position(|mix| mix.listeners == 0).unwrap_or(0)
    }
}
