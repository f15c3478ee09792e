//! Results that are larger than a frame: as many records as fit, and a word about the rest.
//!
//! The word stands in `error_message` while `success` stays true. Clients read that field when a task failed, so one that knows
//! nothing of this sees a shorter list, and one that looks sees why.

use collector_proto::DetectionResult;
use prost::{Message, length_delimiter_len};

/// Bytes kept free for the word about the rest, its key and its length.
const NOTE_ROOM: usize = 256;

/// Longest message of a handler that is kept when a result has to be cut.
const MESSAGE_MAX: usize = 1024;

/// Encodes a result in at most `max_payload` bytes, and says whether something had to be left out. `max_payload` is at least
/// [`MIN_FRAME`](super::config::MIN_FRAME) and the id of the task at most [`TASK_ID_MAX`](super::service::TASK_ID_MAX) bytes.
pub(super) fn encode_fitting(mut result: DetectionResult, max_payload: usize) -> (Vec<u8>, bool) {
    if result.encoded_len() <= max_payload {
        return (result.encode_to_vec(), false);
    }
    cut(result.error_message.as_mut());
    let total = count(&result);
    let rest = result.encoded_len() - records_len(&result);
    let room = max_payload.saturating_sub(NOTE_ROOM);
    match room.checked_sub(rest) {
        Some(room) => keep_what_fits(&mut result, room),
        // Text that no list is to blame for, such as an endless path in the digest.
        None => {
            let message = format!("the result does not fit into a frame of {max_payload} bytes");
            result = DetectionResult::failure(&result.task_id, message);
        }
    }
    let kept = count(&result);
    if result.success && kept < total {
        let said = result.error_message.take().map(|said| format!("; {said}")).unwrap_or_default();
        result.error_message = Some(format!(
            "truncated: {kept} of {total} records fit into a frame of {max_payload} bytes, narrow the task with filters{said}"
        ));
    }
    (result.encode_to_vec(), true)
}

/// Shortens a message, at the border of a character.
fn cut(message: Option<&mut String>) {
    if let Some(message) = message.filter(|message| message.len() > MESSAGE_MAX) {
        message.truncate(message.floor_char_boundary(MESSAGE_MAX));
        message.push('…');
    }
}

fn count(result: &DetectionResult) -> usize {
    let DetectionResult { processes, network_events, filesystem_events, performance_events, .. } = result;
    processes.len() + network_events.len() + filesystem_events.len() + performance_events.len()
}

fn records_len(result: &DetectionResult) -> usize {
    let DetectionResult { processes, network_events, filesystem_events, performance_events, .. } = result;
    let len = processes.iter().map(record_len).sum::<usize>()
        + network_events.iter().map(record_len).sum::<usize>()
        + filesystem_events.iter().map(record_len).sum::<usize>();
    len + performance_events.iter().map(record_len).sum::<usize>()
}

/// Bytes of a record in a list: key, length and itself. The keys of all lists are one byte long.
fn record_len(record: &impl Message) -> usize {
    let len = record.encoded_len();
    1 + length_delimiter_len(len) + len
}

/// Keeps the beginning of the lists, taken one after the other, up to the first record that does not fit.
fn keep_what_fits(result: &mut DetectionResult, mut room: usize) {
    fn keep(records: &mut Vec<impl Message>, room: &mut usize) {
        let fits = records.iter().take_while(|record| match room.checked_sub(record_len(*record)) {
            Some(left) => {
                *room = left;
                true
            }
            None => {
                *room = 0;
                false
            }
        });
        let kept = fits.count();
        records.truncate(kept);
    }
    keep(&mut result.processes, &mut room);
    keep(&mut result.network_events, &mut room);
    keep(&mut result.filesystem_events, &mut room);
    keep(&mut result.performance_events, &mut room);
}

#[cfg(test)]
mod tests {
    use collector_proto::{HashResult, NetworkRecord, ProcessRecord};
    use proptest::prelude::*;

    use super::*;

    const MAX: usize = 4096;

    fn fit(result: DetectionResult) -> (DetectionResult, bool) {
        let (bytes, truncated) = encode_fitting(result, MAX);
        assert!(bytes.len() <= MAX, "{} bytes", bytes.len());
        (DetectionResult::decode(&*bytes).unwrap(), truncated)
    }

    fn processes(count: u32, name_len: usize) -> Vec<ProcessRecord> {
        (0..count)
            .map(|pid| ProcessRecord { pid, name: "x".repeat(name_len), ..ProcessRecord::default() })
            .collect()
    }

    #[test]
    fn what_fits_is_left_alone() {
        let result = DetectionResult::success("t", processes(10, 100));
        assert_eq!(fit(result.clone()), (result, false));
    }

    #[test]
    fn what_does_not_fit_is_cut_and_told_and_a_success_still() {
        let all = processes(100, 100);
        let (result, truncated) = fit(DetectionResult::success("t", all.clone()));
        assert!(truncated && result.success);
        assert_eq!(result.processes, all[..36]);
        let note =
            "truncated: 36 of 100 records fit into a frame of 4096 bytes, narrow the task with filters";
        assert_eq!(result.left_out(), Some(note));
    }

    #[test]
    fn a_record_too_large_for_any_frame_ends_the_lists() {
        let mut result = DetectionResult::success("t", processes(3, 10));
        result.processes[1].name = "x".repeat(MAX);
        result.network_events = vec![NetworkRecord::default()];
        result.error_message = Some("é".repeat(MAX));
        let (result, _) = fit(result);
        assert_eq!((result.processes.len(), result.network_events.len()), (1, 0));
        assert!(result.left_out().unwrap().starts_with("truncated: 1 of 4 records"), "{result:?}");
    }

    #[test]
    fn text_that_does_not_fit_is_cut_or_becomes_a_failure() {
        let (result, truncated) = fit(DetectionResult::failure("t", "é".repeat(MAX)));
        assert!(truncated && !result.success);
        assert_eq!(result.error_message, Some("é".repeat(MESSAGE_MAX / 2) + "…"));
        let hash_result = Some(HashResult { file_path: "x".repeat(MAX), ..HashResult::default() });
        let (result, _) = fit(DetectionResult { hash_result, ..DetectionResult::success("t", Vec::new()) });
        let message = "the result does not fit into a frame of 4096 bytes";
        assert_eq!(result, DetectionResult::failure("t", message));
    }

    proptest! {
        #[test]
        fn results_of_any_size_fit(
            counts in prop::collection::vec((0_u32..60, 0_usize..300), 1..4),
            id in 0_usize..1024,
            message in prop::option::of(0_usize..3000),
        ) {
            let mut result = DetectionResult::success(&"i".repeat(id), Vec::new());
            result.processes = counts.iter().flat_map(|(count, len)| processes(*count, *len)).collect();
            result.network_events = vec![NetworkRecord::default(); counts.len()];
            result.error_message = message.map(|len| "m".repeat(len));
            let (sent, truncated) = fit(result.clone());
            prop_assert_eq!(truncated, sent != result);
            prop_assert_eq!(sent.task_id, result.task_id);
            prop_assert!(sent.success);
        }
    }
}
