//! Who is in the mix: chosen by level, with hysteresis.

use foldback_chain::MixSpec;

use crate::participant::ParticipantId;

/// Enter and stay levels in dBFS. Low on purpose: a quiet voice in a quiet room is heard.
const ENTER_DBFS: f32 = -65.0;
const STAY_DBFS: f32 = -70.0;
/// A pause of speech this long, in blocks, does not end a turn.
const HOLD_BLOCKS: u32 = 50;
/// How much louder a newcomer must be than a talker it displaces.
const DISPLACE_DB: f32 = 6.0;
/// Release of the level follower, in dB per block.
const RELEASE_DB: f32 = 1.0;
/// The standing of a voice comes nearer to its level by this share per block, within 60 ms: what is
/// short displaces nobody. In the pauses of a turn it falls by less than [`DISPLACE_DB`], so that
/// two who are equally loud do not take turns with each syllable.
const STANDING_ATTACK: f32 = 0.15;
const STANDING_RELEASE_DB: f32 = 0.1;
/// Who is heard without their optional stages, which may take noise away, enters and stays so far
/// above that noise.
const ENTER_ABOVE_NOISE_DB: f32 = 12.0;
const STAY_ABOVE_NOISE_DB: f32 = 8.0;
/// The noise is what a level falls to, within 50 ms; it rises by 1 dB in a second.
const NOISE_FALL: f32 = 0.2;
const NOISE_RISE_DB: f32 = 0.01;

/// Follows one participant's level after its chain and tells whether it talks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Activity {
    level_dbfs: f32,
    /// How loud it is as a voice, over syllables and pauses: what talkers are chosen by.
    standing_dbfs: f32,
    hold: u32,
    talking: bool,
    /// The noise, of one whose optional stages rest.
    noise_dbfs: Option<f32>,
}

/// What a level is when there is nothing.
pub(crate) const SILENCE_DBFS: f32 = -90.0;

impl Activity {
    pub(crate) const fn silent() -> Self {
        Self {
            level_dbfs: SILENCE_DBFS,
            standing_dbfs: SILENCE_DBFS,
            hold: 0,
            talking: false,
            noise_dbfs: None,
        }
    }

    /// Takes the root mean square of one block; `None` when the participant is idle.
    pub(crate) fn block(&mut self, rms: Option<f32>) {
        let now = rms.map_or(SILENCE_DBFS, foldback_stage::amplitude_to_db).max(SILENCE_DBFS);
        self.level_dbfs = now.max(self.level_dbfs - RELEASE_DB);
        let above = now - self.standing_dbfs;
        self.standing_dbfs +=
            if above > 0.0 { STANDING_ATTACK * above } else { -STANDING_RELEASE_DB.min(-above) };
        let (mut threshold, above_noise_db) = match self.talking {
            true => (STAY_DBFS, STAY_ABOVE_NOISE_DB),
            false => (ENTER_DBFS, ENTER_ABOVE_NOISE_DB),
        };
        if let Some(noise) = &mut self.noise_dbfs {
            *noise += if now < *noise { NOISE_FALL * (now - *noise) } else { NOISE_RISE_DB };
            threshold = threshold.max(*noise + above_noise_db);
        }
        if now > threshold {
            self.hold = HOLD_BLOCKS;
        } else {
            self.hold = self.hold.saturating_sub(1);
        }
        self.talking = self.hold > 0;
    }

    /// The optional stages of its chain rest from now on, or run: what comes then has other noise.
    pub(crate) fn set_bare(&mut self, bare: bool) {
        if bare != self.is_bare() {
            self.noise_dbfs = bare.then_some(0.0);
        }
    }

    pub(crate) fn is_bare(&self) -> bool {
        self.noise_dbfs.is_some()
    }

    pub(crate) fn level_dbfs(&self) -> f32 {
        self.level_dbfs
    }

    pub(crate) fn is_talking(&self) -> bool {
        self.talking
    }
}

/// The participants in the mix, at most `max`.
#[derive(Debug)]
pub(crate) struct Talkers {
    chosen: Vec<(ParticipantId, f32)>,
    max: usize,
}

impl Talkers {
    pub(crate) fn new(max: usize) -> Self {
        Self { chosen: Vec::with_capacity(MixSpec::MOST_TALKERS + 1), max }
    }

    /// From the next choice on there are at most so many.
    pub(crate) fn set_max(&mut self, max: usize) {
        self.max = max.min(MixSpec::MOST_TALKERS);
    }

    /// Chooses anew: the loudest of those who talk, those already in the mix favoured.
    pub(crate) fn choose(
        &mut self,
        candidates: impl Iterator<Item = (ParticipantId, Activity, bool)>,
    ) {
        self.chosen.clear();
        for (id, activity, in_mix) in candidates.filter(|(_, a, _)| a.is_talking()) {
            let bonus = if in_mix { DISPLACE_DB } else { 0.0 };
            let rank = activity.standing_dbfs + bonus;
            let place = self.chosen.iter().position(|(_, r)| rank > *r);
            self.chosen.insert(place.unwrap_or(self.chosen.len()), (id, rank));
            self.chosen.truncate(self.max);
        }
    }

    pub(crate) fn contains(&self, id: ParticipantId) -> bool {
        self.chosen.iter().any(|(chosen, _)| *chosen == id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Somebody who has talked at that level for 0.3 s.
    fn talking(level_dbfs: f32) -> Activity {
        let mut activity = Activity::silent();
        let rms = Some(foldback_stage::db_to_amplitude(level_dbfs));
        (0..30).for_each(|_| activity.block(rms));
        activity
    }

    #[test]
    fn a_quiet_voice_in_a_quiet_room_is_in_the_mix() {
        assert!(talking(-60.0).is_talking());
    }

    #[test]
    fn noise_that_no_stage_takes_away_is_no_voice_and_a_voice_above_it_is() {
        let mut activity = Activity::silent();
        activity.set_bare(true);
        let mut hear = |level_dbfs, blocks| {
            let rms = Some(foldback_stage::db_to_amplitude(level_dbfs));
            (0..blocks).for_each(|_| activity.block(rms));
            activity.is_talking()
        };
        assert!(!hear(-45.0, 500), "noise");
        assert!(hear(-25.0, 5), "a voice");
        assert!(!hear(-45.0, HOLD_BLOCKS), "noise again");
        activity.set_bare(false);
        activity.block(Some(foldback_stage::db_to_amplitude(-45.0)));
        assert!(activity.is_talking(), "what is left by stages that take noise away");
    }

    #[test]
    fn a_pause_within_speech_does_not_end_the_turn_and_a_long_one_does() {
        let mut activity = talking(-20.0);
        (0..30).for_each(|_| activity.block(Some(0.0)));
        assert!(activity.is_talking());
        (0..30).for_each(|_| activity.block(None));
        assert!(!activity.is_talking());
    }

    #[test]
    fn the_loudest_are_chosen_and_a_talker_is_displaced_only_by_a_clearly_louder_one() {
        let mut talkers = Talkers::new(2);
        let ids = [1, 2, 3].map(ParticipantId);
        let levels = [talking(-30.0), talking(-20.0), talking(-27.0)];
        let offer = |talkers: &mut Talkers, in_mix: [bool; 3]| {
            let all = ids.into_iter().zip(levels).zip(in_mix);
            talkers.choose(all.map(|((id, level), inside)| (id, level, inside)));
        };
        offer(&mut talkers, [false; 3]);
        assert!(talkers.contains(ids[1]) && talkers.contains(ids[2]));
        offer(&mut talkers, [true, true, false]);
        assert!(talkers.contains(ids[0]), "3 dB louder is not enough to displace");
    }

    #[test]
    fn a_pause_within_speech_gives_the_place_to_nobody_who_is_as_loud() {
        let mut talkers = Talkers::new(1);
        let (mut pausing, steady) = (talking(-26.0), talking(-26.0));
        for _ in 0..HOLD_BLOCKS - 1 {
            pausing.block(Some(0.0));
            let all = [(ParticipantId(1), pausing, true), (ParticipantId(2), steady, false)];
            talkers.choose(all.into_iter());
            assert!(talkers.contains(ParticipantId(1)));
        }
        pausing.block(Some(0.0));
        assert!(!pausing.is_talking(), "its turn is over");
    }

    #[test]
    fn what_is_loud_but_short_displaces_nobody_and_a_louder_voice_does_within_a_third_of_a_second()
    {
        let talker = (ParticipantId(1), talking(-26.0), true);
        let after = |blocks: u32| {
            let mut louder = Activity::silent();
            let rms = Some(foldback_stage::db_to_amplitude(-16.0));
            (0..blocks).for_each(|_| louder.block(rms));
            let mut talkers = Talkers::new(1);
            talkers.choose([talker, (ParticipantId(2), louder, false)].into_iter());
            talkers.contains(ParticipantId(2))
        };
        assert!(!after(8), "a knock of 80 ms");
        assert!(after(30), "a voice of 300 ms");
    }
}
