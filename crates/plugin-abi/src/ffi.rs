#![allow(unsafe_code, reason = "pointers into C are `Send` and `Sync` by the contract alone")]

use std::ffi::{c_char, c_void};

/// The version of this ABI. A plugin made for another is not loaded.
pub const FOLDBACK_PLUGIN_ABI_VERSION: u32 = 1;

/// A number from `min` to `max`: float precision.
pub const FOLDBACK_PARAM_FLOAT: u32 = 0;
/// A whole number from `min` to `max`, each within +-2^53.
pub const FOLDBACK_PARAM_INT: u32 = 1;
/// A switch: 0 or 1.
pub const FOLDBACK_PARAM_BOOL: u32 = 2;
/// One of `choices`: its index.
pub const FOLDBACK_PARAM_CHOICE: u32 = 3;
/// Any text without a NUL. Never live.
pub const FOLDBACK_PARAM_TEXT: u32 = 4;

/// All is well.
pub const FOLDBACK_OK: i32 = 0;
/// The stage broke: it is bypassed from this block on, counted, and not called again but to be
/// destroyed. Any other number than `FOLDBACK_OK` means the same.
pub const FOLDBACK_FAULT: i32 = 1;

/// What a library is: the result of its one exported function,
///
/// `const FoldbackPlugin *foldback_plugin(void);`
///
/// It and all it points to stays as it is until the process ends; libraries are never unloaded.
/// All text is UTF-8 and ends in NUL.
#[repr(C)]
#[derive(Debug)]
pub struct FoldbackPlugin {
    /// `FOLDBACK_PLUGIN_ABI_VERSION`. The first member in every version.
    pub abi_version: u32,
    /// `sizeof(FoldbackKind)`.
    pub kind_size: u32,
    /// `sizeof(FoldbackParam)`.
    pub param_size: u32,
    /// How many `kinds` there are; at least 1.
    pub kind_count: u32,
    /// The kinds of stage that the library adds.
    pub kinds: *const FoldbackKind,
}

// SAFETY: what it points to is never written to, as its documentation demands.
unsafe impl Send for FoldbackPlugin {}
// SAFETY: as above.
unsafe impl Sync for FoldbackPlugin {}

/// One kind of stage: its declaration and its functions.
///
/// `create` and `destroy` are called on control threads, where they may allocate and take
/// milliseconds. All others are called on a media thread, every 10 ms: they never allocate, lock,
/// log, block or do IO. The calls to one stage never overlap, but come from several threads; the
/// calls to different stages do overlap. No exception and no `longjmp` may leave a function.
#[repr(C)]
#[derive(Debug)]
pub struct FoldbackKind {
    /// What operators write after `kind =`: lower-case words joined by hyphens.
    pub name: *const c_char,
    /// One or two sentences for `foldback stages`.
    pub about: *const c_char,
    /// Every parameter, in the order to show them; may be null if there are none.
    pub params: *const FoldbackParam,
    /// How many `params` there are.
    pub param_count: u32,
    /// The plugin's own, to know in `create` which kind is meant; may be null.
    pub data: *const c_void,
    /// Makes a stage for 1 or 2 channels. `values` has one value for each of `params`, checked
    /// against its range. Where they cannot work together, it writes a sentence for the operator
    /// that ends in NUL into `error`, which has `error_size` bytes, and returns null.
    pub create: Option<
        unsafe extern "C" fn(
            kind: *const FoldbackKind,
            values: *const FoldbackValue,
            channels: u32,
            error: *mut c_char,
            error_size: usize,
        ) -> *mut FoldbackStage,
    >,
    /// Frees a stage.
    pub destroy: Option<unsafe extern "C" fn(stage: *mut FoldbackStage)>,
    /// Takes a block of `samples` (480: 10 ms at 48 kHz) through the stage, in place. `planes` has
    /// one pointer for each of the channels that the stage was created for. Samples are within
    /// +-16.0, full scale is +-1.0; those that come out must be finite. Returns `FOLDBACK_OK`.
    pub process: Option<
        unsafe extern "C" fn(
            stage: *mut FoldbackStage,
            planes: *const *mut f32,
            channels: u32,
            samples: u32,
            context: *mut FoldbackContext,
        ) -> i32,
    >,
    /// Called instead of `process` while the participant is silent and its audio is not needed; for
    /// stages that follow the far end. May be null. Returns `FOLDBACK_OK`.
    pub idle: Option<
        unsafe extern "C" fn(stage: *mut FoldbackStage, context: *mut FoldbackContext) -> i32,
    >,
    /// Takes new values of the parameters that are live; the others are as in `create`, and text is
    /// null. Moves to the new values so that no step is heard. May be null if no parameter is live.
    /// Returns `FOLDBACK_OK`.
    pub adjust: Option<
        unsafe extern "C" fn(stage: *mut FoldbackStage, values: *const FoldbackValue) -> i32,
    >,
    /// How much later a sample leaves than it came, in samples; constant. May be null: none.
    pub delay_samples: Option<unsafe extern "C" fn(stage: *const FoldbackStage) -> u32>,
    /// How many blocks a fresh stage must have seen before it sounds like one that ran all along.
    /// May be null: none.
    pub warm_up_blocks: Option<unsafe extern "C" fn(stage: *const FoldbackStage) -> u32>,
    /// Writes up to `capacity` live values for people and metrics, and returns how many. May be
    /// null: none.
    pub report: Option<
        unsafe extern "C" fn(
            stage: *const FoldbackStage,
            readings: *mut FoldbackReading,
            capacity: u32,
        ) -> u32,
    >,
}

// SAFETY: what it points to is never written to, and its functions may be called from any thread,
// as its documentation demands.
unsafe impl Sync for FoldbackKind {}

/// One parameter.
#[repr(C)]
#[derive(Debug)]
pub struct FoldbackParam {
    /// The key in TOML: lower-case words joined by underscores, the last of them the unit.
    pub name: *const c_char,
    /// `"dB"`, `"Hz"`, `"ms"`..., or `""`.
    pub unit: *const c_char,
    /// One sentence: what turning it does.
    pub about: *const c_char,
    /// `FOLDBACK_PARAM_FLOAT` and so on.
    pub ty: u32,
    /// 1 if running stages take new values (`adjust`), else 0: a change makes the stage anew.
    pub live: u32,
    /// Least allowed, of a `FLOAT` or an `INT`.
    pub min: f64,
    /// Most allowed, of a `FLOAT` or an `INT`.
    pub max: f64,
    /// The value when none is given; of a `CHOICE` its index.
    pub default_number: f64,
    /// Of a `TEXT`: the value when none is given.
    pub default_text: *const c_char,
    /// Of a `CHOICE`: the words.
    pub choices: *const *const c_char,
    /// How many `choices` there are.
    pub choice_count: u32,
}

/// The value of one parameter.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct FoldbackValue {
    /// Of all but a `TEXT`.
    pub number: f64,
    /// Of a `TEXT`, valid for the call; else null.
    pub text: *const c_char,
}

/// A running stage: the plugin's own.
#[derive(Debug)]
pub struct FoldbackStage {
    _private: [u8; 0],
}

/// What a stage may know and tell about one block besides its audio. Valid for the call.
#[repr(C)]
#[derive(Debug)]
pub struct FoldbackContext {
    /// Bytes of this structure: a host of a later version may have more members at its end.
    pub size: u32,
    /// Samples that the jitter buffer inserted (positive) or removed (negative) since the block
    /// before.
    pub shift_samples: i32,
    /// Samples of recorded signal that came before the first sample of this block.
    pub position_samples: u64,
    /// What the participant is being played, mono; null after `mix`.
    pub far_end: *const f32,
    /// How many samples `far_end` has.
    pub far_end_samples: u32,
    /// Probability that this block holds speech, 0 to 1; negative where nobody told yet. A stage
    /// that estimates it writes it.
    pub voice_probability: f32,
}

/// One live value. See `FOLDBACK_READING`.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct FoldbackReading {
    /// Name with its unit, like `gain_reduction_db`; stays valid until the process ends.
    pub name: *const c_char,
    /// Bytes of `name`; what follows them is not read.
    pub name_length: u32,
    /// The value now.
    pub value: f32,
}
