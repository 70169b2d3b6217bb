//! `machine image …`: where images come from, and the cache of them.

use std::ffi::OsString;
use std::path::PathBuf;

use super::values::Truth as _;
use clap::{Args, Subcommand, ValueEnum};
use machine_images::Checksum;

/// How an image is fetched: the same for every command that does it.
#[derive(Clone, Debug, Default, Args)]
pub struct FetchArgs {
    /// Checksum that the image's file must have
    #[arg(long, value_name = "sha256:HEX", allow_hyphen_values = true)]
    pub checksum: Option<Checksum>,

    /// File that pins images: one that it has is used with exactly that release and checksum, or not at all; one that it
    /// lacks is written there when it was fetched
    #[arg(long, value_name = "FILE", allow_hyphen_values = true)]
    pub image_lock: Option<PathBuf>,

    /// Take a download that nobody vouches for: any certificate, and `http://` without `--checksum`
    #[arg(long, truth = Some(false))]
    pub insecure: bool,

    /// How progress is shown: `auto` is a bar on a terminal and a line for each step elsewhere, `json` is JSON lines on
    /// standard error
    #[arg(
        long,
        value_name = "auto|json",
        default_value = "auto",
        hide_possible_values = true,
        hide_default_value = true,
        allow_hyphen_values = true
    )]
    pub progress: ProgressForm,

    /// Whether a registry must be reached by TLS with a certificate that this host trusts
    #[arg(long, truth = None)]
    pub tls_verify: Option<bool>,
}

/// How progress is shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum ProgressForm {
    /// For people.
    #[default]
    Auto,
    /// For programs: an object a line.
    Json,
}

/// Manage the images that were fetched
#[derive(Debug, Args)]
#[command(override_usage = "machine image COMMAND")]
pub struct ImageArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: Option<ImageCommand>,
}

/// The commands of `image`.
#[derive(Debug, Subcommand)]
pub enum ImageCommand {
    /// List the images in the cache
    #[command(visible_alias = "ls")]
    List(ImageListArgs),
    /// Fetch an image into the cache
    Pull(PullArgs),
    /// Write an image of the cache to a file, for a host that cannot fetch it
    Export(ExportArgs),
    /// Put an image that was exported into the cache
    Import(ImportArgs),
    /// Read images of the cache again, and tell which are damaged
    Verify(VerifyArgs),
    /// Remove images from the cache
    Rm(ImageRmArgs),
    /// Remove the images that no machine uses, and broken downloads
    Prune(PruneArgs),
}

/// List the images in the cache
#[derive(Debug, Args)]
#[command(override_usage = "machine image list [options]")]
pub struct ImageListArgs {
    /// Format the output by a Go template, or as `json`
    #[arg(short, long, value_name = "FORMAT", allow_hyphen_values = true)]
    pub format: Option<String>,

    /// Print IDs only
    #[arg(short, long, truth = Some(false))]
    pub quiet: bool,

    /// There are none.
    #[arg(hide = true, value_name = "IMAGE")]
    pub words: Vec<String>,
}

/// Fetch an image into the cache
#[derive(Debug, Args)]
#[command(
    override_usage = "machine image pull [options] [IMAGE]",
    after_help = "IMAGE is what `machine init --image` takes and is fetched; without one, the image that `machine init` takes."
)]
pub struct PullArgs {
    /// How it is fetched.
    #[command(flatten)]
    pub fetch: FetchArgs,

    /// What is to run it
    #[arg(long, value_name = "NAME", allow_hyphen_values = true)]
    pub provider: Option<String>,

    /// Print its checksum only
    #[arg(short, long, truth = Some(false))]
    pub quiet: bool,

    /// The image.
    #[arg(hide = true, value_name = "IMAGE")]
    pub words: Vec<OsString>,
}

/// Write an image of the cache to a file, for a host that cannot fetch it
#[derive(Debug, Args)]
#[command(
    override_usage = "machine image export [options] IMAGE FILE",
    after_help = "IMAGE is an ID or a beginning of it, or a name, as `machine image list` shows them, or what it was fetched by, as `stable`."
)]
pub struct ExportArgs {
    /// Replace a file that is there
    #[arg(short, long, truth = Some(false))]
    pub force: bool,

    /// Print the file's checksum only
    #[arg(short, long, truth = Some(false))]
    pub quiet: bool,

    /// The image and the file.
    #[arg(hide = true, value_name = "IMAGE")]
    pub words: Vec<OsString>,
}

/// Put an image that was exported into the cache
#[derive(Debug, Args)]
#[command(
    override_usage = "machine image import [options] FILE",
    after_help = "The publisher's signature cannot be checked again. An image that was imported without `--checksum` is used where nobody can be asked, and gives way to the publisher's."
)]
pub struct ImportArgs {
    /// Checksum that FILE must have, as `machine image export` tells it
    #[arg(long, value_name = "sha256:HEX", allow_hyphen_values = true)]
    pub checksum: Option<Checksum>,

    /// Print the image's checksum only
    #[arg(short, long, truth = Some(false))]
    pub quiet: bool,

    /// The file.
    #[arg(hide = true, value_name = "FILE")]
    pub words: Vec<OsString>,
}

/// Read images of the cache again, and tell which are damaged
#[derive(Debug, Args)]
#[command(
    override_usage = "machine image verify [options] IMAGE...",
    after_help = "IMAGE is an ID or a beginning of it, or a name, as `machine image list` shows them. The exit code is 125 where one is damaged."
)]
pub struct VerifyArgs {
    /// All images
    #[arg(short, long, truth = Some(false))]
    pub all: bool,

    /// Format the output by a Go template, or as `json`
    #[arg(short, long, value_name = "FORMAT", allow_hyphen_values = true)]
    pub format: Option<String>,

    /// The images.
    #[arg(hide = true, value_name = "IMAGE")]
    pub words: Vec<String>,
}

/// Remove images from the cache
#[derive(Debug, Args)]
#[command(
    override_usage = "machine image rm [options] IMAGE...",
    after_help = "IMAGE is an ID or a beginning of it, or a name, as `machine image list` shows them."
)]
pub struct ImageRmArgs {
    /// Also those that machines use, which keep what they have
    #[arg(short, long, truth = Some(false))]
    pub force: bool,

    /// The images.
    #[arg(hide = true, value_name = "IMAGE")]
    pub words: Vec<String>,
}

/// Remove the images that no machine uses, and broken downloads
#[derive(Debug, Args)]
#[command(override_usage = "machine image prune")]
pub struct PruneArgs {
    /// There are none.
    #[arg(hide = true, value_name = "IMAGE")]
    pub words: Vec<String>,
}

/// The words after `machine` of a group that was given no command.
pub fn missing_command(args: &ImageArgs) -> Option<&'static [&'static str]> {
    args.command.is_none().then_some(&["image"])
}

/// Refuses another number of words than a command takes.
pub fn check_words(args: &ImageArgs) -> Result<(), String> {
    let none = |command: &str, words: &[String]| {
        if words.is_empty() {
            return Ok(());
        }
        Err(format!("`machine image {command}` takes no arguments"))
    };
    match &args.command {
        Some(ImageCommand::List(args)) => none("list", &args.words),
        Some(ImageCommand::Prune(args)) => none("prune", &args.words),
        Some(ImageCommand::Pull(args)) if args.words.len() > 1 => Err(format!(
            "accepts at most 1 arg(s), received {}",
            args.words.len()
        )),
        Some(ImageCommand::Export(args)) if args.words.len() != 2 => {
            Err(format!("accepts 2 arg(s), received {}", args.words.len()))
        }
        Some(ImageCommand::Import(args)) if args.words.len() != 1 => {
            Err(format!("accepts 1 arg(s), received {}", args.words.len()))
        }
        Some(ImageCommand::Rm(args)) if args.words.is_empty() => {
            Err("requires at least 1 arg(s), only received 0".to_owned())
        }
        Some(ImageCommand::Verify(args)) if args.all == args.words.is_empty() => Ok(()),
        Some(ImageCommand::Verify(args)) if args.all => {
            Err("either images or `--all`, not both".to_owned())
        }
        Some(ImageCommand::Verify(_)) => {
            Err("requires at least 1 arg(s), only received 0, or `--all`".to_owned())
        }
        None
        | Some(
            ImageCommand::Pull(_)
            | ImageCommand::Rm(_)
            | ImageCommand::Export(_)
            | ImageCommand::Import(_),
        ) => Ok(()),
    }
}
