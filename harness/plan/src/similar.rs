//! "Did you mean …": the nearest of some words to a mistyped one.

/// The candidate nearest to `word`, if it is near enough to be what was meant:
/// at most a third of its characters differ.
pub(crate) fn nearest<'a>(
    word: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    candidates
        .into_iter()
        .filter_map(|candidate| {
            let distance = distance(&word.to_lowercase(), &candidate.to_lowercase());
            let allowed = (candidate.chars().count().max(word.chars().count()) / 3).max(1);
            // Otherwise any one-letter word would be near any other.
            let shared = word
                .chars()
                .any(|letter| candidate.contains(letter.to_ascii_lowercase()));
            (distance <= allowed && shared).then_some((distance, candidate))
        })
        .min_by_key(|&(distance, _)| distance)
        .map(|(_, candidate)| candidate)
}

/// Insertions, deletions, replacements and swaps of neighbours that turn one
/// word into the other (optimal string alignment).
fn distance(left: &str, right: &str) -> usize {
    let left: Vec<char> = left.chars().collect();
    let right: Vec<char> = right.chars().collect();
    let mut rows = vec![vec![0; right.len() + 1]; left.len() + 1];
    for (i, row) in rows.iter_mut().enumerate() {
        row[0] = i;
    }
    for (j, cell) in rows[0].iter_mut().enumerate() {
        *cell = j;
    }
    for i in 1..=left.len() {
        for j in 1..=right.len() {
            let replaced = rows[i - 1][j - 1] + usize::from(left[i - 1] != right[j - 1]);
            let mut least = replaced.min(rows[i - 1][j] + 1).min(rows[i][j - 1] + 1);
            if i > 1 && j > 1 && left[i - 1] == right[j - 2] && left[i - 2] == right[j - 1] {
                least = least.min(rows[i - 2][j - 2] + 1);
            }
            rows[i][j] = least;
        }
    }
    rows[left.len()][right.len()]
}

/// `` `a`, `b` and `c` ``.
pub(crate) fn quoted_list<'a>(words: impl IntoIterator<Item = &'a str>) -> String {
    let quoted: Vec<String> = words.into_iter().map(|word| format!("`{word}`")).collect();
    match quoted.as_slice() {
        [] => "none".into(),
        [only] => only.clone(),
        [all @ .., last] => format!("{} and {last}", all.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_words_are_found_and_far_ones_are_not() {
        let keys = ["version", "source", "variants", "cmdline"];
        assert_eq!(nearest("sorce", keys), Some("source"));
        assert_eq!(nearest("soucre", keys), Some("source"));
        assert_eq!(nearest("cmd-line", keys), Some("cmdline"));
        assert_eq!(nearest("Version", keys), Some("version"));
        assert_eq!(nearest("colour", keys), None);
        assert_eq!(nearest("x", ["y"]), None);
    }

    #[test]
    fn a_swap_is_one_step() {
        assert_eq!(distance("ab", "ba"), 1);
        assert_eq!(distance("kernel", "kernel"), 0);
        assert_eq!(distance("", "abc"), 3);
    }

    #[test]
    fn lists_read_as_a_sentence() {
        assert_eq!(quoted_list(["a", "b", "c"]), "`a`, `b` and `c`");
        assert_eq!(quoted_list(["a"]), "`a`");
        assert_eq!(quoted_list([]), "none");
    }
}
