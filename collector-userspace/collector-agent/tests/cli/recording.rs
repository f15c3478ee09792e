//! A recording made by hand: a shell that starts a program with hostile arguments, which connects, writes and dies.

use std::path::Path;

use collector_sources::capture_file::{CaptureHeader, CaptureWriter};
use collector_sources::clock::Anchor;
use collector_sources::plan::rows;
use collector_sources::testing::{child, exec, exit, file, fork, network, next_image, task};

/// Arguments that would clear a terminal, ring its bell and turn text around.
pub(crate) const HOSTILE: [&str; 4] = ["curl", "\x1b[2J\x1b]0;owned\x07", "two\nlines", "\u{202e}gpj.exe"];

/// Writes a recording of `rounds` programs.
pub(crate) fn write(path: &Path, rounds: u32) {
    let header = CaptureHeader {
        host: "web-1".to_owned(),
        boot_id: "3f2a9c1e-0000-4000-8000-000000000001".to_owned(),
        kernel_release: "6.1.0".to_owned(),
        architecture: "x86_64".to_owned(),
        started_unix_ns: 1_790_000_000_000_000_000,
        collector_version: "0.1.0".to_owned(),
        clock_ticks: 100,
        kinds: Vec::new(),
    };
    let kind = |name: &str| *rows().flat_map(|row| row.kinds).find(|kind| kind.name() == name).unwrap();
    let mut writer = CaptureWriter::new(Vec::new(), &header).unwrap();
    writer.anchor(Anchor { realtime_ns: 1_790_000_000_000_000_000, boottime_ns: 0 }).unwrap();
    writer.user(1000, Some("user")).unwrap();
    let mut now = 1_000_000_000;
    let mut sequence = [0; 3];
    let mut put = |name: &str, build: &dyn Fn(u64, u64) -> Vec<u8>| {
        let domain = kind(name).domain();
        now += 1_000_000;
        writer.record(domain, &build(now, sequence[domain as usize])).unwrap();
        sequence[domain as usize] += 1;
    };
    let shell = task(100);
    put("process.exec", &|now, seq| exec(shell, "/usr/bin/bash", &["bash"]).at(now).sequence(0, seq).build());
    for round in 0..rounds {
        let forked = child(&shell, 1_000 + round);
        let program = next_image(forked, "curl");
        put("process.fork", &|now, seq| fork(forked).at(now).sequence(0, seq).build());
        put("process.exec", &|now, seq| {
            exec(program, "/usr/bin/curl", &HOSTILE).at(now).sequence(0, seq).build()
        });
        let connect = kind("network.connect");
        put("network.connect", &|now, seq| network(connect, program).at(now).sequence(0, seq).build());
        let create = kind("file.create");
        put("file.create", &|now, seq| {
            file(create, program, "/tmp/\x1b[31mred").at(now).sequence(0, seq).build()
        });
        put("process.exit", &|now, seq| exit(program, 9).at(now).sequence(0, seq).build());
    }
    std::fs::write(path, writer.finish(now).unwrap()).unwrap();
}
