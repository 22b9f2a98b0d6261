//! What every stage must do. What the C++ library allocates is not seen here; it is measured in
//! the README.

foldback_stage_testkit::guard_allocations!();

use foldback_plugin_webrtc::KINDS;
use foldback_stage_testkit::stages::must_be_sound;

#[test]
fn every_kind_keeps_the_contract_of_a_stage() {
    for kind in KINDS {
        must_be_sound(kind);
    }
}
