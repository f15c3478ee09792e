//! What `collector doctor` says about this kernel.

use collector_tests::run_agent;
use serde_json::Value;

/// The first kernel with fetching atomics; older ones get an object of their own.
const FETCHING: (u32, u32) = (5, 12);

fn kernel() -> (u32, u32) {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    let mut numbers = release.split(|it: char| !it.is_ascii_digit()).map(|number| number.parse().unwrap());
    (numbers.next().unwrap(), numbers.next().unwrap())
}

#[test]
fn a_kernel_is_usable_with_the_object_for_it() {
    let (status, stdout, stderr) = run_agent(&["doctor", "--format", "json"]);
    let report: Value = serde_json::from_str(&stdout).unwrap_or_else(|error| panic!("{error}: {stderr}"));
    assert_eq!((report["can_capture"].as_bool(), status.success()), (Some(true), true), "{report}");
    let kinds = report["kinds"].as_array().unwrap();
    assert!(kinds.iter().all(|kind| kind["captured"] == true), "{kinds:?}");
    assert_eq!(report["obstacles"], Value::Array(Vec::new()));
    let (object, why) = if kernel() < FETCHING {
        ("before_5_12", "fetching atomics refused: Invalid argument (os error 22)")
    } else {
        ("recent", "fetching atomics and bpf_get_current_task_btf supported")
    };
    assert_eq!(report["object"]["value"], object, "{report}");
    assert_eq!(report["object"]["evidence"], why, "{report}");
}
