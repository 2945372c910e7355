//! The processor: its name, and its x86-64 micro-architecture level.

use std::arch::x86_64::{__cpuid, __cpuid_count};

/// The CPUID words the levels are told by, and XCR0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Features {
    /// Leaf 1, ECX.
    leaf1_ecx: u32,
    /// Leaf 7, EBX.
    leaf7_ebx: u32,
    /// Leaf 0x80000001, ECX.
    extended_ecx: u32,
    /// What the kernel saves of the processor's state; 0 without OSXSAVE.
    xcr0: u64,
}

impl Features {
    /// Asks the processor.
    pub(super) fn read() -> Self {
        let leaf1_ecx = __cpuid(1).ecx;
        let extended = __cpuid(0x8000_0000).eax;
        Self {
            leaf1_ecx,
            leaf7_ebx: if __cpuid(0).eax >= 7 {
                __cpuid_count(7, 0).ebx
            } else {
                0
            },
            extended_ecx: if extended >= 0x8000_0001 {
                __cpuid(0x8000_0001).ecx
            } else {
                0
            },
            xcr0: if leaf1_ecx & OSXSAVE == OSXSAVE {
                xgetbv()
            } else {
                0
            },
        }
    }
}

/// XCR0. Only where CPUID says OSXSAVE.
fn xgetbv() -> u64 {
    let (low, high): (u32, u32);
    // SAFETY: the caller saw OSXSAVE, so the kernel has enabled the instruction.
    unsafe {
        std::arch::asm!(
            "xgetbv",
            in("ecx") 0,
            out("eax") low,
            out("edx") high,
            options(nomem, nostack, preserves_flags)
        );
    }
    u64::from(high) << 32 | u64::from(low)
}

/// Leaf 1 ECX: the kernel has enabled XGETBV.
const OSXSAVE: u32 = 1 << 27;

/// Leaf 1 ECX for level 2: SSE3, SSSE3, CMPXCHG16B, SSE4.1, SSE4.2, POPCNT.
const V2_LEAF1: u32 = 1 | 1 << 9 | 1 << 13 | 1 << 19 | 1 << 20 | 1 << 23;

/// Leaf 0x80000001 ECX for level 2: LAHF and SAHF.
const V2_EXTENDED: u32 = 1;

/// Leaf 1 ECX for level 3: FMA, MOVBE, OSXSAVE, AVX, F16C.
const V3_LEAF1: u32 = 1 << 12 | 1 << 22 | OSXSAVE | 1 << 28 | 1 << 29;

/// Leaf 7 EBX for level 3: BMI1, AVX2, BMI2.
const V3_LEAF7: u32 = 1 << 3 | 1 << 5 | 1 << 8;

/// Leaf 0x80000001 ECX for level 3: LZCNT.
const V3_EXTENDED: u32 = 1 << 5;

/// XCR0 for level 3: SSE and AVX state.
const V3_STATE: u64 = 0b110;

/// Leaf 7 EBX for level 4: AVX512F, DQ, CD, BW, VL.
const V4_LEAF7: u32 = 1 << 16 | 1 << 17 | 1 << 28 | 1 << 30 | 1 << 31;

/// XCR0 for level 4: opmask, upper halves, upper registers besides.
const V4_STATE: u64 = 0b1110_0110;

/// The x86-64 psABI's level, 1 to 4. Level 1 is what every x86-64 has, since
/// this program runs on it.
pub(super) fn level(features: Features) -> u8 {
    let has = |set: u32, wanted: u32| set & wanted == wanted;
    let state = |wanted: u64| features.xcr0 & wanted == wanted;
    let v2 = has(features.leaf1_ecx, V2_LEAF1) && has(features.extended_ecx, V2_EXTENDED);
    let v3 = v2
        && has(features.leaf1_ecx, V3_LEAF1)
        && has(features.leaf7_ebx, V3_LEAF7)
        && has(features.extended_ecx, V3_EXTENDED)
        && state(V3_STATE);
    let v4 = v3 && has(features.leaf7_ebx, V4_LEAF7) && state(V4_STATE);
    1 + u8::from(v2) + u8::from(v3) + u8::from(v4)
}

/// CPUID's brand string; empty where the processor has none.
pub(super) fn model() -> String {
    if __cpuid(0x8000_0000).eax < 0x8000_0004 {
        return String::new();
    }
    let mut bytes = Vec::with_capacity(48);
    for leaf in 0x8000_0002..=0x8000_0004 {
        let words = __cpuid(leaf);
        for word in [words.eax, words.ebx, words.ecx, words.edx] {
            bytes.extend_from_slice(&word.to_le_bytes());
        }
    }
    brand(&bytes)
}

/// Padded with spaces before and zeroes after.
fn brand(bytes: &[u8]) -> String {
    let end = bytes
        .iter()
        .position(|byte| *byte == 0)
        .unwrap_or(bytes.len());
    String::from_utf8_lossy(&bytes[..end]).trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// QEMU 7.2 `-cpu Nehalem` as /proc/cpuinfo lists it: v2, no OSXSAVE.
    const NEHALEM: Features = Features {
        leaf1_ecx: V2_LEAF1 | 1 << 31,
        leaf7_ebx: 0,
        extended_ecx: V2_EXTENDED,
        xcr0: 0,
    };

    /// All of level 4's bits.
    const SKYLAKE_SERVER: Features = Features {
        leaf1_ecx: V2_LEAF1 | V3_LEAF1,
        leaf7_ebx: V3_LEAF7 | V4_LEAF7,
        extended_ecx: V2_EXTENDED | V3_EXTENDED,
        xcr0: 0xe7,
    };

    #[test]
    fn levels_by_the_psabi() {
        assert_eq!(level(Features::default()), 1);
        assert_eq!(level(NEHALEM), 2);
        assert_eq!(level(SKYLAKE_SERVER), 4);
        let haswell = Features {
            leaf7_ebx: V3_LEAF7,
            xcr0: 7,
            ..SKYLAKE_SERVER
        };
        assert_eq!(level(haswell), 3);
    }

    #[test]
    fn what_the_kernel_does_not_save_is_not_there() {
        let no_avx512_state = Features {
            xcr0: 7,
            ..SKYLAKE_SERVER
        };
        assert_eq!(level(no_avx512_state), 3);
        let noxsave = Features {
            leaf1_ecx: SKYLAKE_SERVER.leaf1_ecx & !OSXSAVE,
            xcr0: 0,
            ..SKYLAKE_SERVER
        };
        assert_eq!(level(noxsave), 2);
    }

    #[test]
    fn one_missing_bit_is_a_level_less() {
        for bit in [16, 17, 28, 30, 31] {
            let lacking = Features {
                leaf7_ebx: SKYLAKE_SERVER.leaf7_ebx & !(1 << bit),
                ..SKYLAKE_SERVER
            };
            assert_eq!(level(lacking), 3, "bit {bit}");
        }
        for bit in [0, 9, 13, 19, 20, 23] {
            let lacking = Features {
                leaf1_ecx: SKYLAKE_SERVER.leaf1_ecx & !(1 << bit),
                ..SKYLAKE_SERVER
            };
            assert_eq!(level(lacking), 1, "bit {bit}");
        }
    }

    #[test]
    fn the_level_agrees_with_what_the_standard_library_detects() {
        let level = level(Features::read());
        assert_eq!(
            level >= 3,
            is_x86_feature_detected!("avx2")
                && is_x86_feature_detected!("bmi2")
                && is_x86_feature_detected!("fma")
                && is_x86_feature_detected!("movbe")
                && is_x86_feature_detected!("lzcnt")
                && is_x86_feature_detected!("f16c")
        );
    }

    #[test]
    fn the_brand_is_trimmed() {
        assert_eq!(
            brand(b"       QEMU TCG CPU version 2.5+\0\0\0\0"),
            "QEMU TCG CPU version 2.5+"
        );
    }
}
