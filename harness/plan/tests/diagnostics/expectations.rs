//! Mistakes in the expectations of an image.

use snapbox::{assert_data_eq, str};

use crate::image;

#[test]
fn expectations_with_mistakes() {
    assert_data_eq!(
        image(
            "name = \"a\"\nsource = { directory = \"root\" }\n\n[[expect]]\ncheck = \"bsah\"\noutcome = \"SIGSEVG\"\nwhen = { vsycall = \"none\" }\n\n[[expect]]\ncheck = []\noutcome = \"exit 300\"\nwhen = { vsyscall = [\"none\", \"off\"], kernel = \"new\", ia32 = [], cgroup = 1.5 }\n\n[[expect]]\nbecause = \"it is so\"\n"
        ),
        str![[r#"
error: unknown check `bsah`
 --> images/a.toml:5:9
  |
5 | check = "bsah"
  |         ^^^^^^
  |
  = hint: did you mean `bash`? this image has `bash` and `ls`

error: `SIGSEVG` is no outcome; known are `pass`, `failure`, `exit N`, a signal as `SIGSEGV`, `timeout`, `oom`, `exec ENOENT`, `child SIGSEGV`, `mismatch`, `panic`, `lockup`, `unsupported`
 --> images/a.toml:6:11
  |
6 | outcome = "SIGSEVG"
  |           ^^^^^^^^^
  |
  = hint: did you mean `SIGSEGV`?

error: `vsycall` is no fact; known are `kernel`, `release`, `runtime`, `vsyscall`, `cgroup`, `cgroup_controllers`, `overlayfs`, `user_namespaces`, `namespaces`, `seccomp`, `lsm`, `ia32`, `cpu_level`, `filesystems`, `flavour`, `config`, `sysctl`
 --> images/a.toml:7:10
  |
7 | when = { vsycall = "none" }
  |          ^^^^^^^
  |
  = hint: did you mean `vsyscall`?

error: an expectation of no check
  --> images/a.toml:10:9
   |
10 | check = []
   |         ^^
   |
   = hint: leave `check` out to speak of every check

error: `exit 300` is no outcome; a status from 1 to 255 follows `exit`
  --> images/a.toml:11:11
   |
11 | outcome = "exit 300"
   |           ^^^^^^^^^^

error: `off` is nothing that `vsyscall` can be; it takes `emulate`, `xonly` or `none`
  --> images/a.toml:12:30
   |
12 | when = { vsyscall = ["none", "off"], kernel = "new", ia32 = [], cgroup = 1.5 }
   |                              ^^^^^

error: `kernel` takes a version range as `>=5.10`: `new` is no bound; one looks like `>=5.10` or `<4.4`, several are joined by commas
  --> images/a.toml:12:47
   |
12 | when = { vsyscall = ["none", "off"], kernel = "new", ia32 = [], cgroup = 1.5 }
   |                                               ^^^^^

error: `ia32` has no value to be held against
  --> images/a.toml:12:61
   |
12 | when = { vsyscall = ["none", "off"], kernel = "new", ia32 = [], cgroup = 1.5 }
   |                                                             ^^

error: `cgroup` is a float, not a string
  --> images/a.toml:12:74
   |
12 | when = { vsyscall = ["none", "off"], kernel = "new", ia32 = [], cgroup = 1.5 }
   |                                                                          ^^^ expected a string
   |
   = hint: write it in quotes: "1.5"

error: an expectation lacks `outcome`
  --> images/a.toml:14:1
   |
14 | [[expect]]
   | ^^^^^^^^^^ no `outcome` in here
   |
   = hint: add `outcome = "SIGSEGV"`
"#]]
    );
}

#[test]
fn an_expectation_about_a_check_the_image_does_not_list() {
    assert_data_eq!(
        image(
            "name = \"a\"\nsource = { directory = \"root\" }\nchecks = [\"ls\"]\n\n[[expect]]\ncheck = \"bash\"\noutcome = \"failure\"\n"
        ),
        str![[r#"
error: unknown check `bash`
 --> images/a.toml:6:9
  |
6 | check = "bash"
  |         ^^^^^^
  |
  = hint: this image has `ls`
"#]]
    );
}
