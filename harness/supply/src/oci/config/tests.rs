use super::*;

#[test]
fn what_no_process_can_be_given_is_refused() {
    for part in [
        r#""User": "ro\u0000ot""#,
        r#""WorkingDir": "/\u0000""#,
        r#""Entrypoint": ["sh", "-c\u0000"]"#,
        r#""Env": ["A=\u0000"]"#,
        r#""Env": ["=x"]"#,
    ] {
        let text = format!(
            r#"{{"os": "linux", "architecture": "amd64", "config": {{{part}}}, "rootfs": {{"diff_ids": []}}}}"#
        );
        let error = parse(text.as_bytes(), "it", "amd64", 0).unwrap_err();
        assert!(
            matches!(error, OciError::Document { .. }),
            "{part}: {error}"
        );
    }
}
