//! Mistakes in the file of an image.

use snapbox::{assert_data_eq, str};

use crate::{CHECKS, image, resolve};

#[test]
fn an_image_with_mistakes() {
    assert_data_eq!(
        image(
            "name = \"debian 12\"\nenvironment = { \"A=B\" = \"c\", D = 1.5 }\nuser = \"a:b:c\"\ndirectory = \"home\"\nchecks = [\"bahs\", \"ls*\", \"[a\", 1]\n\n[source]\napt = \"debian\"\nsuite = \"bookworm\"\narchitecture = \"x86_64\"\npackages = []\n"
        ),
        str![[r#"
error: `debian 12` cannot be a name
 --> images/a.toml:1:8
  |
1 | name = "debian 12"
  |        ^^^^^^^^^^^
  |
  = hint: a name begins with a letter or digit and is made of letters, digits and . _ : -

error: `A=B` cannot be a variable's name
 --> images/a.toml:2:17
  |
2 | environment = { "A=B" = "c", D = 1.5 }
  |                 ^^^^^

error: `D` is a float, not a string
 --> images/a.toml:2:34
  |
2 | environment = { "A=B" = "c", D = 1.5 }
  |                                  ^^^ expected a string
  |
  = hint: write it in quotes: "1.5"

error: `a:b:c` is not a user
 --> images/a.toml:3:8
  |
3 | user = "a:b:c"
  |        ^^^^^^^
  |
  = hint: UID, UID:GID, NAME or NAME:GROUP

error: `home` is not absolute
 --> images/a.toml:4:13
  |
4 | directory = "home"
  |             ^^^^^^
  |
  = hint: the containers' working directory begins with a slash

error: unknown check `bahs`
 --> images/a.toml:5:11
  |
5 | checks = ["bahs", "ls*", "[a", 1]
  |           ^^^^^^
  |
  = hint: did you mean `bash`? there is `bash` and `ls`

error: `[a` is not a glob: unclosed character class; missing ']'
 --> images/a.toml:5:26
  |
5 | checks = ["bahs", "ls*", "[a", 1]
  |                          ^^^^

error: an element of `checks` is an integer, not a string
 --> images/a.toml:5:32
  |
5 | checks = ["bahs", "ls*", "[a", 1]
  |                                ^ expected a string
  |
  = hint: write it in quotes: "1"

error: unknown architecture `x86_64`
  --> images/a.toml:10:16
   |
10 | architecture = "x86_64"
   |                ^^^^^^^^
   |
   = hint: Debian calls it `amd64`

error: `packages` is empty
  --> images/a.toml:11:12
   |
11 | packages = []
   |            ^^
   |
   = hint: name at least one; essential packages and dependencies come with it
"#]]
    );
}

#[test]
fn sources_of_images() {
    assert_data_eq!(
        image(
            "name = \"a\"\nsource = [{ apt = \"debian\", suite = \"bookworm\", package = \"bash\" }, { program = \"vsyscal\" }, { directory = \"\" }, { vmdk = \"centos:6\" }]\n"
        ),
        str![[r#"
error: an apt source of an image lacks `packages`
 --> images/a.toml:2:11
  |
2 | source = [{ apt = "debian", suite = "bookworm", package = "bash" }, { program = "vsyscal" }, { directory = "" }, { vmdk = "centos:6" }]
  |           ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^ no `packages` in here
  |
  = hint: add `packages = ["bash", "coreutils"]`

error: unknown key `package`
 --> images/a.toml:2:49
  |
2 | source = [{ apt = "debian", suite = "bookworm", package = "bash" }, { program = "vsyscal" }, { directory = "" }, { vmdk = "centos:6" }]
  |                                                 ^^^^^^^
  |
  = hint: did you mean `packages`? an apt source of an image has `apt`, `suite`, `allow-expired`, `snapshot`, `key`, `packages` and `architecture`

error: unknown program `vsyscal`
 --> images/a.toml:2:81
  |
2 | source = [{ apt = "debian", suite = "bookworm", package = "bash" }, { program = "vsyscal" }, { directory = "" }, { vmdk = "centos:6" }]
  |                                                                                 ^^^^^^^^^
  |
  = hint: did you mean `vsyscall`?

error: `directory` is empty
 --> images/a.toml:2:108
  |
2 | source = [{ apt = "debian", suite = "bookworm", package = "bash" }, { program = "vsyscal" }, { directory = "" }, { vmdk = "centos:6" }]
  |                                                                                                            ^^
  |
  = hint: a path relative to the project

error: a source that does not say of which kind it is
 --> images/a.toml:2:114
  |
2 | source = [{ apt = "debian", suite = "bookworm", package = "bash" }, { program = "vsyscal" }, { directory = "" }, { vmdk = "centos:6" }]
  |                                                                                                                  ^^^^^^^^^^^^^^^^^^^^^ no kind in here
  |
  = hint: a source has one of `apt`, `directory`, `tarball`, `program`, `oci`, `archive` and `daemon`
"#]]
    );
}

#[test]
fn an_image_without_checks() {
    assert_data_eq!(
        image("name = \"a\"\nsource = { directory = \"root\" }\nchecks = []\n"),
        str![[r#"
error: an image without any check
 --> images/a.toml:1:8
  |
1 | name = "a"
  |        ^^^
  |
  = hint: list some of checks.toml in `checks`, or write a [[check]]
"#]]
    );
}

#[test]
fn two_images_of_one_name() {
    let text = "name = \"debian:12\"\nsource = { directory = \"root\" }\n";
    assert_data_eq!(
        resolve("", &[("a.toml", text), ("b.toml", text)], CHECKS).unwrap_err(),
        str![[r#"
error: two images are called `debian:12`
 --> images/b.toml:1:8
  |
1 | name = "debian:12"
  |        ^^^^^^^^^^^ the second
  |
 ::: images/a.toml:1:8
  |
1 | name = "debian:12"
  |        ----------- the first
"#]]
    );
}

#[test]
fn a_quarantine_with_mistakes() {
    assert_data_eq!(
        image(
            "name = \"a\"\nsource = { directory = \"x\" }\n\n[[quarantine]]\ncheck = \"lss\"\nowner = \" \"\nuntil = \"2027-02-30\"\n\n[[quarantine]]\ncheck = \"ls\"\n"
        ),
        str![[r#"
error: unknown check `lss`
 --> images/a.toml:5:9
  |
5 | check = "lss"
  |         ^^^^^
  |
  = hint: did you mean `ls`? this image has `bash` and `ls`

error: the owner is empty
 --> images/a.toml:6:9
  |
6 | owner = " "
  |         ^^^
  |
  = hint: a quarantine without somebody who ends it lasts for ever

error: `2027-02-30` is not a day
 --> images/a.toml:7:9
  |
7 | until = "2027-02-30"
  |         ^^^^^^^^^^^^
  |
  = hint: year, month and day: "2027-01-31"

error: a quarantine lacks `owner`
 --> images/a.toml:9:1
  |
9 | [[quarantine]]
  | ^^^^^^^^^^^^^^ no `owner` in here
  |
  = hint: add `owner = "toolchain team"`

error: a quarantine lacks `until`
 --> images/a.toml:9:1
  |
9 | [[quarantine]]
  | ^^^^^^^^^^^^^^ no `until` in here
  |
  = hint: add `until = "2027-01-31"`
"#]]
    );
}
