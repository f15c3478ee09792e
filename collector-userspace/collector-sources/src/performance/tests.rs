//! The source on a `/proc` that is made for the test, and on the real one.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use collector_core::{CollectionEvent, EventSource as _, PerformanceEvent, SourceCaps};
use tokio::sync::mpsc;

use super::*;

const SECOND: u64 = 1_000_000_000;

/// A `/proc` and a `/sys` with a little in them, and a clock that stands still.
struct Machine {
    root: tempfile::TempDir,
    now_ns: Arc<AtomicU64>,
    handle: PerformanceHandle,
    sampler: PerformanceSampler,
}

impl Machine {
    fn new(config: PerformanceConfig) -> Self {
        let root = tempfile::tempdir().unwrap();
        let (proc, sys) = (root.path().join("proc"), root.path().join("sys"));
        for directory in ["proc/sys/kernel/random", "proc/net", "proc/pressure", "sys/block/vda/device"] {
            fs::create_dir_all(root.path().join(directory)).unwrap();
        }
        fs::create_dir_all(sys.join("class/net/eth0/device")).unwrap();
        fs::write(proc.join("sys/kernel/random/boot_id"), "3f2a9c1e-0000-4000-8000-000000000001\n").unwrap();
        let handle = PerformanceHandle::default();
        let now_ns = Arc::new(AtomicU64::new(1_000 * SECOND));
        let mut sampler = PerformanceSampler::at(config, handle.clone(), proc, sys);
        sampler.clock.fixed = Some(Arc::clone(&now_ns));
        let machine = Self { root, now_ns, handle, sampler };
        machine.stat(1_000, 9_000);
        machine
    }

    fn write(&self, name: &str, text: impl AsRef<[u8]>) {
        let path = self.root.path().join("proc").join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// Two processors, so many ticks of them busy and idle.
    fn stat(&self, busy: u64, idle: u64) {
        let stat = format!(
            "cpu  {busy} 0 0 {idle} 0 0 0 0 0 0\ncpu0 1 1 1 1\ncpu1 1 1 1 1\nctxt {busy}\nprocs_running 3\n"
        );
        self.write("stat", stat);
    }

    fn process(&self, pid: u32, start_ticks: u64, cpu_ticks: u64, pages: u64) {
        let stat = format!(
            "{pid} (p {pid}) S 1 0 0 0 -1 0 0 0 0 0 {cpu_ticks} 0 0 0 20 0 1 0 {start_ticks} 9 {pages} 0 0 0 64 0 0\n"
        );
        self.write(&format!("{pid}/stat"), stat);
    }

    fn sample(&mut self) -> Vec<PerformanceEvent> {
        self.sampler.sample().unwrap().into_iter().map(performance).collect()
    }

    fn pass(&self, ns: u64) {
        self.now_ns.fetch_add(ns, Ordering::Relaxed);
    }
}

fn performance(event: CollectionEvent) -> PerformanceEvent {
    match event {
        CollectionEvent::Performance(event) => event,
        other => panic!("{other:?}"),
    }
}

fn find<'e>(events: &'e [PerformanceEvent], metric: &str, pid: Option<u32>) -> Option<&'e PerformanceEvent> {
    events.iter().find(|event| event.metric_name == metric && event.pid == pid)
}

fn value(events: &[PerformanceEvent], metric: &str, pid: Option<u32>) -> Option<f64> {
    find(events, metric, pid).map(|event| event.value)
}

#[test]
fn the_system_is_sampled_over_the_interval() {
    let mut machine = Machine::new(PerformanceConfig::default());
    let disks = |read: u64, loops: u64| {
        format!(
            " 254 0 vda 1 0 {read} 0 1 0 {read} 0\n 254 1 vda1 1 0 {read} 0 1 0 {read} 0\n 7 0 loop0 1 0 {loops} 0 1 0 0 0\n"
        )
    };
    let interfaces = |bytes: u64| {
        format!(
            "h\n h|\n lo: 9{bytes} 0 0 0 0 0 0 0 0\n eth0: {bytes} 0 0 0 0 0 0 0 {bytes}\n veth: 9{bytes} 0 0 0 0 0 0 0 9\n"
        )
    };
    machine.write("meminfo", "MemTotal: 4000 kB\nMemAvailable: 1000 kB\nSwapTotal: 0 kB\nSwapFree: 0 kB\n");
    machine.write("loadavg", "0.50 1.00 2.00 1/2 3\n");
    machine.write("pressure/cpu", "some avg10=12.50 avg60=0\nfull avg10=0.00 avg60=0\n");
    machine.write("pressure/io", "some avg10=1.00\nfull avg10=0.50\n");
    machine.write("diskstats", disks(100, 5));
    machine.write("net/dev", interfaces(1_000));
    let first = machine.sample();
    for rate in ["cpu_usage", "context_switches", "disk_read", "network_receive"] {
        assert_eq!(value(&first, rate, None), None, "{rate} without an interval");
    }
    assert_eq!(value(&first, "load_5m", None), Some(1.0));

    machine.pass(10 * SECOND);
    machine.stat(1_500, 10_500);
    machine.write("diskstats", disks(120, 500));
    machine.write("net/dev", interfaces(6_000));
    let events = machine.sample();
    for (metric, expected) in [
        ("cpu_usage", 25.0),
        ("cpu_iowait", 0.0),
        ("context_switches", 50.0),
        ("processes_running", 3.0),
        ("processes", 0.0),
        ("memory_total", 4_096_000.0),
        ("memory_available", 1_024_000.0),
        ("memory_usage", 3_072_000.0),
        ("swap_usage", 0.0),
        ("load_15m", 2.0),
        ("pressure_cpu_some", 12.5),
        ("pressure_io_full", 0.5),
        // Partitions and loops are no disks, and a disk counts in sectors.
        ("disk_read", 1_024.0),
        ("network_receive", 500.0),
        ("network_transmit", 500.0),
    ] {
        assert_eq!(value(&events, metric, None), Some(expected), "{metric}");
    }
    for absent in ["pressure_memory_some", "pressure_cpu_full", "process_forks", "processes_blocked"] {
        assert_eq!(value(&events, absent, None), None, "{absent}");
    }
    let usage = find(&events, "cpu_usage", None).unwrap();
    assert_eq!((usage.interval, &*usage.unit), (Some(Duration::from_secs(10)), "percent"));
    assert_eq!((&*usage.component, usage.meta.source), ("system", "performance"));
    assert_eq!(machine.handle.stats().values, (first.len() + events.len()) as u64);
}

#[test]
fn a_process_is_pid_and_start() {
    let mut machine = Machine::new(PerformanceConfig::default());
    machine.process(7, 500, 1_000, 10);
    machine.write("7/status", "Uid:\t1000\t0\t0\t0\n");
    machine.write("7/io", "read_bytes: 100\nwrite_bytes: 0\n");
    let first = machine.sample();
    assert_eq!(value(&first, "cpu_usage", Some(7)), None);
    let memory = find(&first, "memory_usage", Some(7)).unwrap();
    assert_eq!(memory.value, 10.0 * rustix::param::page_size() as f64);
    let process = memory.process.as_ref().unwrap();
    assert_eq!((process.name.as_bytes(), process.uid), (&b"p 7"[..], Some(1_000)));
    let exec_id = CollectionEvent::Performance(memory.clone()).exec_id().unwrap();
    assert_eq!((exec_id.boot, exec_id.pid, exec_id.start_ticks), (0x3f2a_9c1e, 7, 500));

    machine.pass(10 * SECOND);
    machine.process(7, 500, 1_500, 10);
    machine.write("7/io", "read_bytes: 5100\nwrite_bytes: 0\n");
    let second = machine.sample();
    assert_eq!(value(&second, "cpu_usage", Some(7)), Some(50.0));
    assert_eq!(value(&second, "disk_read", Some(7)), Some(500.0));
    assert_eq!(value(&second, "disk_write", Some(7)), None);

    // Another process under the same pid, with less time than the first had: all of it is since it started.
    machine.pass(10 * SECOND);
    machine.process(7, 101_500, 300, 10);
    machine.write("7/io", "read_bytes: 6000\nwrite_bytes: 0\n");
    let third = machine.sample();
    assert_eq!(value(&third, "cpu_usage", Some(7)), Some(30.0));
    assert_eq!(value(&third, "disk_read", Some(7)), None);
    assert_eq!(machine.handle.stats().backwards, 0);
}

#[test]
fn one_that_started_before_the_last_sample_and_was_not_seen_then_has_no_past() {
    let mut machine = Machine::new(PerformanceConfig::default());
    machine.sample();
    machine.pass(10 * SECOND);
    machine.process(8, 500, 900, 10);
    let events = machine.sample();
    assert_eq!(value(&events, "cpu_usage", Some(8)), None);
    assert!(value(&events, "memory_usage", Some(8)).is_some());
}

#[test]
fn what_is_gone_is_forgotten() {
    let mut machine = Machine::new(PerformanceConfig::default());
    machine.process(7, 500, 100, 10);
    machine.sample();
    machine.pass(10 * SECOND);
    fs::remove_dir_all(machine.root.path().join("proc/7")).unwrap();
    machine.sample();
    machine.pass(10 * SECOND);
    // It cannot come back; if it did, nobody would remember.
    machine.process(7, 500, 200, 10);
    assert_eq!(value(&machine.sample(), "cpu_usage", Some(7)), None);
}

#[test]
fn in_a_container_every_interface_but_the_loopback_counts() {
    let mut machine = Machine::new(PerformanceConfig::default());
    fs::remove_dir(machine.root.path().join("sys/class/net/eth0/device")).unwrap();
    let interfaces = |bytes: u64| {
        format!(
            "lo: 9{bytes} 0 0 0 0 0 0 0 9{bytes}\neth0: {bytes} 0 0 0 0 0 0 0 5\n eth1: {bytes} 0 0 0 0 0 0 0 5\n"
        )
    };
    machine.write("net/dev", interfaces(1_000));
    machine.sample();
    machine.pass(10 * SECOND);
    machine.write("net/dev", interfaces(6_000));
    let events = machine.sample();
    assert_eq!(value(&events, "network_receive", None), Some(1_000.0));
    assert_eq!(value(&events, "network_transmit", None), Some(0.0));
}

#[test]
fn counters_that_go_backwards_or_leap_give_no_value_and_are_counted() {
    let mut machine = Machine::new(PerformanceConfig::default());
    machine.process(7, 500, 1_000, 10);
    machine.process(8, 500, 1_000, 10);
    machine.sample();
    machine.pass(10 * SECOND);
    machine.stat(900, 9_500);
    machine.process(7, 500, 999, 10);
    machine.process(8, 500, u64::MAX, 10);
    let events = machine.sample();
    for pid in [None, Some(7), Some(8)] {
        assert_eq!(value(&events, "cpu_usage", pid), None, "{pid:?}");
    }
    let stats = machine.handle.stats();
    // Those of the system's processors and context switches, and of one process; and of the other.
    assert_eq!((stats.backwards, stats.implausible), (3, 1), "{stats:?}");

    // No time passed: nothing is said of rates.
    let events = machine.sample();
    assert!(events.iter().all(|event| event.interval.is_none() && event.value.is_finite()), "{events:?}");
}

#[test]
fn what_is_missing_or_broken_is_absent() {
    let mut machine = Machine::new(PerformanceConfig::default());
    machine.write("meminfo", b"\xff\0MemTotal: -5 kB\n");
    machine.write("loadavg", "nan nan nan");
    machine.write("7/stat", "7 (half");
    machine.write("8/status", "Uid: 1\n");
    let events = machine.sample();
    let mut names: Vec<&str> = events.iter().map(|event| &*event.metric_name).collect();
    names.sort_unstable();
    assert_eq!(names, ["processes", "processes_running"]);
}

#[tokio::test]
async fn health_fails_when_proc_cannot_be_read_and_comes_back() {
    let machine = Machine::new(PerformanceConfig::default());
    let proc = machine.root.path().join("proc");
    let config = PerformanceConfig { interval: Duration::from_millis(100), ..PerformanceConfig::default() };
    let source =
        Arc::new(PerformanceSource::at(config, proc.clone(), machine.root.path().join("sys")).unwrap());
    source.health_check().await.unwrap();
    let (tx, mut rx) = mpsc::channel(1_000);
    let shutdown = Arc::new(AtomicBool::new(false));
    let running = Arc::clone(&source);
    let task = tokio::spawn({
        let shutdown = Arc::clone(&shutdown);
        async move { running.start(tx, shutdown).await }
    });
    rx.recv().await.unwrap();
    fs::rename(&proc, machine.root.path().join("away")).unwrap();
    until(|| source.handle().stats().failures > 0).await;
    let error = source.health_check().await.unwrap_err().to_string();
    assert!(error.starts_with("the last sample failed: cannot read ") && error.contains("/proc"), "{error}");
    // It goes on when it can.
    let samples = source.handle().stats().samples;
    fs::rename(machine.root.path().join("away"), &proc).unwrap();
    until(|| source.handle().stats().samples > samples).await;
    source.health_check().await.unwrap();
    shutdown.store(true, Ordering::Relaxed);
    task.await.unwrap().unwrap();

    // And it does not begin without.
    fs::remove_file(proc.join("stat")).unwrap();
    let (tx, _rx) = mpsc::channel(1);
    let error = source.start(tx, Arc::new(AtomicBool::new(false))).await.unwrap_err();
    assert!(error.to_string().contains("is /proc mounted"), "{error}");
}

async fn until(holds: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !holds() {
        assert!(Instant::now() < deadline, "it takes too long");
        tokio::task::yield_now().await;
    }
}

/// In the runtime's own time, which stands still while there is something to do: load on the machine does not matter.
#[tokio::test(start_paused = true)]
async fn it_ends_soon_after_the_signal_though_the_interval_is_long_and_nobody_takes_events() {
    let config = PerformanceConfig { interval: Duration::from_secs(3_600), ..PerformanceConfig::default() };
    let source = PerformanceSource::new(config).unwrap();
    assert_eq!(source.capabilities(), SourceCaps::PERFORMANCE | SourceCaps::SYSTEM_WIDE);
    // Room for everything, and for one event only.
    for room in [10_000, 1] {
        let (tx, mut rx) = mpsc::channel(room);
        let shutdown = Arc::new(AtomicBool::new(false));
        let signal = Arc::clone(&shutdown);
        let watch = async {
            rx.recv().await.unwrap();
            // The flag alone: nobody calls `stop`.
            signal.store(true, Ordering::Relaxed);
            tokio::time::Instant::now()
        };
        let (ended, signalled) = tokio::join!(source.start(tx, shutdown), watch);
        ended.unwrap();
        assert!(signalled.elapsed() <= Duration::from_millis(100), "{:?}", signalled.elapsed());
    }
}

/// A child that is ended whatever happens.
struct Load(Child);

impl Drop for Load {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn load(script: &str) -> Load {
    let mut command = Command::new("/bin/sh");
    command.args(["-c", script]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    Load(command.spawn().unwrap())
}

/// Processor time of a process so far, as the kernel says.
fn cpu_ticks(pid: u32) -> u64 {
    let stat = fs::read(format!("/proc/{pid}/stat")).unwrap();
    parse::PidStat::parse(&stat).unwrap().cpu_ticks
}

#[test]
fn a_busy_process_is_seen_with_about_what_it_took() {
    let load = load("while :; do :; done");
    let pid = load.0.id();
    let config = PerformanceConfig { max_processes: 1_000, ..PerformanceConfig::default() };
    let mut sampler = PerformanceSampler::new(config, PerformanceHandle::default());
    let mut sample =
        || -> Vec<PerformanceEvent> { sampler.sample().unwrap().into_iter().map(performance).collect() };
    sample();
    let (start, before) = (Instant::now(), cpu_ticks(pid));
    // Beside other load it may be long until it has got its share.
    while cpu_ticks(pid) < before + 50 {
        assert!(start.elapsed() < Duration::from_secs(60), "the load does not run");
        std::thread::yield_now();
    }
    let (took, elapsed) = (cpu_ticks(pid) - before, start.elapsed().as_secs_f64());
    let events = sample();
    let usage = find(&events, "cpu_usage", Some(pid)).unwrap();
    let expected = took as f64 / crate::identity::clock_ticks() as f64 / elapsed * 100.0;
    assert!((usage.value - expected).abs() < 15.0, "{} is not about {expected}", usage.value);
    assert_eq!((&*usage.component, &*usage.unit), ("process", "percent"));
    let process = usage.process.as_ref().unwrap();
    assert_eq!(process.executable.as_ref().unwrap().as_bytes(), real_path(Path::new("/bin/sh")).as_bytes());
    assert_eq!(process.uid, Some(rustix::process::getuid().as_raw()));
    assert_eq!(process.exec_id.unwrap().pid, pid);
    // The machine has done at least that.
    let system = value(&events, "cpu_usage", None).unwrap();
    assert!((0.0..=100.0).contains(&system) && system > 1.0, "{system}");
}

fn real_path(path: &Path) -> String {
    fs::canonicalize(path).unwrap().to_str().unwrap().to_owned()
}

#[test]
fn own_memory_is_seen_as_the_collectors() {
    let config = PerformanceConfig { max_processes: 0, ..PerformanceConfig::default() };
    let mut sampler = PerformanceSampler::new(config, PerformanceHandle::default());
    let own = std::process::id();
    let mut usage = || {
        let events: Vec<PerformanceEvent> = sampler.sample().unwrap().into_iter().map(performance).collect();
        let usage = find(&events, "memory_usage", Some(own)).unwrap();
        assert_eq!((&*usage.component, &*usage.unit), ("collector", "bytes"));
        usage.value
    };
    let before = usage();
    let touched = vec![1_u8; 64 << 20];
    let after = usage();
    std::hint::black_box(&touched);
    let grown = after - before;
    // Other tests of this process take and give back memory meanwhile.
    assert!((32e6..200e6).contains(&grown), "{grown}");
}
