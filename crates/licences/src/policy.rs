//! What `deny.toml` says.

use std::path::Path;

use serde::Deserialize;

/// The part of `deny.toml` that is looked at here.
#[derive(Debug, Deserialize)]
pub struct Policy {
    licenses: Licenses,
}

#[derive(Debug, Deserialize)]
struct Licenses {
    #[serde(default)]
    clarify: Vec<Clarification>,
}

/// The licence of a crate that tells none.
#[derive(Debug, Deserialize)]
struct Clarification {
    #[serde(rename = "crate")]
    name: String,
    expression: String,
}

impl Policy {
    /// Reads it from the root of the repository.
    ///
    /// # Errors
    /// If there is none, or it is not of that form: a sentence.
    pub fn read(root: &Path) -> Result<Self, String> {
        let file = root.join("deny.toml");
        let text = std::fs::read_to_string(&file)
            .map_err(|error| format!("cannot read {}: {error}", file.display()))?;
        Self::parse(&text).map_err(|error| format!("{}: {error}", file.display()))
    }

    /// Takes `text` as what it says.
    ///
    /// # Errors
    /// If it is not of that form.
    pub fn parse(text: &str) -> Result<Self, String> {
        toml::from_str(text).map_err(|error| error.to_string())
    }

    /// The licence of a crate that tells none.
    pub(crate) fn clarified(&self, name: &str) -> Option<&str> {
        let about = self.licenses.clarify.iter().find(|about| about.name == name);
        about.map(|about| about.expression.as_str())
    }
}
