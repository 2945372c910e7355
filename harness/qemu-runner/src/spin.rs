//! How fast the host is at the work the guest is measured by.

use std::time::Instant;

/// Nanoseconds [`wire::spin`] of [`wire::SPIN_ITERATIONS`] takes on this machine:
/// the least of three, since anything else that runs only adds. A guest's figure
/// divided by this one says how far its time limits must be stretched.
#[must_use]
pub fn host_spin() -> u64 {
    (0..3)
        .map(|_| {
            let start = Instant::now();
            std::hint::black_box(wire::spin(std::hint::black_box(wire::SPIN_ITERATIONS)));
            u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX)
        })
        .min()
        .unwrap_or(u64::MAX)
        .max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_million_rounds_take_between_a_tenth_of_a_millisecond_and_a_second() {
        let spin = host_spin();
        assert!((100_000..1_000_000_000).contains(&spin), "{spin} ns");
    }
}
