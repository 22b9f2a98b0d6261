//! For tests only: a plugin whose stages do on purpose what stages of libraries may do.

pub mod hang;
pub mod panic;
pub mod probe;

foldback_plugin_abi::export!(hang::KIND, panic::KIND, probe::KIND);
