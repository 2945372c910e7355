//! Containers made by the built binary. They need root and namespaces: where
//! there are none, each test says why it is skipped.
//!
//! Every scenario runs five times, four of them with the system calls of Linux
//! 3.10, 4.9, 4.19 and 5.10 alone ([`kernel::Kernel`]).

mod docker;
mod ends;
mod escapes;
mod fallbacks;
mod initial_root;
mod kernel;
mod layers;
mod outside;
mod rig;
mod seccomp;
mod start_time;
mod terminal;
mod users;
mod view;
mod volumes;

/// Five tests of each scenario, one per kernel.
macro_rules! on_all_kernels {
    ($($scenario:ident),+ $(,)?) => {
        mod this_kernel {
            $(#[test]
            fn $scenario() {
                if let Some(rig) = crate::rig::Rig::new(crate::kernel::Kernel::This) {
                    super::$scenario(&rig);
                }
            })+
        }
        mod linux_4_9 {
            $(#[test]
            fn $scenario() {
                if let Some(rig) = crate::rig::Rig::new(crate::kernel::Kernel::Linux4_9) {
                    super::$scenario(&rig);
                }
            })+
        }
        mod linux_4_19 {
            $(#[test]
            fn $scenario() {
                if let Some(rig) = crate::rig::Rig::new(crate::kernel::Kernel::Linux4_19) {
                    super::$scenario(&rig);
                }
            })+
        }
        mod linux_5_10 {
            $(#[test]
            fn $scenario() {
                if let Some(rig) = crate::rig::Rig::new(crate::kernel::Kernel::Linux5_10) {
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
use on_all_kernels;
