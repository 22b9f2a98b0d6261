//! The kinds of stage there are.

use std::path::Path;

use foldback_stage::StageKind;

/// Opens a library with stages in it. The error is a sentence that names the library.
pub type LoadKinds = fn(&Path) -> Result<Vec<&'static StageKind>, String>;

/// Every stage kind that chains may name. The list of built-in kinds is explicit, in one file of
/// the server: registration by linker tricks is silently empty when nothing refers to a plugin.
#[derive(Clone, Debug, Default)]
pub struct Registry {
    kinds: Vec<&'static StageKind>,
    load: Option<LoadKinds>,
}

impl Registry {
    /// A registry of `kinds`.
    ///
    /// # Panics
    /// If two kinds share a name, or one is called `mix` (a bug in the plugin list).
    #[must_use]
    pub fn new(kinds: &[&'static StageKind]) -> Self {
        for (i, kind) in kinds.iter().enumerate() {
            assert!(kind.name != crate::MIX_KIND, "`mix` is the chain's own");
            assert!(
                kinds[..i].iter().all(|earlier| earlier.name != kind.name),
                "two stage kinds are named `{}`",
                kind.name
            );
        }
        Self { kinds: kinds.to_vec(), load: None }
    }

    /// The same registry, which takes in kinds of libraries that `load` opens.
    #[must_use]
    pub fn with_libraries(self, load: LoadKinds) -> Self {
        Self { load: Some(load), ..self }
    }

    /// Adds the kinds of a library. Opens files and runs code of the library.
    ///
    /// # Errors
    /// A sentence that names the library: it cannot be loaded, or has a kind whose name is taken;
    /// then none of its kinds is added.
    pub fn load(&mut self, library: &Path) -> Result<(), String> {
        let shown = library.display();
        let Some(load) = self.load else {
            return Err(format!("{shown}: libraries are not loaded here"));
        };
        let before = self.kinds.len();
        for kind in load(library)? {
            if kind.name == crate::MIX_KIND || self.get(kind.name).is_some() {
                self.kinds.truncate(before);
                return Err(format!("{shown}: there is a kind of stage `{}` already", kind.name));
            }
            self.kinds.push(kind);
        }
        Ok(())
    }

    /// The kind of that name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&'static StageKind> {
        self.kinds.iter().copied().find(|kind| kind.name == name)
    }

    /// All kinds, in the order of the list.
    pub fn kinds(&self) -> impl Iterator<Item = &'static StageKind> + '_ {
        self.kinds.iter().copied()
    }
}

#[cfg(test)]
mod tests {
    use foldback_stage::BuildError;

    use super::*;

    const fn kind(name: &'static str) -> StageKind {
        StageKind { name, about: "", params: &[], build: &|_, _| Err(BuildError::new("")) }
    }

    static GAIN: StageKind = kind("gain");
    static FUZZ: StageKind = kind("fuzz");
    static MIX: StageKind = kind(crate::MIX_KIND);

    fn load(library: &Path) -> Result<Vec<&'static StageKind>, String> {
        match library.to_str() {
            Some("fuzz.so") => Ok(vec![&FUZZ]),
            Some("gain.so") => Ok(vec![&FUZZ, &GAIN]),
            _ => Ok(vec![&MIX]),
        }
    }

    #[test]
    fn a_library_adds_its_kinds_unless_the_name_of_one_is_taken() {
        let mut registry = Registry::new(&[&GAIN]).with_libraries(load);
        for (library, taken) in [("gain.so", "gain"), ("mix.so", "mix")] {
            let told = registry.load(Path::new(library)).expect_err("the name is taken");
            assert_eq!(told, format!("{library}: there is a kind of stage `{taken}` already"));
            assert_eq!(registry.kinds().count(), 1, "none of its kinds is added");
        }
        registry.load(Path::new("fuzz.so")).expect("the name is free");
        assert!(registry.get("fuzz").is_some());
        registry.load(Path::new("fuzz.so")).expect_err("it is there already");
    }
}
