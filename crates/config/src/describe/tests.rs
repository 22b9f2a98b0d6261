use foldback_stage::{AudioBlock, BlockContext, BuildError, RawValue, Stage, StageKind};

use super::*;

struct Delay(usize);

impl Stage for Delay {
    fn process(&mut self, _block: &mut AudioBlock<'_>, _cx: &mut BlockContext<'_>) {}

    fn delay_samples(&self) -> usize {
        self.0
    }
}

const CUTOFF_HZ: ParamSpec =
    ParamSpec::float("cutoff_hz", "Hz", 20.0, 1000.0, 80.0, "Where the response is 3 dB down.")
        .live();
const LEVEL: ParamSpec = ParamSpec::choice("level", &["low", "high"], "low", "How much.");

static FILTER: StageKind = StageKind {
    name: "filter",
    about: "Removes rumble, hum and plosives below the voice, and says so in a text that does not \
            fit into one line.",
    params: &[CUTOFF_HZ, LEVEL],
    build: &|_, _| Ok(Box::new(Delay(0))),
};
static LATE: StageKind = StageKind {
    name: "late",
    about: "Late.",
    params: &[],
    build: &|_, _| Ok(Box::new(Delay(516))),
};
static REFUSES: StageKind = StageKind {
    name: "refuses",
    about: "",
    params: &[],
    build: &|_, _| Err(BuildError::new("no memory")),
};

fn stage(name: &str, kind: &'static StageKind) -> StageSpec {
    StageSpec { name: name.to_owned(), ..StageSpec::of(kind) }
}

#[test]
fn a_chain_reads_from_top_to_bottom_with_the_delay_of_each_stage_and_their_sum() {
    let chain = ChainSpec {
        name: "talk".to_owned(),
        format: StageFormat::MONO,
        input: vec![stage("filter", &FILTER), stage("later", &LATE)],
        mix: Some(MixSpec { max_talkers: 4 }),
        output: vec![stage("late", &LATE)],
    };
    let expected = "\
chain talk
    0.00 ms  filter        cutoff_hz = 80, level = \"low\"
   10.75 ms  later (late)
             mix           max_talkers = 4
   10.75 ms  late
   21.50 ms  algorithmic delay in all
";
    assert_eq!(describe_chain(&chain), expected);
}

#[test]
fn a_stage_that_is_switched_off_is_told_with_the_delay_that_it_keeps() {
    let late = StageSpec { enabled: false, ..stage("late", &LATE) };
    let chain = ChainSpec {
        name: "c".to_owned(),
        format: StageFormat::MONO,
        input: vec![late],
        mix: None,
        output: vec![],
    };
    let expected = "\
chain c
   10.75 ms  late  switched off
   10.75 ms  algorithmic delay in all
";
    assert_eq!(describe_chain(&chain), expected);
}

#[test]
fn a_stage_that_refuses_to_be_built_is_shown_with_its_reason() {
    let chain = ChainSpec {
        name: "talk".to_owned(),
        format: StageFormat::MONO,
        input: vec![stage("refuses", &REFUSES), stage("late", &LATE)],
        mix: None,
        output: Vec::new(),
    };
    let expected = "\
chain talk
          ?  refuses  cannot be built: no memory
   10.75 ms  late
   10.75 ms  algorithmic delay in all
";
    assert_eq!(describe_chain(&chain), expected);
}

#[test]
fn kinds_are_listed_with_type_unit_range_and_default_and_mix_among_them() {
    let text = describe_kinds(&Registry::new(&[&FILTER]));
    let expected = "\
filter
  Removes rumble, hum and plosives below the voice, and says so in a text that does not fit into
  one line.
    cutoff_hz: a number from 20 to 1000 Hz, by default 80; changes while it runs
        Where the response is 3 dB down.
    level: \"low\" or \"high\", by default \"low\"
        How much.

mix
  The place where participants become one: stages before it run for each participant, those
  after it for each distinct mix. At most one per chain; without it each participant gets their
  own processed voice back.
    max_talkers: a whole number from 1 to 32, by default 6; changes while it runs
        How many participants are heard at once; the loudest are chosen.
";
    assert_eq!(text, expected);
}

#[test]
fn text_is_listed_and_shown_in_quotes() {
    const FOLDER: ParamSpec = ParamSpec::text("folder", "recordings", "Where it goes.");
    static KEEP: StageKind = StageKind {
        name: "keep",
        about: "Keeps it.",
        params: &[FOLDER],
        build: &|_, _| Ok(Box::new(Delay(0))),
    };
    let kinds = describe_kinds(&Registry::new(&[&KEEP]));
    let expected = "    folder: text, by default \"recordings\"\n        Where it goes.\n";
    assert!(kinds.contains(expected), "{kinds}");
    let mut spec = stage("keep", &KEEP);
    spec.params.set(&FOLDER, RawValue::Text("two words")).expect("text");
    let chain = ChainSpec {
        name: "talk".to_owned(),
        format: StageFormat::MONO,
        input: vec![spec],
        mix: None,
        output: Vec::new(),
    };
    let shown = describe_chain(&chain);
    assert!(shown.contains("  keep  folder = \"two words\"\n"), "{shown}");
}
