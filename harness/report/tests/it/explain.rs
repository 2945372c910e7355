//! A cell explained.

use report::explain::page;

use crate::recorded;

#[test]
fn a_cell_says_what_happened_why_and_where_the_line_is() {
    let run = recorded::run();
    let page = page(&run, "4.19", "centos:6", Some("bash")).unwrap();
    for words in [
        "4.19 × centos:6 × bash",
        "SIGSEGV 139",
        "glibc 2.12 calls time() through the vsyscall page",
        "vsyscall-none",
        "vsyscall attempted",
        "bash of centos:6 on every kernel",
        "the nearest kernel with another result is 4.19+vsyscall=emulate (pass)",
        "facts.vsyscall: none here, emulate there",
        "a kernel started with vsyscall=emulate",
        "matrix run --kernels 4.19+ --images centos:6 --checks bash",
        "matrix bisect centos:6 bash --good 4.19+vsyscall=emulate --bad 4.19",
    ] {
        assert!(page.contains(words), "no `{words}` in\n{page}");
    }
}

#[test]
fn an_image_shows_what_is_no_pass_and_a_cell_that_is_not_there_is_none() {
    let run = recorded::run();
    let text = page(&run, "4.19", "debian:12", None).unwrap();
    assert!(
        text.starts_with("debian:12 on 4.19: 1 of 3 checks pass"),
        "{text}"
    );
    assert!(text.contains("4.19 × debian:12 × ls") && !text.contains("× bash"));
    assert!(
        text.contains("\\x1b[31m"),
        "control characters are shown: {text}"
    );
    assert!(text.contains("cause        unknown"), "{text}");
    assert_eq!(page(&run, "4.19", "debian:12", Some("none")), None);
    assert_eq!(page(&run, "9.9", "debian:12", None), None);
}

#[test]
fn a_cell_that_never_ran_has_a_page_too() {
    let run = recorded::run();
    let text = page(&run, "6.19", "i386", Some("true")).unwrap();
    assert!(text.contains("not run (no suite has"), "{text}");
    assert!(text.contains("never came up"), "{text}");
}

#[test]
fn a_cell_that_may_more_than_dockers_says_so() {
    let mut run = recorded::run();
    let text = page(&run, "4.19", "centos:6", Some("bash")).unwrap();
    assert!(!text.contains("capabilities"), "{text}");
    let cell = run
        .cells
        .iter_mut()
        .find(|cell| cell.check == "bash")
        .unwrap();
    let (kernel, image) = (cell.kernel.clone(), cell.image.clone());
    cell.capabilities = vec!["SYS_ADMIN".to_owned(), "BPF".to_owned()];
    let text = page(&run, &kernel, &image, Some("bash")).unwrap();
    assert!(
        text.contains("capabilities docker's 14 and SYS_ADMIN, BPF"),
        "{text}"
    );
    let json = serde_json::to_value(&run).unwrap();
    let validator = jsonschema::validator_for(&report::schema()).unwrap();
    assert!(validator.is_valid(&json));
    let back: report::Run = serde_json::from_value(json).unwrap();
    assert_eq!(back, run);
}
