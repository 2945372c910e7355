//! Shards that belong together become one run; others are refused.

use report::{MergeError, Run, Shard, merge};

use crate::recorded::{self, KERNELS};

/// The part of the recorded run that a shard would have made.
fn shard(index: u32, kernels: &[&str]) -> Run {
    let mut run = recorded::run();
    run.run.id = format!("shard-{index}");
    run.run.interrupted = None;
    run.kernels
        .retain(|kernel| kernels.contains(&kernel.id.as_str()));
    run.cells
        .retain(|cell| kernels.contains(&cell.kernel.as_str()));
    run.run.shard = Some(Shard {
        index,
        of: 2,
        plan: "sha256:1".into(),
        kernels: KERNELS
            .iter()
            .map(|id| ((*id).to_owned(), if *id == KERNELS[1] { 2 } else { 1 }))
            .collect(),
    });
    run
}

fn both() -> [Run; 2] {
    [shard(1, &[KERNELS[0], KERNELS[2]]), shard(2, &[KERNELS[1]])]
}

#[test]
fn the_parts_in_any_order_are_the_whole() {
    let [one, two] = both();
    let merged = merge(vec![two.clone(), one.clone()], false).unwrap();
    let whole = recorded::run();
    assert_eq!(merged.kernels, whole.kernels);
    assert_eq!(merged.images, whole.images);
    assert_eq!(merged.cells, whole.cells);
    assert_eq!(merged, merge(vec![one, two], false).unwrap());
    assert_eq!(merged.run.shard, None);
}

#[test]
fn a_missing_part_is_named_or_stays_not_run() {
    let [one, _] = both();
    let refused = merge(vec![one.clone()], false).unwrap_err().to_string();
    assert!(refused.contains("shard 2 of 2 is missing"), "{refused}");
    let partial = merge(vec![one], true).unwrap();
    let lost: Vec<_> = partial
        .cells
        .iter()
        .filter(|cell| cell.kernel == KERNELS[1])
        .collect();
    assert_eq!(lost.len(), 11);
    assert!(lost.iter().all(|cell| !cell.outcome.is_result()));
    let column = partial.kernel(KERNELS[1]).unwrap();
    assert_eq!(column.reason.as_deref(), Some("shard 2/2 was not merged"));
}

#[test]
fn what_does_not_belong_together_is_refused() {
    type Change = fn(&mut Run);
    let changes: [(Change, &str); 5] = [
        (|run| run.run.shard = None, "is no shard"),
        (
            |run| run.run.shard.as_mut().unwrap().plan = "sha256:2".into(),
            "different plans",
        ),
        (
            |run| run.run.shard.as_mut().unwrap().index = 1,
            "both shard 1/2",
        ),
        (
            |run| run.images[0].digest = Some("sha256:11".into()),
            "the image debian:12 of",
        ),
        (
            |run| {
                run.run.settings.insert("timeout".into(), "1".into());
            },
            "timeout of",
        ),
    ];
    for (change, words) in changes {
        let [one, mut two] = both();
        change(&mut two);
        let refused = merge(vec![one, two], false).unwrap_err().to_string();
        assert!(refused.contains(words), "{words}: {refused}");
    }
    assert!(matches!(merge(vec![], true), Err(MergeError::Nothing)));
}
