//! What somebody is known by who shows nothing else.

use std::fmt::Write as _;

use crate::message::ErrorMessage;

/// Text that nobody can guess: 192 random bits, in hexadecimal digits.
///
/// # Errors
/// `internal`, if the system gives no random numbers.
pub(crate) fn random_key() -> Result<String, ErrorMessage> {
    let bytes = random(24)?;
    let mut key = String::with_capacity(2 * bytes.len());
    bytes.iter().for_each(|byte| _ = write!(key, "{byte:02x}"));
    Ok(key)
}

/// So many random bytes.
///
/// # Errors
/// As [`random_key`].
pub(crate) fn random(bytes: usize) -> Result<Vec<u8>, ErrorMessage> {
    let mut random = vec![0; bytes];
    getrandom::fill(&mut random).map_err(|error| {
        tracing::error!(%error, "the system gives no random numbers");
        ErrorMessage::internal()
    })?;
    Ok(random)
}
