//! Containers made by the built binary. They need root and namespaces: where
//! there are none, each test says why it is skipped.
//!
//! Every scenario runs twice, the second time with the system calls of Linux
//! 3.10 alone ([`kernel::Kernel::Old`]).

mod ends;
mod initial_root;
mod kernel;
mod layers;
mod outside;
mod rig;
mod view;

/// Two tests of each scenario, one per kernel.
macro_rules! on_both_kernels {
    ($($scenario:ident),+ $(,)?) => {
        mod this_kernel {
            $(#[test]
            fn $scenario() {
                if let Some(rig) = crate::rig::Rig::new(crate::kernel::Kernel::This) {
                    super::$scenario(&rig);
                }
            })+
        }
        mod old_kernel {
            $(#[test]
            fn $scenario() {
                if let Some(rig) = crate::rig::Rig::new(crate::kernel::Kernel::Old) {
                    super::$scenario(&rig);
                }
            })+
        }
    };
}
use on_both_kernels;
