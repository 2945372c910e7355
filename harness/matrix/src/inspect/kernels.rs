//! What is known of kernels without booting them: what they were seen to be in
//! recorded runs, and what their entries say.

use std::collections::BTreeMap;
use std::path::Path;

use plan::Kernel;
use report::{FactsRecord, Run, VsyscallMode};
use verdict::elf::KernelVersion;
use verdict::predict::KernelTraits;
use wire::Vsyscall;

use crate::error::Failure;
use crate::show;

/// Runs that are looked through, the newest.
const RUNS: usize = 40;

/// The facts of columns, by id, as the newest run that has them saw them.
#[derive(Debug, Default)]
pub(super) struct Known(BTreeMap<String, (FactsRecord, String)>);

impl Known {
    /// Looks through the recorded runs.
    ///
    /// # Errors
    /// When the folder of runs cannot be listed; a run that cannot be read has no
    /// facts to give.
    pub(super) fn gather(runs: &Path) -> Result<Self, Failure> {
        let mut known = Self::default();
        for folder in show::runs(runs)?.into_iter().rev().take(RUNS) {
            if let Ok(run) = Run::load(&folder) {
                known.add(&run);
            }
        }
        Ok(known)
    }

    /// Adds what a run saw and is not known yet.
    pub(super) fn add(&mut self, run: &Run) {
        for column in &run.kernels {
            if let Some(facts) = &column.facts {
                self.0
                    .entry(column.id.clone())
                    .or_insert_with(|| (facts.clone(), run.run.id.clone()));
            }
        }
    }

    /// It was seen itself, not only its entry.
    pub(super) fn is_known(&self, kernel: &Kernel) -> bool {
        self.0.contains_key(&kernel.id)
    }

    /// What is known of a kernel.
    pub(super) fn of(&self, kernel: &Kernel) -> KernelTraits {
        if let Some((facts, run)) = self.0.get(&kernel.id) {
            return traits(facts, format!("seen in run {run}"));
        }
        // A variant is its entry started another way.
        let entry = kernel.id.split('+').next().unwrap_or(&kernel.id);
        let mut known = match self.0.get(entry) {
            Some((facts, run)) => traits(
                facts,
                format!("{entry} as seen in run {run}, and the entry"),
            ),
            None => KernelTraits {
                version: kernel
                    .version
                    .as_deref()
                    .and_then(KernelVersion::of_release),
                known_from: "the entry alone: it was never run".to_owned(),
                ..KernelTraits::default()
            },
        };
        for word in kernel
            .settings
            .command_line
            .iter()
            .flat_map(|words| words.split_whitespace())
        {
            match word {
                "vsyscall=emulate" | "vsyscall=native" => known.vsyscall = Some(Vsyscall::Emulate),
                "vsyscall=xonly" => known.vsyscall = Some(Vsyscall::Xonly),
                "vsyscall=none" => known.vsyscall = Some(Vsyscall::None),
                "ia32_emulation=0" | "ia32_emulation=off" => known.ia32 = Some(false),
                _ => {}
            }
        }
        if let Some(level) = level(&kernel.settings.cpu) {
            known.cpu_level = Some(level);
        }
        known
    }
}

fn traits(facts: &FactsRecord, known_from: String) -> KernelTraits {
    KernelTraits {
        version: KernelVersion::of_release(&facts.release),
        vsyscall: Some(match facts.vsyscall {
            VsyscallMode::Emulate => Vsyscall::Emulate,
            VsyscallMode::Xonly => Vsyscall::Xonly,
            VsyscallMode::None => Vsyscall::None,
        }),
        ia32: Some(facts.ia32),
        cpu_level: Some(facts.cpu_level),
        known_from,
    }
}

/// The level that a CPU of this name is asked to have; models are QEMU's to know.
fn level(cpu: &str) -> Option<u8> {
    let level = cpu.strip_prefix("x86-64-v")?.parse().ok()?;
    (1..=4).contains(&level).then_some(level)
}
