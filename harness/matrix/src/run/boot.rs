//! From a kernel's files to a guest that waits for cells.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use plan::Kernel;
use qemu_runner::{
    Acceleration, BOOT_MODULES, Configuration, CpuLevel, Disk, Machine, Qemu, Spawner, Start, Vm,
    VmEnd, VmlinuxError,
};
use report::{ColumnStatus, Event, KernelColumn, StartKind};
use supply::{KernelFiles, Key, Supply, Tool};
use wire::{Begin, FromGuest, KernelLine, Moment, ToGuest};

use super::kernel_log::KernelLog;
use super::options::Options;
use super::phases::milliseconds;
use super::probes;
use super::record;
use super::sink::Sink;
use crate::cli::AccelerationChoice;
use crate::programs;

/// How long a machine under KVM may take to prove that it works. A boot takes
/// about a second there; one that crawls takes minutes.
const PROOF: Duration = Duration::from_secs(15);

/// What is remembered of a machine on which KVM works.
const WORKS: &str = "works";

/// How long the guest may take to gather its facts, and the like, on a guest as
/// fast as the host.
pub(super) const ANSWER: Duration = Duration::from_secs(20);

/// Why a kernel gives no column.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BootError {
    #[error("{0}")]
    Supply(#[from] supply::SupplyError),
    #[error("{0}")]
    Cache(#[from] supply::CacheError),
    #[error("{path}: {source}", path = path.display())]
    Kernel { path: PathBuf, source: VmlinuxError },
    #[error("{0}")]
    Modules(#[from] qemu_runner::ModulesError),
    #[error("{0}")]
    Initramfs(#[from] qemu_runner::InitramfsError),
    #[error("{0}")]
    Start(#[from] qemu_runner::StartError),
    #[error("{0}")]
    Io(#[from] std::io::Error),
    #[error("{0}")]
    End(VmEnd),
    #[error("the guest answered {got} where {wanted} was due")]
    OutOfTurn { wanted: &'static str, got: String },
    #[error("acceleration by KVM was asked for and does not work here: {0}\nhint: --accel tcg")]
    NoKvm(String),
    #[error("the kernel lacks what the guest needs at the least: {}", .0.join(", "))]
    Missing(Vec<String>),
    #[error("{0}")]
    Template(#[from] qemu_runner::TemplateError),
    #[error("a {wanted} processor was asked for, and the guest sees level {got}")]
    CpuLevel { wanted: String, got: u8 },
}

impl From<VmEnd> for BootError {
    fn from(end: VmEnd) -> Self {
        BootError::End(end)
    }
}

impl BootError {
    /// Another try could end otherwise: the machine room's trouble, not the
    /// kernel's word.
    pub(crate) fn may_pass(&self) -> bool {
        matches!(
            self,
            BootError::End(VmEnd::QemuExited { .. } | VmEnd::Channel { .. } | VmEnd::Silent { .. })
        )
    }
}

/// A kernel ready to be started any number of times.
#[derive(Clone, Debug)]
pub(crate) struct Prepared {
    kernel: PathBuf,
    initramfs: PathBuf,
    /// The modules probes want; none where there are no probes.
    probe_modules: Option<PathBuf>,
    files: KernelFiles,
    /// Where the package or the file has it.
    configuration: Option<Configuration>,
}

impl Prepared {
    /// Where the kernel came from, as it is recorded.
    pub(crate) fn package(&self) -> &BTreeMap<String, String> {
        &self.files.package
    }

    /// The digest of all the kernel's files.
    pub(super) fn digest(&self) -> &str {
        &self.files.digest
    }

    /// Where the modules that probes want are kept, as one frame of the wire.
    pub(super) fn probe_modules_file(&self) -> Option<&Path> {
        self.probe_modules.as_deref()
    }
}

/// What all boots of a run share.
#[derive(Debug)]
pub(crate) struct Bootery<'a> {
    pub(crate) supply: &'a Supply,
    pub(crate) spawner: &'a Spawner,
    pub(crate) options: &'a Options,
    pub(crate) sink: &'a Sink,
    /// The run's folder, for consoles.
    pub(crate) folder: &'a Path,
    qemu: OnceLock<Qemu>,
    acceleration: Mutex<Option<Result<Acceleration, String>>>,
    host_spin: OnceLock<u64>,
    /// What was said once and is the same for every kernel.
    noted: Mutex<BTreeSet<String>>,
}

/// A guest as it told of itself.
#[derive(Debug)]
pub(super) struct Introduced {
    pub(super) spin: u64,
    /// From QEMU's start.
    pub(super) boot: Duration,
    pub(super) facts: wire::Facts,
    pub(super) boot_log: Vec<KernelLine>,
    /// Identity of the runtime that it booted with.
    pub(super) runtime: String,
}

/// A guest that waits for cells.
#[derive(Debug)]
pub(crate) struct Booted {
    pub(crate) vm: Vm,
    pub(crate) facts: wire::Facts,
    /// How many times slower than the host it computes, at least 1.
    pub(crate) slowdown: f64,
    /// From 1.
    pub(crate) boot: u32,
    /// Whether it goes on where a template was kept.
    pub(crate) start: StartKind,
    /// What its kernel logs outside of cells.
    pub(crate) log: KernelLog,
}

impl<'a> Bootery<'a> {
    pub(crate) fn new(
        supply: &'a Supply,
        spawner: &'a Spawner,
        options: &'a Options,
        sink: &'a Sink,
        folder: &'a Path,
    ) -> Self {
        Bootery {
            supply,
            spawner,
            options,
            sink,
            folder,
            qemu: OnceLock::new(),
            acceleration: Mutex::default(),
            host_spin: OnceLock::new(),
            noted: Mutex::default(),
        }
    }

    /// Fetches the kernel, extracts what QEMU starts fastest, and packs the
    /// modules it needs into an initramfs; each once per content, kept in the
    /// cache.
    pub(crate) fn prepare(&self, kernel: &Kernel) -> Result<Prepared, BootError> {
        let files = self.supply.kernel(&kernel.sources)?;
        let cache = self.supply.cache();

        let key = Key::new("boot-kernel-1").with("kernel", &files.digest);
        let bootable = cache.build("boot-kernel", &key, |staging| {
            let bytes = fs_err::read(&files.image)?;
            let bootable = bootable(bytes).map_err(|source| BootError::Kernel {
                path: files.image.clone(),
                source,
            })?;
            Ok::<(), BootError>(fs_err::write(staging, bootable)?)
        })?;

        let configuration = match &files.configuration {
            Some(path) => Some(Configuration::parse(&String::from_utf8_lossy(
                &fs_err::read(path)?,
            ))),
            None => self.carried(&files)?,
        };
        let key = Key::new("initramfs-3")
            .with("guest", programs::GUEST_IDENTITY)
            .with("runtime", programs::RUNTIME_IDENTITY)
            .with("kernel", &files.digest)
            .with("modules", BOOT_MODULES.join(" "));
        let initramfs = cache.build("initramfs", &key, |staging| {
            let plan = qemu_runner::select_modules(files.modules.as_deref(), BOOT_MODULES)?;
            let missing = qemu_runner::missing(&plan, configuration.as_ref());
            if !missing.is_empty() {
                return Err(BootError::Missing(missing));
            }
            let archive = qemu_runner::initramfs(programs::GUEST, programs::RUNTIME, &plan)?;
            Ok(fs_err::write(staging, archive)?)
        })?;
        let probe_modules = match self.options.probes {
            true => Some(self.probe_modules(&files)?),
            false => None,
        };
        Ok(Prepared {
            kernel: bootable,
            initramfs,
            probe_modules,
            files,
            configuration,
        })
    }

    /// The configuration that a kernel carries within itself (CONFIG_IKCONFIG), for
    /// one that came without a file of it. Looked for once: the kernel has to be
    /// decompressed for it.
    fn carried(&self, files: &KernelFiles) -> Result<Option<Configuration>, BootError> {
        let key = Key::new("carried-configuration-1").with("kernel", &files.digest);
        let path = self
            .supply
            .cache()
            .build("configuration", &key, |staging| {
                let failed = |source| BootError::Kernel {
                    path: files.image.clone(),
                    source,
                };
                let kernel = fs_err::read(&files.image)?;
                let found = qemu_runner::uncompressed(kernel)
                    .map_err(failed)?
                    .and_then(|kernel| Configuration::embedded(&kernel));
                let text = found.map(|found| found.to_text()).unwrap_or_default();
                Ok::<(), BootError>(fs_err::write(staging, text)?)
            })?;
        let configuration = Configuration::parse(&fs_err::read_to_string(path)?);
        Ok((!configuration.is_empty()).then_some(configuration))
    }

    /// Probes' modules are not in the initramfs, where every boot would pay for
    /// them: they are sent over the channel before the first probe that wants
    /// them. Which of the names a kernel has differs; what one lacks shows in what
    /// the runtime then cannot do.
    fn probe_modules(&self, files: &KernelFiles) -> Result<PathBuf, BootError> {
        let wanted = probes::wanted_modules();
        let key = Key::new("probe-modules-1")
            .with("kernel", &files.digest)
            .with("modules", wanted.join(" "));
        let built = self
            .supply
            .cache()
            .build("probe-modules", &key, |staging| {
                let plan = qemu_runner::select_modules(files.modules.as_deref(), &wanted)?;
                let modules: Vec<wire::ProbeModule> = plan
                    .modules
                    .into_iter()
                    .map(|module| wire::ProbeModule {
                        name: module.name,
                        content: module.content,
                    })
                    .collect();
                let mut frame = Vec::new();
                wire::write(&mut frame, &modules).map_err(std::io::Error::other)?;
                Ok::<(), BootError>(fs_err::write(staging, frame)?)
            })?;
        Ok(built)
    }

    fn qemu(&self) -> Result<&Qemu, BootError> {
        if let Some(qemu) = self.qemu.get() {
            return Ok(qemu);
        }
        let qemu = runner_qemu(self.supply.qemu()?);
        Ok(self.qemu.get_or_init(|| qemu))
    }

    fn machine(
        &self,
        kernel: &Kernel,
        prepared: &Prepared,
        acceleration: Acceleration,
        disks: Vec<Disk>,
        console: PathBuf,
    ) -> Result<Machine, BootError> {
        Ok(Machine {
            qemu: self.qemu()?.clone(),
            acceleration,
            cpu: kernel.settings.cpu.clone(),
            memory: kernel.settings.memory,
            cpus: kernel.settings.cpus,
            kernel: prepared.kernel.clone(),
            initramfs: prepared.initramfs.clone(),
            command_line: [qemu_runner::base_command_line(
                acceleration,
                prepared.files.release.as_deref(),
                kernel.settings.cpus,
            )]
            .iter()
            .chain(&kernel.settings.command_line)
            .map(String::as_str)
            .collect::<Vec<_>>()
            .join(" "),
            disks,
            slots: 0,
            console,
            start: Start::Cold,
        })
    }

    /// KVM or TCG: as asked for, or by a boot that proves it, once per run and
    /// remembered per boot of the host.
    fn acceleration(
        &self,
        kernel: &Kernel,
        prepared: &Prepared,
    ) -> Result<Acceleration, BootError> {
        let mut settled = self
            .acceleration
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if settled.is_none() {
            let (result, reason) = self.settle_acceleration(kernel, prepared)?;
            if let Ok(acceleration) = &result {
                self.sink.tell(Event::RunFacts {
                    qemu: self.qemu()?.version.clone(),
                    acceleration: acceleration.name().to_owned(),
                    acceleration_reason: reason,
                });
            }
            *settled = Some(result);
        }
        match settled.as_ref() {
            Some(Ok(acceleration)) => Ok(*acceleration),
            Some(Err(reason)) => Err(BootError::NoKvm(reason.clone())),
            None => unreachable!("settled above"),
        }
    }

    /// The outer error is trouble on the way, tried again by the next kernel;
    /// the inner one is KVM asked for by name and refused.
    fn settle_acceleration(
        &self,
        kernel: &Kernel,
        prepared: &Prepared,
    ) -> Result<(Result<Acceleration, String>, String), BootError> {
        if self.options.acceleration == AccelerationChoice::Tcg {
            return Ok((Ok(Acceleration::Tcg), "asked for".to_owned()));
        }
        let refusal = self.refusal(kernel, prepared)?;
        Ok(match (refusal, self.options.acceleration) {
            (None, _) => (Ok(Acceleration::Kvm), "a boot proved it".to_owned()),
            (Some(reason), AccelerationChoice::Kvm) => (Err(reason.clone()), reason),
            (Some(reason), _) => (Ok(Acceleration::Tcg), reason),
        })
    }

    /// Why KVM is not used; none: it works. The answer of an earlier run counts as
    /// long as neither the host's boot nor QEMU has changed.
    fn refusal(&self, kernel: &Kernel, prepared: &Prepared) -> Result<Option<String>, BootError> {
        // Whether the device is there and ours to open can change between two
        // runs (a group joined, a container's option), so it is not remembered.
        if let Err(error) = std::fs::File::options()
            .read(true)
            .write(true)
            .open("/dev/kvm")
        {
            return Ok(Some(format!("/dev/kvm: {error}")));
        }
        let key = answer_key(self.qemu()?)?;
        let answer = self.supply.cache().build("acceleration", &key, |staging| {
            self.sink
                .note("trying whether KVM works here, once per boot of this machine");
            let console = self.folder.join("consoles").join("kvm-proof.log");
            let machine = self.machine(kernel, prepared, Acceleration::Kvm, Vec::new(), console)?;
            let answer = match qemu_runner::prove_kvm(self.spawner, &machine, PROOF) {
                Ok(_) => WORKS.to_owned(),
                Err(refusal) => refusal.to_string(),
            };
            Ok::<(), BootError>(fs_err::write(staging, answer)?)
        })?;
        let answer = fs_err::read_to_string(answer)?;
        Ok((answer != WORKS).then_some(answer))
    }

    /// How many consoles of this kernel there are: boots of a run that is gone on
    /// with keep theirs.
    pub(crate) fn boots_so_far(&self, kernel: &Kernel) -> u32 {
        (1..)
            .take_while(|boot| {
                self.folder
                    .join("consoles")
                    .join(console_name(&kernel.id, *boot))
                    .exists()
            })
            .last()
            .unwrap_or(0)
    }

    /// Starts the kernel and brings its guest to where cells can be run: by a boot,
    /// or, where that was asked for and can be had, from its template.
    pub(crate) fn boot(
        &self,
        kernel: &Kernel,
        prepared: &Prepared,
        disks: Vec<Disk>,
        boot: u32,
        start: StartKind,
    ) -> Result<Booted, BootError> {
        let acceleration = self.acceleration(kernel, prepared)?;
        let console = self
            .folder
            .join("consoles")
            .join(console_name(&kernel.id, boot));
        let machine = self.machine(kernel, prepared, acceleration, disks, console)?;
        self.sink.tell(Event::VmStarting {
            kernel: kernel.id.clone(),
            boot,
        });
        let warm = match start {
            StartKind::Cold => None,
            StartKind::Warm => self.boot_warm(kernel, prepared, &machine)?,
        };
        let (vm, mut introduced, start) = match warm {
            Some((vm, introduced)) => (vm, introduced, StartKind::Warm),
            None => {
                let mut vm = Vm::start(self.spawner, &machine)?;
                let introduced = self.introduce(&mut vm, kernel, acceleration)?;
                (vm, introduced, StartKind::Cold)
            }
        };
        // Of a warm start too: what a template's record has is what the program that
        // kept it asked for.
        introduced.facts.config = match (&prepared.configuration, &prepared.files.modules) {
            (Some(configuration), _) => configuration.telling(),
            (None, Some(modules)) => Configuration::of_modules(modules)?,
            (None, None) => BTreeMap::new(),
        };
        self.begin_session(kernel, prepared, &machine, vm, introduced, boot, start)
    }

    /// A clone of the kernel's template; none where there is no such thing, and a
    /// cold boot has to do.
    fn boot_warm(
        &self,
        kernel: &Kernel,
        prepared: &Prepared,
        machine: &Machine,
    ) -> Result<Option<(Vm, Introduced)>, BootError> {
        let Some((key, clone)) = self.warm(kernel, prepared, machine)? else {
            return Ok(None);
        };
        match clone.wake(self) {
            Ok((vm, boot)) => Ok(Some((
                vm,
                Introduced {
                    spin: clone.known.spin,
                    boot,
                    facts: clone.known.facts,
                    boot_log: clone.known.boot_log,
                    runtime: clone.known.runtime,
                },
            ))),
            Err(error) => {
                self.drop_template(&key, &format!("{}: {error}", kernel.id));
                Ok(None)
            }
        }
    }

    /// From QEMU's start to what the guest tells of its kernel.
    pub(super) fn introduce(
        &self,
        vm: &mut Vm,
        kernel: &Kernel,
        acceleration: Acceleration,
    ) -> Result<Introduced, BootError> {
        let ready = vm.ready(self.options.boot_timeout(acceleration))?;
        vm.send(&ToGuest::Begin(begin(kernel)?))?;
        match vm.receive(ANSWER.mul_f64(self.slowdown(ready.spin)))? {
            FromGuest::Facts { facts, boot_log } => Ok(Introduced {
                spin: ready.spin,
                boot: ready.boot,
                facts: *facts,
                boot_log,
                runtime: programs::RUNTIME_IDENTITY.to_owned(),
            }),
            other => Err(BootError::OutOfTurn {
                wanted: "Facts",
                got: format!("{other:?}"),
            }),
        }
    }

    /// How many times slower than the host a guest computes. Both spins are fixed
    /// amounts of work, measured; the ratio is bounded, so that one scheduling hiccup
    /// cannot make a time limit an hour.
    fn slowdown(&self, spin: u64) -> f64 {
        let host_spin = *self.host_spin.get_or_init(qemu_runner::host_spin);
        (spin as f64 / host_spin.max(1) as f64).clamp(1.0, 40.0)
    }

    /// Delivers what cells need and tells that the machine is there.
    #[expect(clippy::too_many_arguments, reason = "all that a start came to")]
    fn begin_session(
        &self,
        kernel: &Kernel,
        prepared: &Prepared,
        machine: &Machine,
        mut vm: Vm,
        introduced: Introduced,
        boot: u32,
        start: StartKind,
    ) -> Result<Booted, BootError> {
        let Introduced {
            spin,
            boot: took,
            facts,
            boot_log,
            runtime,
        } = introduced;
        // A cell on another processor than its column says would be a lie.
        if let Some(level) = CpuLevel::of(&kernel.settings.cpu)
            && level.number() != facts.cpu_level
        {
            return Err(BootError::CpuLevel {
                wanted: kernel.settings.cpu.clone(),
                got: facts.cpu_level,
            });
        }
        let slowdown = self.slowdown(spin);
        let log = KernelLog::create(machine.console.with_extension("kmsg.log"), &boot_log)?;
        if let Some(put) = delivery(&runtime) {
            vm.send(&put)?;
        }

        self.sink.tell(Event::VmReady {
            kernel: kernel.id.clone(),
            boot,
            boot_ms: milliseconds(took),
            start,
            column: Box::new(KernelColumn {
                status: ColumnStatus::Ran,
                release: Some(facts.release.clone()),
                package: prepared.files.package.clone(),
                command_line: Some(facts.command_line.clone()),
                facts: Some((&facts).into()),
                slowdown_permille: Some((slowdown * 1000.0) as u64),
                notes: record::notes(kernel, &prepared.files.package),
                ..record::column(kernel)
            }),
        });
        Ok(Booted {
            vm,
            facts,
            slowdown,
            boot,
            start,
            log,
        })
    }

    /// Says what holds for every kernel once.
    pub(super) fn note_once(&self, text: &str) {
        let mut noted = self.noted.lock().unwrap_or_else(PoisonError::into_inner);
        if noted.insert(text.to_owned()) {
            self.sink.note(text.to_owned());
        }
    }
}

/// The clock and randomness of now.
pub(super) fn moment() -> Result<Moment, BootError> {
    let mut entropy = vec![0; 64];
    let mut filled = 0;
    while filled < entropy.len() {
        filled += rustix::rand::getrandom(
            &mut entropy[filled..],
            rustix::rand::GetRandomFlags::empty(),
        )
        .map_err(std::io::Error::from)?;
    }
    let clock = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    Ok(Moment {
        clock: u64::try_from(clock.as_nanos()).unwrap_or(u64::MAX),
        entropy,
    })
}

fn begin(kernel: &Kernel) -> Result<Begin, BootError> {
    Ok(Begin {
        moment: moment()?,
        cgroup: match kernel.settings.cgroup {
            plan::Cgroup::V1 => wire::Cgroup::V1,
            plan::Cgroup::V2 => wire::Cgroup::V2,
            plan::Cgroup::Hybrid => wire::Cgroup::Hybrid,
        },
        sysctl: kernel.settings.sysctl.clone().into_iter().collect(),
    })
}

/// The same program as the runner takes it.
fn runner_qemu(tool: Tool) -> Qemu {
    Qemu {
        program: tool.program,
        prefix_arguments: tool.prefix_arguments,
        version: tool.version,
    }
}

/// What the answer of a proof is remembered under.
fn answer_key(qemu: &Qemu) -> Result<Key, std::io::Error> {
    let answer_key = qemu_runner::kvm_answer_key(qemu).map_err(|(path, source)| {
        std::io::Error::new(source.kind(), format!("read {}: {source}", path.display()))
    })?;
    Ok(Key::new("acceleration-1").with("answer", answer_key))
}

/// What an earlier run on this boot of the host found out about KVM; none where
/// nothing was found out yet.
pub(crate) fn remembered_acceleration(supply: &Supply) -> Option<Result<(), String>> {
    let key = answer_key(&runner_qemu(supply.qemu().ok()?)).ok()?;
    let answer = fs_err::read_to_string(supply.cache().get("acceleration", &key)?).ok()?;
    Some(if answer == WORKS { Ok(()) } else { Err(answer) })
}

/// What QEMU starts fastest: the uncompressed kernel where it has a PVH entry, the
/// bzImage as it is otherwise.
fn bootable(bytes: Vec<u8>) -> Result<Vec<u8>, VmlinuxError> {
    if bytes.starts_with(b"\x7fELF") {
        qemu_runner::require_pvh(&bytes)?;
        return Ok(bytes);
    }
    Ok(qemu_runner::vmlinux(&bytes)?.unwrap_or(bytes))
}

/// `6.1+vsyscall=emulate` → `6.1+vsyscall=emulate-1.log`; what a file name
/// cannot hold is replaced.
fn console_name(kernel: &str, boot: u32) -> String {
    let safe: String = kernel
        .chars()
        .map(|c| if c == '/' || c.is_control() { '_' } else { c })
        .collect();
    format!("{}-{boot}.log", safe.trim_start_matches('.'))
}
/// What brings this program's runtime into a guest that booted with `present`: a
/// clone of a template may have another, for a template is not made anew because the
/// runtime under test has changed.
fn delivery(present: &str) -> Option<ToGuest> {
    (present != programs::RUNTIME_IDENTITY).then(|| ToGuest::Put {
        path: wire::RUNTIME_PATH.to_owned(),
        mode: 0o755,
        content: programs::RUNTIME.to_vec(),
    })
}
