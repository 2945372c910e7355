use super::*;

fn entry(os: &str, architecture: &str, variant: Option<&str>, number: u8) -> Descriptor {
    Descriptor {
        media_type: String::new(),
        digest: Digest::of(&[number]),
        size: 1,
        platform: Some(Platform {
            os: os.into(),
            architecture: architecture.into(),
            variant: variant.map(str::to_owned),
        }),
        names: Vec::new(),
    }
}

#[test]
fn the_lowest_level_of_a_platform_is_taken() {
    let all = [
        entry("windows", "amd64", None, 0),
        entry("linux", "amd64", Some("v3"), 1),
        entry("linux", "amd64", Some("v2"), 2),
        entry("unknown", "unknown", None, 3),
    ];
    assert_eq!(choose(&all, "amd64", "i").unwrap(), &all[2]);
    let error = choose(&all, "i386", "i").unwrap_err().to_string();
    assert!(error.contains("no linux/386"), "{error}");
    assert!(!error.contains("unknown"), "{error}");
}

#[test]
fn what_could_be_two_things_is_refused() {
    let digest = Digest::of(b"");
    let text = format!(
        r#"{{"schemaVersion": 2, "manifests": [], "layers": [],
            "config": {{"digest": "{digest}", "size": 0}}}}"#
    );
    assert!(matches!(
        parse(text.as_bytes(), "i"),
        Err(OciError::Document { .. })
    ));
    let layer = format!(r#"{{"mediaType": "application/x", "digest": "{digest}", "size": 1}}"#);
    let text = format!(
        r#"{{"schemaVersion": 2, "layers": [{layer}], "config": {{"digest": "{digest}", "size": 0}}}}"#
    );
    let error = parse(text.as_bytes(), "i").unwrap_err().to_string();
    assert!(error.contains("application/x"), "{error}");
}
