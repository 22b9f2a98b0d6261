//! A safe, allocation-free owner of one `webrtc::AudioProcessing`.
#![allow(
    unsafe_code,
    reason = "the safe wrapper crate allocates a Vec of channel pointers in every call, so the \
              media side calls the C++ bindings itself; this module is the only place that does"
)]

use std::ptr::{self, NonNull};

use foldback_stage::{AudioBlock, BLOCK_SAMPLES, BuildError, MAX_CHANNELS, SAMPLE_RATE_HZ};
use webrtc_audio_processing_sys as ffi;

pub(crate) use ffi::{AudioProcessing_Config as Config, Stats};

/// Where in the reference AEC3's filter of 52 ms begins: 4 ms before the strongest echo, since weaker
/// ones may come before it. Measured at 8, 12 and 16 ms: see the ADR.
const REFERENCE_DELAY_MS: i32 = 16;

/// One processor at 48 kHz. Blocks of any other length than [`BLOCK_SAMPLES`] are left alone.
#[derive(Debug)]
pub(crate) struct Apm {
    handle: NonNull<ffi::AudioProcessing>,
    capture: ffi::StreamConfig,
    render: ffi::StreamConfig,
    inaudible: Noise,
    refused_blocks: u64,
}

// SAFETY: the object has no thread affinity (it guards itself with mutexes and keeps nothing in
// thread-local storage), and `Apm` is its only owner.
unsafe impl Send for Apm {}

impl Apm {
    /// A processor for `channels` of captured and one channel of rendered audio. `config` says
    /// which parts are on; pipeline settings are filled in here. Takes about a millisecond.
    pub(crate) fn new(channels: usize, config: Config) -> Result<Self, BuildError> {
        Self::create(channels, config, ptr::null_mut())
    }

    /// As [`Self::new`], with AEC3 on, for the references of an [`EchoPath`](crate::echo_path::EchoPath).
    /// AEC3 takes their delay as given: it does not look for it itself.
    pub(crate) fn aligned_echo_canceller(
        channels: usize,
        mut config: Config,
    ) -> Result<Self, BuildError> {
        config.echo_canceller.enabled = true;
        // SAFETY: takes nothing; the result is plain data.
        let mut aec3 = unsafe { ffi::create_aec3_config() };
        aec3.delay.use_external_delay_estimator = true;
        suit_to_a_network(&mut aec3);
        let apm = Self::create(channels, config, &mut aec3)?;
        // SAFETY: `handle` is live.
        unsafe { ffi::set_stream_delay_ms(apm.handle.as_ptr(), REFERENCE_DELAY_MS) };
        Ok(apm)
    }

    fn create(
        channels: usize,
        mut config: Config,
        aec3: *mut ffi::EchoCanceller3Config,
    ) -> Result<Self, BuildError> {
        if !(1..=MAX_CHANNELS).contains(&channels) {
            return Err(BuildError::new(format!(
                "needs 1 or {MAX_CHANNELS} channels, got {channels}"
            )));
        }
        config.pipeline.maximum_internal_processing_rate = SAMPLE_RATE_HZ as i32;
        config.pipeline.multi_channel_capture = channels > 1;

        let mut code = 0;
        // SAFETY: the AEC3 configuration is null, which asks for the default one, or outlives the
        // call and is copied; `code` outlives the call.
        let handle = unsafe { ffi::create_audio_processing(aec3, &mut code) };
        let handle = NonNull::new(handle).ok_or_else(|| {
            BuildError::new(format!("the audio processing library refused to start (code {code})"))
        })?;
        // SAFETY: `handle` is live; the configuration is copied before the call returns.
        unsafe { ffi::set_config(handle.as_ptr(), &config) };
        Ok(Self {
            handle,
            capture: ffi::StreamConfig::new(SAMPLE_RATE_HZ, channels),
            render: ffi::StreamConfig::new(SAMPLE_RATE_HZ, 1),
            inaudible: Noise::new(),
            refused_blocks: 0,
        })
    }

    /// Processes what a participant said, in place.
    pub(crate) fn process_capture(&mut self, block: &mut AudioBlock<'_>) {
        if block.frames() != BLOCK_SAMPLES || block.channels() != self.capture.num_channels_ {
            self.refused_blocks += 1;
            return;
        }
        let mut planes = [ptr::null_mut::<f32>(); MAX_CHANNELS];
        for (pointer, plane) in planes.iter_mut().zip(block.planes_mut()) {
            *pointer = plane.as_mut_ptr();
        }
        // SAFETY: `handle` is live and borrowed mutably. The first `num_channels_` pointers are
        // valid for BLOCK_SAMPLES (10 ms at the configured rate) reads and writes and do not
        // overlap; the library keeps none of them.
        let code = unsafe {
            ffi::process_capture_frame(self.handle.as_ptr(), &self.capture, planes.as_ptr())
        };
        self.refused_blocks += u64::from(code != 0);
        // The suppressor lets a tail decay into subnormal numbers, which would slow down every
        // stage behind it.
        for sample in block.planes_mut().flatten() {
            if sample.abs() < f32::MIN_POSITIVE {
                *sample = 0.0;
            }
        }
    }

    /// Shows the processor what the participant was played: one mono block, to which noise is added
    /// that nobody hears. After an echo AEC3 takes more than twice as long for digital silence,
    /// since its filters decay into subnormal numbers.
    pub(crate) fn analyze_render(&mut self, far_end: &[f32; BLOCK_SAMPLES]) {
        let far_end = far_end.map(|sample| sample + self.inaudible.next());
        let planes = [far_end.as_ptr()];
        // SAFETY: as above; the one plane is only read.
        let code = unsafe {
            ffi::analyze_render_frame(self.handle.as_ptr(), &self.render, planes.as_ptr())
        };
        self.refused_blocks += u64::from(code != 0);
    }

    /// The statistics that the processor handed out last. They come from a queue of one that is
    /// not overwritten, so they are fresh only for who asks after each block.
    pub(crate) fn stats(&mut self) -> Stats {
        // SAFETY: `handle` is live and borrowed mutably; the result is plain data.
        unsafe { ffi::get_stats(self.handle.as_ptr()) }
    }

    /// Blocks that were left as they came since this processor was made: always 0 unless the
    /// contract of a block was broken or the library failed.
    pub(crate) fn refused_blocks(&self) -> u64 {
        self.refused_blocks
    }
}

impl Drop for Apm {
    fn drop(&mut self) {
        // SAFETY: `handle` came from `create_audio_processing` and is not used after this.
        unsafe { ffi::delete_audio_processing(self.handle.as_ptr()) }
    }
}

/// What is other than the library's defaults, which are made for a device. There the echo path is still
/// and nothing is lost on it; here packets are concealed and jitter buffers move, and filters that were
/// right are wrong for a while. Each was measured: see the ADR.
fn suit_to_a_network(aec3: &mut ffi::EchoCanceller3Config) {
    // How much far-end sound is taken to be new to a room: at 2.5 s the echo comes up again for a second.
    aec3.filter.initial_state_seconds = 5.0;
    // While a room is new, a filter that diverged forgets twice as fast.
    // The filter may miss the echo altogether, so what it leaves counts as all of the echo that it
    // predicts, not as a quarter.
    aec3.erle.max_l = 1.0;
    aec3.erle.max_h = 1.0;
    // The suppressor opens by this factor per 4 ms: at 2 single syllables come through, which were most
    // of what was left of an echo through Opus.
    aec3.suppressor.normal_tuning.max_inc_factor = 1.3;
    // After a move of a jitter buffer what is left looks like a voice for up to 100 ms. What lasts for
    // 30 blocks of 4 ms is a voice, and remains one for 100 blocks; the suppressor opens faster for it.
    aec3.suppressor.dominant_nearend_detection.trigger_threshold = 30;
    aec3.suppressor.dominant_nearend_detection.hold_duration = 100;
    aec3.suppressor.nearend_tuning.max_inc_factor = 8.0;
}

/// White noise at -120 dBFS (RMS), always the same.
#[derive(Debug)]
struct Noise {
    state: u32,
}

impl Noise {
    fn new() -> Self {
        Self { state: 1 }
    }

    fn next(&mut self) -> f32 {
        const PEAK: f32 = 1.732e-6;
        // Numerical Recipes' generator; its high bits are random enough.
        self.state = self.state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        self.state as i32 as f32 / (1u32 << 31) as f32 * PEAK
    }
}
