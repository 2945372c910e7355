//! Lists of selectors as they come from a command line.

use std::path::Path;

/// One selector each: lists are split at commas, except where the whole argument
/// is the path of something that exists.
pub(super) fn split(arguments: &[String], directory: &Path) -> Vec<String> {
    let mut selectors = Vec::new();
    for argument in arguments {
        if argument.contains('/') && directory.join(argument).exists() {
            selectors.push(argument.clone());
        } else {
            selectors.extend(argument.split(',').map(|part| part.trim().to_owned()));
        }
    }
    selectors
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_and_repeated_options_are_one_list() {
        let arguments = ["3.10, 4.9".to_owned(), "6.x".to_owned()];
        assert_eq!(split(&arguments, Path::new("/")), ["3.10", "4.9", "6.x"]);
    }

    #[test]
    fn a_path_with_a_comma_stays_whole_where_it_exists() {
        let folder = tempfile::tempdir().unwrap();
        fs_err::write(folder.path().join("a,b"), "").unwrap();
        let arguments = ["./a,b".to_owned(), "./c,d".to_owned()];
        assert_eq!(split(&arguments, folder.path()), ["./a,b", "./c", "d"]);
    }

    #[test]
    fn an_empty_part_is_kept_and_will_match_nothing() {
        assert_eq!(split(&["a,,b".to_owned()], Path::new("/")), ["a", "", "b"]);
    }
}
