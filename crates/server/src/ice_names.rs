//! Which media thread has the session that ICE knows by a name.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The ICE user names (ufrag) of this side, each with the number of the worker that its session is on.
#[derive(Clone, Debug, Default)]
pub(crate) struct IceNames(Arc<Mutex<HashMap<String, usize>>>);

impl IceNames {
    /// Knows the session that an answer is for until what it returns is dropped; `None` if the answer
    /// names none.
    pub(crate) fn add(&self, answer: &str, worker: usize) -> Option<IceName> {
        let ufrag = answer.lines().find_map(|line| line.strip_prefix("a=ice-ufrag:"))?.trim();
        self.lock().insert(ufrag.to_owned(), worker);
        Some(IceName { names: self.clone(), ufrag: ufrag.to_owned() })
    }

    /// The worker with the session of that name.
    pub(crate) fn worker_of(&self, ufrag: &str) -> Option<usize> {
        self.lock().get(ufrag).copied()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A name that is known as long as this is kept.
#[derive(Debug)]
pub(crate) struct IceName {
    names: IceNames,
    ufrag: String,
}

impl Drop for IceName {
    fn drop(&mut self) {
        self.names.lock().remove(&self.ufrag);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_is_known_by_its_latest_name_until_it_is_over() {
        let names = IceNames::default();
        assert!(names.add("v=0\r\n", 1).is_none());
        let mut name = names.add("v=0\r\na=ice-ufrag:first\r\na=ice-pwd:x\r\n", 1);
        assert_eq!(names.worker_of("first"), Some(1));
        assert!(name.is_some());
        name = names.add("a=ice-ufrag:anew\r\n", 1);
        assert_eq!((names.worker_of("first"), names.worker_of("anew")), (None, Some(1)));
        drop(name);
        assert_eq!(names.worker_of("anew"), None);
    }
}
