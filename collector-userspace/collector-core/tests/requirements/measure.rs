//! Processor time and memory of this process.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// Held by whoever measures: the tests of this program share one process.
pub(crate) fn alone() -> MutexGuard<'static, ()> {
    static MEASURING: Mutex<()> = Mutex::new(());
    // A test that failed leaves nothing behind here.
    MEASURING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Processor time of all threads so far.
pub(crate) fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec.unsigned_abs() as u32)
}

/// Resident memory in bytes.
pub(crate) fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("proc is mounted");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("there is memory");
    let kilobytes: u64 = line.trim().trim_end_matches(" kB").parse().expect("a number");
    kilobytes << 10
}

/// The rise of a straight line through the points (least squares) from the first to the last, which are in order.
pub(crate) fn rise(points: &[(f64, f64)]) -> f64 {
    let count = points.len() as f64;
    let mean = |of: fn(&(f64, f64)) -> f64| points.iter().map(of).sum::<f64>() / count;
    let (mean_x, mean_y) = (mean(|point| point.0), mean(|point| point.1));
    let products: f64 = points.iter().map(|(x, y)| (x - mean_x) * (y - mean_y)).sum();
    let squares: f64 = points.iter().map(|(x, _)| (x - mean_x).powi(2)).sum();
    let length = points[points.len() - 1].0 - points[0].0;
    products / squares * length
}

#[test]
fn a_rise_is_what_a_line_rises() {
    let line = |slope: f64| (0..10).map(|x| (f64::from(x), 5.0 + slope * f64::from(x))).collect::<Vec<_>>();
    assert!((rise(&line(2.0)) - 18.0).abs() < 1e-9);
    assert!(rise(&line(0.0)).abs() < 1e-9);
    // One peak in the middle is no rise.
    let mut peak = line(0.0);
    peak[4].1 = 100.0;
    peak[5].1 = 100.0;
    assert!(rise(&peak).abs() < 1e-9);
}
