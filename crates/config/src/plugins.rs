//! The section `[plugins]`: libraries with more kinds of stage.

use std::path::Path;

use foldback_chain::Registry;
use foldback_stage::ParamSpec;
use toml::de::DeTable;

use crate::reader::Reader;
use crate::settings::{Section, Setting};
use crate::{BYTE_ORDER_MARK, ConfigErrors, error};

/// The section; what is new in it counts at once.
pub(crate) const SECTION: Section = Section {
    name: "plugins",
    about: "Libraries with more kinds of stage.",
    settings: &[Setting::list(LOAD, |_, _| false)],
};

const LOAD: ParamSpec = ParamSpec::text(
    "load",
    "",
    "Shared libraries with kinds of stage, as paths from the folder of the file.",
);

/// The kinds of `registry` and those of the libraries that a file lists. `bytes` is the file as it
/// was read; nothing but its `[plugins]` is looked at.
///
/// # Errors
/// Every library that cannot be loaded, or why the file is no TOML.
pub fn kinds_of(bytes: &[u8], file: &str, registry: &Registry) -> Result<Registry, ConfigErrors> {
    let text = std::str::from_utf8(bytes);
    let text = text.map_err(|error| error::not_utf8(bytes, error.valid_up_to(), file))?;
    let mut reader = Reader::new(text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text));
    let root = reader.document().unwrap_or_default();
    let kinds = read(&mut reader, &root, file, registry);
    reader.into_errors(file).map_or(Ok(kinds), Err)
}

/// Reads `[plugins]`, and loads what it lists.
pub(crate) fn read(
    reader: &mut Reader<'_>,
    root: &DeTable<'_>,
    file: &str,
    registry: &Registry,
) -> Registry {
    const LIST: &str = "must be a list of paths, like [\"plugins/tremolo.so\"]";
    let mut kinds = registry.clone();
    let section = SECTION.read(reader, root);
    let Some(list) = section.and_then(|section| section.get(LOAD.name)) else { return kinds };
    let folder = Path::new(file).parent().unwrap_or(Path::new(""));
    for item in reader.list("load", list, LIST).into_iter().flatten() {
        let Some(path) = reader.text("load", item, "must be a path") else { continue };
        if let Err(sentence) = kinds.load(&folder.join(path)) {
            reader.refuse_plainly(item.span(), sentence);
        }
    }
    kinds
}

#[cfg(test)]
mod tests {
    use foldback_stage::{BuildError, StageKind};

    use super::*;
    use crate::Config;

    static FUZZ: StageKind = StageKind {
        name: "fuzz",
        about: "Stands in for a stage of a library.",
        params: &[],
        build: &|_, _| Err(BuildError::new("no memory")),
    };

    fn load(library: &Path) -> Result<Vec<&'static StageKind>, String> {
        let found = library == Path::new("rooms/lib/fuzz.so");
        found.then(|| vec![&FUZZ]).ok_or_else(|| format!("{}: not found", library.display()))
    }

    fn registry() -> Registry {
        Registry::new(&[]).with_libraries(load)
    }

    #[test]
    fn a_library_is_looked_for_from_the_folder_of_the_file_and_its_kinds_are_known_to_chains() {
        let text = "[plugins]\nload = [\"lib/fuzz.so\"]\n[chain.a]\nstages = [{ kind = \"fuzz\" }]";
        let errors = Config::parse(text, "rooms/my.toml", &registry()).expect_err("it refuses");
        assert_eq!(errors.as_slice()[0].found, "`fuzz` cannot be built: no memory");
        let kinds = kinds_of(text.as_bytes(), "rooms/my.toml", &registry()).expect("it loads");
        assert_eq!(kinds.kinds().map(|kind| kind.name).collect::<Vec<_>>(), ["fuzz"]);
    }

    #[test]
    fn each_library_that_cannot_be_loaded_is_told_at_its_place() {
        let text = "[plugins]\nload = [\n\"none.so\",\n\"lib/fuzz.so\",\n7,\n\"lib/fuzz.so\",\n]\n";
        let errors = kinds_of(text.as_bytes(), "rooms/my.toml", &registry()).expect_err("three");
        let told: Vec<_> =
            errors.as_slice().iter().map(|error| (error.line, error.found.as_str())).collect();
        let taken = "rooms/lib/fuzz.so: there is a kind of stage `fuzz` already";
        assert_eq!(told, [(3, "rooms/none.so: not found"), (5, "`load` is 7"), (6, taken)]);
    }

    #[test]
    fn where_nothing_is_loaded_a_library_is_refused() {
        let text = b"[plugins]\nload = [\"fuzz.so\"]";
        let errors = kinds_of(text, "my.toml", &Registry::new(&[])).expect_err("no loader");
        assert_eq!(errors.as_slice()[0].found, "fuzz.so: libraries are not loaded here");
    }
}
