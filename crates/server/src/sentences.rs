//! What errors of libraries are told as.

use std::error::Error;

/// With a capital letter at its beginning and a full stop at its end.
pub(crate) fn capitalised(sentence: &str) -> String {
    let mut chars = sentence.chars();
    let first = chars.next().map(|c| c.to_uppercase().to_string()).unwrap_or_default();
    format!("{first}{}.", chars.as_str())
}

/// With what an error is due to: who says only that a request failed helps nobody.
pub(crate) fn with_causes(error: &dyn Error) -> String {
    let mut sentence = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let cause_told = cause.to_string();
        if !sentence.ends_with(&cause_told) {
            sentence = format!("{sentence}: {cause_told}");
        }
        next = cause.source();
    }
    sentence
}
