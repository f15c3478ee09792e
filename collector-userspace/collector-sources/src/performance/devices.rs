//! Sums of counters over devices that come and go.

use super::delta::{NoValue, growth};

/// Most devices remembered; of more, the ones that are seen first count.
const MOST: usize = 1_024;

/// Two counters of each device, as they were last time.
#[derive(Debug, Default)]
pub(super) struct Devices {
    known: Vec<Device>,
    round: u64,
}

#[derive(Debug)]
struct Device {
    name: Box<[u8]>,
    /// Whether there is hardware behind it.
    is_real: bool,
    round: u64,
    counters: [u64; 2],
    /// What was added since the last round, if it was there then.
    grown: Option<Result<[u64; 2], NoValue>>,
}

/// Which devices are summed up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Which {
    /// Those with hardware behind them.
    Real,
    /// Those; all of them where there are none.
    RealOrAll,
}

impl Devices {
    /// Begins another look at all devices.
    pub(super) const fn begin(&mut self) {
        self.round = self.round.wrapping_add(1);
    }

    /// One device. Asks whether it is real only when it is new.
    pub(super) fn observe(&mut self, name: &[u8], counters: [u64; 2], is_real: impl FnOnce() -> bool) {
        let round = self.round;
        if let Some(device) = self.known.iter_mut().find(|device| *device.name == *name) {
            let [one, other] = device.counters;
            let [one_now, other_now] = counters;
            let grown = growth(one, one_now).and_then(|one| Ok([one, growth(other, other_now)?]));
            *device = Device {
                name: std::mem::take(&mut device.name),
                is_real: device.is_real,
                round,
                counters,
                grown: Some(grown),
            };
        } else if self.known.len() < MOST {
            let is_real = is_real();
            self.known.push(Device { name: name.into(), is_real, round, counters, grown: None });
        }
    }

    /// Forgets devices that were not seen, and sums up by how much the others grew.
    ///
    /// `None` if there is none that was there before: then nothing is known. An error if one's counter went backwards: then
    /// the sum would be too small.
    pub(super) fn sum(&mut self, which: Which) -> Option<Result<[u64; 2], NoValue>> {
        let round = self.round;
        self.known.retain(|device| device.round == round);
        let all = which == Which::RealOrAll && !self.known.iter().any(|device| device.is_real);
        let counted = self.known.iter().filter(|device| all || device.is_real);
        counted.filter_map(|device| device.grown).reduce(|sum, grown| {
            let ([one, other], [more, still]) = (sum?, grown?);
            Ok([one.saturating_add(more), other.saturating_add(still)])
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round(
        devices: &mut Devices,
        which: Which,
        seen: &[(&str, u64, u64)],
    ) -> Option<Result<[u64; 2], NoValue>> {
        devices.begin();
        for (name, one, other) in seen {
            devices.observe(name.as_bytes(), [*one, *other], || name.starts_with("real"));
        }
        devices.sum(which)
    }

    #[test]
    fn only_what_was_there_before_counts() {
        let mut devices = Devices::default();
        let mut real = |seen: &[_]| round(&mut devices, Which::Real, seen);
        assert_eq!(real(&[("real0", 100, 100), ("loop", 5, 5)]), None);
        assert_eq!(real(&[("real0", 110, 101), ("loop", 50, 50)]), Some(Ok([10, 1])));
        // A new one has had its counters before anybody looked.
        assert_eq!(real(&[("real0", 110, 101), ("real1", 9_999, 9_999)]), Some(Ok([0, 0])));
        assert_eq!(real(&[("real0", 111, 101), ("real1", 10_000, 9_999)]), Some(Ok([2, 0])));
        // One goes, and comes back with counters from the beginning.
        assert_eq!(real(&[("real0", 111, 102)]), Some(Ok([0, 1])));
        assert_eq!(real(&[("real0", 111, 102), ("real1", 3, 3)]), Some(Ok([0, 0])));
        assert_eq!(real(&[("loop", 60, 60)]), None);
    }

    #[test]
    fn a_counter_that_goes_backwards_makes_no_sum() {
        let mut devices = Devices::default();
        let mut real = |seen: &[_]| round(&mut devices, Which::Real, seen);
        real(&[("real0", 100, 100), ("real1", 1, 1)]);
        assert_eq!(real(&[("real0", 50, 100), ("real1", 2, 2)]), Some(Err(NoValue::Backwards)));
        assert_eq!(real(&[("real0", 51, 100), ("real1", 2, 1)]), Some(Err(NoValue::Backwards)));
        assert_eq!(real(&[("real0", 52, 100), ("real1", 2, 1)]), Some(Ok([1, 0])));
    }

    #[test]
    fn where_nothing_is_real_everything_counts() {
        let mut devices = Devices::default();
        let mut any = |seen: &[_]| round(&mut devices, Which::RealOrAll, seen);
        any(&[("veth", 1, 1)]);
        assert_eq!(any(&[("veth", 5, 6), ("real0", 1, 1)]), None);
        assert_eq!(any(&[("veth", 50, 60), ("real0", 2, 2)]), Some(Ok([1, 1])));
        let mut devices = Devices::default();
        round(&mut devices, Which::RealOrAll, &[("veth", 1, 1)]);
        assert_eq!(round(&mut devices, Which::RealOrAll, &[("veth", 5, 6)]), Some(Ok([4, 5])));
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut devices = Devices::default();
        devices.begin();
        for index in 0..2 * MOST {
            devices.observe(format!("real{index}").as_bytes(), [0, 0], || true);
        }
        assert_eq!(devices.known.len(), MOST);
    }
}
