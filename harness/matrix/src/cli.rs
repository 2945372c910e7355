//! The command line as typed; resolved where it is used, once.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use verdict::{AddedCapabilities, Capability};

use crate::shard::ShardChoice;

/// Does this userland run on that kernel? Boots a virtual machine per kernel,
/// runs images in containers inside it, and records what happened.
#[derive(Debug, Parser)]
#[command(name = "matrix", version = crate::programs::VERSION, max_term_width = 100)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What every command takes.
#[derive(Debug, Args)]
pub(crate) struct Global {
    /// The project: the folder with kernels.toml [default: the nearest one upwards]
    #[arg(short = 'C', long = "directory", value_name = "DIR", global = true)]
    pub(crate) directory: Option<PathBuf>,
    /// Where fetched and built things are kept [default: $XDG_CACHE_HOME/matrix]
    #[arg(long, value_name = "DIR", global = true, env = "MATRIX_CACHE")]
    pub(crate) cache: Option<PathBuf>,
    /// More detail on stderr
    #[arg(short, long, action = clap::ArgAction::Count, global = true)]
    pub(crate) verbose: u8,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Boot the kernels, run the images' checks, record what happened
    Run(RunArguments),
    /// Run one command in an image on a kernel: `docker run` on another kernel
    Try(TryArguments),
    /// What there is: kernels, images, checks, or past runs
    List(ListArguments),
    /// Print a recorded run
    Show(ShowArguments),
    /// Write the published state of a run: table, page, badge, history
    Publish(PublishArguments),
    /// Say how a run is shared by several machines
    Plan(PlanArguments),
    /// Compare two runs: cells that changed, and facts that differ
    Diff(DiffArguments),
    /// One page about a cell, or about an image on a kernel, to act on
    Explain(ExplainArguments),
    /// Read images without running them: what they need, and what is expected on each kernel
    Inspect(InspectArguments),
    /// Join the shards of a run
    Merge(MergeArguments),
    /// Find the two neighbouring kernels between which a check changes
    Bisect(BisectArguments),
    /// What is kept on the disk between runs, and its removal
    Cache(CacheArguments),
    /// Write matrix.lock: what the kernels and images are now, for `run --locked`
    Update(UpdateArguments),
    /// Fetch and build what a run needs, and boot nothing
    Fetch(FetchArguments),
    /// Look at what this machine has for a run, and what it lacks
    Doctor(DoctorArguments),
}

/// What to run.
#[derive(Clone, Debug, Args)]
pub(crate) struct SelectionArguments {
    /// Kernels: names, `6.x`, `6.*`, `>=5.10`, `6.1+vsyscall=emulate`, `6.1@6.1.170-1`, or a
    /// path to a kernel
    #[arg(short, long, value_name = "LIST", value_delimiter = ',')]
    pub(crate) kernels: Vec<String>,
    /// Images: names, globs (`debian:*`), tags (`family=rhel`), a registry's
    /// (`docker.io/library/alpine:3.20`), or a path to a folder or a tar
    #[arg(short, long, value_name = "LIST", value_delimiter = ',')]
    pub(crate) images: Vec<String>,
    /// Every image there is a file for, also those of registries
    #[arg(long, conflicts_with = "images")]
    pub(crate) all_images: bool,
    /// Checks: names or globs
    #[arg(short, long, value_name = "LIST", value_delimiter = ',')]
    pub(crate) checks: Vec<String>,
}

#[derive(Debug, Args)]
pub(crate) struct RunArguments {
    #[command(flatten)]
    pub(crate) selection: SelectionArguments,
    /// Virtual machines at once [default: the number of cores, fewer where memory is short]
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) jobs: Option<u16>,
    /// How the machines run: kvm where a boot proves that it works, else tcg
    #[arg(long, value_enum, default_value_t = AccelerationChoice::Auto)]
    pub(crate) accel: AccelerationChoice,
    /// Time limit of a cell on a guest as fast as the host; stretched by the slowdown measured [default: 20s]
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub(crate) timeout: Option<Duration>,
    /// How long a kernel may take to come up [default: 30s under kvm, 180s under tcg]
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub(crate) boot_timeout: Option<Duration>,
    /// Run what was not as expected again in a new machine, up to N times; every attempt is kept
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) retries: u32,
    /// Boot every machine, instead of going on where an earlier boot of the kernel was kept
    #[arg(long)]
    pub(crate) cold: bool,
    /// What shares a machine [default: image; kernel where machines boot]
    #[arg(long, value_enum, value_name = "WHAT")]
    pub(crate) isolate: Option<Isolation>,
    /// Run one of N cells that are as expected after a warm start after a cold boot as well; 0: none
    #[arg(long, value_name = "N", default_value_t = SAMPLE)]
    pub(crate) sample: u32,
    /// MiB that kept machines may take in the cache; those used longest ago go first
    #[arg(
        long,
        value_name = "MIB",
        default_value_t = 4096,
        env = "MATRIX_TEMPLATE_SPACE"
    )]
    pub(crate) template_space: u64,
    /// Compare with an earlier run: what got worse makes the status 1
    #[arg(long, value_name = "RUN")]
    pub(crate) baseline: Option<PathBuf>,
    /// Use what is cached and touch no network
    #[arg(long)]
    pub(crate) offline: bool,
    /// Use just the kernels and images that matrix.lock has
    #[arg(long)]
    pub(crate) locked: bool,
    /// This QEMU instead of the one on PATH or from the mirror
    #[arg(long, value_name = "PATH")]
    pub(crate) qemu: Option<PathBuf>,
    /// Where runs/ is [default: the project's results/]
    #[arg(short, long, value_name = "DIR")]
    pub(crate) output: Option<PathBuf>,
    /// Run a part of the plan: `2/4`; `auto` in a Slurm array, `auto/4` in a Kubernetes Job
    #[arg(long, value_name = "I/N", conflicts_with = "resume")]
    pub(crate) shard: Option<ShardChoice>,
    /// Go on with a run that was cut short: only cells without a result run
    #[arg(long, value_name = "RUN", conflicts_with_all = ["kernels", "images", "all_images", "checks", "dry_run", "probes", "only_probes"])]
    pub(crate) resume: Option<PathBuf>,
    /// Check the runtime itself on each kernel as well: a table of its own
    #[arg(long)]
    pub(crate) probes: bool,
    /// Check the runtime itself, and run no image
    #[arg(long, conflicts_with_all = ["images", "checks"])]
    pub(crate) only_probes: bool,
    /// Run every cell that is no pass once more under ptrace, and name the system calls
    /// it was refused; without this, those whose cause is unknown
    #[arg(long)]
    pub(crate) trace: bool,
    /// Print the plan and stop
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Print events as JSON lines on stdout instead of the table
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct UpdateArguments {
    #[command(flatten)]
    pub(crate) selection: SelectionArguments,
    /// Say what would change, and write nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
}

#[derive(Debug, Args)]
pub(crate) struct FetchArguments {
    #[command(flatten)]
    pub(crate) selection: SelectionArguments,
    /// Fetch just the kernels and images that matrix.lock has
    #[arg(long)]
    pub(crate) locked: bool,
    /// Say what is missing in the cache, and touch no network
    #[arg(long)]
    pub(crate) offline: bool,
}

#[derive(Debug, Args)]
pub(crate) struct BisectArguments {
    /// The image's name
    #[arg(value_name = "IMAGE")]
    pub(crate) image: String,
    /// The check's name
    #[arg(value_name = "CHECK")]
    pub(crate) check: String,
    /// A kernel on which it ends one way; also one version of an entry (`6.1@6.1.170-1`), or
    /// an entry at a moment (`6.1@20260101T000000Z`, from Debian's archive of snapshots)
    #[arg(long, value_name = "KERNEL")]
    pub(crate) good: String,
    /// A kernel on which it ends another way, older or newer
    #[arg(long, value_name = "KERNEL")]
    pub(crate) bad: String,
    /// Run every cell again, also those an earlier run has
    #[arg(long)]
    pub(crate) fresh: bool,
    /// How the machines run: kvm where a boot proves that it works, else tcg
    #[arg(long, value_enum, default_value_t = AccelerationChoice::Auto)]
    pub(crate) accel: AccelerationChoice,
    /// Use what is cached and touch no network
    #[arg(long)]
    pub(crate) offline: bool,
    /// Where runs/ is [default: the project's results/]
    #[arg(short, long, value_name = "DIR")]
    pub(crate) output: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct TryArguments {
    /// One kernel: a name, a variant, or a path to one
    #[arg(value_name = "KERNEL")]
    pub(crate) kernel: String,
    /// One image: a name, or a path to a folder or a tar
    #[arg(value_name = "IMAGE")]
    pub(crate) image: String,
    /// The program and its arguments
    #[arg(value_name = "COMMAND", required = true, last = true)]
    pub(crate) command: Vec<String>,
    /// A capability besides docker's 14, or ALL; can be given again
    #[arg(long = "cap-add", value_name = "NAME", value_parser = addition)]
    pub(crate) added: Vec<Addition>,
    /// Boot the machine, instead of going on where an earlier boot of the kernel was kept
    #[arg(long)]
    pub(crate) cold: bool,
    /// How the machine runs
    #[arg(long, value_enum, default_value_t = AccelerationChoice::Auto)]
    pub(crate) accel: AccelerationChoice,
    /// Time limit on a guest as fast as the host; stretched by the slowdown measured
    #[arg(long, value_name = "TIME", default_value = "60s")]
    pub(crate) timeout: String,
    /// Use what is cached and touch no network
    #[arg(long)]
    pub(crate) offline: bool,
    /// This QEMU instead of the one on PATH or from the mirror
    #[arg(long, value_name = "PATH")]
    pub(crate) qemu: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct CacheArguments {
    #[command(subcommand)]
    pub(crate) command: CacheCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum CacheCommand {
    /// What there is, a line per kind; of one kind, a line per thing
    Ls {
        /// A kind, such as template, or the beginning of a thing's name: template/3fa
        #[arg(value_name = "KIND")]
        kind: Option<String>,
    },
    /// Remove what was not used for some time
    Gc {
        /// How long it was not used, at the least
        #[arg(long, value_name = "TIME", default_value = "720h", value_parser = duration)]
        unused: Duration,
    },
    /// Read everything through; what is damaged is removed
    Verify {
        /// A kind, or the beginning of a thing's name [default: everything]
        #[arg(value_name = "KIND")]
        what: Option<String>,
    },
    /// Remove things: they are made again when they are needed
    Rm {
        /// Kinds, or beginnings of names: template, blob/3fa
        #[arg(value_name = "KIND", required = true)]
        what: Vec<String>,
    },
}

#[derive(Debug, Args)]
pub(crate) struct InspectArguments {
    /// Images, as `run --images` takes them [default with --against: those of the run]
    #[arg(value_name = "IMAGE", required_unless_present = "against")]
    pub(crate) images: Vec<String>,
    /// Kernels to say what is expected on [default: all entries and their variants]
    #[arg(short, long, value_name = "LIST", value_delimiter = ',')]
    pub(crate) kernels: Vec<String>,
    /// Hold what is expected against what this run observed, cell by cell: `newest`, a
    /// run's name or folder
    #[arg(long, value_name = "RUN")]
    pub(crate) against: Option<PathBuf>,
    /// Use what is cached and touch no network
    #[arg(long)]
    pub(crate) offline: bool,
    /// Where runs/ is, for the facts kernels were seen to have [default: the project's results/]
    #[arg(short, long, value_name = "DIR")]
    pub(crate) output: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct DoctorArguments {
    /// The QEMU to look at instead of the one on PATH or in the cache
    #[arg(long, value_name = "PATH")]
    pub(crate) qemu: Option<PathBuf>,
}

/// A boot takes as long as some tens of cells, so this costs a large run a few
/// percent, and a small one mostly nothing.
const SAMPLE: u32 = 500;

/// `--isolate`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Isolation {
    /// All images of a kernel run in one machine
    Kernel,
    /// Each image has a machine of its own
    Image,
    /// Each cell has one
    Cell,
}

impl Isolation {
    /// As it is typed.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Isolation::Kernel => "kernel",
            Isolation::Image => "image",
            Isolation::Cell => "cell",
        }
    }
}

/// `--accel`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum AccelerationChoice {
    Auto,
    Kvm,
    Tcg,
}

#[derive(Debug, Args)]
pub(crate) struct ListArguments {
    /// What to list
    #[arg(value_enum)]
    pub(crate) what: Listed,
    /// Of kernels: as JSON
    #[arg(long)]
    pub(crate) json: bool,
    /// Of kernels: look into the cache alone, and ask no archive whether it answers
    #[arg(long)]
    pub(crate) offline: bool,
    /// Where runs/ is [default: the project's results/]
    #[arg(short, long, value_name = "DIR")]
    pub(crate) output: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Listed {
    Kernels,
    Images,
    Checks,
    Runs,
}

#[derive(Debug, Args)]
pub(crate) struct ShowArguments {
    /// A run's name or folder [default: the newest]
    #[arg(value_name = "RUN")]
    pub(crate) run: Option<PathBuf>,
    /// How to print it
    #[arg(short, long, value_enum, default_value_t = Format::Text)]
    pub(crate) format: Format,
    /// Which table [default: cells and probes]; facts and syscalls as text or Markdown
    #[arg(short, long, value_enum)]
    pub(crate) table: Option<Table>,
    /// Of facts and system calls, also those that are the same on every kernel
    #[arg(short, long)]
    pub(crate) all: bool,
    /// Where runs/ is [default: the project's results/]
    #[arg(short, long, value_name = "DIR")]
    pub(crate) output: Option<PathBuf>,
}

/// `--table`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Table {
    /// Kernels across, images and their checks down
    Cells,
    /// Kernels across, checks of the runtime itself down
    Probes,
    /// What each kernel is and can do
    Facts,
    /// Which system calls each kernel has
    Syscalls,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    Text,
    Markdown,
    /// Markdown folded per image, for a README
    Compact,
    Html,
    Json,
    Junit,
    Ktap,
    Csv,
    /// A badge
    Badge,
    /// A heat map
    Svg,
    /// Annotations of GitHub Actions
    Github,
}

#[derive(Debug, Args)]
pub(crate) struct PublishArguments {
    /// A run's name or folder [default: the newest]
    #[arg(value_name = "RUN")]
    pub(crate) run: Option<PathBuf>,
    /// Where runs/ is [default: the project's results/]
    #[arg(short, long, value_name = "DIR")]
    pub(crate) output: Option<PathBuf>,
    /// Where the published state is [default: the folder that runs/ is in]
    #[arg(long, value_name = "DIR")]
    pub(crate) to: Option<PathBuf>,
    /// Publish a run that was cut short too
    #[arg(long)]
    pub(crate) incomplete: bool,
}

#[derive(Debug, Args)]
pub(crate) struct PlanArguments {
    #[command(flatten)]
    pub(crate) selection: SelectionArguments,
    /// How many machines share the run; never more than there are kernels
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) shards: u16,
    /// How to print it
    #[arg(short, long, value_enum, default_value_t = PlanFormat::Text)]
    pub(crate) format: PlanFormat,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum PlanFormat {
    Text,
    /// For `strategy.matrix` of GitHub Actions
    Github,
}

#[derive(Debug, Args)]
pub(crate) struct DiffArguments {
    /// The earlier run's name or folder
    #[arg(value_name = "OLD")]
    pub(crate) old: PathBuf,
    /// The later run's [default: the newest]
    #[arg(value_name = "NEW")]
    pub(crate) new: Option<PathBuf>,
    /// How to print it
    #[arg(short, long, value_enum, default_value_t = DiffFormat::Text)]
    pub(crate) format: DiffFormat,
    /// Where runs/ is [default: the project's results/]
    #[arg(short, long, value_name = "DIR")]
    pub(crate) output: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum DiffFormat {
    Text,
    Markdown,
    Json,
}

#[derive(Debug, Args)]
pub(crate) struct ExplainArguments {
    /// The kernel's name, as the table has it
    #[arg(value_name = "KERNEL")]
    pub(crate) kernel: String,
    /// The image's
    #[arg(value_name = "IMAGE")]
    pub(crate) image: String,
    /// The check's [default: every one that is no pass]
    #[arg(value_name = "CHECK")]
    pub(crate) check: Option<String>,
    /// Of which run [default: the newest]
    #[arg(long, value_name = "RUN")]
    pub(crate) run: Option<PathBuf>,
    /// Where runs/ is [default: the project's results/]
    #[arg(short, long, value_name = "DIR")]
    pub(crate) output: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct MergeArguments {
    /// The shards' names or folders
    #[arg(value_name = "RUN", required = true)]
    pub(crate) runs: Vec<PathBuf>,
    /// Where runs/ is, and where the joined run goes [default: the project's results/]
    #[arg(short, long, value_name = "DIR")]
    pub(crate) output: Option<PathBuf>,
    /// Join what is there; the kernels of missing shards stay not run
    #[arg(long)]
    pub(crate) partial: bool,
}

/// What `--cap-add` names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Addition {
    /// One capability.
    One(Capability),
    /// All the kernel has.
    All,
}

/// `SYS_ADMIN`, `CAP_SYS_ADMIN`, `ALL`.
pub(crate) fn addition(text: &str) -> Result<Addition, String> {
    if text.eq_ignore_ascii_case(AddedCapabilities::ALL) {
        return Ok(Addition::All);
    }
    Capability::named(text).map(Addition::One).ok_or_else(|| {
        format!(
            "there is no capability `{text}`\nhint: as in linux/capability.h: `SYS_ADMIN`, or `ALL`"
        )
    })
}

/// `500ms`, `20s`, `5m`, `1h`.
fn duration(text: &str) -> Result<Duration, String> {
    let split = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let wrong = || format!("`{text}` is no time\nhint: write `500ms`, `20s`, `5m` or `1h`");
    let number: u64 = number.parse().map_err(|_| wrong())?;
    let milliseconds = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return Err(wrong()),
    };
    match number.checked_mul(milliseconds) {
        Some(0) | None => Err(wrong()),
        Some(milliseconds) => Ok(Duration::from_millis(milliseconds)),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn times_have_a_unit_and_are_not_zero() {
        assert_eq!(duration("20s"), Ok(Duration::from_secs(20)));
        assert_eq!(duration("1500ms"), Ok(Duration::from_millis(1500)));
        for wrong in [
            "",
            "20",
            "s",
            "0s",
            "1.5s",
            "-1s",
            "99999999999999999999s",
            "18446744073709551615h",
        ] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }
}
