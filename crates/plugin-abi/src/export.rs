//! From Rust stages to the ABI: what [`export!`](crate::export!) expands to.
//!
//! Every function catches panics. A stage that panicked once is at fault from then on.
#![allow(unsafe_code, reason = "these functions are called from the other side of the C ABI")]

use std::ffi::{CStr, CString, c_char};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;
use std::slice;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use foldback_stage::{
    AudioBlock, BlockContext, CaptureTimeline, ParamSpec, ParamType, Params, RawValue, Stage,
    StageFormat, StageKind, StageReport,
};

use crate::ffi::*;

/// Makes a library of type `cdylib` a plugin with these [`StageKind`]s: constants, by their paths.
///
/// Once per library. A program that is built with two such crates in it would have the exported
/// function twice: leave the line out of crates that are to be built in.
#[macro_export]
macro_rules! export {
    ($($kind:path),+ $(,)?) => {
        #[unsafe(no_mangle)]
        extern "C" fn foldback_plugin() -> *const $crate::FoldbackPlugin {
            static EXPORTED: $crate::export::Exported =
                $crate::export::Exported::new(&[$(&$kind),+]);
            EXPORTED.plugin()
        }
    };
}

/// The kinds of a library, declared when they are first asked for.
#[derive(Debug)]
pub struct Exported {
    kinds: &'static [&'static StageKind],
    plugin: OnceLock<FoldbackPlugin>,
}

impl Exported {
    /// A library of `kinds`.
    #[must_use]
    pub const fn new(kinds: &'static [&'static StageKind]) -> Self {
        Self { kinds, plugin: OnceLock::new() }
    }

    /// The declaration. Null if a text of a kind has a NUL in it.
    #[must_use]
    pub fn plugin(&'static self) -> *const FoldbackPlugin {
        let declare = || self.plugin.get_or_init(|| declare(self.kinds));
        catch_unwind(AssertUnwindSafe(declare)).map_or(ptr::null(), ptr::from_ref)
    }
}

/// What is made here lives as long as the process: declarations are never freed.
fn declare(kinds: &'static [&'static StageKind]) -> FoldbackPlugin {
    let kinds: Vec<_> = kinds.iter().map(|kind| declare_kind(kind)).collect();
    FoldbackPlugin {
        abi_version: FOLDBACK_PLUGIN_ABI_VERSION,
        kind_size: size_of::<FoldbackKind>() as u32,
        param_size: size_of::<FoldbackParam>() as u32,
        kind_count: kinds.len() as u32,
        kinds: kinds.leak().as_ptr(),
    }
}

fn declare_kind(kind: &'static StageKind) -> FoldbackKind {
    let params: Vec<_> = kind.params.iter().map(declare_param).collect();
    FoldbackKind {
        name: text(kind.name),
        about: text(kind.about),
        param_count: params.len() as u32,
        params: params.leak().as_ptr(),
        data: ptr::from_ref(kind).cast(),
        create: Some(create),
        destroy: Some(destroy),
        process: Some(process),
        idle: Some(idle),
        adjust: Some(adjust),
        delay_samples: Some(delay_samples),
        warm_up_blocks: Some(warm_up_blocks),
        report: Some(report),
    }
}

fn declare_param(spec: &ParamSpec) -> FoldbackParam {
    let plain = FoldbackParam {
        name: text(spec.name),
        unit: text(""),
        about: text(spec.about),
        ty: FOLDBACK_PARAM_BOOL,
        live: spec.live.into(),
        min: 0.0,
        max: 1.0,
        default_number: 0.0,
        default_text: ptr::null(),
        choices: ptr::null(),
        choice_count: 0,
    };
    match spec.ty {
        ParamType::Float { unit, min, max, default } => FoldbackParam {
            ty: FOLDBACK_PARAM_FLOAT,
            unit: text(unit),
            min: min.into(),
            max: max.into(),
            default_number: default.into(),
            ..plain
        },
        ParamType::Int { unit, min, max, default } => FoldbackParam {
            ty: FOLDBACK_PARAM_INT,
            unit: text(unit),
            min: min as f64,
            max: max as f64,
            default_number: default as f64,
            ..plain
        },
        ParamType::Bool { default } => {
            FoldbackParam { default_number: f64::from(u8::from(default)), ..plain }
        }
        ParamType::Choice { allowed, default } => {
            let choices: Vec<_> = allowed.iter().map(|word| text(word)).collect();
            let index = allowed.iter().position(|word| *word == default);
            FoldbackParam {
                ty: FOLDBACK_PARAM_CHOICE,
                default_number: index.expect("the default is one of the words") as f64,
                choice_count: choices.len() as u32,
                choices: choices.leak().as_ptr(),
                ..plain
            }
        }
        ParamType::Text { default } => {
            FoldbackParam { ty: FOLDBACK_PARAM_TEXT, default_text: text(default), ..plain }
        }
    }
}

fn text(text: &str) -> *const c_char {
    CString::new(text).expect("text of a declaration has no NUL").into_raw()
}

/// A [`FoldbackStage`] of ours.
struct ExportedStage {
    stage: Box<dyn Stage>,
    kind: &'static StageKind,
    params: Params,
    panicked: AtomicBool,
}

impl ExportedStage {
    fn new(
        kind: &'static StageKind,
        values: &[FoldbackValue],
        channels: u32,
    ) -> Result<Self, String> {
        let mut params = Params::defaults(kind.params);
        take_values(&mut params, kind.params, values, |_| true)?;
        let format = StageFormat { channels: channels as usize };
        let stage = (kind.build)(&params, format).map_err(|error| error.to_string())?;
        Ok(Self { stage, kind, params, panicked: AtomicBool::new(false) })
    }

    /// Runs `body`, unless the stage panicked before. `None` if it did, or does now.
    fn guard<T>(&self, body: impl FnOnce() -> T) -> Option<T> {
        if self.panicked.load(Ordering::Relaxed) {
            return None;
        }
        let result = catch_unwind(AssertUnwindSafe(body)).ok();
        self.panicked.store(result.is_none(), Ordering::Relaxed);
        result
    }

    /// As [`Self::guard`], for what changes the stage.
    fn guard_mut(&mut self, body: impl FnOnce(&mut Self)) -> i32 {
        if *self.panicked.get_mut() {
            return FOLDBACK_FAULT;
        }
        let result = catch_unwind(AssertUnwindSafe(|| body(self)));
        *self.panicked.get_mut() = result.is_err();
        if result.is_ok() { FOLDBACK_OK } else { FOLDBACK_FAULT }
    }
}

/// Takes over the values of those `specs` that are `wanted`. Allocates for text alone.
fn take_values(
    params: &mut Params,
    specs: &[ParamSpec],
    values: &[FoldbackValue],
    wanted: impl Fn(&ParamSpec) -> bool,
) -> Result<(), String> {
    for (spec, value) in specs.iter().zip(values).filter(|(spec, _)| wanted(spec)) {
        let raw = match spec.ty {
            ParamType::Float { .. } => RawValue::Float(value.number),
            ParamType::Int { .. } => RawValue::Int(value.number as i64),
            ParamType::Bool { .. } => RawValue::Bool(value.number != 0.0),
            ParamType::Choice { allowed, .. } => {
                allowed.get(value.number as usize).map_or(RawValue::Other, |w| RawValue::Text(w))
            }
            ParamType::Text { .. } if value.text.is_null() => RawValue::Other,
            ParamType::Text { .. } => {
                // SAFETY: not null, and text for the time of the call by the ABI.
                let text = unsafe { CStr::from_ptr(value.text) };
                text.to_str().map_or(RawValue::Other, RawValue::Text)
            }
        };
        let refused = params.set(spec, raw);
        refused.map_err(|error| format!("`{}` must be {}", spec.name, error.allowed))?;
    }
    Ok(())
}

/// # Safety
/// As the ABI says: `kind` is one of those that were declared here, `values` has one value for each
/// of its parameters, and `error` takes `error_size` bytes.
unsafe extern "C" fn create(
    kind: *const FoldbackKind,
    values: *const FoldbackValue,
    channels: u32,
    error: *mut c_char,
    error_size: usize,
) -> *mut FoldbackStage {
    let created = catch_unwind(AssertUnwindSafe(|| {
        // SAFETY: `data` of a kind that was declared here is its `StageKind`.
        let kind: &'static StageKind = unsafe { &*(*kind).data.cast() };
        // SAFETY: by the ABI.
        let values = unsafe { elements(values, kind.params.len()) };
        ExportedStage::new(kind, values, channels)
    }));
    match created.unwrap_or_else(|_| Err("panicked when it was built".to_owned())) {
        Ok(stage) => Box::into_raw(Box::new(stage)).cast(),
        Err(sentence) => {
            let length = sentence.len().min(error_size.saturating_sub(1));
            if error_size > 0 && !error.is_null() {
                // SAFETY: `length` bytes and a NUL fit into `error`, by the ABI and the line above.
                unsafe {
                    ptr::copy_nonoverlapping(sentence.as_ptr(), error.cast(), length);
                    error.add(length).write(0);
                }
            }
            ptr::null_mut()
        }
    }
}

/// # Safety
/// `stage` comes from [`create`] and is not used again.
unsafe extern "C" fn destroy(stage: *mut FoldbackStage) {
    // SAFETY: by the ABI.
    let stage = unsafe { Box::from_raw(stage.cast::<ExportedStage>()) };
    // One that panics here cannot be told: it is gone either way.
    let _ = catch_unwind(AssertUnwindSafe(|| drop(stage)));
}

/// # Safety
/// `stage` comes from [`create`], nobody else uses it meanwhile, and the other pointers are as the
/// ABI says.
unsafe extern "C" fn process(
    stage: *mut FoldbackStage,
    planes: *const *mut f32,
    channels: u32,
    samples: u32,
    context: *mut FoldbackContext,
) -> i32 {
    // SAFETY: by the ABI.
    let (stage, planes) = unsafe {
        (&mut *stage.cast::<ExportedStage>(), slice::from_raw_parts(planes, channels as usize))
    };
    // SAFETY: each plane has `samples` samples, and no two overlap, by the ABI.
    let plane =
        |index: usize| unsafe { slice::from_raw_parts_mut(planes[index], samples as usize) };
    stage.guard_mut(|stage| {
        let mut block = match planes.len() {
            1 => AudioBlock::mono(plane(0)),
            _ => AudioBlock::stereo(plane(0), plane(1)),
        };
        // SAFETY: by the ABI.
        unsafe { with_context(context, |cx| stage.stage.process(&mut block, cx)) }
    })
}

/// # Safety
/// As [`process`].
unsafe extern "C" fn idle(stage: *mut FoldbackStage, context: *mut FoldbackContext) -> i32 {
    // SAFETY: by the ABI.
    let stage = unsafe { &mut *stage.cast::<ExportedStage>() };
    // SAFETY: by the ABI.
    stage.guard_mut(|stage| unsafe { with_context(context, |cx| stage.stage.idle(cx)) })
}

/// # Safety
/// As [`process`]; `values` has one for each parameter of the stage's kind.
unsafe extern "C" fn adjust(stage: *mut FoldbackStage, values: *const FoldbackValue) -> i32 {
    // SAFETY: by the ABI.
    let stage = unsafe { &mut *stage.cast::<ExportedStage>() };
    // SAFETY: by the ABI.
    let values = unsafe { elements(values, stage.kind.params.len()) };
    stage.guard_mut(|stage| {
        let taken = take_values(&mut stage.params, stage.kind.params, values, |spec| spec.live);
        taken.expect("values are checked before they come here");
        stage.stage.adjust(&stage.params);
    })
}

/// # Safety
/// `stage` comes from [`create`], and nobody changes it meanwhile.
unsafe extern "C" fn delay_samples(stage: *const FoldbackStage) -> u32 {
    // SAFETY: by the ABI.
    let stage = unsafe { &*stage.cast::<ExportedStage>() };
    stage.guard(|| stage.stage.delay_samples() as u32).unwrap_or(0)
}

/// # Safety
/// As [`delay_samples`].
unsafe extern "C" fn warm_up_blocks(stage: *const FoldbackStage) -> u32 {
    // SAFETY: by the ABI.
    let stage = unsafe { &*stage.cast::<ExportedStage>() };
    stage.guard(|| stage.stage.warm_up_blocks() as u32).unwrap_or(0)
}

/// # Safety
/// As [`delay_samples`]; `readings` takes `capacity` of them.
unsafe extern "C" fn report(
    stage: *const FoldbackStage,
    readings: *mut FoldbackReading,
    capacity: u32,
) -> u32 {
    // SAFETY: by the ABI.
    let stage = unsafe { &*stage.cast::<ExportedStage>() };
    let mut report = StageReport::default();
    if stage.guard(|| stage.stage.report(&mut report)).is_none() {
        return 0;
    }
    let mut count = 0;
    for reading in report.readings().take(capacity as usize) {
        let reading = FoldbackReading {
            name: reading.name.as_ptr().cast(),
            name_length: reading.name.len() as u32,
            value: reading.value,
        };
        // SAFETY: `count` is below `capacity`.
        unsafe { readings.add(count as usize).write(reading) };
        count += 1;
    }
    count
}

/// # Safety
/// `context` and its far end are valid, by the ABI.
unsafe fn with_context(context: *mut FoldbackContext, body: impl FnOnce(&mut BlockContext<'_>)) {
    // SAFETY: by the caller.
    let context = unsafe { &mut *context };
    let voice = context.voice_probability;
    let mut cx = BlockContext {
        far_end: (!context.far_end.is_null()).then(|| {
            // SAFETY: by the caller.
            unsafe { slice::from_raw_parts(context.far_end, context.far_end_samples as usize) }
        }),
        timeline: CaptureTimeline {
            position_samples: context.position_samples,
            shift_samples: context.shift_samples,
        },
        voice_probability: (voice >= 0.0).then_some(voice),
    };
    body(&mut cx);
    context.voice_probability = cx.voice_probability.unwrap_or(-1.0);
}

/// A slice that may be null where it is empty.
///
/// # Safety
/// `first` points to `count` elements that stay as they are for `'a`.
unsafe fn elements<'a, T>(first: *const T, count: usize) -> &'a [T] {
    match count {
        0 => &[],
        // SAFETY: by the caller.
        _ => unsafe { slice::from_raw_parts(first, count) },
    }
}
