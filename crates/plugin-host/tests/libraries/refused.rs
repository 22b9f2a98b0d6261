//! What is refused, and how that is told.

use foldback_plugin_host::load;
use foldback_stage::{Params, StageFormat};

use crate::compiled;

/// What is said of `broken.c` with this mistake in it, without the path.
fn refusal_of(mistake: &str) -> String {
    let (_folder, library) = broken(mistake);
    let sentence = load(&library).expect_err(mistake);
    let path = format!("{}: ", library.display());
    sentence.strip_prefix(&path).unwrap_or_else(|| panic!("{sentence}")).to_owned()
}

fn broken(mistake: &str) -> (tempfile::TempDir, std::path::PathBuf) {
    compiled("crates/plugin-host/tests/libraries/broken.c", &[&format!("-DMISTAKE={mistake}")])
}

#[test]
fn a_declaration_without_a_mistake_is_taken() {
    let (_folder, library) = broken("NONE");
    let kinds = load(&library).expect("nothing is wrong with it");
    assert_eq!(kinds[0].name, "broken");
}

#[test]
fn each_mistake_in_a_declaration_is_told() {
    for (mistake, told) in [
        (
            "OTHER_VERSION",
            "made for plugin ABI 2, this foldback has 1; build it again with the \
             foldback_plugin.h or the foldback-plugin-abi of this foldback",
        ),
        (
            "OTHER_SIZE",
            "its `kind_size` is 105 bytes, must be 104; build it again with the \
             foldback_plugin.h or the foldback-plugin-abi of this foldback",
        ),
        ("NULL_PLUGIN", "its `foldback_plugin` returned null"),
        ("NO_KINDS", "it has no kinds of stage"),
        ("NULL_KINDS", "`kinds` is null"),
        (
            "MALFORMED_KIND_NAME",
            "kind 1 (\"Bad Name\"): `name` is \"Bad Name\", must be lower-case words joined by `-`",
        ),
        ("NULL_ABOUT", "kind 1 (\"broken\"): `about` is null"),
        ("NOT_UTF8", "kind 1 (\"broken\"): `about` is \"caf\\xe9\", must be UTF-8"),
        ("NULL_PROCESS", "kind 1 (\"broken\"): `process` is null"),
        ("NULL_PARAMS", "kind 1 (\"broken\"): `params` is null"),
        ("MANY_PARAMS", "kind 1 (\"broken\"): there are 4000000000 `params`, must be at most 1000"),
        ("TWICE", "kind 1 (\"broken\"): two parameters are named `level_db`"),
        ("LIVE_WITHOUT_ADJUST", "kind 1 (\"broken\"): `level_db` is live, but `adjust` is null"),
    ] {
        assert_eq!(refusal_of(mistake), told);
    }
}

#[test]
fn each_mistake_in_a_parameter_is_told() {
    for (mistake, told) in [
        ("DEFAULT_OUT_OF_RANGE", "`default_number` is 11, must be from -10 to 10"),
        ("NAN_DEFAULT", "`default_number` is NaN, must be a finite float"),
        ("INFINITE_MAX", "`max` is inf, must be a finite float"),
        ("RANGE_UPSIDE_DOWN", "`min` is 20, which is above `max`, 10"),
        ("FRACTION", "`default_number` is 0.5, must be whole and within ±2^53"),
        ("UNKNOWN_TYPE", "`ty` is 9, must be 0 to 4"),
        ("NO_CHOICE", "`default_number` is 0, must be the index of one of the 0 `choices`"),
        ("LIVE_TEXT", "text cannot be live"),
    ] {
        let parameter = "kind 1 (\"broken\"): parameter 1 (\"level_db\"): ";
        assert_eq!(refusal_of(mistake), format!("{parameter}{told}"));
    }
    assert!(refusal_of("RESERVED_NAME").ends_with("every stage has a key of this name"));
}

#[test]
fn a_library_that_lacks_a_function_is_refused_before_anybody_calls_it() {
    let told = refusal_of("MISSING_FUNCTION");
    assert!(told.starts_with("cannot be opened: "), "{told}");
    assert!(told.contains("a_function_that_nobody_has"), "{told}");
}

#[test]
fn what_is_no_library_or_no_plugin_is_told() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let none = folder.path().join("none.so");
    let told = load(&none).expect_err("it is not there");
    assert_eq!(told, format!("{}: No such file or directory (os error 2)", none.display()));

    let text = folder.path().join("text.so");
    std::fs::write(&text, "no library").expect("writes");
    let told = load(&text).expect_err("it is text");
    assert!(told.starts_with(&format!("{}: cannot be opened: ", text.display())), "{told}");

    let (_folder, library) = compiled("crates/plugin-host/tests/libraries/other.c", &[]);
    let told = load(&library).expect_err("it is for something else");
    assert!(told.ends_with("is no foldback plugin: it exports no `foldback_plugin`"), "{told}");
}

#[test]
fn a_library_that_was_refused_is_looked_at_again() {
    let (_folder, library) = broken("OTHER_VERSION");
    load(&library).expect_err("another version");
    let (_other, mended) = broken("NONE");
    std::fs::rename(mended, &library).expect("one file takes the place of another");
    load(&library).expect("built again");
}

#[test]
fn a_stage_that_refuses_says_why() {
    for (mistake, told) in [
        ("REFUSES", "not \u{fffd} now"),
        ("REFUSES_SILENTLY", "the plugin refused and did not say why"),
    ] {
        let (_folder, library) = broken(mistake);
        let kind = load(&library).expect("the declaration is in order")[0];
        let refused = (kind.build)(&Params::defaults(kind.params), StageFormat::MONO);
        assert_eq!(refused.err().map(|error| error.to_string()).as_deref(), Some(told));
    }
}
