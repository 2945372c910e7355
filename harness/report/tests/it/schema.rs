//! The JSON schema is current, and what is written is valid by it.

use serde_json::{Value, json};
use snapbox::{assert_data_eq, file};

use crate::recorded;

#[test]
fn the_committed_schema_is_the_models() {
    let schema = serde_json::to_string_pretty(&report::schema()).unwrap();
    assert_data_eq!(schema + "\n", file!["../../results.schema.json"].raw());
}

#[test]
fn what_is_written_is_valid() {
    let validator = jsonschema::validator_for(&report::schema()).unwrap();
    for run in [recorded::planned(), recorded::run()] {
        let value = serde_json::to_value(&run).unwrap();
        let errors: Vec<String> = validator
            .iter_errors(&value)
            .map(|error| format!("{}: {error}", error.instance_path()))
            .collect();
        assert!(errors.is_empty(), "{errors:#?}");
    }
}

#[test]
fn the_schema_refuses_what_is_no_outcome() {
    let validator = jsonschema::validator_for(&report::schema()).unwrap();
    let good = serde_json::to_value(recorded::run()).unwrap();
    for outcome in [
        json!({ "kind": "passed", "code": 0 }),
        json!({ "kind": "exit" }),
        json!({ "kind": "signal", "code": 139 }),
        json!({ "kind": "not-run", "detail": "x", "code": 0 }),
        Value::Null,
    ] {
        let mut bad = good.clone();
        bad["cells"][0]["outcome"] = outcome.clone();
        assert!(!validator.is_valid(&bad), "{outcome}");
    }
}

#[test]
fn facts_have_the_names_that_expectations_use() {
    let facts = report::FactsRecord::from(recorded::facts(wire::Vsyscall::None));
    let value = serde_json::to_value(&facts).unwrap();
    for fact in verdict::Fact::ALL {
        // These are of the release, of the cell, and of one switch among the many
        // under `sysctls`.
        let elsewhere = matches!(
            fact,
            verdict::Fact::Kernel | verdict::Fact::Runtime | verdict::Fact::Sysctl
        );
        assert_eq!(value.get(fact.name()).is_none(), elsewhere, "{fact}");
    }
    assert_eq!(value["vsyscall"], "none");
    assert_eq!(value["cgroup"], "v1");
    assert_eq!(value["overlayfs"], true);
    assert_eq!(value["user_namespaces"], true);
}
