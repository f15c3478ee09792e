//! What `collector doctor` says about this kernel.

use collector_tests::run_agent;
use serde_json::Value;

/// The oldest kernel that can be captured on: fetching atomics need it.
const OLDEST: (u32, u32) = (5, 12);

fn kernel() -> (u32, u32) {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    let mut numbers = release.split(|it: char| !it.is_ascii_digit()).map(|number| number.parse().unwrap());
    (numbers.next().unwrap(), numbers.next().unwrap())
}

#[test]
fn a_kernel_is_usable_or_refused_with_the_reason() {
    let (status, stdout, stderr) = run_agent(&["doctor", "--format", "json"]);
    let report: Value = serde_json::from_str(&stdout).unwrap_or_else(|error| panic!("{error}: {stderr}"));
    let kinds = report["kinds"].as_array().unwrap();
    let usable = kernel() >= OLDEST;
    assert_eq!((report["can_capture"].as_bool(), status.success()), (Some(usable), usable), "{report}");
    assert!(kinds.iter().all(|kind| kind["captured"] == usable), "{kinds:?}");
    if usable {
        assert_eq!(report["obstacles"], Value::Array(Vec::new()));
        return;
    }
    for kind in kinds {
        let lacks = kind["lacks"].to_string();
        assert!(lacks.contains("fetching atomics"), "{kind}");
    }
    let obstacle = &report["obstacles"][0];
    assert!(obstacle["remedy"].as_str().unwrap().contains("a kernel from 5.12 on"), "{obstacle}");
    // Who asks for these programs and nothing else is refused the same way.
    let run = ["run", "--mode", "kernel", "--no-store", "--duration", "1s"];
    let (status, _, stderr) = run_agent(&run);
    assert_eq!(status.code(), Some(1), "{stderr}");
    assert!(stderr.contains("fetching atomics") && stderr.contains("collector doctor"), "{stderr}");
}
