//! Running a stage over a signal, and what every stage must do.

use foldback_chain::{Chain, NoProbe, StageSpec};
use foldback_stage::{
    AudioBuffer, BLOCK_SAMPLES, BlockContext, ParamSpec, ParamType, Params, RawValue, Stage,
    StageFormat, StageKind, StageReport, is_words,
};

use crate::alloc::no_alloc;
use crate::signal::white_noise;

/// Checked parameters of `kind`: those of `set`, the others at their defaults.
///
/// # Panics
/// If the kind has no such parameter, or the value is out of range.
#[must_use]
pub fn params(kind: &StageKind, set: &[(&str, RawValue<'_>)]) -> Params {
    let mut params = Params::defaults(kind.params);
    for (name, value) in set {
        let spec = kind.params.iter().find(|spec| spec.name == *name);
        let spec = spec.unwrap_or_else(|| panic!("`{}` has no parameter `{name}`", kind.name));
        let taken = params.set(spec, *value);
        taken.unwrap_or_else(|e| panic!("`{name}` of `{}`: allowed is {}", kind.name, e.allowed));
    }
    params
}

/// A stage of `kind`, with `set` and every other parameter at its default.
///
/// # Panics
/// If a parameter is not taken, or the stage refuses to be built.
#[must_use]
pub fn build(
    kind: &StageKind,
    format: StageFormat,
    set: &[(&str, RawValue<'_>)],
) -> Box<dyn Stage> {
    let built = (kind.build)(&params(kind, set), format);
    built.unwrap_or_else(|error| panic!("`{}` with {set:?}: {error}", kind.name))
}

/// Takes the whole blocks of a mono `input` through the stage.
#[must_use]
pub fn run(stage: &mut dyn Stage, input: &[f32]) -> Vec<f32> {
    run_with(stage, input, |_| BlockContext::default())
}

/// Takes `input` through a mono stage built with `from` and told the values `to` in the middle of it,
/// at the end of a block. Returns the sound, and where that was.
#[must_use]
pub fn run_with_change(
    kind: &StageKind,
    from: &[(&str, RawValue<'_>)],
    to: &[(&str, RawValue<'_>)],
    input: &[f32],
) -> (Vec<f32>, usize) {
    let mut stage = build(kind, StageFormat::MONO, from);
    let middle = input.len() / 2 / BLOCK_SAMPLES * BLOCK_SAMPLES;
    let mut output = run(&mut *stage, &input[..middle]);
    stage.adjust(&params(kind, to));
    output.extend(run(&mut *stage, &input[middle..]));
    (output, middle)
}

/// As [`run`], with the context that `context` gives for each block by its number.
#[must_use]
pub fn run_with<'a>(
    stage: &mut dyn Stage,
    input: &[f32],
    context: impl Fn(usize) -> BlockContext<'a>,
) -> Vec<f32> {
    let mut buffer = AudioBuffer::mono();
    let mut output = Vec::with_capacity(input.len());
    for (number, block) in input.chunks_exact(BLOCK_SAMPLES).enumerate() {
        buffer.plane_mut(0).copy_from_slice(block);
        stage.process(&mut buffer.block(), &mut context(number));
        output.extend_from_slice(buffer.plane(0));
    }
    output
}

/// As [`run`], with what the participant hears meanwhile: as long as `input`.
#[must_use]
pub fn run_with_far_end(stage: &mut dyn Stage, input: &[f32], far_end: &[f32]) -> Vec<f32> {
    run_with(stage, input, |number| BlockContext {
        far_end: far_end.get(number * BLOCK_SAMPLES..(number + 1) * BLOCK_SAMPLES),
        ..BlockContext::default()
    })
}

/// Takes the whole blocks of a stereo input through the stage.
#[must_use]
pub fn run_stereo(stage: &mut dyn Stage, left: &[f32], right: &[f32]) -> (Vec<f32>, Vec<f32>) {
    let mut buffer = AudioBuffer::stereo();
    let (mut out_left, mut out_right) = (Vec::new(), Vec::new());
    for (l, r) in left.chunks_exact(BLOCK_SAMPLES).zip(right.chunks_exact(BLOCK_SAMPLES)) {
        buffer.plane_mut(0).copy_from_slice(l);
        buffer.plane_mut(1).copy_from_slice(r);
        stage.process(&mut buffer.block(), &mut BlockContext::default());
        out_left.extend_from_slice(buffer.plane(0));
        out_right.extend_from_slice(buffer.plane(1));
    }
    (out_left, out_right)
}

/// The value that a stage reports under that name, if it does.
#[must_use]
pub fn reading(stage: &dyn Stage, name: &str) -> Option<f32> {
    let mut report = StageReport::default();
    stage.report(&mut report);
    report.readings().find(|reading| reading.name == name).map(|reading| reading.value)
}

/// Holds a kind to the contract of [`Stage`]. Its own sound is for its own tests.
///
/// * Names are lower-case words, joined by hyphens (kinds) or underscores (parameters), and a
///   parameter ends in its unit (`dB/s` is `_db_per_s`); defaults are in range.
/// * It is built for one and two channels, with every parameter at both ends of its range.
/// * Nothing allocates while it runs: `process`, `idle`, `report`, `adjust`. This is seen only in a
///   program with [`guard_allocations!`](crate::guard_allocations).
/// * Its output is finite for silence, noise and squares at full scale and far above, subnormal
///   numbers; in a chain for NaN and infinity too, without being taken out of it.
/// * What comes after a sound has no subnormal samples.
/// * Its delay stays what it was, and a fork goes on as it does.
///
/// # Panics
/// With what is wrong.
pub fn must_be_sound(kind: &'static StageKind) {
    must_be_sound_in(kind, &[StageFormat::MONO, StageFormat::STEREO]);
}

/// As [`must_be_sound`], for a kind that is not built for every number of channels.
///
/// # Panics
/// With what is wrong.
pub fn must_be_sound_in(kind: &'static StageKind, formats: &[StageFormat]) {
    declaration_must_be_sound(kind);
    for &format in formats {
        for set in ends_of_ranges(kind) {
            let what = format!("`{}`, {} channels, {set:?}", kind.name, format.channels);
            let mut stage = build(kind, format, &set);
            let adjusted = params(kind, &set);
            let delay = stage.delay_samples();
            for (name, signal) in hostile_signals() {
                let out = play(&mut *stage, format, &signal, Some(&adjusted));
                assert!(out.iter().all(|s| s.is_finite()), "{what}: not finite for {name}");
            }
            assert_eq!(stage.delay_samples(), delay, "{what}: its delay changed");
        }
        tail_must_be_normal(kind, format);
        must_survive_in_a_chain(kind, format);
        fork_must_go_on_alike(kind, format);
    }
}

fn declaration_must_be_sound(kind: &StageKind) {
    assert!(
        is_words(kind.name, '-'),
        "a kind is lower-case words joined by hyphens: `{}`",
        kind.name
    );
    assert!(kind.about.ends_with('.'), "`{}` is described by a sentence", kind.name);
    for spec in kind.params {
        let ParamSpec { name, about, ty, .. } = spec;
        assert!(is_words(name, '_'), "a parameter is lower-case words and underscores: `{name}`");
        assert!(about.ends_with('.'), "`{name}` of `{}` is described by a sentence", kind.name);
        let unit = match ty {
            ParamType::Float { unit, .. } | ParamType::Int { unit, .. } => {
                unit.to_lowercase().replace('/', "_per_")
            }
            _ => String::new(),
        };
        assert!(
            name.ends_with(&unit),
            "`{name}` of `{}` is in {unit}: its name says so",
            kind.name
        );
        let default = spec.check(match ty {
            ParamType::Float { default, .. } => RawValue::Float((*default).into()),
            ParamType::Int { default, .. } => RawValue::Int(*default),
            ParamType::Bool { default } => RawValue::Bool(*default),
            ParamType::Choice { default, .. } | ParamType::Text { default } => {
                RawValue::Text(default)
            }
        });
        assert!(default.is_ok(), "the default of `{name}` of `{}` is out of range", kind.name);
    }
}

/// The defaults, then one parameter at a time at one end of its range.
fn ends_of_ranges(kind: &StageKind) -> Vec<Vec<(&'static str, RawValue<'static>)>> {
    let ends = kind.params.iter().flat_map(|spec| {
        let values: Vec<RawValue<'static>> = match spec.ty {
            ParamType::Float { min, max, .. } => {
                vec![RawValue::Float(min.into()), RawValue::Float(max.into())]
            }
            ParamType::Int { min, max, .. } => vec![RawValue::Int(min), RawValue::Int(max)],
            ParamType::Bool { .. } => vec![RawValue::Bool(false), RawValue::Bool(true)],
            ParamType::Choice { allowed, .. } => {
                allowed.iter().map(|word| RawValue::Text(word)).collect()
            }
            ParamType::Text { default } => vec![RawValue::Text(default)],
        };
        values.into_iter().map(|value| vec![(spec.name, value)])
    });
    std::iter::once(Vec::new()).chain(ends).collect()
}

fn hostile_signals() -> [(&'static str, Vec<f32>); 6] {
    let noise = white_noise(1, -10.0, 0.3);
    let scaled = |by: f32| noise.iter().map(|s| s * by).collect();
    let square = |amplitude: f32| {
        (0..9_600).map(|n| if n / 57 % 2 == 0 { amplitude } else { -amplitude }).collect()
    };
    [
        ("silence", vec![0.0; 9_600]),
        ("noise at full scale", scaled(3.0)),
        ("a square at full scale", square(1.0)),
        ("a square at 16 times full scale", square(16.0)),
        ("subnormal numbers", scaled(1e-39)),
        ("silence after them", vec![0.0; 9_600]),
    ]
}

/// Takes a signal through every channel, with another one as far end, under the allocation guard.
fn play(
    stage: &mut dyn Stage,
    format: StageFormat,
    signal: &[f32],
    adjusted: Option<&Params>,
) -> Vec<f32> {
    let mut audio = buffer(format);
    let far_end: Vec<f32> = signal.iter().rev().copied().collect();
    let mut output = Vec::with_capacity(signal.len() * format.channels);
    for (block, far_end) in signal.chunks_exact(BLOCK_SAMPLES).zip(far_end.chunks(BLOCK_SAMPLES)) {
        for channel in 0..format.channels {
            audio.plane_mut(channel).copy_from_slice(block);
        }
        let mut cx = BlockContext { far_end: Some(far_end), ..BlockContext::default() };
        no_alloc(|| {
            stage.process(&mut audio.block(), &mut cx);
            stage.idle(&mut cx);
            stage.report(&mut StageReport::default());
            if let Some(params) = adjusted {
                stage.adjust(params);
            }
        });
        for channel in 0..format.channels {
            output.extend_from_slice(audio.plane(channel));
        }
    }
    output
}

fn tail_must_be_normal(kind: &StageKind, format: StageFormat) {
    let mut stage = build(kind, format, &[]);
    let mut signal = white_noise(2, -20.0, 0.5);
    signal.resize(10 * 48_000, 0.0);
    let out = play(&mut *stage, format, &signal, None);
    let subnormal = out.iter().filter(|s| s.is_subnormal()).count();
    assert_eq!(subnormal, 0, "`{}`: subnormal samples after a sound", kind.name);
}

fn must_survive_in_a_chain(kind: &'static StageKind, format: StageFormat) {
    let mut chain = Chain::build(&[StageSpec::of(kind)], format).expect("built before");
    let noise = white_noise(3, -20.0, 2.0);
    let mut audio = buffer(format);
    for (number, block) in noise.chunks_exact(BLOCK_SAMPLES).enumerate() {
        for channel in 0..format.channels {
            audio.plane_mut(channel).copy_from_slice(block);
        }
        let broken = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 1e38];
        if number % 10 < broken.len() {
            audio.plane_mut(0)[number % BLOCK_SAMPLES] = broken[number % 10];
        }
        no_alloc(|| chain.process(&mut audio, &mut BlockContext::default(), &mut NoProbe));
        let finite = (0..format.channels).all(|c| audio.plane(c).iter().all(|s| s.is_finite()));
        assert!(finite, "`{}`: not finite in block {number}", kind.name);
    }
    assert_eq!(chain.faults(), 0, "`{}` was taken out: {:?}", kind.name, chain.fault(0));
}

fn fork_must_go_on_alike(kind: &StageKind, format: StageFormat) {
    let mut stage = build(kind, format, &[]);
    let noise = white_noise(4, -20.0, 1.0);
    let _ = play(&mut *stage, format, &noise, None);
    if let Some(mut fork) = stage.fork() {
        let (of_stage, of_fork) =
            (play(&mut *stage, format, &noise, None), play(&mut *fork, format, &noise, None));
        assert_eq!(of_stage, of_fork, "a fork of `{}` sounds otherwise", kind.name);
    }
}

fn buffer(format: StageFormat) -> AudioBuffer {
    if format.channels == 2 { AudioBuffer::stereo() } else { AudioBuffer::mono() }
}
