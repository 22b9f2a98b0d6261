//! What comes out when silence follows a signal.

mod common;

use common::{SECOND, run_with_far_end, speech_like, stage};
use foldback_plugin_webrtc::KINDS;

#[test]
fn a_tail_brings_no_subnormal_samples() {
    for kind in KINDS {
        let mut signal = speech_like(1, -25.0, 2 * SECOND);
        signal.resize(8 * SECOND, 0.0);
        let out = run_with_far_end(&mut *stage(kind, &[]), &signal, Some(&signal));
        assert!(!out.iter().any(|s| s.is_subnormal()), "{}", kind.name);
    }
}
