//! Real texts, broken ones, and any bytes at all.

use proptest::prelude::*;

use super::*;

const STAT: &[u8] =
    b"12 (a) b (c) S 7 12 12 0 -1 4194304 100 0 0 0 1 2 0 0 20 0 1 0 149908 31 36 184 1 2 4096 0 0\n";

#[test]
fn the_fields_of_a_process_are_counted_from_the_end_of_its_name() {
    let stat = PidStat::parse(STAT).unwrap();
    let expected =
        PidStat { comm: b"a) b (c", cpu_ticks: 3, start_ticks: 149_908, rss_pages: 36, start_stack: 4_096 };
    assert_eq!(stat, expected);
}

#[test]
fn a_process_is_whole_or_not_there() {
    // Everything up to the last field that is needed.
    let needed = STAT.len() - " 0 0\n".len();
    for end in 0..needed - "4096".len() {
        assert_eq!(PidStat::parse(&STAT[..end]), None, "{}", String::from_utf8_lossy(&STAT[..end]));
    }
    assert!(PidStat::parse(&STAT[..needed]).is_some());
    let negative = b"1 (x) S 1 1 1 0 -1 0 0 0 0 0 -5 2 0 0 20 0 1 0 9 31 36 184 1 2 4096";
    assert_eq!(PidStat::parse(negative), None);
    let huge = b"1 (x) S 1 1 1 0 -1 0 0 0 0 0 18446744073709551615 1 0 0 20 0 1 0 9 31 36 184 1 2 4096";
    assert_eq!(PidStat::parse(huge), None);
}

#[test]
fn bytes_that_reached_the_storage_are_those_of_a_process() {
    let text =
        b"rchar: 1\nwchar: 2\nsyscr: 3\nsyscw: 4\nread_bytes: 5\nwrite_bytes: 6\ncancelled_write_bytes: 7\n";
    assert_eq!(ProcessIo::parse(text), Some(ProcessIo { read: 5, written: 6 }));
    assert_eq!(ProcessIo::parse(b"read_bytes: 5\n"), None);
    assert_eq!(real_uid(b"Name:\tUid: 5\nUid:\t1000\t0\t0\t0\n"), Some(1_000));
    assert_eq!(real_uid(b"Uid:\t99999999999\t0"), None);
}

#[test]
fn the_system_is_read_as_the_kernel_prints_it() {
    let text =
        b"cpu  10 20 30 400 50 1 2 3 9 9\ncpu0 5 10 15 200 25 0 1 1 0 0\ncpu1 5 10 15 200 25 1 1 2 0 0\n\
        intr 5 6 7\nctxt 77\nbtime 1\nprocesses 88\nprocs_running 4\nprocs_blocked 1\nsoftirq 3 4\n";
    let expected = SystemStat {
        cpu: CpuTicks { busy: 63, idle: 400, iowait: 50, steal: 3 },
        processors: 2,
        context_switches: Some(77),
        forks: Some(88),
        running: Some(4),
        blocked: Some(1),
    };
    assert_eq!(SystemStat::parse(text), Some(expected));
    assert_eq!(SystemStat::parse(b"cpu0 1 2 3 4\nctxt 5\n"), None);
    assert_eq!(SystemStat::parse(b"cpu  1 2 3\n"), None);
    let memory = Memory::parse(
        b"MemTotal:  2048 kB\nMemFree: 1 kB\nMemAvailable:\t1024 kB\nSwapTotal: 0 kB\nSwapFree: x kB\n",
    );
    let expected =
        Memory { total: Some(2 << 20), available: Some(1 << 20), swap_total: Some(0), swap_free: None };
    assert_eq!(memory, expected);
    assert_eq!(load(b"0.52 0.58 12.00 2/812 4711\n"), Some([0.52, 0.58, 12.0]));
    assert_eq!((load(b"nan 1 1"), load(b"1 -1 1"), load(b"1 inf 1"), load(b"1 1")), (None, None, None, None));
}

#[test]
fn pressure_is_a_percentage_or_absent() {
    let text = b"some avg10=98.62 avg60=91.49 avg300=43.75 total=1517773862\nfull avg10=0.12 avg60=0.00 avg300=0.00 total=0\n";
    assert_eq!(Pressure::parse(text), Pressure { some: Some(98.62), full: Some(0.12) });
    // Before 5.13 there was no second line for processors.
    assert_eq!(Pressure::parse(b"some avg10=1.00 avg60=2.00"), Pressure { some: Some(1.0), full: None });
    assert_eq!(Pressure::parse(b"some avg10=100.01\nfull avg60=5\n"), Pressure::default());
}

#[test]
fn devices_have_a_line_each() {
    let text =
        b" 254       0 vda 100 5 2048 7 200 6 4096 8 0 9 10\n 254 1 vda1 1 2\n   7 0 loop0 0 0 0 0 0 0 0 0\n";
    let found: Vec<_> = disks(text).collect();
    assert_eq!(found, [(&b"vda"[..], [1 << 20, 2 << 20]), (b"loop0", [0, 0])]);
    let text = b"Inter-|   Receive        |  Transmit\n face |bytes    packets|bytes\n    lo: 618 7 0 0 0 0 0 0 619 7 0 0 0 0 0 0\n\
        eth0:5 1 2 3 4 5 6 7 8 9\n broken: 5\n";
    let found: Vec<_> = interfaces(text).collect();
    assert_eq!(found, [(&b"lo"[..], [618, 619]), (b"eth0", [5, 8])]);
}

/// Runs every parser over the bytes.
fn parse_all(bytes: &[u8]) {
    let _ = PidStat::parse(bytes);
    let _ = ProcessIo::parse(bytes);
    let _ = real_uid(bytes);
    let _ = SystemStat::parse(bytes);
    let _ = Memory::parse(bytes);
    let pressure = Pressure::parse(bytes);
    for percent in [pressure.some, pressure.full].into_iter().flatten() {
        assert!((0.0..=100.0).contains(&percent));
    }
    for load in load(bytes).into_iter().flatten() {
        assert!(load.is_finite() && load >= 0.0);
    }
    assert!(disks(bytes).all(|(name, _)| !name.is_empty()));
    assert!(interfaces(bytes).all(|(name, _)| !name.is_empty()));
}

proptest! {
    #[test]
    fn any_bytes_are_read(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        parse_all(&bytes);
    }

    /// Closer to what the kernel prints, so that it gets further.
    #[test]
    fn any_words_are_read(
        parts in prop::collection::vec(
            prop_oneof![
                any::<u64>().prop_map(|number| number.to_string()),
                prop::sample::select(vec![
                    "cpu", "cpu0", "ctxt", "(", ")", "-1", "some", "avg10=", "avg10=5", "eth0:", "MemTotal:", "Uid:",
                    "read_bytes:", "write_bytes:", "\n", "inf", "1e400", "99999999999999999999",
                ])
                .prop_map(str::to_owned),
            ],
            0..60,
        ),
        blank in prop::sample::select(vec![" ", "\t", "  ", "\n", ""]),
    ) {
        parse_all(parts.join(blank).as_bytes());
    }

    #[test]
    fn numbers_are_those_of_the_standard_library(text in "[0-9+. -]{0,22}") {
        let expected = text.parse::<u64>().ok().filter(|_| !text.starts_with('+'));
        prop_assert_eq!(number(text.as_bytes()), expected);
    }
}
