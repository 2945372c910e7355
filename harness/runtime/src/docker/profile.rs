//! docker's seccomp profiles: `linux.seccomp` with conditions on the container
//! and the machine, which are decided here.

use std::collections::BTreeSet;

use oci_spec::runtime::LinuxSeccomp;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::seccomp::version;

/// A profile's file.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Profile {
    default_action: Value,
    default_errno_ret: Option<u32>,
    #[serde(default)]
    architectures: Vec<String>,
    #[serde(default)]
    arch_map: Vec<Family>,
    #[serde(default)]
    flags: Vec<String>,
    #[serde(default)]
    syscalls: Vec<Rule>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Family {
    architecture: String,
    #[serde(default)]
    sub_architectures: Option<Vec<String>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Rule {
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    names: Vec<String>,
    action: Value,
    errno_ret: Option<u32>,
    #[serde(default)]
    args: Option<Vec<Value>>,
    #[serde(default, rename = "comment")]
    _comment: Option<String>,
    #[serde(default)]
    includes: Option<Conditions>,
    #[serde(default)]
    excludes: Option<Conditions>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Conditions {
    #[serde(default)]
    caps: Option<Vec<String>>,
    #[serde(default)]
    arches: Option<Vec<String>>,
    #[serde(default)]
    min_kernel: Option<String>,
}

/// The container and the machine, as conditions ask for them.
pub(super) struct Surroundings {
    /// `CAP_…`.
    pub(super) capabilities: BTreeSet<String>,
    /// uname's release.
    pub(super) release: String,
}

/// Decides every condition of `text`.
pub(super) fn resolve(
    text: &str,
    surroundings: &Surroundings,
) -> Result<LinuxSeccomp, serde_json::Error> {
    let profile: Profile = serde_json::from_str(text)?;
    let mut architectures = profile.architectures;
    for family in profile.arch_map {
        if family.architecture == "SCMP_ARCH_X86_64" {
            architectures.push(family.architecture);
            architectures.extend(family.sub_architectures.into_iter().flatten());
        }
    }
    let rules: Vec<Value> = profile
        .syscalls
        .into_iter()
        .filter(|rule| {
            let includes = rule.includes.as_ref();
            let excludes = rule.excludes.as_ref();
            includes.is_none_or(|conditions| conditions.all(surroundings))
                && !excludes.is_some_and(|conditions| conditions.any(surroundings))
        })
        .map(|rule| {
            let names: Vec<String> = rule.name.into_iter().chain(rule.names).collect();
            let mut made = json!({"names": names, "action": rule.action});
            if let Some(errno) = rule.errno_ret {
                made["errnoRet"] = json!(errno);
            }
            if let Some(args) = rule.args.filter(|args| !args.is_empty()) {
                made["args"] = json!(args);
            }
            made
        })
        .collect();
    let mut made = json!({
        "defaultAction": profile.default_action,
        "architectures": architectures,
        "flags": profile.flags,
        "syscalls": rules,
    });
    if let Some(errno) = profile.default_errno_ret {
        made["defaultErrnoRet"] = json!(errno);
    }
    LinuxSeccomp::deserialize(made)
}

impl Conditions {
    fn each(&self, surroundings: &Surroundings) -> Vec<bool> {
        let mut answers = Vec::new();
        if let Some(arches) = self.arches.as_ref().filter(|list| !list.is_empty()) {
            answers.push(arches.iter().any(|arch| arch == "amd64"));
        }
        let caps = self.caps.iter().flatten();
        answers.extend(caps.map(|cap| surroundings.capabilities.contains(cap)));
        if let Some(least) = &self.min_kernel {
            answers.push(version(&surroundings.release) >= version(least));
        }
        answers
    }

    fn all(&self, surroundings: &Surroundings) -> bool {
        self.each(surroundings).iter().all(|holds| *holds)
    }

    fn any(&self, surroundings: &Surroundings) -> bool {
        self.each(surroundings).contains(&true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#"{
        "defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 1,
        "archMap": [
            {"architecture": "SCMP_ARCH_X86_64", "subArchitectures": ["SCMP_ARCH_X86", "SCMP_ARCH_X32"]},
            {"architecture": "SCMP_ARCH_AARCH64", "subArchitectures": ["SCMP_ARCH_ARM"]}],
        "syscalls": [
            {"names": ["read"], "action": "SCMP_ACT_ALLOW", "args": null, "comment": "", "includes": {}, "excludes": {}},
            {"names": ["ptrace"], "action": "SCMP_ACT_ALLOW", "includes": {"minKernel": "4.8"}},
            {"names": ["mount"], "action": "SCMP_ACT_ALLOW", "includes": {"caps": ["CAP_SYS_ADMIN"]}},
            {"names": ["clone3"], "action": "SCMP_ACT_ERRNO", "errnoRet": 38, "excludes": {"caps": ["CAP_SYS_ADMIN"]}},
            {"names": ["arch_prctl"], "action": "SCMP_ACT_ALLOW", "includes": {"arches": ["amd64", "x32"]}},
            {"names": ["s390_runtime_instr"], "action": "SCMP_ACT_ALLOW", "includes": {"arches": ["s390"]}}]}"#;

    fn names(capabilities: &[&str], release: &str) -> Vec<String> {
        let surroundings = Surroundings {
            capabilities: capabilities.iter().map(|name| (*name).to_owned()).collect(),
            release: release.to_owned(),
        };
        let resolved = resolve(TEXT, &surroundings).unwrap();
        assert_eq!(resolved.architectures().as_ref().unwrap().len(), 3);
        let rules = resolved.syscalls().clone().unwrap();
        rules.iter().flat_map(|rule| rule.names().clone()).collect()
    }

    #[test]
    fn conditions_are_decided() {
        assert_eq!(
            names(&[], "4.8.0-1-amd64"),
            ["read", "ptrace", "clone3", "arch_prctl"]
        );
        assert_eq!(
            names(&["CAP_SYS_ADMIN"], "3.10.0-1160"),
            ["read", "mount", "arch_prctl"]
        );
        assert_eq!(names(&[], "10.1")[1], "ptrace");
    }
}
