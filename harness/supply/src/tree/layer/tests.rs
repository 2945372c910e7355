use super::*;
use crate::tree::{Kind, Metadata};

fn file(content: &str) -> Inode {
    Inode::file(0o644, content.as_bytes())
}

fn layer(members: Vec<(&str, Inode)>) -> Layer {
    let mut layer = Layer::default();
    for (path, inode) in members {
        layer.push(Member::Inode {
            path: path.into(),
            inode,
        });
    }
    layer
}

fn link(layer: &mut Layer, path: &str, target: &str) {
    layer.push(Member::Link {
        path: path.into(),
        target: target.into(),
    });
}

fn tree(layers: Vec<Layer>) -> Tree {
    let mut tree = Tree::new();
    for layer in layers {
        layer.apply(&mut tree).unwrap();
    }
    tree
}

fn names(tree: &Tree) -> Vec<String> {
    tree.entries()
        .skip(1)
        .map(|entry| String::from_utf8_lossy(entry.path).into_owned())
        .collect()
}

fn folder() -> Inode {
    Inode::directory(0o755)
}

#[test]
fn a_whiteout_takes_out_what_is_below_and_nothing_of_its_own_layer() {
    for first in [true, false] {
        let mut members = vec![("a", folder()), ("a/own", file("own"))];
        let place = if first { 0 } else { 2 };
        members.insert(place, (".wh.a", file("")));
        let below = layer(vec![("a", folder()), ("a/x", file("x")), ("b", file("b"))]);
        assert_eq!(
            names(&tree(vec![below, layer(members)])),
            ["a", "a/own", "b"]
        );
    }
}

#[test]
fn an_opaque_folder_hides_what_is_below_wherever_it_says_so() {
    for first in [true, false] {
        let mut members = vec![
            ("a", folder()),
            ("a/own", file("own")),
            ("a/s/own", file("")),
        ];
        let place = if first { 1 } else { 3 };
        members.insert(place, ("a/.wh..wh..opq", file("")));
        let below = layer(vec![
            ("a", folder()),
            ("a/x", file("x")),
            ("a/s", folder()),
            ("a/s/x", file("x")),
            ("a-b", file("beside")),
        ]);
        let both = tree(vec![below, layer(members)]);
        assert_eq!(names(&both), ["a", "a-b", "a/own", "a/s", "a/s/own"]);
    }
}

#[test]
fn a_hard_link_names_a_file_its_own_layer_takes_out() {
    for first in [true, false] {
        let mut upper = Layer::default();
        if first {
            upper.push(Member::Inode {
                path: b".wh.old".to_vec(),
                inode: file(""),
            });
        }
        link(&mut upper, "new", "old");
        if !first {
            upper.push(Member::Inode {
                path: b".wh.old".to_vec(),
                inode: file(""),
            });
        }
        let both = tree(vec![layer(vec![("old", file("content"))]), upper]);
        assert_eq!(names(&both), ["new"]);
        let Kind::File(content) = &both.get(b"new").unwrap().kind else {
            panic!("no file");
        };
        assert_eq!(content.to_vec().unwrap(), b"content");
    }
}

#[test]
fn a_whiteout_spares_a_name_given_to_a_file_of_below() {
    let mut upper = Layer::default();
    link(&mut upper, "d/new", "old");
    upper.push(Member::Inode {
        path: b".wh.d".to_vec(),
        inode: file(""),
    });
    let below = layer(vec![
        ("old", file("x")),
        ("d", folder()),
        ("d/gone", file("x")),
    ]);
    assert_eq!(names(&tree(vec![below, upper])), ["d", "d/new", "old"]);
}

#[test]
fn a_folder_becomes_a_file_and_back() {
    let layers = vec![
        layer(vec![("a", folder()), ("a/x", file("x"))]),
        layer(vec![("a", file("file"))]),
        layer(vec![("a", folder()), ("a/y", file("y"))]),
    ];
    assert_eq!(names(&tree(layers)), ["a", "a/y"]);
}

#[test]
fn a_folder_brought_again_keeps_what_is_in_it_and_takes_the_new_mode() {
    let again = Inode {
        kind: Kind::Directory,
        metadata: Metadata::with_mode(0o700),
    };
    let both = tree(vec![
        layer(vec![("a", folder()), ("a/x", file("x"))]),
        layer(vec![("a", again)]),
    ]);
    assert_eq!(names(&both), ["a", "a/x"]);
    assert_eq!(both.get(b"a").unwrap().metadata.mode, 0o700);
}

#[test]
fn a_whiteout_in_a_folder_that_takes_the_place_of_a_link_touches_nothing_behind_it() {
    let below = layer(vec![
        ("usr/lib/x", file("x")),
        ("lib", Inode::symlink("usr/lib")),
    ]);
    let through = layer(vec![("lib/.wh.x", file(""))]);
    let both = tree(vec![below, through]);
    assert_eq!(names(&both), ["lib", "usr", "usr/lib"]);

    let below = layer(vec![
        ("usr/lib/x", file("x")),
        ("lib", Inode::symlink("usr/lib")),
    ]);
    let replaced = layer(vec![("lib", folder()), ("lib/.wh.x", file(""))]);
    let both = tree(vec![below, replaced]);
    assert_eq!(names(&both), ["lib", "usr", "usr/lib", "usr/lib/x"]);
}

#[test]
fn of_two_members_of_one_name_the_later_counts() {
    let twice = tree(vec![layer(vec![("a", file("1")), ("/a", file("22"))])]);
    let Kind::File(content) = &twice.get(b"a").unwrap().kind else {
        panic!("no file");
    };
    assert_eq!(content.length(), 2);
}

#[test]
fn what_is_of_aufs_is_passed_over_and_a_whiteout_of_nothing_refused() {
    let aufs = layer(vec![
        (".wh..wh.plnk", folder()),
        ("a/.wh..wh.aufs", file("")),
    ]);
    assert_eq!(names(&tree(vec![aufs])), Vec::<String>::new());
    for bad in [".wh.", "a/.wh..", "a/.wh..."] {
        let error = layer(vec![(bad, file(""))]).apply(&mut Tree::new());
        assert!(matches!(error, Err(LayerError::Whiteout { .. })), "{bad}");
    }
    let mut upper = Layer::default();
    link(&mut upper, "a", "nowhere");
    assert!(upper.apply(&mut Tree::new()).is_err());
}

#[test]
fn directories_that_no_member_names_are_counted() {
    let deep = |top: &str| format!("{top}/{}", "a/".repeat(1000));
    let members = |count: usize| {
        let tops: Vec<String> = (0..count).map(|top| deep(&top.to_string())).collect();
        let mut layer = Layer::default();
        for path in tops {
            layer.push(Member::Inode {
                path: [path.as_bytes(), b"file"].concat(),
                inode: file(""),
            });
        }
        layer
    };
    members(3).apply(&mut Tree::bounded(4000)).unwrap();
    let error = members(6).apply(&mut Tree::bounded(4000)).unwrap_err();
    assert!(
        error.to_string().contains("more than 4000 entries"),
        "{error}"
    );
    // Paths of a kilobyte on average, a thousand of them each.
    let error = members(150)
        .apply(&mut Tree::bounded(u64::MAX))
        .unwrap_err();
    assert!(error.to_string().contains("64 MiB of names"), "{error}");
    assert!(error.to_string().len() < 600, "{error}");
}

#[test]
fn a_mark_is_told_by_its_name_whatever_it_is() {
    let below = || {
        layer(vec![
            ("a", file("a")),
            ("d/x", file("x")),
            ("e/x", file("x")),
            ("kept", file("")),
        ])
    };
    let mut upper = layer(vec![
        (".wh.d/", folder()),
        ("e/.wh..wh..opq/.", Inode::symlink("x")),
    ]);
    link(&mut upper, ".wh.a", "kept");
    assert_eq!(names(&tree(vec![below(), upper])), ["e", "kept"]);
}

#[test]
fn what_aufs_kept_for_hard_links_is_linked_and_not_kept() {
    let mut aufs = layer(vec![
        (".wh..wh.aufs", file("")),
        (".wh..wh.plnk", folder()),
        (".wh..wh.plnk/12.34", file("linked")),
    ]);
    link(&mut aufs, "usr/a", ".wh..wh.plnk/12.34");
    link(&mut aufs, "usr/b", ".wh..wh.plnk/12.34");
    let tree = tree(vec![aufs]);
    assert_eq!(names(&tree), ["usr", "usr/a", "usr/b"]);
    let numbers: Vec<usize> = tree.entries().skip(2).map(|entry| entry.number).collect();
    assert_eq!(numbers[0], numbers[1]);
}

#[test]
fn a_hard_link_to_a_file_below_does_not_take_the_roots_place() {
    let below = layer(vec![("a", file("a"))]);
    let mut upper = layer(vec![(".wh.a", file(""))]);
    link(&mut upper, "./", "a");
    let mut both = tree(vec![below]);
    let error = upper.apply(&mut both).unwrap_err();
    assert!(
        matches!(error, LayerError::Tree(TreeError::RootReplaced)),
        "{error}"
    );
}
