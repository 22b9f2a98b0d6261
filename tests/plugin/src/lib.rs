//! For tests only: a plugin whose stages do on purpose what stages of libraries may do.

pub mod panic;
pub mod probe;

foldback_plugin_abi::export!(panic::KIND, probe::KIND);
