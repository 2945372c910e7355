//! A run split over several machines: which kernels each takes.
//!
//! A kernel's cells stay together, since they share its boot. The split depends on
//! nothing but the plan and the durations given, so machines that do not speak with
//! each other come to the same one.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Run;

/// The part of a plan that a run is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Shard {
    /// Which, from 1.
    pub index: u32,
    /// Of how many.
    pub of: u32,
    /// The whole plan, `sha256:…`: shards of another plan do not belong together.
    pub plan: String,
    /// Every kernel of the whole plan in its order, with the shard it falls to.
    pub kernels: Vec<(String, u32)>,
}

/// Says for each kernel which shard, from 1, takes it: the costliest kernel first,
/// each to the shard that has least to do. Kernels of the same cost stay in order.
pub fn split(costs: &[u64], of: u32) -> Vec<u32> {
    let mut order: Vec<usize> = (0..costs.len()).collect();
    order.sort_by_key(|index| (std::cmp::Reverse(costs[*index]), *index));
    let mut loads = vec![0_u64; of.max(1) as usize];
    let mut shards = vec![0; costs.len()];
    for index in order {
        let lightest = (0..loads.len()).min_by_key(|shard| (loads[*shard], *shard));
        let shard = lightest.unwrap_or(0);
        loads[shard] = loads[shard].saturating_add(costs[index].max(1));
        shards[index] = shard as u32 + 1;
    }
    shards
}

/// What each kernel took in a recorded run, milliseconds: a boot and its cells.
/// Kernels that did not run are not there.
pub fn durations(run: &Run) -> BTreeMap<&str, u64> {
    let mut durations: BTreeMap<&str, u64> = BTreeMap::new();
    for kernel in &run.kernels {
        if let Some(boot) = kernel.boots_ms.first() {
            durations.insert(&kernel.id, *boot);
        }
    }
    for cell in &run.cells {
        if let (Some(duration), Some(spent)) =
            (durations.get_mut(cell.kernel.as_str()), cell.duration_ms)
        {
            *duration = duration.saturating_add(spent);
        }
    }
    durations
}

/// The costs of `kernels`, from what a run before took; one it does not know is
/// taken to cost as much as the middle one of those it knows.
pub fn costs<'a>(kernels: impl Iterator<Item = &'a str>, before: Option<&Run>) -> Vec<u64> {
    let known = before.map(durations).unwrap_or_default();
    let mut sorted: Vec<u64> = known.values().copied().collect();
    sorted.sort_unstable();
    let middle = sorted.get(sorted.len() / 2).copied().unwrap_or(1);
    kernels
        .map(|id| known.get(id).copied().unwrap_or(middle))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kernel_falls_to_one_shard_and_the_loads_are_even() {
        assert_eq!(split(&[5, 5, 5, 5], 2), [1, 2, 1, 2]);
        assert_eq!(split(&[9, 3, 3, 3], 2), [1, 2, 2, 2]);
        assert_eq!(split(&[1, 1], 4), [1, 2]);
        assert_eq!(split(&[], 3), [0; 0]);
        // A kernel that costs nothing is still one to boot.
        assert_eq!(split(&[0, 0, 0, 0], 2), [1, 2, 1, 2]);
    }
}
