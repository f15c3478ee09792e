//! Any bytes give a record or an error, and a record's strings lie inside it.
#![no_main]

use collector_sources::decode::{Record, decode, decode_header};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(record) = decode(bytes) else { return };
    assert_eq!(decode_header(bytes).as_ref(), Ok(record.header()), "the header alone says the same");
    let strings = match &record {
        Record::Exec(exec) => {
            let argv = exec.argv.map_or(0, <[u8]>::len);
            let arguments: usize = exec.arguments().map(<[u8]>::len).sum();
            assert!(arguments <= argv, "{arguments} bytes of arguments in a vector of {argv}");
            vec![exec.argv, exec.exe, exec.cwd, exec.filename, exec.interp, exec.cgroup]
        }
        Record::File(file) => vec![file.base, file.name, file.old_base, file.old_name],
        Record::Fork(_) | Record::Exit(_) | Record::Network(_) => Vec::new(),
    };
    let record_range = bytes[..record.header().len as usize].as_ptr_range();
    for string in strings.into_iter().flatten() {
        let range = string.as_ptr_range();
        assert!(record_range.start <= range.start && range.end <= record_range.end, "outside the record");
    }
});
