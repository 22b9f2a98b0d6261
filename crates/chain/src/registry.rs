//! The kinds of stage there are.

use foldback_stage::StageKind;

/// Every stage kind that chains may name. The list of built-in kinds is explicit, in one file of
/// the server: registration by linker tricks is silently empty when nothing refers to a plugin.
#[derive(Clone, Debug, Default)]
pub struct Registry {
    kinds: Vec<&'static StageKind>,
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
        Self { kinds: kinds.to_vec() }
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
