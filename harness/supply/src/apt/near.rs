//! Names that look like one that is not there.

/// How many are named.
const MOST: usize = 4;

/// Names that differ from `name` in a letter or two, or start with it.
pub(super) fn to_name<'a>(name: &str, names: impl Iterator<Item = &'a str>) -> Vec<String> {
    let mut near: Vec<(usize, &str)> = names
        .filter_map(|other| {
            let distance = match distance(name, other, 2) {
                Some(distance) => distance,
                None => 3 + other.strip_prefix(name)?.len(),
            };
            Some((distance, other))
        })
        .collect();
    near.sort_unstable();
    near.dedup();
    near.into_iter()
        .take(MOST)
        .map(|(_, name)| name.to_owned())
        .collect()
}

/// Names that begin as a glob does, and best end as it does.
pub(super) fn to_glob<'a>(glob: &str, names: impl Iterator<Item = &'a str>) -> Vec<String> {
    let wild = ['*', '?', '[', ']'];
    let start = glob.split(wild).next().unwrap_or_default();
    let end = glob.rsplit(wild).next().unwrap_or_default();
    let common = |name: &str| {
        start
            .bytes()
            .zip(name.bytes())
            .take_while(|(left, right)| left == right)
            .count()
    };
    let mut near: Vec<(bool, usize, &str)> = names
        .map(|name| (common(name), name))
        .filter(|(common, _)| *common >= 3 && *common * 2 >= start.len())
        .map(|(common, name)| (!name.ends_with(end), start.len() - common, name))
        .collect();
    near.sort_unstable();
    near.dedup();
    near.into_iter()
        .take(MOST)
        .map(|(.., name)| name.to_owned())
        .collect()
}

/// How many letters must be put in, left out or changed, if no more than `most`.
fn distance(left: &str, right: &str, most: usize) -> Option<usize> {
    let (left, right) = (left.as_bytes(), right.as_bytes());
    if left.len().abs_diff(right.len()) > most {
        return None;
    }
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (i, a) in left.iter().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, b) in right.iter().enumerate() {
            let changed = diagonal + usize::from(a != b);
            diagonal = row[j + 1];
            row[j + 1] = changed.min(row[j] + 1).min(row[j + 1] + 1);
        }
    }
    row.last().copied().filter(|distance| *distance <= most)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMES: [&str; 6] = [
        "bash",
        "bash-doc",
        "dash",
        "linux-image-6.1.0-50-amd64-dbg",
        "linux-image-6.1.0-50-cloud-amd64",
        "zsh",
    ];

    #[test]
    fn misspelt_names_are_met() {
        assert_eq!(to_name("bsh", NAMES.into_iter()), ["bash", "zsh", "dash"]);
        assert_eq!(
            to_name("bash-", NAMES.into_iter()),
            ["bash", "dash", "bash-doc"]
        );
        assert_eq!(to_name("perl", NAMES.into_iter()), [""; 0]);
    }

    #[test]
    fn globs_meet_what_begins_alike() {
        let near = to_glob("linux-image-6.9*-cloud-amd64", NAMES.into_iter());
        assert_eq!(
            near,
            [
                "linux-image-6.1.0-50-cloud-amd64",
                "linux-image-6.1.0-50-amd64-dbg"
            ]
        );
        assert_eq!(to_glob("x*", NAMES.into_iter()), [""; 0]);
    }
}
