//! What a browser can run of the server's kinds of stage.

use foldback_plugin_utility as utility;
use foldback_stage::StageKind;

/// Every kind here: pure Rust, without files and threads. Not `record`, nor what WebRTC's C++ is
/// behind, nor what the server loads from libraries.
fn kinds() -> impl Iterator<Item = &'static StageKind> {
    let plugins: [&[&'static StageKind]; 6] = [
        foldback_plugin_filter::KINDS,
        foldback_plugin_denoise::KINDS,
        foldback_plugin_dynamics::KINDS,
        foldback_plugin_loudness::KINDS,
        foldback_plugin_resample::KINDS,
        &[&utility::delay::KIND, &utility::tone::KIND, &utility::pan::KIND],
    ];
    plugins.into_iter().flatten().copied()
}

/// The kind of that name, if it runs here.
pub(crate) fn kind(name: &str) -> Option<&'static StageKind> {
    kinds().find(|kind| kind.name == name)
}
