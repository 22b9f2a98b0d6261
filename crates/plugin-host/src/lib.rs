//! Opens shared libraries with stages in them, and makes [`StageKind`]s of what they declare.
//!
//! A library is opened once and never closed again: its kinds, their texts and the names of its
//! readings are used as `'static`, its stages may run in any room until the process ends, and what
//! it keeps per thread ends with the thread. So [`load`] gives the same kinds for the same file
//! again; a file that changed meanwhile is not looked at, which the log tells. A library under
//! another name is another library.
//!
//! A declaration is checked whole before anything of it is used. The functions behind it are
//! trusted: a library is code of this process, and can do what foldback can.

mod declaration;
mod stage;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use foldback_stage::StageKind;

/// The kinds of the library at `path`.
///
/// Control side: reads files, runs code of the library, and keeps what it found until the process
/// ends.
///
/// # Errors
/// A sentence that begins with the path: there is no such library, it is no plugin, is made for
/// another ABI, or a declaration in it is out of order.
pub fn load(path: &Path) -> Result<Vec<&'static StageKind>, String> {
    static OPENED: Mutex<Vec<Opened>> = Mutex::new(Vec::new());

    let failed = |what: &dyn std::fmt::Display| format!("{}: {what}", path.display());
    // An absolute path: the system looks for a bare name elsewhere.
    let absolute = fs::canonicalize(path).map_err(|error| failed(&error))?;
    let changed = fs::metadata(&absolute).and_then(|file| file.modified()).ok();
    let mut opened = OPENED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(known) = opened.iter().find(|known| known.path == absolute) {
        if known.changed != changed {
            tracing::warn!(
                library = %path.display(),
                "the plugin library has changed since it was loaded, and stays as it was: give the \
                 new one another name, or start foldback again"
            );
        }
        return Ok(known.kinds.clone());
    }
    let kinds = declaration::open(&absolute).map_err(|what| failed(&what))?;
    let names: Vec<_> = kinds.iter().map(|kind| kind.name).collect();
    tracing::info!(library = %path.display(), kinds = names.join(", "), "plugin library loaded");
    opened.push(Opened { path: absolute, changed, kinds: kinds.clone() });
    Ok(kinds)
}

struct Opened {
    path: PathBuf,
    changed: Option<SystemTime>,
    kinds: Vec<&'static StageKind>,
}
