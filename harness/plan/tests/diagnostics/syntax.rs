//! Mistakes that any file can hold, and many at once.

use snapbox::{assert_data_eq, str};

use crate::{CHECKS, kernels, resolve};

#[test]
fn no_toml() {
    assert_data_eq!(
        kernels("[[kernel]]\nversion = \"6.1\nsource = { path = \"x\" }\n[kernel\n"),
        str![[r#"
error: invalid basic string, expected `"`
 --> kernels.toml:2:15
  |
2 | version = "6.1
  |               ^

error: duplicate key
 --> kernels.toml:4:2
  |
4 | [kernel
  |  ^^^^^^

error: unclosed table, expected `]`
 --> kernels.toml:4:8
  |
4 | [kernel
  |        ^
"#]]
    );
}

#[test]
fn a_key_twice() {
    assert_data_eq!(
        kernels("[[kernel]]\nversion = \"6.1\"\nversion = \"6.2\"\nsource = { path = \"x\" }\n"),
        str![[r#"
error: duplicate key
 --> kernels.toml:3:1
  |
3 | version = "6.2"
  | ^^^^^^^
"#]]
    );
}

#[test]
fn an_unknown_key() {
    assert_data_eq!(
        kernels(
            "[[kernel]]\nversion = \"6.1\"\nsource = { path = \"x\" }\ncmd-line = \"quiet\"\ncolour = 1\n"
        ),
        str![[r#"
error: unknown key `cmd-line`
 --> kernels.toml:4:1
  |
4 | cmd-line = "quiet"
  | ^^^^^^^^
  |
  = hint: did you mean `cmdline`? a kernel has `version`, `name`, `source`, `cmdline`, `cpu`, `memory`, `cpus`, `cgroup`, `sysctl`, `notes`, `optional`, `default` and `variants`

error: unknown key `colour`
 --> kernels.toml:5:1
  |
5 | colour = 1
  | ^^^^^^
  |
  = hint: a kernel has `version`, `name`, `source`, `cmdline`, `cpu`, `memory`, `cpus`, `cgroup`, `sysctl`, `notes`, `optional`, `default` and `variants`
"#]]
    );
}

#[test]
fn an_unknown_table() {
    assert_data_eq!(
        kernels("[[kernels]]\nversion = \"6.1\"\n"),
        str![[r#"
error: unknown key `kernels`
 --> kernels.toml:1:3
  |
1 | [[kernels]]
  |   ^^^^^^^
  |
  = hint: did you mean `kernel`? kernels.toml has `kernel`
"#]]
    );
}

#[test]
fn one_table_where_there_are_many() {
    assert_data_eq!(
        kernels("[kernel]\nversion = \"6.1\"\nsource = { path = \"x\" }\n"),
        str![[r#"
error: `kernel` is a table, not an array of tables
 --> kernels.toml:1:1
  |
1 | [kernel]
  | ^^^^^^^^ expected an array of tables
  |
  = hint: write [[kernel]] for [kernel]
"#]]
    );
}

#[test]
fn every_mistake_of_every_file_at_once_in_the_order_of_the_files() {
    let text = resolve(
        "[[kernel]]\nversion = 6.1\n",
        &[
            ("a.toml", "name = 1\nsource = {}\n"),
            ("b.toml", "name = \n"),
        ],
        "[[check]]\nname = \"bash\"\ncommand = [\"bash\"]\nstdout = \"(\"\n",
    )
    .unwrap_err();
    let places: Vec<&str> = text
        .lines()
        .filter_map(|line| line.trim_start().strip_prefix("--> "))
        .collect();
    assert_eq!(
        places,
        [
            "kernels.toml:1:1",
            "kernels.toml:2:11",
            "images/checks.toml:4:10",
            "images/a.toml:1:8",
            "images/a.toml:2:10",
            "images/b.toml:1:8",
        ]
    );
}

/// Editors save half a file, and people write any character anywhere.
#[test]
fn a_file_cut_or_changed_anywhere_is_told_of_without_a_panic() {
    let kernel = "[[kernel]]\nversion = \"6.1\" # ä\r\nsource = { apt = \"debian\", suite = \"s\", package = \"p\" }\n\n[kernel.variants]\n\t\"v=1\" = { cmdline = 'é \"a b\"', sysctl = { a.b = 1 } }\n";
    let image = "name = \"a\"\nsource = [{ directory = \"ä\" }]\nchecks = [\"b*\"]\n[[expect]]\nwhen = { kernel = \">=5.10\" }\noutcome = \"exit 3\"\n";
    assert!(resolve(kernel, &[("a.toml", image)], CHECKS).is_ok());
    let mut wrong = 0;
    for text in [kernel, image] {
        for (at, _) in text.char_indices() {
            for piece in ["", "\n", "\"", "[", "é", "=", "\u{0}"] {
                let changed = format!("{}{piece}{}", &text[..at], &text[at..]);
                for text in [&changed, &text[..at]] {
                    wrong += usize::from(resolve(text, &[("a.toml", text)], text).is_err());
                }
            }
        }
    }
    assert!(wrong > 1000, "{wrong}");
}
