//! `record`, from the stage through its thread to the file. What it does where the ring is full or
//! the disk refuses stands beside the code.

use std::path::{Path, PathBuf};
use std::{fs, thread};

use foldback_plugin_utility::record::KIND;
use foldback_stage::{RawValue, Stage, StageFormat};
use foldback_stage_testkit::signal::speech_like;
use foldback_stage_testkit::stages::{build, must_be_sound, params, reading, run, run_stereo};

foldback_stage_testkit::guard_allocations!();

fn record(folder: &Path, format: StageFormat) -> Box<dyn Stage> {
    let folder = folder.to_str().expect("UTF-8");
    build(&KIND, format, &[("folder", RawValue::Text(folder))])
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("the folder is there");
    entries.map(|entry| entry.expect("readable").path()).collect()
}

/// The samples of the one file, once it holds so many. The test runner ends a wait for ever.
fn recorded(folder: &Path, samples: usize) -> Vec<f32> {
    loop {
        if let [file] = files(folder).as_slice()
            && let Ok(mut reader) = hound::WavReader::open(file)
            && reader.len() as usize >= samples
        {
            return reader.samples().map(|sample| sample.expect("a sample")).collect();
        }
        thread::yield_now();
    }
}

#[test]
fn it_is_sound() {
    // Its folder is relative to this one by default.
    let folder = tempfile::tempdir().expect("a temporary folder");
    std::env::set_current_dir(folder.path()).expect("it is there");
    must_be_sound(&KIND);
}

#[test]
fn what_passes_is_in_the_file_bit_for_bit() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut stage = record(folder.path(), StageFormat::MONO);
    let speech = speech_like(1, -20.0, 1.0);
    assert_eq!(run(&mut *stage, &speech), speech);
    drop(stage);
    assert_eq!(recorded(folder.path(), speech.len()), speech);
}

#[test]
fn stereo_is_in_one_file() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut stage = record(folder.path(), StageFormat::STEREO);
    let (left, right) = (speech_like(1, -20.0, 0.5), speech_like(2, -20.0, 0.5));
    let passed = run_stereo(&mut *stage, &left, &right);
    let samples = recorded(folder.path(), 2 * left.len());
    assert_eq!(reading(&*stage, "recording"), Some(1.0));
    assert!(samples.iter().step_by(2).eq(&left) && samples.iter().skip(1).step_by(2).eq(&right));
    assert_eq!(passed, (left, right));
}

#[test]
fn a_stage_that_was_only_asked_for_its_delay_leaves_no_file() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let asked = record(folder.path(), StageFormat::MONO);
    assert_eq!((asked.delay_samples(), reading(&*asked, "recording")), (0, Some(0.0)));
    drop(asked);
    // Written later, so that the thread of the one before has had its turn.
    let mut stage = record(folder.path(), StageFormat::MONO);
    let speech = speech_like(1, -20.0, 0.5);
    let _ = run(&mut *stage, &speech);
    assert_eq!(recorded(folder.path(), speech.len()), speech);
}

#[test]
fn names_that_would_leave_the_folder_are_refused_with_what_is_allowed() {
    let refused = |name: &str, text: &str| {
        let params = params(&KIND, &[(name, RawValue::Text(text))]);
        (KIND.build)(&params, StageFormat::MONO).err().map(|error| error.to_string())
    };
    let expected = "`prefix` must be 1 to 64 letters, digits, dots, hyphens or underscores, not \
                    \"../tap\"";
    assert_eq!(refused("prefix", "../tap").as_deref(), Some(expected));
    assert!(refused("prefix", "").is_some());
    assert!(refused("folder", "").is_some());
    assert_eq!(refused("prefix", "room-1_tap.b"), None);
}
