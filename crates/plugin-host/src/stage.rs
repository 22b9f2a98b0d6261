//! A kind and a stage of a library, as foldback knows them.
#![allow(unsafe_code, reason = "every call goes through C")]

use std::ffi::{CString, c_char};
use std::panic;
use std::ptr::{self, NonNull};
use std::slice;

use foldback_plugin_abi::{
    FOLDBACK_OK, FoldbackContext, FoldbackKind, FoldbackReading, FoldbackStage, FoldbackValue,
};
use foldback_stage::{
    AudioBlock, BlockContext, BuildError, MAX_CHANNELS, ParamSpec, ParamType, Params, Stage,
    StageFormat, StageKind, StageReport,
};

/// Room for what a plugin says when it refuses.
const ERROR_BYTES: usize = 512;

/// Readings with longer names are left out.
const MAX_READING_NAME: u32 = 64;

/// A checked declaration.
pub(crate) struct LoadedKind {
    pub(crate) declared: &'static FoldbackKind,
    pub(crate) name: &'static str,
    pub(crate) about: &'static str,
    pub(crate) specs: &'static [ParamSpec],
    pub(crate) functions: Functions,
}

/// The functions of a kind, those that it must have at hand without asking.
#[derive(Clone, Copy)]
pub(crate) struct Functions {
    pub(crate) create: unsafe extern "C" fn(
        *const FoldbackKind,
        *const FoldbackValue,
        u32,
        *mut c_char,
        usize,
    ) -> *mut FoldbackStage,
    pub(crate) destroy: unsafe extern "C" fn(*mut FoldbackStage),
    pub(crate) process: unsafe extern "C" fn(
        *mut FoldbackStage,
        *const *mut f32,
        u32,
        u32,
        *mut FoldbackContext,
    ) -> i32,
    pub(crate) idle: Option<unsafe extern "C" fn(*mut FoldbackStage, *mut FoldbackContext) -> i32>,
    pub(crate) adjust:
        Option<unsafe extern "C" fn(*mut FoldbackStage, *const FoldbackValue) -> i32>,
    pub(crate) delay_samples: Option<unsafe extern "C" fn(*const FoldbackStage) -> u32>,
    pub(crate) warm_up_blocks: Option<unsafe extern "C" fn(*const FoldbackStage) -> u32>,
    pub(crate) report:
        Option<unsafe extern "C" fn(*const FoldbackStage, *mut FoldbackReading, u32) -> u32>,
}

impl LoadedKind {
    /// Kept until the process ends, as the library is.
    pub(crate) fn into_stage_kind(self) -> &'static StageKind {
        let (name, about, params) = (self.name, self.about, self.specs);
        let build = Box::leak(Box::new(move |params: &Params, format: StageFormat| {
            let stage = self.build(params, format)?;
            Ok(Box::new(stage) as Box<dyn Stage>)
        }));
        Box::leak(Box::new(StageKind { name, about, params, build }))
    }

    fn build(&self, params: &Params, format: StageFormat) -> Result<LoadedStage, BuildError> {
        let mut values = Values { specs: self.specs, list: Vec::new() };
        // Only for this call: plugins copy the text that they want to keep.
        let mut texts = Vec::new();
        for spec in self.specs {
            let text = match spec.ty {
                ParamType::Text { .. } => {
                    let text = CString::new(&*params.text(spec)).map_err(|_| {
                        BuildError::new(format!("`{}` must be text without a NUL", spec.name))
                    })?;
                    texts.push(text);
                    texts.last().map_or(ptr::null(), |text| text.as_ptr())
                }
                _ => ptr::null(),
            };
            values.list.push(FoldbackValue { number: 0.0, text });
        }
        values.take(params);
        let channels = format.channels as u32;
        let mut error = [0; ERROR_BYTES];
        // SAFETY: as the ABI says: one value for each parameter, texts that outlive the call, and
        // all the bytes of `error`.
        let stage = unsafe {
            let create = self.functions.create;
            create(self.declared, values.list.as_ptr(), channels, error.as_mut_ptr(), error.len())
        };
        values.list.iter_mut().for_each(|value| value.text = ptr::null());
        let Some(stage) = NonNull::new(stage) else { return Err(refusal(&error)) };
        let number = |function: Option<unsafe extern "C" fn(*const FoldbackStage) -> u32>| {
            // SAFETY: the stage was just made, and is used here alone.
            function.map_or(0, |function| unsafe { function(stage.as_ptr()) }) as usize
        };
        let functions = self.functions;
        let (delay_samples, warm_up_blocks) =
            (number(functions.delay_samples), number(functions.warm_up_blocks));
        let broken = false;
        Ok(LoadedStage {
            stage,
            functions,
            values,
            channels,
            delay_samples,
            warm_up_blocks,
            broken,
        })
    }
}

/// What a plugin wrote, as far as it is text.
fn refusal(error: &[c_char; ERROR_BYTES]) -> BuildError {
    let bytes: Vec<u8> = error.iter().map(|c| *c as u8).take_while(|byte| *byte != 0).collect();
    BuildError::new(match bytes.is_empty() {
        true => "the plugin refused and did not say why".into(),
        false => String::from_utf8_lossy(&bytes),
    })
}

/// The values of a stage's parameters as the plugin gets them, in the order of declaration.
struct Values {
    specs: &'static [ParamSpec],
    list: Vec<FoldbackValue>,
}

impl Values {
    /// Never allocates.
    fn take(&mut self, params: &Params) {
        for (spec, value) in self.specs.iter().zip(&mut self.list) {
            value.number = match spec.ty {
                ParamType::Float { .. } => params.float(spec).into(),
                ParamType::Int { .. } => params.int(spec) as f64,
                ParamType::Bool { .. } => f64::from(u8::from(params.bool(spec))),
                ParamType::Choice { allowed, .. } => {
                    let chosen = params.choice(spec);
                    allowed.iter().position(|word| *word == chosen).unwrap_or(0) as f64
                }
                ParamType::Text { .. } => 0.0,
            };
        }
    }
}

/// A running stage of a library. Nothing here allocates once it is built, until it breaks.
struct LoadedStage {
    stage: NonNull<FoldbackStage>,
    functions: Functions,
    values: Values,
    channels: u32,
    delay_samples: usize,
    warm_up_blocks: usize,
    /// It told a fault: it is not called again but to be destroyed.
    broken: bool,
}

// SAFETY: the ABI demands of a stage that it can be used on one thread after another, and this is
// its only owner. The texts of `values` are null once it is built.
unsafe impl Send for LoadedStage {}

impl LoadedStage {
    /// Unwinds to the chain, which bypasses the stage and counts it: as if it had panicked here, but
    /// with nothing printed, for that was the plugin's to do.
    fn must_be_well(&mut self, code: i32) {
        /// What the unwinding carries.
        struct PluginFault;
        if code != FOLDBACK_OK {
            self.broken = true;
            panic::resume_unwind(Box::new(PluginFault));
        }
    }
}

impl Stage for LoadedStage {
    fn process(&mut self, block: &mut AudioBlock<'_>, cx: &mut BlockContext<'_>) {
        let samples = block.frames() as u32;
        let mut planes = [ptr::null_mut(); MAX_CHANNELS];
        let mut channels = 0;
        for (pointer, plane) in planes.iter_mut().zip(block.planes_mut()) {
            *pointer = plane.as_mut_ptr();
            channels += 1;
        }
        assert_eq!(channels, self.channels, "channels of a block for a stage of others");
        let mut context = context(cx);
        // SAFETY: the stage is ours alone; `channels` pointers to as many `samples` each.
        let code = unsafe {
            let process = self.functions.process;
            process(self.stage.as_ptr(), planes.as_ptr(), channels, samples, &mut context)
        };
        take_back(cx, &context);
        self.must_be_well(code);
    }

    fn idle(&mut self, cx: &mut BlockContext<'_>) {
        let Some(idle) = self.functions.idle else { return };
        let mut context = context(cx);
        // SAFETY: the stage is ours alone.
        let code = unsafe { idle(self.stage.as_ptr(), &mut context) };
        take_back(cx, &context);
        self.must_be_well(code);
    }

    fn delay_samples(&self) -> usize {
        self.delay_samples
    }

    fn warm_up_blocks(&self) -> usize {
        self.warm_up_blocks
    }

    fn adjust(&mut self, params: &Params) {
        let Some(adjust) = self.functions.adjust else { return };
        self.values.take(params);
        // SAFETY: the stage is ours alone; one value for each parameter.
        let code = unsafe { adjust(self.stage.as_ptr(), self.values.list.as_ptr()) };
        self.must_be_well(code);
    }

    fn report(&self, report: &mut StageReport) {
        const NOTHING: FoldbackReading =
            FoldbackReading { name: ptr::null(), name_length: 0, value: 0.0 };
        let Some(read) = self.functions.report.filter(|_| !self.broken) else { return };
        let mut readings = [NOTHING; StageReport::MAX_READINGS];
        // SAFETY: nobody changes the stage meanwhile, for that takes `&mut self`; `readings` has
        // as many as it is said to.
        let count =
            unsafe { read(self.stage.as_ptr(), readings.as_mut_ptr(), readings.len() as u32) };
        for reading in readings.iter().take(count as usize) {
            if let Some(name) = reading_name(reading) {
                report.add(name, reading.value);
            }
        }
    }
}

impl Drop for LoadedStage {
    fn drop(&mut self) {
        // SAFETY: made by `create` of the same kind, and not used again.
        unsafe { (self.functions.destroy)(self.stage.as_ptr()) };
    }
}

fn reading_name(reading: &FoldbackReading) -> Option<&'static str> {
    let sane = !reading.name.is_null() && (1..=MAX_READING_NAME).contains(&reading.name_length);
    // SAFETY: not null, and by the ABI valid until the process ends.
    let name = sane.then(|| unsafe {
        slice::from_raw_parts(reading.name.cast::<u8>(), reading.name_length as usize)
    });
    name.and_then(|name| std::str::from_utf8(name).ok())
}

fn context(cx: &BlockContext<'_>) -> FoldbackContext {
    let far_end = cx.far_end.unwrap_or_default();
    FoldbackContext {
        size: size_of::<FoldbackContext>() as u32,
        shift_samples: cx.timeline.shift_samples,
        position_samples: cx.timeline.position_samples,
        far_end: cx.far_end.map_or(ptr::null(), <[f32]>::as_ptr),
        far_end_samples: far_end.len() as u32,
        voice_probability: cx.voice_probability.unwrap_or(-1.0),
    }
}

fn take_back(cx: &mut BlockContext<'_>, context: &FoldbackContext) {
    let voice = context.voice_probability;
    cx.voice_probability = (0.0..=1.0).contains(&voice).then_some(voice);
}
