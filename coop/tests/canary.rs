//! What a lane of `.ci/run` runs in place of its tests when it is to show that it can fail: see `.ci/run --canaries`.

#[test]
fn a_failure_is_reported() {
    assert!(std::env::var_os("COOP_CANARY").is_none(), "this was asked for");
}
