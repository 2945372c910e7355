//! `linux.resources.cpu`, but for the choice of CPUs (`super::cpuset`).

use super::Version;
use super::file::Setting;
use crate::bundle::part;
use crate::failure::Failure;
use crate::node::Node;

const SHARES: &str = "linux.resources.cpu.shares";
const QUOTA: &str = "linux.resources.cpu.quota";
const PERIOD: &str = "linux.resources.cpu.period";

const NO_BANDWIDTH: &str = "limit on CPU time in cgroups (CONFIG_CFS_BANDWIDTH)";
const NO_WEIGHT: &str = "weights of CPU time in cgroups (CONFIG_FAIR_GROUP_SCHED)";

/// The kernel's own period, microseconds.
const DEFAULT_PERIOD: u64 = 100_000;

/// CPU time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Cpu {
    /// 2 to 262144; 1024 is what a group has that was given none.
    shares: Option<u64>,
    /// Microseconds of each period; -1 is no limit.
    quota: Option<i64>,
    /// Microseconds.
    period: Option<u64>,
}

impl Cpu {
    pub(super) fn parse(config: &Node<'_>) -> Result<Option<Self>, Failure> {
        let cpu = Self {
            shares: part(config, SHARES)?,
            quota: part(config, QUOTA)?,
            period: part(config, PERIOD)?,
        };
        if let Some(shares) = cpu.shares
            && !(2..=262_144).contains(&shares)
        {
            let problem = format!("{shares} is not between 2 and 262144");
            return Err(Failure::invalid(SHARES, problem));
        }
        if let Some(quota) = cpu.quota
            && (quota < -1 || quota == 0)
        {
            let problem = format!("{quota} is no time in microseconds, nor -1 for no limit");
            return Err(Failure::invalid(QUOTA, problem));
        }
        if cpu.period == Some(0) {
            return Err(Failure::invalid(PERIOD, "0 is no time in microseconds"));
        }
        Ok((cpu != Self::default()).then_some(cpu))
    }

    /// In the order they can be written in: a quota is held against the period
    /// there is.
    pub(super) fn settings(self, version: Version) -> Vec<Setting> {
        let setting = |file: &str, value: String, lacking, field| Setting {
            file: file.to_owned(),
            value,
            lacking,
            field,
        };
        let shares = self.shares.map(|shares| match version {
            Version::V1 => setting("cpu.shares", shares.to_string(), NO_WEIGHT, SHARES),
            Version::V2 => setting("cpu.weight", weight(shares).to_string(), NO_WEIGHT, SHARES),
        });
        let mut settings: Vec<Setting> = shares.into_iter().collect();
        match version {
            Version::V1 => {
                settings.extend(self.period.map(|period| {
                    setting(
                        "cpu.cfs_period_us",
                        period.to_string(),
                        NO_BANDWIDTH,
                        PERIOD,
                    )
                }));
                settings.extend(self.quota.map(|quota| {
                    setting("cpu.cfs_quota_us", quota.to_string(), NO_BANDWIDTH, QUOTA)
                }));
            }
            Version::V2 if self.quota.is_some() || self.period.is_some() => {
                let quota = match self.quota {
                    None | Some(-1) => "max".to_owned(),
                    Some(quota) => quota.to_string(),
                };
                let period = self.period.unwrap_or(DEFAULT_PERIOD);
                let both = format!("{quota} {period}");
                settings.push(setting("cpu.max", both, NO_BANDWIDTH, QUOTA));
            }
            Version::V2 => {}
        }
        settings
    }
}

/// Version 2's weight (1 to 10000, 100 by default) for version 1's shares, as
/// the containers organisation's runtimes have it since 2025: a curve through
/// both ends and through the two defaults.
fn weight(shares: u64) -> u64 {
    #[expect(clippy::cast_precision_loss, reason = "at most 262144")]
    let exponent = (shares as f64).log2();
    let power = (exponent * exponent + 125.0 * exponent) / 612.0 - 7.0 / 34.0;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "between 1 and 10000"
    )]
    let weight = 10_f64.powf(power).ceil() as u64;
    weight.clamp(1, 10_000)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn parse(cpu: Value) -> Result<Option<Cpu>, Failure> {
        Cpu::parse(&Node::of(&json!({"linux": {"resources": {"cpu": cpu}}})))
    }

    fn written(cpu: Value, version: Version) -> Vec<(String, String)> {
        let settings = parse(cpu).unwrap().unwrap().settings(version);
        settings
            .into_iter()
            .map(|setting| (setting.file, setting.value))
            .collect()
    }

    #[test]
    fn a_quota_comes_after_its_period() {
        let cpu = json!({"quota": 20_000, "period": 50_000, "shares": 512});
        let files: Vec<String> = written(cpu.clone(), Version::V1)
            .into_iter()
            .map(|(file, value)| format!("{file}={value}"))
            .collect();
        assert_eq!(
            files,
            [
                "cpu.shares=512",
                "cpu.cfs_period_us=50000",
                "cpu.cfs_quota_us=20000"
            ]
        );
        assert_eq!(written(cpu, Version::V2)[1].1, "20000 50000");
        assert_eq!(
            written(json!({"quota": 7000}), Version::V2)[0].1,
            "7000 100000"
        );
        assert_eq!(
            written(json!({"quota": -1}), Version::V2)[0].1,
            "max 100000"
        );
        assert_eq!(
            written(json!({"period": 9000}), Version::V2)[0].1,
            "max 9000"
        );
    }

    /// The ends and the default, from the specification of the curve.
    #[test]
    fn shares_become_weights() {
        assert_eq!([2, 1024, 262_144].map(weight), [1, 100, 10_000]);
        assert!(weight(512) < 100 && weight(2048) > 100);
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for (cpu, place) in [
            (json!({"shares": 1}), SHARES),
            (json!({"quota": 0}), QUOTA),
            (json!({"period": 0}), PERIOD),
        ] {
            let message = parse(cpu).unwrap_err().to_string();
            assert!(message.starts_with(place), "{message}");
        }
        assert_eq!(parse(json!({})).unwrap(), None);
    }
}
