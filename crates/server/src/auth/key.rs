//! What somebody is known by who shows nothing else.

use std::fmt::{self, Write as _};

use serde::{Deserialize, Serialize};

use crate::message::ErrorMessage;

/// Text that nobody can guess: 192 random bits, in hexadecimal digits. Whoever knows it may do what it is for.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Key(String);

impl Key {
    /// Another one than all others.
    ///
    /// # Errors
    /// `internal`, if the system gives no random numbers.
    pub(crate) fn random() -> Result<Self, ErrorMessage> {
        let bytes = random(24)?;
        let mut key = String::with_capacity(2 * bytes.len());
        bytes.iter().for_each(|byte| _ = write!(key, "{byte:02x}"));
        Ok(Self(key))
    }

    /// As its owner is told it.
    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

impl From<String> for Key {
    /// Of what somebody says that it is.
    fn from(said: String) -> Self {
        Self(said)
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(..)")
    }
}

/// So many random bytes.
///
/// # Errors
/// As [`Key::random`].
pub(crate) fn random(bytes: usize) -> Result<Vec<u8>, ErrorMessage> {
    let mut random = vec![0; bytes];
    getrandom::fill(&mut random).map_err(|error| {
        tracing::error!(%error, "the system gives no random numbers");
        ErrorMessage::internal()
    })?;
    Ok(random)
}
