//! Sequences with holes, disorder and late records.

use std::collections::BTreeMap;
use std::time::SystemTime;

use collector_common::{Kind, LossReason};
use proptest::prelude::*;

use super::*;

const FILE: Domain = Domain::File;

fn gap(cpu: u32, first: u64, last: u64) -> Gap {
    Gap { domain: FILE, cpu, first, last }
}

fn delta(kind: Kind, cpu: u32, count: u64) -> CounterDelta {
    CounterDelta { kind, reason: LossReason::RingFull, cpu, count }
}

/// The gaps after these numbers came on processor 0, two settles included.
fn gaps_after(start: Start, numbers: &[u64]) -> Vec<(u64, u64)> {
    let mut ledger = Ledger::new(start);
    for &seq in numbers {
        ledger.observe(FILE, 0, seq);
    }
    assert_eq!(ledger.settle(FILE), [], "a hole is open until the second settle");
    ledger.settle(FILE).iter().map(|gap| (gap.first, gap.last)).collect()
}

#[test]
fn holes_are_exact() {
    assert_eq!(gaps_after(Start::Fresh, &[0, 1, 2]), []);
    assert_eq!(gaps_after(Start::Fresh, &[0, 2, 3, 7]), [(1, 1), (4, 6)]);
    assert_eq!(gaps_after(Start::Fresh, &[3]), [(0, 2)]);
    assert_eq!(gaps_after(Start::Running, &[3, 5]), [(4, 4)]);
}

#[test]
fn records_that_overtake_each_other_leave_no_hole() {
    assert_eq!(gaps_after(Start::Fresh, &[1, 0, 3, 2]), []);
    assert_eq!(gaps_after(Start::Fresh, &[5, 2]), [(0, 1), (3, 4)]);
    assert_eq!(gaps_after(Start::Fresh, &[5, 0, 4, 2]), [(1, 1), (3, 3)]);
}

#[test]
fn a_hole_filled_between_two_settles_is_no_loss() {
    let mut ledger = Ledger::new(Start::Fresh);
    ledger.observe(FILE, 0, 1);
    assert_eq!(ledger.settle(FILE), []);
    ledger.observe(FILE, 0, 0);
    assert_eq!(ledger.settle(FILE), []);
    assert_eq!(ledger.counts(FILE), LedgerCounts { received: 2, lost: 0, late: 0 });
}

#[test]
fn what_comes_too_late_or_twice_is_counted_apart() {
    let mut ledger = Ledger::new(Start::Fresh);
    ledger.observe(FILE, 0, 1);
    ledger.settle(FILE);
    assert_eq!(ledger.settle(FILE), [gap(0, 0, 0)]);
    ledger.observe(FILE, 0, 0);
    ledger.observe(FILE, 0, 1);
    assert_eq!(ledger.counts(FILE), LedgerCounts { received: 3, lost: 1, late: 2 });
}

#[test]
fn processors_and_domains_have_their_own_sequences() {
    let mut ledger = Ledger::new(Start::Fresh);
    ledger.observe(FILE, 0, 0);
    ledger.observe(FILE, 3, 1);
    ledger.observe(Domain::Process, 0, 1);
    assert_eq!(ledger.finish(FILE, &[1, 0, 2, 2]), [gap(2, 0, 1), gap(3, 0, 0)]);
    let process = Gap { domain: Domain::Process, cpu: 0, first: 0, last: 0 };
    assert_eq!(ledger.finish(Domain::Process, &[2]), [process]);
}

#[test]
fn the_end_shows_holes_nothing_came_after() {
    let mut ledger = Ledger::new(Start::Fresh);
    ledger.observe(FILE, 0, 0);
    assert_eq!(ledger.finish(FILE, &[5]), [gap(0, 1, 4)]);
    assert_eq!(ledger.finish(FILE, &[5]), []);
    let mut running = Ledger::new(Start::Running);
    assert_eq!(running.finish(FILE, &[5]), [], "nothing is known of a running sequence not seen");
}

#[test]
fn nonsense_stays_bounded() {
    let mut ledger = Ledger::new(Start::Fresh);
    ledger.observe(FILE, u32::MAX, 0);
    ledger.observe(FILE, 0, u64::MAX);
    assert_eq!(ledger.counts(FILE).late, 2);
    for seq in 0..10 * HOLES_MAX as u64 {
        ledger.observe(FILE, 0, 2 * seq);
    }
    assert_eq!(ledger.settle(FILE).len(), 9 * HOLES_MAX - 1);
    ledger.observe(FILE, 0, u64::MAX - 1);
    ledger.settle(FILE);
    ledger.settle(FILE);
    assert!(ledger.counts(FILE).lost > u64::MAX / 2);
}

fn loss(kind: Option<Kind>, count: u64, range: Option<(u64, u64)>) -> Loss {
    Loss { domain: FILE, kind, reason: kind.map(|_| LossReason::RingFull), count, cpu: 0, range }
}

#[test]
fn counters_name_the_losses_and_gaps_their_numbers() {
    let mut reporter = LossReporter::default();
    let stated = reporter.report(FILE, &[gap(0, 3, 4), gap(0, 9, 9)], &[delta(Kind::FileOpen, 0, 3)]);
    assert_eq!(stated, [loss(Some(Kind::FileOpen), 3, Some((3, 9)))]);
    assert_eq!(reporter.report(FILE, &[], &[]), []);
}

#[test]
fn a_gap_that_shows_after_its_counter_is_not_stated_again() {
    let mut reporter = LossReporter::default();
    let stated = reporter.report(FILE, &[], &[delta(Kind::FileOpen, 0, 3), delta(Kind::FileModify, 0, 1)]);
    assert_eq!(stated, [loss(Some(Kind::FileOpen), 3, None), loss(Some(Kind::FileModify), 1, None)]);
    assert_eq!(reporter.report(FILE, &[gap(0, 3, 6)], &[]), []);
    assert_eq!(reporter.finish(FILE, &[], &[]), []);
}

#[test]
fn numbers_are_left_out_where_gaps_and_counters_are_not_of_the_same_losses() {
    let mut reporter = LossReporter::default();
    reporter.report(FILE, &[], &[delta(Kind::FileOpen, 0, 2)]);
    let stated = reporter.report(FILE, &[gap(0, 3, 4), gap(0, 9, 9)], &[delta(Kind::FileModify, 0, 1)]);
    assert_eq!(stated, [loss(Some(Kind::FileModify), 1, None)], "two of the numbers are of the first losses");
    let stated = reporter.report(FILE, &[gap(0, 20, 20)], &[delta(Kind::FileModify, 0, 1)]);
    assert_eq!(stated, [loss(Some(Kind::FileModify), 1, Some((20, 20)))]);
}

#[test]
fn a_gap_no_counter_explains_is_stated_once_after_a_respite() {
    let mut reporter = LossReporter::default();
    assert_eq!(reporter.report(FILE, &[gap(0, 3, 6)], &[]), []);
    assert_eq!(reporter.report(FILE, &[], &[]), [loss(None, 4, Some((3, 6)))]);
    assert_eq!(reporter.report(FILE, &[], &[]), []);
    assert_eq!(reporter.report(FILE, &[], &[delta(Kind::FileOpen, 0, 4)]), [], "stated already");
    let event = loss(None, 4, None).into_event(SystemTime::UNIX_EPOCH, "x");
    assert_eq!((event.reason, event.kind), ("unexplained", None));
}

#[test]
fn what_has_no_number_is_stated_without_one_and_what_is_no_loss_not_at_all() {
    let mut reporter = LossReporter::default();
    let of = |reason| CounterDelta { reason, ..delta(Kind::FileModify, 0, 2) };
    let stated = reporter.finish(
        FILE,
        &[],
        &[of(LossReason::CloseUnseen), of(LossReason::Own), of(LossReason::Filtered)],
    );
    let expected = Loss { reason: Some(LossReason::CloseUnseen), ..loss(Some(Kind::FileModify), 2, None) };
    assert_eq!(stated, [expected]);
}

#[test]
fn counters_become_differences_per_processor() {
    let mut table = CounterTable::default();
    let mut deltas = Vec::new();
    table.update(Kind::FileOpen, LossReason::RingFull, &[2, 0], &mut deltas);
    table.update(Kind::FileOpen, LossReason::RingFull, &[2, 5, 1], &mut deltas);
    assert_eq!(
        deltas,
        [delta(Kind::FileOpen, 0, 2), delta(Kind::FileOpen, 1, 5), delta(Kind::FileOpen, 2, 1)]
    );
    assert_eq!(table.totals().collect::<Vec<_>>(), [(Kind::FileOpen, LossReason::RingFull, 8)]);
}

/// What becomes of one record: its processor, whether it is lost and counted, and how far others overtake it.
fn fates() -> impl Strategy<Value = Vec<(u32, Option<bool>, usize)>> {
    prop::collection::vec(
        (0..3_u32, prop_oneof![3 => Just(None), 2 => Just(Some(true)), 1 => Just(Some(false))], 0..3_usize),
        0..200,
    )
}

proptest! {
    #[test]
    fn received_and_lost_are_what_was_sent_and_are_stated_exactly(
        fates in fates(),
        settle_every in 1..40_usize,
    ) {
        const KINDS: [Kind; 2] = [Kind::FileOpen, Kind::FileCreate];
        let mut ledger = Ledger::new(Start::Fresh);
        let mut reporter = LossReporter::default();
        let mut next = [0_u64; 3];
        let (mut arriving, mut stated) = (BTreeMap::new(), Vec::new());
        let (mut received, mut deltas) = (0, Vec::new());
        for (moment, (cpu, fate, delay)) in fates.iter().enumerate() {
            let seq = next[*cpu as usize];
            next[*cpu as usize] += 1;
            match fate {
                None => {
                    arriving.insert((moment + delay, moment), (*cpu, seq));
                    received += 1;
                }
                Some(true) => deltas.push(delta(KINDS[moment % 2], *cpu, 1)),
                Some(false) => {}
            }
            while let Some(first) = arriving.first_entry().filter(|first| first.key().0 <= moment) {
                let (cpu, seq) = first.remove();
                ledger.observe(FILE, cpu, seq);
            }
            // Nothing is overtaken for longer than an interval.
            if moment % (settle_every + 3) == 0 {
                stated.extend(reporter.report(FILE, &ledger.settle(FILE), &std::mem::take(&mut deltas)));
            }
        }
        for (_, (cpu, seq)) in arriving {
            ledger.observe(FILE, cpu, seq);
        }
        let gaps = ledger.finish(FILE, &next);
        stated.extend(reporter.finish(FILE, &gaps, &deltas));

        let counts = ledger.counts(FILE);
        prop_assert_eq!(counts.late, 0);
        prop_assert_eq!(counts.received, received);
        prop_assert_eq!(counts.received + counts.lost, fates.len() as u64);
        prop_assert_eq!(stated.iter().map(|loss| loss.count).sum::<u64>(), counts.lost);
        for cpu in 0..3 {
            let of_cpu = |loss: &&Loss| loss.cpu == cpu;
            let lost = fates.iter().filter(|fate| fate.0 == cpu && fate.1.is_some()).count() as u64;
            prop_assert_eq!(stated.iter().filter(of_cpu).map(|loss| loss.count).sum::<u64>(), lost);
            for loss in stated.iter().filter(of_cpu) {
                if let Some((first, last)) = loss.range {
                    prop_assert!(loss.count <= last - first + 1, "{:?}", loss);
                }
            }
        }
    }
}
