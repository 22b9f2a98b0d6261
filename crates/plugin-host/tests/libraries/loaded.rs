//! What the stages of libraries do.

use foldback_chain::{Chain, Fault, NoProbe, StageSpec};
use foldback_plugin_host::load;
use foldback_stage::{
    AudioBuffer, BLOCK_SAMPLES, BlockContext, CaptureTimeline, ParamSpec, RawValue, Stage,
    StageFormat, StageKind, StageReport,
};
use foldback_stage_testkit::libraries::built_by_cargo;
use foldback_stage_testkit::measure::tone_dbfs;
use foldback_stage_testkit::signal::{speech_like, tone};
use foldback_stage_testkit::stages::{build, must_be_sound, params, reading, run, run_stereo};

use crate::compiled;

fn tremolo() -> &'static StageKind {
    load(&built_by_cargo("foldback-example-tremolo")).expect("the example loads")[0]
}

fn ring_mod() -> &'static StageKind {
    let (_folder, library) = compiled("examples/plugins/ring-mod-c/ring_mod.c", &[]);
    load(&library).expect("the example loads")[0]
}

/// A kind of the plugin for tests.
fn test_kind(name: &str) -> &'static StageKind {
    let kinds = load(&built_by_cargo("foldback-test-plugin")).expect("it loads");
    kinds.into_iter().find(|kind| kind.name == name).expect("it has such a kind")
}

#[test]
fn kinds_of_libraries_keep_the_contract_of_stages() {
    must_be_sound(tremolo());
    must_be_sound(ring_mod());
}

#[test]
fn a_stage_sounds_the_same_built_in_and_from_a_library() {
    let voice = speech_like(1, -20.0, 2.0);
    let set = [("rate_hz", RawValue::Int(7)), ("depth_db", RawValue::Int(20))];
    let [built_in, loaded] = [&foldback_example_tremolo::KIND, tremolo()].map(|kind| {
        let mut stage = build(kind, StageFormat::STEREO, &set);
        stage.adjust(&params(kind, &[set[0], ("depth_db", RawValue::Int(12))]));
        let out = run_stereo(&mut *stage, &voice, &voice);
        (out, reading(&*stage, "gain_db"))
    });
    assert_eq!(built_in, loaded);
    assert!(built_in.1.is_some_and(|gain_db| gain_db < 0.0), "{:?}", built_in.1);
}

#[test]
fn a_stage_in_c_does_what_it_was_told_and_takes_new_values() {
    let kind = ring_mod();
    let mut stage = build(kind, StageFormat::MONO, &[("frequency_hz", RawValue::Int(300))]);
    let input = tone(1_000.0, -20.0, 1.0);
    let out = run(&mut *stage, &input);
    let [below, at, above] = [700.0, 1_000.0, 1_300.0].map(|hz| tone_dbfs(&out, hz));
    assert!((below + 26.0).abs() < 0.1 && (above + 26.0).abs() < 0.1, "{below}, {above} dBFS");
    assert!(at < -80.0, "{at} dBFS are left of the tone");

    stage.adjust(&params(kind, &[("mix_percent", RawValue::Int(0))]));
    let out = run(&mut *stage, &input);
    let at = tone_dbfs(&out[24_000..], 1_000.0);
    assert!((at + 20.0).abs() < 0.1, "{at} dBFS once it is off");
    assert_eq!(reading(&*stage, "mix_percent").map(f32::round), Some(0.0));
}

#[test]
fn a_library_that_changes_stays_as_it_was_and_under_another_name_is_another() {
    let (folder, library) = compiled("examples/plugins/ring-mod-c/ring_mod.c", &[]);
    let first = load(&library).expect("the example loads")[0];
    let (_other, changed) =
        compiled("crates/plugin-host/tests/libraries/broken.c", &["-DMISTAKE=NONE"]);
    let elsewhere = folder.path().join("elsewhere.so");
    std::fs::copy(&changed, &elsewhere).expect("copies");
    std::fs::rename(&changed, &library).expect("one file takes the place of another");
    assert!(std::ptr::eq(load(&library).expect("it is known")[0], first));
    assert_eq!(load(&elsewhere).expect("it loads")[0].name, "broken");
}

#[test]
fn parameters_of_every_type_come_over_as_they_were_declared() {
    let kind = test_kind("probe");
    let told = |spec: &ParamSpec| {
        let live = if spec.live { "live" } else { "fixed" };
        format!("{}: {}, {}, {live}: {}", spec.name, spec.ty, spec.default_value(), spec.about)
    };
    assert_eq!(
        kind.params.iter().map(told).collect::<Vec<_>>(),
        [
            "float_db: a number from -9.5 to 9.5 dB, 0.1, live: A number.",
            "int_ms: a whole number from -9 to 9 ms, 3, live: A whole number.",
            "bool: true or false, true, live: A switch.",
            "choice: \"a\", \"b\" or \"c\", \"b\", live: A word.",
            "text: text, \"sieben\", fixed: Text.",
            "fixed_db: a number from 0 to 9 dB, 1, fixed: Not live.",
        ]
    );
}

#[test]
fn values_of_every_type_reach_a_stage_and_new_ones_if_they_are_live() {
    let kind = test_kind("probe");
    let given = |sign: i64, choice: &'static str, text: &'static str| {
        [
            ("float_db", RawValue::Float(-4.3 * sign as f64)),
            ("int_ms", RawValue::Int(-7 * sign)),
            ("bool", RawValue::Bool(sign < 0)),
            ("choice", RawValue::Text(choice)),
            ("text", RawValue::Text(text)),
            ("fixed_db", RawValue::Int(5 + sign)),
        ]
    };
    let readings = |stage: &dyn Stage| {
        let mut report = StageReport::default();
        stage.report(&mut report);
        report.readings().map(|reading| reading.value).collect::<Vec<_>>()
    };
    let mut stage = build(kind, StageFormat::MONO, &given(1, "c", "fünf"));
    assert_eq!(readings(&*stage), [-4.3, -7.0, 0.0, 1.0, 5.0, 6.0]);
    stage.adjust(&params(kind, &given(-1, "a", "neu")));
    assert_eq!(readings(&*stage), [4.3, 7.0, 1.0, 0.0, 5.0, 6.0]);
    assert_eq!(reading(&*stage, "text_bytes"), Some(5.0));

    let refusal = |text| {
        let built = (kind.build)(&params(kind, &given(1, "c", text)), StageFormat::STEREO);
        built.err().map(|error| error.to_string())
    };
    assert_eq!(refusal("").as_deref(), Some("no text für 2 channels"));
    assert_eq!(refusal("a\0b").as_deref(), Some("`text` must be text without a NUL"));
}

#[test]
fn a_stage_is_told_of_a_block_and_tells_of_it() {
    let mut stage = build(test_kind("probe"), StageFormat::STEREO, &[]);
    assert_eq!((stage.delay_samples(), stage.warm_up_blocks()), (77, 7));
    let mut audio = AudioBuffer::stereo();
    audio.plane_mut(1)[10] = 0.5;
    let timeline = CaptureTimeline { position_samples: 9_600, shift_samples: -240 };
    let far_end = [0.25; BLOCK_SAMPLES];
    let mut cx = BlockContext { far_end: Some(&far_end), timeline, voice_probability: Some(0.5) };
    stage.process(&mut audio.block(), &mut cx);
    for channel in 0..2 {
        assert_eq!(audio.plane(channel)[..5], [9_600.0, -240.0, 0.5, 480.0, 0.25]);
    }
    assert_eq!((audio.plane(0)[469], audio.plane(1)[469]), (0.0, 0.5), "each channel is itself");
    assert_eq!(cx.voice_probability, Some(0.25));

    let mut cx = BlockContext::default();
    stage.process(&mut audio.block(), &mut cx);
    assert_eq!(audio.plane(0)[2..5], [-1.0, -1.0, -1.0]);
    assert_eq!(cx.voice_probability, None);
}

fn spec(place: &str, after_blocks: i64) -> StageSpec {
    let kind = test_kind("panic");
    let set = [("where", RawValue::Text(place)), ("after_blocks", RawValue::Int(after_blocks))];
    StageSpec { params: params(kind, &set), ..StageSpec::of(kind) }
}

fn play(chain: &mut Chain) -> f32 {
    let mut audio = AudioBuffer::mono();
    audio.plane_mut(0).fill(0.25);
    chain.process(&mut audio, &mut BlockContext::default(), &mut NoProbe);
    audio.plane(0)[100]
}

#[test]
fn a_panic_in_a_library_is_a_fault_of_the_stage_and_audio_goes_on() {
    let mut chain = Chain::build(&[spec("process", 3)], StageFormat::MONO).expect("builds");
    for block in 0..10 {
        assert_eq!(play(&mut chain), 0.25, "block {block}");
        assert_eq!(chain.faults(), u64::from(block >= 3), "block {block}");
    }
    assert_eq!(chain.fault(0), Some(Fault::Panicked));
}

#[test]
fn a_panic_beside_audio_is_a_fault_too() {
    let mut chain = Chain::build(&[spec("idle", 0)], StageFormat::MONO).expect("builds");
    chain.idle(&mut BlockContext::default());
    assert_eq!(chain.fault(0), Some(Fault::Panicked));

    let mut chain = Chain::build(&[spec("report", 0)], StageFormat::MONO).expect("builds");
    assert_eq!(chain.report(0).readings().count(), 0);
    assert_eq!(play(&mut chain), 0.25);
    assert_eq!(chain.fault(0), Some(Fault::Panicked), "from the next block on");

    // Nobody is there to be told.
    drop(Chain::build(&[spec("drop", 0)], StageFormat::MONO).expect("builds"));
}

#[test]
fn a_fault_that_a_stage_in_c_tells_is_one_too_and_nothing_of_it_is_called_again() {
    let (_folder, library) =
        compiled("crates/plugin-host/tests/libraries/broken.c", &["-DMISTAKE=FAULT"]);
    let kind = load(&library).expect("the declaration is in order")[0];
    let mut chain = Chain::build(&[StageSpec::of(kind)], StageFormat::MONO).expect("builds");
    assert_eq!(chain.report(0).readings().count(), 1);
    assert_eq!(play(&mut chain), 0.25);
    assert_eq!((chain.faults(), chain.fault(0)), (1, Some(Fault::Panicked)));
    assert_eq!(chain.report(0).readings().count(), 0);
}

#[test]
fn a_panic_while_a_stage_is_built_is_a_refusal() {
    let refused = spec("build", 0).build(StageFormat::MONO).err().expect("it panics");
    assert_eq!(refused.to_string(), "stage `panic`: panicked when it was built");
    let mut stage = spec("delay", 0).build(StageFormat::MONO).expect("the fault shows later");
    let broke = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        stage.process(&mut AudioBuffer::mono().block(), &mut BlockContext::default());
    }));
    assert!(broke.is_err());
}
