//! The built-in kinds of stage: the one place to add a plugin crate to.

use foldback_chain::Registry;
use foldback_stage::StageKind;

/// Every kind that chains may name.
#[must_use]
pub fn registry() -> Registry {
    let plugins: [&[&'static StageKind]; 7] = [
        foldback_plugin_filter::KINDS,
        foldback_plugin_webrtc::KINDS,
        foldback_plugin_denoise::KINDS,
        foldback_plugin_dynamics::KINDS,
        foldback_plugin_loudness::KINDS,
        foldback_plugin_resample::KINDS,
        foldback_plugin_utility::KINDS,
    ];
    Registry::new(&plugins.concat())
}

/// Makes what plugins' libraries keep per thread, so that no tick has to.
pub fn prime_media_thread() {
    foldback_plugin_denoise::prime_thread();
}
