//! The x86-64 psABI's micro-architecture levels as CPU models: `x86-64-v2` is a
//! processor that has all of level 2 and lacks something of level 3.
//!
//! The models are those that have been in QEMU since before 7.2, named after real
//! processors. A level that an acceleration cannot show is refused before the
//! start: QEMU would take the flags away with a warning, and the guest would be
//! of another level than its column says.

use std::arch::is_x86_feature_detected;

use crate::Acceleration;

/// A level asked for, and what stands for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CpuLevel(u8);

impl CpuLevel {
    /// `x86-64-v3` → level 3; any other text is a model of QEMU's own.
    #[must_use]
    pub fn of(cpu: &str) -> Option<Self> {
        match cpu {
            "x86-64-v1" => Some(Self(1)),
            "x86-64-v2" => Some(Self(2)),
            "x86-64-v3" => Some(Self(3)),
            "x86-64-v4" => Some(Self(4)),
            _ => None,
        }
    }

    /// 1 to 4: what the guest's fact `cpu_level` must be.
    #[must_use]
    pub fn number(self) -> u8 {
        self.0
    }

    /// The model that has exactly this level. Under emulation what QEMU does not
    /// translate is taken out, so that it has nothing to warn of; none of it
    /// belongs to a level.
    pub(crate) fn model(self, acceleration: Acceleration) -> &'static str {
        match (self.0, acceleration) {
            // SSE3 and CMPXCHG16B besides the baseline, no SSSE3.
            (1, _) => "qemu64",
            (2, _) => "Nehalem",
            (3, Acceleration::Kvm) => "Haswell-noTSX",
            (3, Acceleration::Tcg) => {
                "Haswell-noTSX,-pcid,-x2apic,-tsc-deadline,-invpcid,-spec-ctrl,-erms"
            }
            (_, _) => "Skylake-Server-noTSX-IBRS",
        }
    }

    /// Why this acceleration cannot show it; none: it can. `host` is this
    /// machine's own level.
    pub(crate) fn refusal(self, acceleration: Acceleration, host: u8) -> Option<String> {
        match acceleration {
            // Up to 10 QEMU translates AVX2 and no AVX-512.
            Acceleration::Tcg if self.0 > 3 => Some(
                "QEMU's translator has no AVX-512; it needs KVM on a machine that has it"
                    .to_owned(),
            ),
            Acceleration::Kvm if self.0 > host => Some(format!(
                "this machine's processor is x86-64-v{host}, and KVM shows no more"
            )),
            Acceleration::Tcg | Acceleration::Kvm => None,
        }
    }
}

/// This machine's level, 1 to 4.
pub(crate) fn host_level() -> u8 {
    let v2 = is_x86_feature_detected!("ssse3")
        && is_x86_feature_detected!("sse4.2")
        && is_x86_feature_detected!("popcnt")
        && is_x86_feature_detected!("cmpxchg16b");
    let v3 = v2
        && is_x86_feature_detected!("avx2")
        && is_x86_feature_detected!("bmi1")
        && is_x86_feature_detected!("bmi2")
        && is_x86_feature_detected!("f16c")
        && is_x86_feature_detected!("fma")
        && is_x86_feature_detected!("lzcnt")
        && is_x86_feature_detected!("movbe");
    let v4 = v3
        && is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512cd")
        && is_x86_feature_detected!("avx512dq")
        && is_x86_feature_detected!("avx512vl");
    1 + u8::from(v2) + u8::from(v3) + u8::from(v4)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_above_what_there_is_is_refused() {
        let level = |text| CpuLevel::of(text).unwrap();
        let refused = |text, acceleration, host| level(text).refusal(acceleration, host);
        assert_eq!(refused("x86-64-v3", Acceleration::Tcg, 1), None);
        assert_eq!(refused("x86-64-v4", Acceleration::Kvm, 4), None);
        assert!(
            refused("x86-64-v4", Acceleration::Tcg, 4)
                .unwrap()
                .contains("AVX-512")
        );
        assert_eq!(
            refused("x86-64-v3", Acceleration::Kvm, 2).unwrap(),
            "this machine's processor is x86-64-v2, and KVM shows no more"
        );
        assert_eq!(CpuLevel::of("Nehalem"), None);
        assert_eq!(CpuLevel::of("x86-64-v5"), None);
    }
}
