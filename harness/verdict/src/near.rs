//! Words close to one that is not known, for `did you mean`.

/// Those of `known` that a slip of the finger would turn into `word`: the nearest,
/// three at most where several are equally near. Case does not count.
pub(crate) fn near<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    let given = word.to_lowercase();
    // A third of the letters may be wrong, and at least one; what merely lacks
    // a beginning (`SEGV`) is near as well.
    let slack = (given.chars().count() / 3).max(1);
    let mut found: Vec<(usize, &str)> = known
        .into_iter()
        .filter_map(|candidate| {
            let lower = candidate.to_lowercase();
            let distance = distance(&given, &lower);
            if given.len() > 2 && lower.ends_with(&given) {
                return Some((distance.min(1), candidate));
            }
            (distance <= slack).then_some((distance, candidate))
        })
        .collect();
    found.sort_by_key(|(distance, _)| *distance);
    let nearest = found.first().map(|(distance, _)| *distance);
    found.retain(|(distance, _)| Some(*distance) == nearest);
    found.truncate(3);
    found.into_iter().map(|(_, word)| word.to_owned()).collect()
}

/// Levenshtein's distance: insertions, deletions and replacements.
fn distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (i, a) in left.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, b) in right.iter().enumerate() {
            let replaced = diagonal + usize::from(a != *b);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[right.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances() {
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("same", "same"), 0);
    }

    #[test]
    fn slips_are_near_and_other_words_are_not() {
        let known = ["vsyscall", "cgroup", "overlayfs"];
        assert_eq!(near("vsycall", known), ["vsyscall"]);
        assert_eq!(near("CGROUPS", known), ["cgroup"]);
        assert!(near("kernel", known).is_empty());
        assert_eq!(near("SEGV", ["SIGSEGV", "SIGHUP"]), ["SIGSEGV"]);
    }
}
