//! The built-in kinds of stage: the one place to add a plugin crate to.

use std::sync::LazyLock;

use foldback_chain::Registry;
use foldback_stage::StageKind;

/// Every built-in kind; a configuration can add those of libraries.
#[must_use]
pub fn registry() -> Registry {
    // Made once, so that a kind is one and the same in every version of the configuration.
    static BUILT_IN: LazyLock<Registry> = LazyLock::new(|| {
        let plugins: [&[&'static StageKind]; 7] = [
            foldback_plugin_filter::KINDS,
            foldback_plugin_webrtc::KINDS,
            foldback_plugin_denoise::KINDS,
            foldback_plugin_dynamics::KINDS,
            foldback_plugin_loudness::KINDS,
            foldback_plugin_resample::KINDS,
            foldback_plugin_utility::KINDS,
        ];
        Registry::new(&plugins.concat()).with_libraries(foldback_plugin_host::load)
    });
    BUILT_IN.clone()
}

/// Makes what plugins' libraries keep per thread, so that no tick has to.
pub fn prime_media_thread() {
    foldback_plugin_denoise::prime_thread();
}
