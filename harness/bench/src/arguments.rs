//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

/// Measures matrix beside the floor and beside peers, interleaved.
#[derive(Debug, Parser)]
#[command(name = "bench", max_term_width = 100)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
    /// The project: the folder with kernels.toml
    #[arg(short = 'C', long, value_name = "DIR", default_value = ".")]
    pub(crate) project: PathBuf,
    /// The program that is measured [default: `matrix` beside this one]
    #[arg(long, value_name = "PATH")]
    pub(crate) matrix: Option<PathBuf>,
    /// How often everything is measured
    #[arg(long, value_name = "N", default_value_t = 7, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) rounds: u32,
    /// Kernels whose boots are measured one by one
    #[arg(
        long,
        value_name = "LIST",
        value_delimiter = ',',
        default_value = "5.10+,6.1+,6.12+"
    )]
    pub(crate) kernels: Vec<String>,
    /// Kernels of the whole matrix
    #[arg(
        long,
        value_name = "LIST",
        value_delimiter = ',',
        default_value = "5.10+,6.1+,6.1+vsyscall=emulate,6.12+"
    )]
    pub(crate) matrix_kernels: Vec<String>,
    /// Images of the whole matrix; the first is also the image of one cell
    #[arg(
        long,
        value_name = "LIST",
        value_delimiter = ',',
        default_value = "debian:12,debian:11,debian:13,debian:sid"
    )]
    pub(crate) images: Vec<String>,
    /// Checks of the whole matrix; the first is also the one cell
    #[arg(
        long,
        value_name = "LIST",
        value_delimiter = ',',
        default_value = "bash,sh,ls,date,uname,sort,package-manager,perl"
    )]
    pub(crate) checks: Vec<String>,
    /// Leave the peers out
    #[arg(long)]
    pub(crate) no_peers: bool,
    /// Leave the run of 36,000 cells out
    #[arg(long)]
    pub(crate) no_scale: bool,
    /// Where bench.json and README.md are written; none: only printed
    #[arg(short, long, value_name = "DIR")]
    pub(crate) output: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// An image out of a registry on the loopback, beside skopeo and umoci
    Pull(PullArguments),
    /// What machines do with their time: still, in the kernel, in programs; and what is translated
    Profile,
    /// The part that a process of its own does, so that its memory is its own
    #[command(hide = true)]
    ScaleOnly {
        /// Where it may write
        folder: PathBuf,
    },
}

#[derive(Debug, Args)]
pub(crate) struct PullArguments {
    /// How large the image's files are together, MB
    #[arg(long, value_name = "MB", default_value_t = 500, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) megabytes: u32,
    /// Where there is room for six times that [default: the folder for temporary files]
    #[arg(long, value_name = "DIR")]
    pub(crate) folder: Option<PathBuf>,
}
