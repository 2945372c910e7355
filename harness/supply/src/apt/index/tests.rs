//! The kept form of an index, held against a cut of bookworm's.

use super::*;

const PACKAGES: &str = include_str!("../testdata/Packages");

fn index() -> Index {
    Index::load(build(PACKAGES).unwrap()).unwrap()
}

impl Index {
    fn text_of_filename(&self, row: usize) -> &str {
        self.lines(row).nth(Field::Filename as usize).unwrap()
    }
}

fn package(index: &Index, row: usize) -> Package {
    index.package(row, "http://mirror.example/debian", "bookworm")
}

#[test]
fn a_real_stanza_survives() {
    let index = index();
    assert_eq!(index.len(), 29);
    let rows = index.rows_of("bash");
    assert_eq!(rows.len(), 1);
    let bash = package(&index, rows.start);
    assert_eq!(bash.name, "bash");
    assert_eq!(bash.version.as_str(), "5.2.15-2+b13");
    assert_eq!(bash.architecture, "amd64");
    assert_eq!(bash.source, "bash");
    assert_eq!(
        bash.filename,
        "pool/main/b/bash/bash_5.2.15-2+b13_amd64.deb"
    );
    assert!(bash.essential);
    assert_eq!(bash.priority, Priority::Required);
    assert_eq!(bash.multi_arch, "foreign");
    assert_eq!(
        bash.depends,
        "base-files (>= 2.1.12), debianutils (>= 5.6-0.1)"
    );
    assert_eq!(bash.pre_depends, "libc6 (>= 2.36), libtinfo6 (>= 6)");
    assert_eq!(bash.provides, "");
    let stanza = PACKAGES
        .split("\n\n")
        .find(|it| it.starts_with("Package: bash\n"))
        .unwrap();
    assert!(stanza.contains(&format!("\nSize: {}\n", bash.size)));
    assert!(stanza.contains(&format!("SHA256: {}", bash.sha256)));
    assert_eq!(
        bash.deb_url(),
        "http://mirror.example/debian/pool/main/b/bash/bash_5.2.15-2+b13_amd64.deb"
    );
}

#[test]
fn every_stanza_is_found_by_its_name_and_no_other() {
    let index = index();
    let mut found = 0;
    for name in PACKAGES
        .lines()
        .filter_map(|line| line.strip_prefix("Package: "))
    {
        let rows = index.rows_of(name);
        assert!(!rows.is_empty(), "{name}");
        assert!(rows.clone().all(|row| index.name(row) == name));
        found += rows.len();
    }
    assert!(found >= index.len());
    for name in ["", "a", "bas", "bash2", "zzz"] {
        assert!(index.rows_of(name).is_empty(), "{name}");
    }
}

#[test]
fn filenames_are_as_the_archive_says_usual_or_not() {
    let index = index();
    let usual = (0..index.len())
        .filter(|row| index.text_of_filename(*row).starts_with(USUAL))
        .count();
    assert_eq!(usual, index.len());
    for stanza in PACKAGES.split("\n\n") {
        let field = |name: &str| {
            stanza
                .lines()
                .find_map(|line| line.strip_prefix(name))
                .unwrap()
        };
        let rows = index.rows_of(field("Package: "));
        let found = rows
            .map(|row| package(&index, row).filename)
            .collect::<Vec<_>>();
        assert!(found.contains(&field("Filename: ").to_owned()), "{found:?}");
    }
    let text = format!(
        "Package: a\nVersion: 1:2\nArchitecture: all\nFilename: ./a_1%3a2_all.deb\nSize: 1\nSHA256: {}\n",
        "0".repeat(64)
    );
    let index = Index::load(build(&text).unwrap()).unwrap();
    assert_eq!(package(&index, 0).filename, "./a_1%3a2_all.deb");
}

#[test]
fn providers_and_essential_ones_are_found() {
    let index = index();
    let names = |rows: &mut dyn Iterator<Item = usize>| -> Vec<String> {
        rows.map(|row| index.name(row).to_owned()).collect()
    };
    assert_eq!(
        names(&mut index.providers_of("awk")),
        ["gawk", "mawk", "original-awk"]
    );
    assert_eq!(names(&mut index.providers_of("aw")), [""; 0]);
    let essential = names(&mut index.essential());
    assert!(essential.contains(&"bash".to_owned()) && !essential.contains(&"gawk".to_owned()));
}

#[test]
fn versions_of_one_name_are_newest_first() {
    let stanza = |version: &str| {
        format!(
            "Package: a\nVersion: {version}\nArchitecture: amd64\nFilename: a_{version}.deb\n\
             Size: 1\nSHA256: {}\n\n",
            "0".repeat(64)
        )
    };
    let text = ["1.9", "1:0", "1.10~rc1", "1.10"].map(stanza).concat();
    let index = Index::load(build(&text).unwrap()).unwrap();
    let versions: Vec<String> = index
        .rows_of("a")
        .map(|row| package(&index, row).version.to_string())
        .collect();
    assert_eq!(versions, ["1:0", "1.10", "1.10~rc1", "1.9"]);
}

#[test]
fn damage_anywhere_is_noticed() {
    let bytes = build(PACKAGES).unwrap();
    let step = bytes.len() / 97;
    for place in (0..bytes.len())
        .step_by(step)
        .chain(bytes.len() - FOOTER..bytes.len())
    {
        let mut damaged = bytes.clone();
        damaged[place] ^= 0x20;
        assert!(Index::load(damaged).is_none(), "byte {place}");
    }
    for len in [0, 1, FOOTER, bytes.len() / 2, bytes.len() - 1] {
        assert!(Index::load(bytes[..len].to_vec()).is_none(), "{len} bytes");
    }
}

#[test]
fn a_stanza_that_lacks_something_is_named() {
    let stanza = "Package: a\nVersion: 1\nArchitecture: all\nFilename: x\nSize: 1\n";
    let digest = "0".repeat(64);
    for (text, field) in [
        (stanza.to_owned(), "SHA256"),
        (format!("{stanza}SHA256: abc\n"), "SHA256"),
        (
            format!("{}SHA256: {digest}\n", stanza.replace("Size: 1", "Size: x")),
            "Size",
        ),
        (
            format!("{}SHA256: {digest}\n", stanza.replace("Version: 1\n", "")),
            "Version",
        ),
        (
            format!("{stanza}SHA256: {digest}\nProvides: b (1)\n"),
            "Provides",
        ),
    ] {
        let error = build(&text).unwrap_err();
        assert_eq!(
            error,
            MalformedIndex::Field {
                package: "a".to_owned(),
                field
            }
        );
    }
    assert_eq!(Index::load(build("").unwrap()).unwrap().len(), 0);
}
