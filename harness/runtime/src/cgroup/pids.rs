//! `linux.resources.pids`.

use super::file::Setting;
use crate::bundle::part;
use crate::failure::Failure;
use crate::node::Node;

const LIMIT: &str = "linux.resources.pids.limit";

/// Processes and threads; -1 is no limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pids(i64);

impl Pids {
    pub(super) fn parse(config: &Node<'_>) -> Result<Option<Self>, Failure> {
        match part(config, LIMIT)? {
            // No limit to some runtimes, no process at all to others.
            Some(limit) if limit < -1 || limit == 0 => {
                let problem = format!("{limit} is no number of processes, nor -1 for no limit");
                Err(Failure::invalid(LIMIT, problem))
            }
            limit => Ok(limit.map(Self)),
        }
    }

    /// The same in both versions.
    pub(super) fn setting(self) -> Setting {
        Setting {
            file: "pids.max".to_owned(),
            value: match self.0 {
                -1 => "max".to_owned(),
                limit => limit.to_string(),
            },
            lacking: "limit on processes in cgroups",
            field: LIMIT,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_limit_is_read() {
        let parse = |limit| {
            Pids::parse(&Node::of(
                &json!({"linux": {"resources": {"pids": {"limit": limit}}}}),
            ))
        };
        assert_eq!(parse(json!(7)).unwrap().unwrap().setting().value, "7");
        assert_eq!(parse(json!(-1)).unwrap().unwrap().setting().value, "max");
        assert_eq!(parse(json!(null)).unwrap(), None);
        for wrong in [json!(0), json!(-2), json!("x")] {
            let message = parse(wrong).unwrap_err().to_string();
            assert!(message.starts_with(LIMIT), "{message}");
        }
    }
}
