//! QEMU through `std::process`: command line, initramfs, acceleration, console,
//! channel, and the life and death of virtual machines.
//!
//! What prepares a machine is pure: [`vmlinux`], [`select_modules`] and
//! [`initramfs`] take bytes or paths and give bytes or paths, and who calls them
//! keeps the results. What runs one is [`Vm`]: started by a [`Spawner`], it is
//! talked to over a channel, and each way it can end has its own [`VmEnd`]. One
//! that waits for work can be kept ([`Vm::keep`]) and started again from there
//! ([`Start::Warm`]).
//!
//! Nothing outlives the program: every QEMU dies with its [`Vm`], and with the
//! process itself, whatever ends that.

mod bzimage;
mod compression;
mod console;
mod cpu_level;
mod end;
mod initramfs;
mod kernel_words;
mod kvm;
mod machine;
mod modinfo;
mod modules;
mod monitor;
mod requirements;
mod spawner;
mod spin;
mod stderr;
mod template;
mod vm;
mod vmlinux;

pub use bzimage::{BzImageError, release};
pub use compression::DecompressError;
pub use cpu_level::CpuLevel;
pub use end::{ConsoleLine, LineKind, StartError, VmEnd};
pub use initramfs::{InitramfsError, initramfs};
pub use kernel_words::{KernelWord, base_command_line, base_words};
pub use kvm::{KvmRefusal, kvm_answer_key, prove_kvm};
pub use machine::{Acceleration, Disk, EMPTY_DISK, MAX_DISKS, Machine, Qemu, QemuError, Start};
pub use modules::{BOOT_MODULES, Module, ModulePlan, ModulesError, select_modules};
pub use requirements::{Configuration, missing};
pub use spawner::Spawner;
pub use spin::host_spin;
pub use template::TemplateError;
pub use vm::{Ready, Vm};
pub use vmlinux::{VmlinuxError, require_pvh, uncompressed, vmlinux};
