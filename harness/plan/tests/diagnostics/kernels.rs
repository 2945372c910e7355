//! Mistakes in kernels.toml.

use snapbox::{assert_data_eq, str};

use crate::kernels;

#[test]
fn a_version_that_is_a_number() {
    assert_data_eq!(
        kernels("[[kernel]]\nversion = 6.10\nsource = { path = \"x\" }\n"),
        str![[r#"
error: `version` is a float, not a string
 --> kernels.toml:2:11
  |
2 | version = 6.10
  |           ^^^^ expected a string
  |
  = hint: write it in quotes: "6.10"
"#]]
    );
}

#[test]
fn a_version_that_is_none() {
    assert_data_eq!(
        kernels("[[kernel]]\nversion = \"mine\"\nsource = { path = \"x\" }\n"),
        str![[r#"
error: `mine` is not a kernel version such as 6.1, 6.1.112 or 7.3-rc7
 --> kernels.toml:2:11
  |
2 | version = "mine"
  |           ^^^^^^
  |
  = hint: another name than the version's goes into `name`
"#]]
    );
}

#[test]
fn missing_keys() {
    assert_data_eq!(
        kernels(
            "[[kernel]]\nname = \"mine\"\n\n[[kernel]]\nversion = \"6.1\"\nsource = { apt = \"debian\" }\n"
        ),
        str![[r#"
error: a kernel lacks `version`
 --> kernels.toml:1:1
  |
1 | [[kernel]]
  | ^^^^^^^^^^ no `version` in here
  |
  = hint: add `version = "6.1"`

error: a kernel lacks `source`
 --> kernels.toml:1:1
  |
1 | [[kernel]]
  | ^^^^^^^^^^ no `source` in here
  |
  = hint: add `source = { apt = "debian", suite = "bookworm", package = "linux-image-cloud-amd64" }`

error: an apt source of a kernel lacks `suite`
 --> kernels.toml:6:10
  |
6 | source = { apt = "debian" }
  |          ^^^^^^^^^^^^^^^^^^ no `suite` in here
  |
  = hint: add `suite = "bookworm"`

error: an apt source of a kernel lacks `package`
 --> kernels.toml:6:10
  |
6 | source = { apt = "debian" }
  |          ^^^^^^^^^^^^^^^^^^ no `package` in here
  |
  = hint: add `package = "linux-image-cloud-amd64"`
"#]]
    );
}

#[test]
fn two_kernels_of_one_name() {
    assert_data_eq!(
        kernels(
            "[[kernel]]\nversion = \"6.1\"\nsource = { path = \"x\" }\n\n[[kernel]]\nversion = \"6.2\"\nname = \"6.1\"\nsource = { path = \"y\" }\n"
        ),
        str![[r#"
error: two kernels are called `6.1`
 --> kernels.toml:7:8
  |
2 | version = "6.1"
  |           ----- the first
...
7 | name = "6.1"
  |        ^^^^^ the second
  |
  = hint: give one of them a `name`; without one a kernel is called by its version
"#]]
    );
}

#[test]
fn a_name_no_selector_can_spell() {
    assert_data_eq!(
        kernels("[[kernel]]\nversion = \"6.1\"\nname = \"my,kernel\"\nsource = { path = \"x\" }\n"),
        str![[r#"
error: `my,kernel` cannot be a name
 --> kernels.toml:3:8
  |
3 | name = "my,kernel"
  |        ^^^^^^^^^^^
  |
  = hint: a name begins with a letter or digit and is made of letters, digits and . _ : -
"#]]
    );
}

#[test]
fn sources_of_no_kind_and_of_two() {
    assert_data_eq!(
        kernels(
            "[[kernel]]\nversion = \"6.1\"\nsource = { atp = \"debian\", suite = \"bookworm\", package = \"linux\" }\n\n[[kernel]]\nversion = \"6.2\"\nsource = { suite = \"bookworm\" }\n\n[[kernel]]\nversion = \"6.3\"\nsource = { path = \"x\", rpm = \"https://example.org\", package = \"kernel\" }\n\n[[kernel]]\nversion = \"6.4\"\nsource = []\n"
        ),
        str![[r#"
error: a source that does not say of which kind it is
 --> kernels.toml:3:12
  |
3 | source = { atp = "debian", suite = "bookworm", package = "linux" }
  |            ^^^ unknown kind
  |
  = hint: did you mean `apt`? a source has one of `apt`, `rpm`, `url`, `path` and `oci`

error: a source that does not say of which kind it is
 --> kernels.toml:7:10
  |
7 | source = { suite = "bookworm" }
  |          ^^^^^^^^^^^^^^^^^^^^^^ no kind in here
  |
  = hint: a source has one of `apt`, `rpm`, `url`, `path` and `oci`

error: a source cannot be `rpm` and `path` at once
  --> kernels.toml:11:10
   |
11 | source = { path = "x", rpm = "https://example.org", package = "kernel" }
   |          ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^ two kinds in here
   |
   = hint: several sources are written as an array: [{ … }, { … }]

error: `source` is empty
  --> kernels.toml:15:10
   |
15 | source = []
   |          ^^ no source in here
   |
   = hint: write one: [{ apt = "debian", suite = "bookworm", package = "linux-image-cloud-amd64" }]
"#]]
    );
}

#[test]
fn a_key_of_another_kind_of_source() {
    assert_data_eq!(
        kernels(
            "[[kernel]]\nversion = \"6.1\"\nsource = { rpm = \"https://example.org\", package = \"kernel\", suite = \"bookworm\" }\n"
        ),
        str![[r#"
error: unknown key `suite`
 --> kernels.toml:3:61
  |
3 | source = { rpm = "https://example.org", package = "kernel", suite = "bookworm" }
  |                                                             ^^^^^
  |
  = hint: an rpm source has `rpm`, `package`, `version`, `key` and `allow-expired`
"#]]
    );
}

#[test]
fn archives_suites_and_packages() {
    assert_data_eq!(
        kernels(
            "[[kernel]]\nversion = \"6.1\"\nsource = { apt = \"debain\", suite = \"\", package = \"\" }\n\n[[kernel]]\nversion = \"6.2\"\nsource = { apt = \"ftp://example.org/debian\", suite = \"a b\", package = \"linux image\", allow-expired = \"yes\" }\n"
        ),
        str![[r#"
error: unknown archive `debain`
 --> kernels.toml:3:18
  |
3 | source = { apt = "debain", suite = "", package = "" }
  |                  ^^^^^^^^
  |
  = hint: there is `debian`, `debian-security`, and any http:// or https:// URL

error: the suite is empty
 --> kernels.toml:3:36
  |
3 | source = { apt = "debain", suite = "", package = "" }
  |                                    ^^

error: the package is empty
 --> kernels.toml:3:50
  |
3 | source = { apt = "debain", suite = "", package = "" }
  |                                                  ^^

error: `ftp://example.org/debian` is not a URL
 --> kernels.toml:7:18
  |
7 | source = { apt = "ftp://example.org/debian", suite = "a b", package = "linux image", allow-expired = "yes" }
  |                  ^^^^^^^^^^^^^^^^^^^^^^^^^^
  |
  = hint: a URL begins with http:// or https://

error: `a b` is not one suite: it has a space in it
 --> kernels.toml:7:54
  |
7 | source = { apt = "ftp://example.org/debian", suite = "a b", package = "linux image", allow-expired = "yes" }
  |                                                      ^^^^^

error: `linux image` is not one package: it has a space in it
 --> kernels.toml:7:71
  |
7 | source = { apt = "ftp://example.org/debian", suite = "a b", package = "linux image", allow-expired = "yes" }
  |                                                                       ^^^^^^^^^^^^^

error: `allow-expired` is a string, not true or false
 --> kernels.toml:7:102
  |
7 | source = { apt = "ftp://example.org/debian", suite = "a b", package = "linux image", allow-expired = "yes" }
  |                                                                                                      ^^^^^ expected true or false
"#]]
    );
}

#[test]
fn several_suites() {
    assert_data_eq!(
        kernels(
            "[[kernel]]\nversion = \"6.1\"\n\n[kernel.source]\napt = [{ archive = \"debian\" }, { suite = \"bookworm\" }, \"debian\"]\nsuite = \"bookworm\"\npackage = \"linux\"\n\n[[kernel]]\nversion = \"6.2\"\nsource = { apt = [], package = \"linux\" }\n"
        ),
        str![[r#"
error: a suite of an apt source lacks `suite`
 --> kernels.toml:5:8
  |
5 | apt = [{ archive = "debian" }, { suite = "bookworm" }, "debian"]
  |        ^^^^^^^^^^^^^^^^^^^^^^ no `suite` in here
  |
  = hint: add `suite = "bookworm"`

error: a suite of an apt source lacks `archive`
 --> kernels.toml:5:32
  |
5 | apt = [{ archive = "debian" }, { suite = "bookworm" }, "debian"]
  |                                ^^^^^^^^^^^^^^^^^^^^^^ no `archive` in here
  |
  = hint: add `archive = "debian"`

error: an element of `apt` is a string, not a table
 --> kernels.toml:5:56
  |
5 | apt = [{ archive = "debian" }, { suite = "bookworm" }, "debian"]
  |                                                        ^^^^^^^^ expected a table

error: unknown key `suite`
 --> kernels.toml:6:1
  |
6 | suite = "bookworm"
  | ^^^^^
  |
  = hint: an apt source of a kernel has `apt`, `package` and `pinned`

error: `apt` is empty
  --> kernels.toml:11:18
   |
11 | source = { apt = [], package = "linux" }
   |                  ^^
   |
   = hint: write `apt = "debian"` or [{ archive = "debian", suite = "bookworm" }]
"#]]
    );
}

#[test]
fn settings() {
    assert_data_eq!(
        kernels(
            "[[kernel]]\nversion = \"6.1\"\nsource = { path = \"x\" }\ncmdline = 'a=\"b'\ncpu = \"\"\nmemory = 512\ncgroup = \"v3\"\nsysctl = { kernel.panic = 1.5 }\noptional = \"yes\"\n\n[kernel.variants]\n\"a+b\" = {}\nsmall = { memory = \"16MiB\", vsyscall = \"none\" }\nbig = { memory = \"2G\" }\nbad = \"vsyscall=none\"\n"
        ),
        str![[r#"
error: a quote in `cmdline` is not closed
 --> kernels.toml:4:11
  |
4 | cmdline = 'a="b'
  |           ^^^^^^

error: `` is not a CPU model
 --> kernels.toml:5:7
  |
5 | cpu = ""
  |       ^^
  |
  = hint: a model as QEMU's -cpu takes it (max, Nehalem, Haswell-noTSX), or a level: x86-64-v2

error: `memory` is an integer, not a string
 --> kernels.toml:6:10
  |
6 | memory = 512
  |          ^^^ expected a string
  |
  = hint: write it with its unit, in quotes: "512MiB"

error: unknown cgroup layout `v3`
 --> kernels.toml:7:10
  |
7 | cgroup = "v3"
  |          ^^^^
  |
  = hint: did you mean `v1`? there is `v1`, `v2` and `hybrid`

error: `panic` is a float, not a string
 --> kernels.toml:8:27
  |
8 | sysctl = { kernel.panic = 1.5 }
  |                           ^^^ expected a string
  |
  = hint: write it in quotes: "1.5"

error: `optional` is a string, not true or false
 --> kernels.toml:9:12
  |
9 | optional = "yes"
  |            ^^^^^ expected true or false

error: `a+b` cannot be a name
  --> kernels.toml:12:1
   |
12 | "a+b" = {}
   | ^^^^^
   |
   = hint: a name begins with a letter or digit and is made of letters, digits and . _ : = -

error: `16MiB` of memory is too little
  --> kernels.toml:13:20
   |
13 | small = { memory = "16MiB", vsyscall = "none" }
   |                    ^^^^^^^
   |
   = hint: at least 64MiB

error: unknown key `vsyscall`
  --> kernels.toml:13:29
   |
13 | small = { memory = "16MiB", vsyscall = "none" }
   |                             ^^^^^^^^
   |
   = hint: a variant has `cmdline`, `cpu`, `memory`, `cpus`, `cgroup`, `sysctl`, `default` and `notes`

error: `2G` is not an amount of memory
  --> kernels.toml:14:18
   |
14 | big = { memory = "2G" }
   |                  ^^^^
   |
   = hint: a whole number with its unit: 512MiB, 2GiB

error: `bad` is a string, not a table
  --> kernels.toml:15:7
   |
15 | bad = "vsyscall=none"
   |       ^^^^^^^^^^^^^^^ expected a table
"#]]
    );
}

#[test]
fn a_pinned_package_with_mistakes() {
    assert_data_eq!(
        kernels(
            "[[kernel]]\nversion = \"6.19\"\nsource = { apt = \"debian\", suite = \"sid\", package = \"linux-image-amd64\", pinned = [\n    { path = \"/pool/../linux.deb\", size = \"0\", sha256 = \"ABC\" },\n    { path = \"pool/a_1_amd64.deb\", size = \"1\" },\n] }\n"
        ),
        str![[r#"
error: `/pool/../linux.deb` is not a .deb below an archive
 --> kernels.toml:4:14
  |
4 |     { path = "/pool/../linux.deb", size = "0", sha256 = "ABC" },
  |              ^^^^^^^^^^^^^^^^^^^^
  |
  = hint: the path as the archive has it, without a slash before: "pool/main/l/linux/linux-modules-6.19.14-amd64_6.19.14-1_amd64.deb"

error: `0` is not a size
 --> kernels.toml:4:43
  |
4 |     { path = "/pool/../linux.deb", size = "0", sha256 = "ABC" },
  |                                           ^^^
  |
  = hint: how many bytes the .deb has

error: `ABC` is not a SHA-256
 --> kernels.toml:4:57
  |
4 |     { path = "/pool/../linux.deb", size = "0", sha256 = "ABC" },
  |                                                         ^^^^^
  |
  = hint: 64 hexadecimal digits in lower case, as sha256sum prints them

error: a pinned package lacks `sha256`
 --> kernels.toml:5:5
  |
5 |     { path = "pool/a_1_amd64.deb", size = "1" },
  |     ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^ no `sha256` in here
  |
  = hint: add `sha256 = "…"`
"#]]
    );
}

#[test]
fn snapshots_and_keys_where_they_do_not_belong() {
    assert_data_eq!(
        kernels(
            "[[kernel]]\nversion = \"6.1\"\nsource = { apt = \"debian\", suite = \"bookworm\", package = \"linux\", snapshot = \"2026-01-01\" }\n\n[[kernel]]\nversion = \"6.2\"\nsource = { apt = \"debian\", suite = \"bookworm\", package = \"linux\", key = \"k.asc\" }\n\n[[kernel]]\nversion = \"6.3\"\nsource = { apt = \"https://example.org/apt\", suite = \"stable\", package = \"linux\", snapshot = \"20260101T000000Z\" }\n"
        ),
        str![[r#"
error: `2026-01-01` is not a moment
 --> kernels.toml:3:78
  |
3 | source = { apt = "debian", suite = "bookworm", package = "linux", snapshot = "2026-01-01" }
  |                                                                              ^^^^^^^^^^^^
  |
  = hint: year, month, day, T, hour, minute, second, Z: "20260101T000000Z"

error: `key` is for other archives than Debian's
 --> kernels.toml:7:18
  |
7 | source = { apt = "debian", suite = "bookworm", package = "linux", key = "k.asc" }
  |                  ^^^^^^^^
  |
  = hint: Debian's keys ship with this program

error: `snapshot` is of Debian's own archives
  --> kernels.toml:11:93
   |
11 | source = { apt = "https://example.org/apt", suite = "stable", package = "linux", snapshot = "20260101T000000Z" }
   |                                                                                             ^^^^^^^^^^^^^^^^^^
   |
   = hint: of another archive, write the URL of its snapshot as the archive
"#]]
    );
}

#[test]
fn sources_of_files_and_images_with_mistakes() {
    assert_data_eq!(
        kernels(
            "[[kernel]]\nversion = \"6.1\"\nsource = { url = \"ftp://example.org/k\", sha256 = \"12\" }\n\n[[kernel]]\nversion = \"6.2\"\nsource = { url = \"https://example.org/k.deb\" }\n\n[[kernel]]\nversion = \"6.3\"\nsource = { oci = \"Quay.io/Kernel\" }\n\n[[kernel]]\nversion = \"6.4\"\nsource = { oci = \"./layout\", insecure = true }\n\n[[kernel]]\nversion = \"6.5\"\nsource = { rpm = \"file://srv\", package = \"kernel\", version = \"\", key = \"\" }\n"
        ),
        str![[r#"
error: `ftp://example.org/k` is not a URL
 --> kernels.toml:3:18
  |
3 | source = { url = "ftp://example.org/k", sha256 = "12" }
  |                  ^^^^^^^^^^^^^^^^^^^^^
  |
  = hint: a URL begins with https://, http:// or file:///

error: `12` is no SHA-256
 --> kernels.toml:3:50
  |
3 | source = { url = "ftp://example.org/k", sha256 = "12" }
  |                                                  ^^^^
  |
  = hint: 64 hexadecimal digits, as sha256sum prints

error: a kernel that is fetched, without `sha256` or `checksums`
 --> kernels.toml:7:10
  |
7 | source = { url = "https://example.org/k.deb" }
  |          ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  |
  = hint: give one: sha256 = "64 hexadecimal digits", or checksums = "URL of a SHA256SUMS"

error: `Quay.io/Kernel` is no image of a registry: names in a registry are in lower case
  --> kernels.toml:11:18
   |
11 | source = { oci = "Quay.io/Kernel" }
   |                  ^^^^^^^^^^^^^^^^
   |
   = hint: a layout or archive of this machine (./layout), or an image of a registry (quay.io/lvh-images/kernel-images:6.6-main)

error: unknown key `insecure`
  --> kernels.toml:15:30
   |
15 | source = { oci = "./layout", insecure = true }
   |                              ^^^^^^^^
   |
   = hint: an oci source has `oci` and `image`

error: `file://srv` is not a URL
  --> kernels.toml:19:18
   |
19 | source = { rpm = "file://srv", package = "kernel", version = "", key = "" }
   |                  ^^^^^^^^^^^^
   |
   = hint: after file:// comes an absolute path: file:///srv/repository

error: the version is empty
  --> kernels.toml:19:62
   |
19 | source = { rpm = "file://srv", package = "kernel", version = "", key = "" }
   |                                                              ^^

error: `key` is empty
  --> kernels.toml:19:72
   |
19 | source = { rpm = "file://srv", package = "kernel", version = "", key = "" }
   |                                                                        ^^
   |
   = hint: a path relative to the project
"#]]
    );
}
